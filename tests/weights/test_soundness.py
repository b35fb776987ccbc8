"""What a file is, is told before its digest is kept, by every command alike, without reading it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from authors_layout import write_hub

from insilico import cli
from insilico.errors import WeightsError
from insilico.weights import checkpoint, records
from insilico.weights.catalogue import EVALUATED, PUBLISHED, published
from insilico.weights.folders import folder, sound
from insilico.weights.inventory import inventory
from insilico.weights.wholeness import whole

RUN = "final_subj01_pretrained_40sess_24bs"
LAST, UNCLIP = f"train_logs/{RUN}/last.pth", "unclip6_epoch0_step110000.ckpt"
PROTOCOL = """\
title: Published weights
preset: phantom
stimuli: {{split: test, n: 2}}
conditions:
  measured: {{source: recording}}
decoder: {{kind: mindeye2, weights: {root}}}
"""


class Code:
    """What a pickle calls when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch run-by-the-pickle",)


class Evaluated:
    """The same by a builtin, in any protocol of pickles."""

    def __reduce__(self):
        return eval, ("open('run-by-the-pickle', 'w')",)


@pytest.fixture(scope="module")
def published_hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    write_hub(folder("phantom", "mindeye2").parent, root, RUN)
    return root


@pytest.fixture
def root(published_hub, tmp_path):
    return shutil.copytree(published_hub, tmp_path / "hub")


def small_zip(path: Path) -> None:
    torch.save({"state_dict": {"w": torch.zeros(2)}, "more": Code()}, path)


def old_format(path: Path) -> None:
    torch.save({"state_dict": Evaluated()}, path, _use_new_zipfile_serialization=False)


def new_protocol(path: Path) -> None:
    torch.save({"state_dict": Evaluated()}, path, pickle_protocol=4)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4000])


def old_cut_off(path: Path) -> None:
    state = {"w": torch.zeros(1000), "v": torch.zeros(7, dtype=torch.int64)}
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    whole(path)
    path.write_bytes(path.read_bytes()[:-1])


def storage_cut(path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    first = next(name for name in held if name.endswith("/data/0"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content[:-4] if name == first else content)


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


def published_size(path: Path) -> None:
    path.with_suffix(".json").unlink()


BROKEN = {
    small_zip: "(it names posix.system): nothing of it was run",
    old_format: "eval): nothing of it was run",
    new_protocol: "eval): nothing of it was run",
    cut_off: "cut off",
    old_cut_off: "cut off or damaged (no whole storage of 4072 bytes: 4071 are left)",
    storage_cut: "cut off or damaged (no whole storage 0)",
    pointer: "a Git-LFS pointer, not the file itself: run 'git lfs pull'",
    published_size: "published 17.98 GB: another file, or a download that broke off",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda make: make.__name__)
def test_a_bad_file_is_damaged_for_every_command_and_never_recorded(root, capsys, broken, tmp_path):
    broken(root / UNCLIP)
    protocol = tmp_path / "p.yaml"
    protocol.write_text(PROTOCOL.format(root=root))
    told = {}
    for name, command, status in (
        ("check", ["weights", "check", str(root)], 1),
        ("doctor", ["doctor", "--weights", str(root)], 1),
        ("protocol", ["check", str(protocol)], 2),
    ):
        assert cli.main(command) == status, name
        said = capsys.readouterr()
        told[name] = said.out + said.err
        assert BROKEN[broken] in told[name], name
    assert f"damaged: {root / UNCLIP}" in told["check"]
    line = next(line for line in told["doctor"].splitlines() if " unclip " in line)
    assert line.startswith("  BAD ")
    assert UNCLIP not in records.recorded(root)
    assert not Path("run-by-the-pickle").exists()


def test_the_doctor_reads_and_records_nothing(root, capsys, monkeypatch):
    monkeypatch.setattr(records, "sha256", lambda path: pytest.fail(f"{path} was read"))
    assert cli.main(["doctor", "--weights", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = dict(line.split()[1::-1] for line in lines if line.startswith("  "))
    assert [found[name] for name in ("mindeye2", "unclip", "captioner")] == ["ok"] * 3
    assert not (root / records.RECORD).exists()
    assert not (root / "converted").exists()


def test_no_number_is_read_to_tell_whether_a_file_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "large.pth"
    torch.save({"w": torch.zeros(1000)}, path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    checkpoint.require_whole(path)
    assert pickle.dumps(0)[:1] == b"\x80"  # what an old file begins with


def test_a_small_file_of_ones_own_is_accepted_by_name(root, capsys):
    name = "bigG_to_L_epoch8.pth"
    state = {
        f"linear{k}.{part}": torch.zeros(shape)
        for k, shapes in ((1, ((5, 4), (5,))), (2, ((6, 12), (6,))))
        for part, shape in zip(("weight", "bias"), shapes, strict=True)
    }
    torch.save({"model_state_dict": state}, root / name)
    (root / "bigG_to_L_epoch8.json").unlink(missing_ok=True)
    with pytest.raises(WeightsError, match=rf"published 7.08 MB.*--accept {name}"):
        sound(str(root), "converter")
    assert cli.main(["weights", "check", str(root), "--accept", name]) == 0
    assert sound(str(root), "converter") == root / name
    os.utime(root / name, (1, 1))  # the same content at another time
    assert sound(str(root), "converter") == root / name
    assert cli.main(["weights", "check", str(root)]) == 0
    assert "damaged" not in capsys.readouterr().out


def test_what_a_folder_lacks_is_told(root, capsys):
    captioner = root / "git-large-coco"
    (captioner / "pytorch_model.bin").unlink()
    assert cli.main(["weights", "list", str(root)]) == 0
    row = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("git-large-coco"))
    assert " partly " in row
    assert cli.main(["weights", "check", str(root)]) == 0
    lacks = "git-large-coco/ lacks model.safetensors or pytorch_model.bin; get it from https://"
    assert lacks in capsys.readouterr().out
    with pytest.raises(WeightsError) as told:
        sound(str(root), "captioner")
    assert f"put model.safetensors or pytorch_model.bin into {captioner}" in str(told.value)
    assert UNCLIP in str(told.value)  # what the folder holds


def test_a_pointer_in_a_folder_of_a_network_is_told(tmp_path):
    network = shutil.copytree(folder("phantom", "captioner"), tmp_path / "captioner")
    pointer(network / "model.safetensors")
    with pytest.raises(WeightsError, match="a Git-LFS pointer"):
        sound(str(tmp_path), "captioner")


def test_a_subjects_files_are_summed_and_addressed(root, capsys):
    assert cli.main(["weights", "list", str(root), "--subject", "1"]) == 0
    said = capsys.readouterr().out
    listed = [line.split()[0] for line in said.splitlines()[2:] if line]
    runs = [name for name in listed if name.startswith("train_logs/")]
    assert runs == [LAST]
    assert not any("subj02" in name for name in listed)
    assert not (root / MISSING).exists()
    total = sum(published(name).size for name in DECODER) / 1e9
    missing = sum(published(name).size for name in DECODER if not (root / name).exists())
    line = next(line for line in said.splitlines() if line.startswith("decoder: "))
    assert line.startswith(f"decoder: {total:.2f} GB; {missing / 1e9:.2f} GB to download, 26.")
    hub = "https://huggingface.co/datasets/pscotti/mindeyev2/resolve/main"
    assert f"  {hub}/zavychromaxl_v30.safetensors\n" in said
    assert cli.main(["weights", "list", str(root), "--subject", "3"]) == 2
    assert "one of: 1, 2, 5, 7" in capsys.readouterr().err


MISSING = "sd_image_var_autoenc.pth"
DECODER = (
    LAST, UNCLIP, "bigG_to_L_epoch8.pth", "git-large-coco/", MISSING, "zavychromaxl_v30.safetensors"
)  # fmt: skip


def test_every_address_is_of_its_own_file():
    addresses = [row.address for row in PUBLISHED]
    assert len(set(addresses)) == len(addresses)
    assert all(a.startswith("https://") and not a.endswith("/") for a in addresses)
    for row in PUBLISHED:
        if not row.path.endswith("/"):
            assert row.address.endswith(row.path.rpartition("/")[2])


def test_a_folder_that_is_not_there_is_an_error_however_it_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("INSILICO_WEIGHTS", str(tmp_path / "none"))
    for command in (["weights", "list"], ["weights", "check"], ["doctor"]):
        for given in ([], ["--weights"] * (command == ["doctor"]) + [str(tmp_path / "none")]):
            assert cli.main([*command, *given]) == 2, command
            assert f"no folder {tmp_path / 'none'}" in capsys.readouterr().err
    monkeypatch.delenv("INSILICO_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cli.main(["weights", "list"]) == 0  # nothing was named: all of it is missing
    capsys.readouterr()


def test_memory_without_a_unit_is_refused(capsys):
    assert cli.main(["weights", "plan", "--memory", "16"]) == 2
    assert "memory is '16', of what? Write 16GB" in capsys.readouterr().err


def test_subjects_with_runs_have_them():
    for subject in EVALUATED:
        name = f"train_logs/final_subj0{subject}_pretrained_40sess_24bs/last.pth"
        assert published(name) is not None
    assert len(inventory(Path("/none"))) == len(PUBLISHED)
    assert json.dumps(published(LAST).converted) == str(published(LAST).size)
