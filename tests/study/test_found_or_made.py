"""Generation and retrieval side by side in one protocol, and the command that embeds ahead."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import insilico as isi
from insilico.cli import main
from insilico.errors import SchemaError
from insilico.phantom.stimuli import Scenes
from insilico.protocol.join import stacked

RETRIEVED = {"kind": "nearest", "gallery": {"kind": "phantom", "n": 40}, "tokens": "voxels"}
PROTOCOL = {
    "title": "Found or made",
    "preset": "phantom",
    "stimuli": {"n": 2},
    "captioner": {"kind": "git"},
    "conditions": {
        "made": {"source": "recording", "decoder": {"steps": 2, "prior_steps": 4}},
        "identified": {"source": "recording", "decoder": RETRIEVED},
        "found": {"source": "recording", "decoder": {**RETRIEVED, "exclude_shown": True}},
    },
    "scores": ["pixcorr"],
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_one_line_of_a_protocol_retrieves_instead_of_making(tmp_path, cache):
    file = tmp_path / "protocol.yaml"
    file.write_text(json.dumps(PROTOCOL))
    results = isi.run(file, out=tmp_path / "out", store=tmp_path / "store")
    assert results.failures == ()
    made = results.open("reconstruction")
    shown = results.open("stimuli")["stimulus"].values
    assert made["picture"].sel(condition="identified", draw=0).values.tolist() == shown.tolist()
    assert not set(made["picture"].sel(condition="found").values.ravel()) & set(shown)
    assert set(made["picture"].sel(condition="made").values.ravel()) == {""}
    assert all(str(text).startswith("a ") for text in made["caption"].values.flat)
    score = results.open("score")["value"].mean(("stimulus", "draw")).squeeze().to_series()
    assert score["identified"] == pytest.approx(1)
    assert score["found"] < 0.9
    for told in ("so that this is identification", "each left out for itself"):
        assert f"2 of the 2 shown ones, {told}" in results.summary


def test_stacked_conditions_keep_texts():
    image = (("stimulus", "y_pixel", "x_pixel", "rgb"), np.zeros((2, 4, 4, 3), np.uint8))
    one = xr.Dataset({"image": image}, {"stimulus": ["a", "b"]})
    other = one.assign(caption=("stimulus", ["x", "y"]))
    both = stacked([one, other], ["1", "2"])
    assert both["caption"].values.tolist() == [["", ""], ["x", "y"]]
    with pytest.raises(SchemaError, match="'2' have 3 pixels a side, those of '1' 4"):
        stacked([one, other.isel(x_pixel=slice(3))], ["1", "2"])


def test_index_embeds_ahead(tmp_path, cache, capsys):
    album = tmp_path / "album"
    album.mkdir()
    for number, picture in enumerate(Scenes(n=3)()["image"].values):
        Image.fromarray(picture).save(album / f"{number}.png")
    assert main(["index", str(album)]) == 0
    assert "3 pictures, 3 of them embedded now; index in " in capsys.readouterr().out
    assert main(["index", str(album)]) == 0
    assert "3 pictures, 0 of them embedded now" in capsys.readouterr().out
    (album / "bad.png").write_bytes(b"x")
    assert main(["index", str(album)]) == 2
    assert "bad.png: not a picture" in capsys.readouterr().err
    assert main(["index", str(album), "--skip-broken"]) == 0
    assert "because the file is broken: bad.png" in capsys.readouterr().err
    assert main(["index", str(album), "--size", "4"]) == 2
    assert "size: met 4; allowed: greater than or equal to 8" in capsys.readouterr().err
    assert main(["index", str(tmp_path / "none")]) == 2
