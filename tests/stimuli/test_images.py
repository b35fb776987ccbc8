from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from insilico import schema
from insilico.errors import ParameterError, StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.images import Images, read_picture

RED, BLUE = (220, 20, 30), (10, 30, 200)


def halves(width=120, height=80, mode="RGB"):
    """Red on the left, blue on the right."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(BLUE, (width // 2, 0, width, height))
    return picture.convert(mode)


def near(pixel, colour, within=12):
    return np.abs(np.asarray(pixel, dtype=int) - colour).max() <= within


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff", "gif"])
def test_formats(tmp_path, suffix):
    halves().save(tmp_path / f"photo.{suffix}", **({"quality": 95} if suffix == "jpg" else {}))
    stimuli = KINDS.build({"kind": "images", "path": str(tmp_path / f"photo.{suffix}")})()
    schema.check(stimuli, "stimuli")
    assert stimuli["stimulus"].values.tolist() == [f"photo.{suffix}"]
    assert stimuli["image"].shape == (1, 64, 64, 3)
    assert near(stimuli["image"][0, 32, 8], RED)
    assert near(stimuli["image"][0, 32, 56], BLUE)
    assert "central square" in stimuli.attrs["note"]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr", "I;16", "F"])
def test_modes_become_rgb(tmp_path, mode):
    suffix = "tiff" if mode in ("CMYK", "YCbCr", "F") else "png"
    source = halves(mode="L").convert("F").convert("I;16") if mode == "I;16" else halves(mode=mode)
    source.save(tmp_path / f"a.{suffix}")
    image = read_picture(tmp_path / f"a.{suffix}", 32)
    assert image.shape == (32, 32, 3)
    assert image.dtype == np.uint8
    assert int(image[16, 2].sum()) != int(image[16, 29].sum())


def test_sixteen_bits_keep_their_greys(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    Image.fromarray(np.tile(ramp, (64, 1))).save(tmp_path / "ramp.png")
    image = read_picture(tmp_path / "ramp.png", 64)
    np.testing.assert_allclose(image[5, :, 0], np.linspace(0, 255, 64), atol=1.5)


def test_transparency_lies_on_white(tmp_path):
    Image.new("RGBA", (20, 20), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png", 16) == 255).all()


def test_exif_rotation_is_undone(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    halves(80, 80).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    image = read_picture(tmp_path / "turned.jpg", 64)
    assert near(image[32, 8], BLUE)
    assert near(image[32, 56], RED)


@pytest.mark.parametrize("extent", [(1, 1), (3, 400), (4000, 3000)])
def test_tiny_thin_and_huge_pictures(tmp_path, extent):
    Image.new("RGB", extent, RED).save(tmp_path / "x.png")
    image = read_picture(tmp_path / "x.png", 64)
    assert image.shape == (64, 64, 3)
    assert near(image.reshape(-1, 3).mean(0), RED)


def test_folder_in_order_of_names_and_other_files_left_out(tmp_path):
    for name in ("b.png", "a.jpg"):
        halves().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "more").mkdir()
    stimuli = Images(path=tmp_path, size=16)()
    assert stimuli["stimulus"].values.tolist() == ["a.jpg", "b.png"]
    assert stimuli["image"].shape == (2, 16, 16, 3)


def test_ids_tell_files_apart(tmp_path):
    for name in ("a.png", "a.jpg"):
        halves().save(tmp_path / name)
    ids = Images(path=[tmp_path / "a.png", tmp_path / "a.jpg"])()["stimulus"].values.tolist()
    assert ids == ["a.png", "a.jpg"]
    with pytest.raises(StimulusError, match=r"a\.png: given twice"):
        Images(path=[tmp_path / "a.png"] * 2)()


def test_digest_follows_the_file(tmp_path):
    halves().save(tmp_path / "a.png")
    step = Images(path=tmp_path / "a.png")
    before = step.digests()
    halves(60, 60).save(tmp_path / "a.png")
    assert list(before) == [str(tmp_path / "a.png")]
    assert step.digests() != before


def test_an_item_does_not_depend_on_the_others(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(20):
        noise = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{k:02d}.png")
    together = Images(path=tmp_path)()
    alone = Images(path=tmp_path / "17.png")()
    assert alone["stimulus"].item() == together["stimulus"].values[17] == "17.png"
    np.testing.assert_array_equal(together["image"][17], alone["image"][0])


def broken(folder, name):
    path = folder / name
    halves(200, 200).save(folder / "whole.png")
    halves(200, 200).save(folder / "whole.jpg")
    contents = {
        "text.jpg": b"this is no picture",
        "empty.png": b"",
        "cut.png": (folder / "whole.png").read_bytes()[:-60],
        "cut_end.png": (folder / "whole.png").read_bytes()[:-12],
        "cut.jpg": (folder / "whole.jpg").read_bytes()[:900],
    }
    path.write_bytes(contents[name])
    return path


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("text.jpg", "not a picture"),
        ("empty.png", "not a picture"),
        ("cut.png", "truncated"),
        ("cut_end.png", "truncated"),
        ("cut.jpg", "truncated"),
    ],
)
def test_bad_files_are_named(tmp_path, name, complaint):
    path = broken(tmp_path, name)
    with pytest.raises(StimulusError, match=rf"{name}: {complaint}"):
        Images(path=path)()


def test_missing_files_and_empty_folders_are_named(tmp_path):
    with pytest.raises(StimulusError, match=r"gone\.png: no such file"):
        Images(path=tmp_path / "gone.png")()
    with pytest.raises(StimulusError, match="no pictures in this folder"):
        Images(path=tmp_path)()
    with pytest.raises(StimulusError, match="no path given"):
        Images(path=())()


def test_absurdly_large_pictures_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    halves().save(tmp_path / "bomb.png")
    with pytest.raises(StimulusError, match=r"bomb\.png: too large"):
        Images(path=tmp_path / "bomb.png")()


def test_wrong_parameters_are_explained(tmp_path):
    with pytest.raises(ParameterError, match="size"):
        KINDS.build({"kind": "images", "path": str(tmp_path), "size": 0})
    with pytest.raises(ParameterError, match="did you mean 'path'"):
        KINDS.build({"kind": "images", "paths": str(tmp_path)})
