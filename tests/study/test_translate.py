"""Any photograph through the whole chain, with the shipped networks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import insilico as isi
from insilico import cli
from insilico.phantom.stimuli import Scenes
from insilico.stimuli.images import read_picture


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    preset = folder / "small.yaml"
    shipped = isi.load_chain("phantom").protocol
    sections = ("stimuli", "training", "recording", "encoder", "adapter", "decoder", "bindings")
    kept = {name: getattr(shipped, name) for name in sections}
    kept["adapter"] = {**kept["adapter"], "pairs": 300}
    from insilico.schema import canonical

    preset.write_text("".join(f"{name}: {canonical(spec)}\n" for name, spec in kept.items()))
    return folder


def translate(store, path, out, *more):
    arguments = ["translate", str(path), "--out", str(out), "--preset", str(store / "small.yaml")]
    return cli.main([*arguments, "--store", str(store), *more])


def photograph(width, height, mode="RGB"):
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize(
    ("name", "width", "height", "mode"),
    [
        ("photo.jpg", 800, 600, "RGB"),
        ("grey.png", 300, 500, "L"),
        ("clear.png", 64, 64, "RGBA"),
        ("huge.jpg", 6000, 4000, "RGB"),
        ("tiny.png", 2, 3, "RGB"),
    ],
)
def test_any_picture_gives_a_picture_and_a_caption(
    store, tmp_path, capsys, name, width, height, mode
):
    photograph(width, height, mode).save(tmp_path / name)
    assert translate(store, tmp_path / name, tmp_path / "out", "--to", "image", "text") == 0
    said = capsys.readouterr().out
    caption = (tmp_path / "out" / "caption.txt").read_text().strip()
    assert f'caption: "{caption}"' in said
    assert len(caption.split()) > 3
    assert "simulated" in said
    with Image.open(tmp_path / "out" / "image.png") as made:
        assert made.size == (64, 64)


def test_a_turned_photograph_is_seen_upright(store, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = photograph(90, 60)
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    picture.save(tmp_path / "upright.png")
    for name in ("turned", "upright"):
        assert translate(store, tmp_path / f"{name}.png", tmp_path / name) == 0
    seen = [read_picture(tmp_path / name / "seen.png", 64) for name in ("turned", "upright")]
    np.testing.assert_array_equal(*seen)


def test_the_phantom_s_own_scene_is_near_and_a_photograph_far(store, tmp_path, capsys):
    scene = Scenes(split="unseen", n=1)()["image"].values[0]
    Image.fromarray(scene).save(tmp_path / "scene.png")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    translate(store, tmp_path / "scene.png", tmp_path / "scene")
    assert "within the" in capsys.readouterr().out
    translate(store, tmp_path / "noise.png", tmp_path / "noise")
    assert "another world than" in capsys.readouterr().out
    Image.new("RGB", (300, 200), (128, 128, 128)).save(tmp_path / "grey.png")
    translate(store, tmp_path / "grey.png", tmp_path / "grey")
    assert "another world than" in capsys.readouterr().out


def test_only_what_was_asked_for(store, tmp_path):
    photograph(80, 80).save(tmp_path / "a.png")
    assert translate(store, tmp_path / "a.png", tmp_path / "out", "--to", "text") == 0
    assert not (tmp_path / "out" / "image.png").exists()
    assert (tmp_path / "out" / "caption.txt").exists()


def test_a_second_translation_leaves_nothing_of_the_first(store, tmp_path, capsys):
    for name in ("a", "b"):
        photograph(80, 80).save(tmp_path / f"{name}.png")
    assert translate(store, tmp_path / "a.png", tmp_path / "out", "--to", "image", "text") == 0
    assert translate(store, tmp_path / "b.png", tmp_path / "out", "--to", "text") == 2
    assert "holds another run; name another folder" in capsys.readouterr().err
    more = ("--to", "text", "--overwrite")
    assert translate(store, tmp_path / "b.png", tmp_path / "out", *more) == 0
    assert not (tmp_path / "out" / "image.png").exists()
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    there = {path.name for path in (tmp_path / "out").iterdir()}
    assert set(listed) | {"manifest.json"} == there


def test_a_folder_is_no_picture(store, tmp_path, capsys):
    photograph(80, 80).save(tmp_path / "a.png")
    assert translate(store, tmp_path, tmp_path / "out") == 2
    assert "is a folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
