from __future__ import annotations

import pickle
import tracemalloc

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


def ids(path):
    return Images(path=path)()["stimulus"].values.tolist()


def test_folder_in_order_of_names_and_other_files_left_out(tmp_path):
    for folder in ("more", ".hidden"):
        (tmp_path / folder).mkdir()
    for name in ("b.png", "a.jpg", "more/a.jpg", ".b.png", ".hidden/c.png"):
        halves().save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "folder.png").mkdir()
    stimuli = Images(path=tmp_path, size=16)()
    assert stimuli["stimulus"].values.tolist() == ["a.jpg", "b.png", "more/a.jpg"]
    assert stimuli["path"].values.tolist()[2] == str(tmp_path / "more" / "a.jpg")
    assert stimuli["image"].shape == (3, 16, 16, 3)


def test_an_id_does_not_depend_on_the_other_files(tmp_path):
    halves().save(tmp_path / "a.png")
    alone = ids(tmp_path)
    for name in ("a.jpg", "b.png"):
        halves().save(tmp_path / name)
    assert alone == ["a.png"] == ids(tmp_path / "a.png")
    assert ids(tmp_path) == ["a.jpg", "a.png", "b.png"]


def test_two_files_of_one_id_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    for name in ("a.png", "x/a.png"):
        halves().save(tmp_path / name)
    assert ids(tmp_path) == ["a.png", "x/a.png"]
    for twice in (tmp_path / "a.png", tmp_path / "x" / "a.png"):
        with pytest.raises(StimulusError, match=r"a\.png would both be 'a\.png'"):
            Images(path=[tmp_path / "a.png", twice])()


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


def cut(folder, name, n):
    """Write a picture that lacks its last n bytes."""
    path = folder / name
    halves(200, 200).save(path)
    path.write_bytes(path.read_bytes()[:-n])
    return path


@pytest.mark.parametrize(
    "name", ["cut.png", "cut.jpg", "cut.webp", "cut.bmp", "cut.tiff", "cut.gif"]
)
@pytest.mark.parametrize("n", [12, 20, 60, 300])
def test_pictures_cut_short_are_refused_before_work_begins(tmp_path, name, n):
    path = cut(tmp_path, name, n)
    for use in (Images(path=path), lambda: read_picture(path, 64)):
        with pytest.raises(StimulusError, match=rf"{name}: (truncated|not a picture)"):
            use()


@pytest.mark.parametrize("n", [1, 2])
def test_a_jpeg_without_its_last_byte_is_refused(tmp_path, n):
    with pytest.raises(StimulusError, match=r"a\.jpg: truncated"):
        Images(path=cut(tmp_path, "a.jpg", n))()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.jpg", b"this is no picture"),
        ("empty.png", b""),
        ("program.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"),
    ],
)
def test_other_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StimulusError, match=rf"{name}: not a picture"):
        Images(path=tmp_path / name)()


def test_a_broken_picture_stops_or_is_left_out_as_asked(tmp_path):
    for name in ("a.png", "c.png"):
        halves().save(tmp_path / name)
    cut(tmp_path, "b.jpg", 500)
    with pytest.raises(StimulusError, match=r"b\.jpg: truncated"):
        Images(path=tmp_path)()
    rest = Images(path=tmp_path, broken="skip")()
    assert rest["stimulus"].values.tolist() == ["a.png", "c.png"]
    assert rest.attrs["skipped"] == ["b.jpg"]
    assert "left out, because the file is broken: b.jpg" in rest.attrs["note"]
    assert near(rest["image"].values[1, 32, 8], RED)
    with pytest.raises(StimulusError, match=r"all files are broken; the first: .*b\.jpg"):
        Images(path=tmp_path / "b.jpg", broken="skip")()


def test_a_folder_of_many_pictures_needs_no_memory(tmp_path):
    n, size = 400, 512
    halves(32, 32).save(tmp_path / "0000.png")
    for k in range(1, n):
        (tmp_path / f"{k:04d}.png").write_bytes((tmp_path / "0000.png").read_bytes())
    Images(path=tmp_path / "0000.png")()  # so that libraries do not count
    tracemalloc.start()
    stimuli = Images(path=tmp_path, size=size)()
    for start in range(0, n, 8):
        assert near(stimuli["image"][start : start + 8].values[:, 256, 100], RED)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert stimuli["image"].nbytes > 3e8
    assert held < n * 2_000  # of which 73,000 are 0.1 GB
    assert peak < 3e7


def test_lazy_pictures_are_indexed_like_others_and_go_to_other_processes(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(6):
        noise = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{k}.png")
    stimuli = Images(path=tmp_path, size=16)()
    whole, sent = stimuli["image"].values, pickle.loads(pickle.dumps(stimuli))
    np.testing.assert_array_equal(sent["image"].values, whole)
    np.testing.assert_array_equal(stimuli["image"][::-2, 3, 2:9:3].values, whole[::-2, 3, 2:9:3])
    chosen = stimuli.sel(stimulus=["4.png", "1.png"]).isel(rgb=0, y_pixel=[5, 1])
    np.testing.assert_array_equal(chosen["image"].values, whole[..., 0][[4, 1]][:, [5, 1]])
    assert stimuli["image"][-1, -1, -1, -1].item() == whole[-1, -1, -1, -1]


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
