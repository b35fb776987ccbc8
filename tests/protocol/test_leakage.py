from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import insilico as isi
from insilico.adapters.ridge import Ridge
from insilico.errors import ProtocolError
from insilico.phantom.stimuli import Scenes
from insilico.protocol.plan import plan
from insilico.protocol.read import read
from insilico.spaces import fsaverage5
from insilico.stimuli.images import Images

SEEN = """\
title: Shown what it was fitted on
preset: phantom
seed: 0
adapter: {pairs: 10}
stimuli: {split: train, n: 3, start: 8}
conditions:
  measured: {source: recording}
  intact: {}
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        (tmp_path / "p.yaml").write_text(text)
        return tmp_path / "p.yaml"

    return write


def test_stimuli_of_the_fit_are_refused_before_anything_is_computed(write):
    with pytest.raises(
        ProtocolError,
        match=r"p.yaml:8:conditions.intact: the adapter is fitted on 2 of the stimuli shown "
        r"\(phantom-train-000008, phantom-train-000009\)",
    ):
        read(write(SEEN))


@pytest.mark.parametrize(
    "change",
    [
        ("pairs: 10", "pairs: 10, seen: allow"),
        ("pairs: 10", "pairs: 8"),
        ("pairs: 10", "kind: pca, pairs: 10"),
        ("split: train", "split: test"),
        ("  intact: {}\n", ""),
    ],
)
def test_other_stimuli_and_what_is_meant_are_let_through(write, change):
    assert read(write(SEEN.replace(*change))).protocol


def test_ids_are_known_without_making_stimuli(tmp_path: Path):
    for split in ("train", "test", "unseen"):
        scenes = Scenes(split=split, n=3, start=5)
        assert scenes.ids() == scenes()["stimulus"].values.tolist()
    from PIL import Image

    for name in ("b.png", "a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    images = Images(path=tmp_path)
    assert list(images.ids()) == images()["stimulus"].values.tolist()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    ids = [f"phantom-test-{k:06d}" for k in range(3)]
    attrs = {"units": "z", "hemodynamic_offset_s": 0.0, "source": "test", "subject": "x"}
    bold = rng.standard_normal((3, fsaverage5.N_VERTICES)).astype(np.float32)
    source = fsaverage5.response(bold, ids, **attrs)
    target = isi.sample("response", 3).assign_coords(stimulus=ids)
    return isi.save_adapter(Ridge().fit(source, target), tmp_path / "adapter")


def test_a_protocol_can_name_a_saved_adapter(write, saved):
    text = SEEN.replace("{pairs: 10}", f"{{kind: saved, file: {saved}}}")
    text = text.replace("split: train, n: 3, start: 8", "split: test, n: 3, start: 3")
    jobs = [job for job in plan(read(write(text)).protocol).targets() if "intact" in job.name]
    adapt = jobs[0].inputs[0]
    assert (adapt.name, adapt.inputs[1].name) == ("adapt intact", "load adapter")
    assert adapt.inputs[1]().attrs["adapter"] == "ridge"


def test_a_saved_adapter_refuses_its_stimuli_in_planning(write, saved):
    text = SEEN.replace("{pairs: 10}", f"{{kind: saved, file: {saved}}}")
    text = text.replace("split: train, n: 3, start: 8", "split: test, n: 3, start: 1")
    with pytest.raises(ProtocolError, match="fitted on 2 of the stimuli shown"):
        read(write(text))


def test_a_folder_without_an_adapter_is_named_with_its_line(write, tmp_path):
    text = SEEN.replace("{pairs: 10}", f"{{kind: saved, file: {tmp_path}}}")
    with pytest.raises(ProtocolError, match=r"p.yaml:4:adapter: no adapter in .*isi.save_adapter"):
        read(write(text))


def test_bands_take_the_atlas_that_stands_for_another(write):
    text = SEEN.replace("{pairs: 10}", "{pairs: 8, alphas: [1.0], bands: {atlas: yeo7}}")
    work = plan(read(write(text)).protocol)
    adapt = next(job for job in work.targets() if "intact" in job.name).inputs[0]
    assert adapt.step.bands.atlas == "phantom7"
    assert adapt.inputs[1].step.bands.atlas == "phantom7"
    assert adapt.note == "phantom7 in place of yeo7"


def test_an_unknown_region_of_a_band_is_named_with_its_line(write):
    bands = "bands: {atlas: yeo7, groups: {seeing: [Visible]}}"
    with pytest.raises(ProtocolError, match=r"p.yaml:4:adapter: unknown region of phantom7 'Vis"):
        read(write(SEEN.replace("{pairs: 10}", f"{{pairs: 8, {bands}}}")))


def test_an_adapter_is_measured_by_a_statistic(write):
    text = SEEN.replace("pairs: 10", "pairs: 8") + "statistics: {fit: {kind: voxelwise_accuracy}}\n"
    job = plan(read(write(text)).protocol).statistics["fit"]
    assert [one.name for one in job.inputs] == ["adapt test 300", "record voxels test 300"]
    assert job.inputs[1].step.repeats == "keep"
