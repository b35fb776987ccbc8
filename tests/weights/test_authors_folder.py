"""A protocol decodes with a folder in the authors' layout by changing one line."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_layout import write_hub
from safetensors.torch import load_file, save_file

from insilico import cli
from insilico.decoders.git import Git
from insilico.decoders.mindeye2.step import MindEye2
from insilico.errors import SeveralMissing, WeightsError
from insilico.run.store import read_entry
from insilico.weights.folders import folder

RUN = "final_subj01_pretrained_40sess_24bs"
PROTOCOL = """\
title: Published weights by one line
preset: phantom
stimuli: {{split: test, n: 2}}
conditions:
  measured: {{source: recording}}
decoder: {decoder}
scores: [pixcorr]
"""
QUICK = "prior_steps: 4, steps: 2, draws: 1"


class Code:
    """What a pickle calls when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch run-by-the-pickle",)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    write_hub(folder("phantom", "mindeye2").parent, root, RUN)
    return root


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def run(store: Path, name: str, decoder: str, command: str = "run") -> int:
    file = store / f"{name}.yaml"
    file.write_text(PROTOCOL.format(decoder=decoder))
    out = ["--out", str(store / name)] if command == "run" else []
    return cli.main([command, str(file), "--store", str(store / "store"), *out])


def published(hub: Path) -> str:
    return f"{{kind: mindeye2, {QUICK}, weights: {hub}, model: {RUN}}}"


def test_check_converts_nothing_and_run_decodes_as_with_the_shipped_weights(hub, store, capsys):
    assert run(store, "published", published(hub), "check") == 0
    assert "right" in capsys.readouterr().out
    assert not (hub / "converted").exists()
    assert run(store, "shipped", f"{{kind: mindeye2, {QUICK}}}") == 0
    assert run(store, "published", published(hub)) == 0
    shipped, made = (
        read_entry(store / name / "reconstruction.nc") for name in ("shipped", "published")
    )
    assert shipped["image"].values.std() > 10
    np.testing.assert_array_equal(made["image"].values, shipped["image"].values)
    np.testing.assert_array_equal(made["caption"].values, shipped["caption"].values)
    networks = {path.name.partition("-")[0] for path in (hub / "converted").iterdir()}
    assert {"mindeye2", "unclip", "captioner"} <= networks


def test_what_is_missing_is_told_by_check(hub, store, tmp_path, capsys):
    part = tmp_path / "part"
    shutil.copytree(hub / "train_logs", part / "train_logs")
    assert run(store, "missing", published(part), "check") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "put unclip6_epoch0_step110000.ckpt (SDXL unCLIP" in said
    hub = "https://huggingface.co/datasets/pscotti/mindeyev2/resolve/main"
    assert f"17.98 GB; from {hub}/unclip6_epoch0_step110000.ckpt) into {part}" in said
    assert "Traceback" not in said


def test_all_that_is_missing_is_told_in_one_go(store, tmp_path, capsys):
    decoder = published(tmp_path).replace(QUICK, f"{QUICK}, refine: true, captions: tokens")
    assert run(store, "nothing", decoder, "check") == 2
    said = capsys.readouterr().err.strip().splitlines()
    wanted = [f"{RUN}/last.pth", "unclip6_epoch0", "git-large", "bigG_to_L", "zavychromaxl"]
    assert len(said) == len(wanted)
    assert all(any(name in line for line in said) for name in wanted)
    assert all("nothing.yaml:6" in line for line in said)
    with pytest.raises(SeveralMissing, match=r"(?s)last\.pth.*; and .*zavychromaxl"):
        MindEye2(weights=str(tmp_path), model=RUN, refine=True).digests()


def test_a_damaged_file_is_one_error_before_any_work(hub, store, tmp_path, capsys):
    shutil.copytree(hub, tmp_path / "hub", ignore=shutil.ignore_patterns("converted", "insilico*"))
    path = tmp_path / "hub" / "unclip6_epoch0_step110000.ckpt"
    path.write_bytes(path.read_bytes()[:-5000])
    assert run(store, "damaged", published(tmp_path / "hub")) == 2
    assert not (store / "damaged").exists()
    said = capsys.readouterr().err.strip()
    assert "unclip6_epoch0_step110000.ckpt is cut off: its table of contents is missing" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("code", "is a pickle with code in it (it names posix.system): nothing of it was run"),
        ("subject", "says subject 2, but its ridge reads voxels"),
        ("width", "the ridge gives 7 hidden numbers, the backbone takes"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_by_check(hub, store, tmp_path, capsys, mistake, said):
    root = tmp_path / "hub"
    shutil.copytree(hub, root, ignore=shutil.ignore_patterns("converted", "insilico*"))
    path = root / "train_logs" / RUN / "last.pth"
    held = torch.load(path, map_location="cpu", weights_only=False)
    state = held["model_state_dict"]
    if mistake == "code":
        held["extra"] = Code()
    elif mistake == "subject":
        state["ridge.linears.0.weight"] = torch.zeros(len(state["ridge.linears.0.bias"]), 15724)
    else:
        state["ridge.linears.0.weight"] = state["ridge.linears.0.weight"][:7]
        state["ridge.linears.0.bias"] = state["ridge.linears.0.bias"][:7]
    torch.save(held, path)
    if mistake == "subject":
        path.parent.rename(path.parent.with_name(RUN.replace("subj01", "subj02")))
    decoder = published(root).replace(f", model: {RUN}", "")
    assert run(store, mistake, decoder, "check") == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert len(told.splitlines()) == 1
    assert cli.main(["weights", "check", str(root)]) == 1
    checked = capsys.readouterr().out
    assert any(line.startswith("damaged: ") and said in line for line in checked.splitlines())
    assert not (root / "converted").exists()
    assert not Path("run-by-the-pickle").exists()


def test_a_published_folder_is_held_against_its_record(tmp_path, capsys):
    place = tmp_path / "git-large-coco"
    shutil.copytree(folder("phantom", "captioner"), place)
    step = Git(weights=str(place))
    before = step.digests()
    assert cli.main(["weights", "check", str(tmp_path)]) == 0
    known = hashlib.sha256((place / "model.safetensors").read_bytes()).hexdigest()
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("git-large-coco/"))
    assert known[:12] in line
    state = {key: value + 1 for key, value in load_file(place / "model.safetensors").items()}
    save_file(state, place / "model.safetensors", metadata={"format": "pt"})
    assert cli.main(["weights", "check", str(tmp_path)]) == 1
    assert "model.safetensors was changed since it was first used" in capsys.readouterr().out
    with pytest.raises(WeightsError, match="was changed since it was first used"):
        step.digests()
    accept = ["--accept", "git-large-coco/model.safetensors"]
    assert cli.main(["weights", "check", str(tmp_path), *accept]) == 0
    assert step.digests() != before


def test_code_in_a_file_of_the_scores_is_told_by_check(tmp_path, capsys):
    torch.save({"weight": torch.zeros(2), "more": Code()}, tmp_path / "gnet_multisubject.pt")
    torch.save({"weight": torch.zeros(2), "more": Code()}, tmp_path / "swav_800ep_pretrain.pth.tar")
    torch.save(["a caption"], tmp_path / "evals.pt")
    assert cli.main(["weights", "check", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("is a pickle with code in it") == 2
    assert not Path("run-by-the-pickle").exists()


def test_weights_are_listed_and_checked(hub, tmp_path, capsys, monkeypatch):
    root = tmp_path / "hub"
    shutil.copytree(hub, root, ignore=shutil.ignore_patterns("converted", "insilico*"))
    monkeypatch.setenv("INSILICO_WEIGHTS", str(root))
    assert cli.main(["weights", "where"]) == 0
    assert f"weights:   {root} (INSILICO_WEIGHTS)" in capsys.readouterr().out
    assert cli.main(["weights", "list"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    last = f"train_logs/{RUN}/last.pth"
    assert " here " in rows[last]
    assert "8.89 GB  missing" in rows[last.replace("subj01", "subj02")]
    assert "17.98 GB" not in rows["unclip6_epoch0_step110000.ckpt"]  # its own size is told
    assert cli.main(["weights", "check"]) == 0
    said = capsys.readouterr().out
    assert (
        "  blurry pictures from the low-level head\n    sd_image_var_autoenc.pth (335 MB) from "
        "https://huggingface.co/datasets/pscotti/mindeyev2/resolve/main/sd_image_var_autoenc.pth\n"
        in said
    )
    path = root / last
    path.write_bytes(path.read_bytes() + b"0")
    assert cli.main(["weights", "check", str(root)]) == 1
    assert "damaged: " in capsys.readouterr().out
    assert cli.main(["weights", "check", "--accept", last]) == 0
    assert cli.main(["weights", "check", "--accept", "last.pth"]) == 2
    assert cli.main(["weights", "list", str(tmp_path / "none")]) == 2
    assert "error: no folder" in capsys.readouterr().err


def test_a_run_of_ones_own_is_listed(hub, tmp_path, capsys):
    (tmp_path / "train_logs" / "mine").mkdir(parents=True)
    shutil.copy(hub / "train_logs" / RUN / "last.pth", tmp_path / "train_logs" / "mine")
    assert cli.main(["weights", "list", str(tmp_path)]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "train_logs/mine/last.pth" in x)
    assert line.endswith("MindEye2: a training run of your own")
