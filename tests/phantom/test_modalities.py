"""A scene seen, read and heard: what each tells, and that seeing stayed what it was."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from insilico.errors import StimulusError
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.features import GAINS, features
from insilico.phantom.recording import PhantomRecording
from insilico.phantom.stimuli import Scenes


def shown(modality: str, n: int = 120) -> xr.Dataset:
    return Scenes(n=n, modality=modality)()


@pytest.fixture(scope="module")
def responses() -> dict[str, np.ndarray]:
    return {m: Cohort().average_signal(shown(m)) for m in GAINS}


BEFORE = {
    "picture": (14.529, 3.255, -0.004),
    "category": (2.380, -0.148, -0.073),
    "meaning": (7.416, -3.573, -0.074),
    "language": (7.754, 3.215, -0.074),
    "sound": (4.639, 2.209, -0.074),
}
"""Of features before modalities existed: norm, sum of scene 2, and one value of scene 5."""


def test_scenes_seen_are_answered_as_before_modalities_existed():
    for name, block in features(shown("image", 6)).items():
        found = (np.linalg.norm(block), block[2].sum(), block[5, 3])
        np.testing.assert_allclose(found, BEFORE[name], atol=2e-3, err_msg=name)


def test_words_and_sounds_do_not_reach_early_visual_cortex(responses: dict[str, np.ndarray]):
    early = anatomy.retinotopy().area == 1
    seen, read, heard = (responses[m][:, early].std() for m in GAINS)
    assert seen > 4 * read
    assert seen > 4 * heard


def test_sounds_tell_object_and_background_alone():
    heard = shown("sound")
    first = heard.isel(stimulus=[0])
    other = first.assign_coords(
        colour=("stimulus", ["blue" if first["colour"].values[0] != "blue" else "red"]),
        size=("stimulus", ["small" if first["size"].values[0] == "large" else "large"]),
    )
    for name, block in features(first).items():
        np.testing.assert_array_equal(block, features(other)[name])
    place = "beach" if first["background"].values[0] != "beach" else "city"
    moved = first.assign_coords(background=("stimulus", [place]))
    assert np.abs(features(moved)["meaning"] - features(first)["meaning"]).max() > 0.1


def test_reading_tells_what_seeing_tells_and_imagery_is_weaker():
    seen, read = features(shown("image", 8)), features(shown("text", 8))
    np.testing.assert_array_equal(read["meaning"], seen["meaning"])
    np.testing.assert_allclose(read["category"], 0.5 * seen["category"], atol=1e-6)
    np.testing.assert_allclose(read["language"], 2 * seen["language"], atol=1e-6)
    assert "picture" not in read
    assert "sound" not in read


def test_association_cortex_tells_which_scene_was_read(responses: dict[str, np.ndarray]):
    there = np.isin(anatomy.networks(), ["Default", "Cont"])
    seen, read = (responses[m][:, there] for m in ("image", "text"))
    alike = np.corrcoef(read - read.mean(0), seen - seen.mean(0))[: len(read), len(read) :]
    assert (alike.argmax(1) == np.arange(len(read))).mean() > 0.95


def test_reading_and_seeing_one_scene_are_two_measurements():
    recording = PhantomRecording(subject=2)
    seen, read = shown("image", 2), shown("text", 2)
    cohort = Cohort()
    rest = [recording(s)["bold"].values - cohort.signal(s, 2) * cohort.gain() for s in (seen, read)]
    assert abs(np.corrcoef(rest[0].ravel(), rest[1].ravel())[0, 1]) < 0.05
    assert recording(read).attrs["modality"] == "text"
    assert "modality" not in recording(seen).attrs


def test_pictures_are_only_needed_where_they_are_seen():
    read = shown("text", 2)
    np.testing.assert_array_equal(Cohort().signal(read.drop_vars("image")), Cohort().signal(read))
    with pytest.raises(StimulusError, match="no measured responses"):
        Cohort().signal(shown("image", 2).drop_vars("image"))


def test_unknown_modalities_are_named():
    smelt = shown("image", 2).assign_attrs(modality="smell")
    with pytest.raises(StimulusError, match="smell.*image, text, sound"):
        Cohort().signal(smelt)
