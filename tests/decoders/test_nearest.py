"""Retrieval: an index that is made once, and known truth on the phantom."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from insilico.decoders import KINDS
from insilico.decoders.nearest import embedding
from insilico.decoders.nearest.gallery import gallery_of
from insilico.decoders.nearest.index import index_of
from insilico.decoders.nearest.step import Nearest
from insilico.errors import (
    ParameterError,
    SchemaError,
    StimulusError,
    StoreError,
    WeightsError,
)
from insilico.phantom.stimuli import Scenes
from insilico.recordings import KINDS as RECORDINGS
from insilico.spaces.tokens import image_tokens
from insilico.weights.folders import folder

CLIP = folder("phantom", "clip")
N = 100


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "insilico" / "galleries"


@pytest.fixture(scope="module")
def shown():
    return Scenes(split="test", n=12)()


@pytest.fixture(scope="module")
def response(shown):
    spec = {"kind": "phantom", "subject": 1, "space": "voxels", "repeats": "keep"}
    return RECORDINGS.build(spec)(shown)


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """The shown scenes and others, as files."""
    path = tmp_path_factory.mktemp("album")
    (path / "more").mkdir()
    for number, picture in enumerate(Scenes(split="test", n=40)()["image"].values):
        inside = path / "more" if number % 2 else path
        Image.fromarray(picture).save(inside / f"{number:03d}.png")
    return path


class Counting:
    """CLIP, which notes how many pictures it has seen, and can be killed."""

    def __init__(self, dies_after=10_000):
        self.seen, self.dies_after = 0, dies_after

    def __call__(self, pictures):
        if self.seen >= self.dies_after:
            raise KeyboardInterrupt
        self.seen += len(pictures)
        return image_tokens(pictures)


def opened(path, kept="float16", **spec):
    gallery = gallery_of({"kind": "images", "path": str(path), **spec}, 64)
    return gallery, index_of(gallery, CLIP, kept)


def copied(album, tmp_path, name="copy"):
    shutil.copytree(album, tmp_path / name)
    return tmp_path / name


# --- known truth ---


@pytest.mark.parametrize("tokens", ["prior", "voxels"])
def test_intact_responses_find_their_scenes(response, shown, tokens):
    step = Nearest(gallery={"kind": "phantom", "n": N}, tokens=tokens, draws=3)
    made = step(response, shown)
    hit = made["picture"].values[:, 0] == shown["stimulus"].values
    assert hit.mean() >= 0.75  # chance is 1 / N
    mine = [Scenes(n=N)()["image"].sel(stimulus=row).values for row in made["picture"].values]
    np.testing.assert_array_equal(made["image"], np.stack(mine))
    assert made["image"].dims == ("stimulus", "draw", "y_pixel", "x_pixel", "rgb")
    assert (np.diff(made["similarity"], axis=1) <= 0).all()
    assert made.attrs["shown_in_gallery"] == len(shown["stimulus"])
    assert "found, not made, among the 100" in made.attrs["note"]
    assert "this is identification" in made.attrs["note"]


def test_shuffled_responses_find_nothing(response, shown):
    ids = shown["stimulus"].values
    turned = response.isel(stimulus=np.roll(np.arange(len(ids)), 1)).assign_coords(stimulus=ids)
    made = Nearest(gallery={"kind": "phantom", "n": N}, tokens="voxels")(turned)
    assert (made["picture"].values[:, 0] == ids).mean() <= 0.1


@pytest.mark.parametrize(("keep", "rerank"), [("float32", 20), ("none", 20), ("float32", 0)])
def test_planted_tokens_are_found_exactly(album, response, monkeypatch, keep, rerank):
    planted = ["more/007.png", "012.png", "more/033.png"]
    gallery, _ = opened(album)
    tokens = image_tokens(gallery.pictures(planted)[1])
    monkeypatch.setattr(Nearest, "queries", lambda self, response: tokens)
    step = Nearest(gallery=str(album), keep=keep, rerank=rerank, draws=2)
    made = step(response.isel(stimulus=[0, 1, 2]))
    assert made["picture"].values[:, 0].tolist() == planted
    np.testing.assert_allclose(made["similarity"].values[:, 0], 1, atol=1e-6)
    assert made["similarity"].values[:, 1].max() < 0.999


def test_a_long_list_reranked_equals_brute_force(album, response):
    step = Nearest(gallery=str(album), tokens="voxels", keep="float32", draws=5, rerank=40)
    made = step(response)
    gallery, _ = opened(album)
    names = list(gallery.files)
    full = image_tokens(gallery.pictures(names)[1]).reshape(len(names), -1)
    query = step.queries(response).reshape(len(response["stimulus"]), -1)
    full, query = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (full, query))
    order = np.argsort(-(query @ full.T), axis=1, kind="stable")[:, :5]
    assert made["picture"].values.tolist() == [[names[k] for k in row] for row in order]
    expected = np.take_along_axis(query @ full.T, order, 1)
    np.testing.assert_allclose(made["similarity"], expected, atol=1e-5)


def test_an_item_depends_on_nothing_beside_it(album, response, shown):
    step = Nearest(gallery=str(album), draws=2, exclude_shown=True)
    every = step(response, shown)
    part = step(response.isel(stimulus=[7, 2]), shown)
    assert part["picture"].values.tolist() == every["picture"].values[[7, 2]].tolist()


def test_what_was_shown_is_not_found_where_it_is_left_out(album, response, shown, tmp_path):
    path = copied(album, tmp_path)
    shutil.copy(path / "000.png", path / "again.png")  # a second copy of the first scene
    own = [f"{'more/' if k % 2 else ''}{k:03d}.png" for k in range(12)]
    with_them = Nearest(gallery=str(path), tokens="voxels", draws=2)(response, shown)
    assert (with_them["picture"].values[:, 0] == own).mean() >= 0.75
    assert set(with_them["picture"].values[0]) == {"000.png", "again.png"}
    step = Nearest(gallery=str(path), tokens="voxels", exclude_shown=True, draws=30)
    without = step(response, shown)["picture"].values
    assert not any(name in row for name, row in zip(own, without, strict=True))
    assert "again.png" not in without[0]
    assert own[0] in without[1]  # others' pictures stay
    with pytest.raises(ParameterError, match="exclude_shown needs the stimuli"):
        step(response)
    few = step.model_copy(update={"draws": 40, "rerank": 0})
    with pytest.raises(ParameterError, match="40 draws .* gallery leaves 39 pictures"):
        few(response, shown)
    with pytest.raises(SchemaError, match="no stimuli for phantom-test-000011"):
        step(response, shown.isel(stimulus=slice(11)))


def test_shown_files_are_known_by_their_pixels(album, response, shown):
    """Stimuli of another size, read from the same files."""
    gallery = gallery_of({"kind": "images", "path": str(album)}, 64)
    files = [str(gallery.files[name]) for name in gallery.files][:12]
    large = shown.isel(y_pixel=slice(32)).assign(path=("stimulus", files))
    made = Nearest(gallery=str(album), tokens="voxels")(response, large)
    assert made.attrs["shown_in_gallery"] == 12
    large["path"][4] = __file__  # no picture
    spec = {"kind": "images", "path": str(album), "broken": "skip"}
    made = Nearest(gallery=spec, tokens="voxels")(response, large)
    assert made.attrs["shown_in_gallery"] == 11


# --- the index ---


def test_the_second_run_embeds_nothing_and_new_pictures_alone_are_added(album, tmp_path, cache):
    path = copied(album, tmp_path)
    gallery, index = opened(path)
    clip = Counting()
    assert index.grow(gallery, clip) == clip.seen == 40
    first = index.found(gallery)
    gallery, index = opened(path)
    assert index.grow(gallery, Counting(dies_after=0)) == 0
    Image.new("RGB", (90, 70), "red").save(path / "added.jpg")
    Image.new("RGB", (64, 64), "blue").save(path / "003x.png")
    (path / "more" / "001.png").unlink()
    Image.new("RGB", (64, 64), "green").save(path / "002.png")  # changed
    gallery, index = opened(path)
    clip = Counting()
    assert index.grow(gallery, clip) == clip.seen == 3
    found = index.found(gallery)
    assert found.names == list(gallery.files)
    assert len(found.names) == 41
    where = np.array([found.names.index("more/007.png"), found.names.index("002.png")])
    before = np.array([first.names.index("more/007.png"), first.names.index("002.png")])
    np.testing.assert_array_equal(found.tokens(where)[0], first.tokens(before)[0])
    assert np.abs(found.pooled(where)[1] - first.pooled(before)[1]).max() > 0.01
    assert len(list(cache.iterdir())) == 1
    assert isinstance(found.of[0].pooled, np.memmap)


def test_a_killed_embedding_goes_on_where_it_was(album, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "SHARD_PICTURES", 8)
    monkeypatch.setattr("insilico.decoders.nearest.index.BATCH", 4)
    gallery, index = opened(album)
    whole = image_tokens(gallery.pictures(list(gallery.files))[1])
    with pytest.raises(KeyboardInterrupt):
        index.grow(gallery, Counting(dies_after=20))
    clip = Counting()
    assert index.grow(gallery, clip) == clip.seen == 40 - 16
    found = index.found(gallery)
    np.testing.assert_array_equal(
        found.tokens(np.arange(40)), whole.astype(np.float16).reshape(40, -1)
    )


@pytest.mark.parametrize("damage", ["list", "tokens", "pooled", "gone"])
def test_damaged_shards_are_made_again(album, damage, monkeypatch):
    monkeypatch.setattr(embedding, "SHARD_PICTURES", 32)
    gallery, index = opened(album)
    index.grow(gallery, Counting())
    shard = index.folder / "000001"
    if damage == "list":
        shard.with_suffix(".json").write_text('{"names": ["a"')
    elif damage == "gone":
        shard.with_suffix(".pooled.npy").unlink()
    else:
        file = shard.with_suffix(f".{damage}.npy")
        file.write_bytes(file.read_bytes()[:-1000])
    gallery, index = opened(album)
    clip = Counting()
    assert index.grow(gallery, clip) == clip.seen == 8
    assert index.found(gallery).names == list(gallery.files)


def test_two_galleries_do_not_collide(album, response, tmp_path):
    """The same names, sizes and times of change, in two folders."""
    path, first = copied(album, tmp_path), opened(album)[1]
    assert opened(path)[1].folder != first.folder
    assert opened(album, "float32")[1].folder != first.folder
    assert opened(album, size=32)[1].folder != first.folder
    assert opened(album, broken="skip")[1].folder == first.folder
    here = tmp_path / "index"
    Nearest(gallery=str(album), index=here, tokens="voxels")(response)
    with pytest.raises(ParameterError, match="is the index of another gallery: .*delete this one"):
        Nearest(gallery=str(path), index=here, tokens="voxels")(response)


def test_broken_pictures_stop_or_are_left_out_and_named(album, response, tmp_path):
    path = copied(album, tmp_path)
    (path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(StimulusError, match=r"no\.png: not a picture.*--skip-broken"):
        Nearest(gallery=str(path), tokens="voxels")(response)
    spec = {"kind": "images", "path": str(path), "broken": "skip"}
    made = Nearest(gallery=spec, tokens="voxels")(response)
    assert made.attrs["skipped"] == ["no.png"]
    assert made.attrs["gallery_pictures"] == 40
    assert "without the broken files no.png" in made.attrs["note"]
    gallery, index = opened(path, broken="skip")
    assert index.grow(gallery, Counting(dies_after=0)) == 0  # nor is it tried again
    gallery, index = opened(path)
    with pytest.raises(StimulusError, match=r"no\.png"):
        index.grow(gallery, Counting())


# --- bad input ---


def test_what_cannot_be_is_told_before_the_work(album, tmp_path, response):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StimulusError, match="empty: no pictures in this folder"):
        Nearest(gallery=str(tmp_path / "empty")).digests()
    with pytest.raises(StimulusError, match="no such file or folder"):
        Nearest(gallery=str(tmp_path / "none")).digests()
    with pytest.raises(ParameterError, match="50 draws are asked for, and the gallery holds 40"):
        Nearest(gallery=str(album), draws=50)(response)
    with pytest.raises(ParameterError, match="500 draws are asked for, and the gallery holds 40"):
        Nearest(gallery=str(album), draws=500).digests()  # not of rerank, which nobody set
    with pytest.raises(ParameterError, match="rerank is 3, fewer than the 5 draws"):
        KINDS.build({"kind": "nearest", "gallery": str(album), "draws": 5, "rerank": 3})
    with pytest.raises(ParameterError, match="unknown galleries kind 'film'"):
        Nearest(gallery={"kind": "film"}).digests()
    with pytest.raises(ParameterError, match="unknown parameter 'pth'"):
        Nearest(gallery={"kind": "images", "pth": "x"}).digests()
    (tmp_path / "words.csv").write_text("id,caption\na,a dog\n")
    with pytest.raises(StimulusError, match="holds no pictures; its variables are caption"):
        Nearest(gallery=str(tmp_path / "words.csv"))(response)


def test_a_table_is_a_gallery(album, tmp_path, response):
    rows = "".join(f"s{k},{album}/{k:03d}.png\n" for k in range(0, 40, 2))
    (tmp_path / "some.csv").write_text(f"id,image\n{rows}")
    made = Nearest(gallery=str(tmp_path / "some.csv"), tokens="voxels")(response)
    assert made["picture"].values[::2, 0].tolist() == [f"s{k}" for k in range(0, 12, 2)]


def test_a_clip_of_another_width_is_refused(album, response, tmp_path):
    for name in ("clip", "mindeye2"):
        shutil.copytree(folder("phantom", name), tmp_path / "w" / name)
    file = tmp_path / "w" / "clip" / "config.json"
    config = json.loads(file.read_text())
    config["vision_config"]["hidden_size"] = 128
    file.write_text(json.dumps(config))
    told = "clip/ makes 64 tokens of width 128, mindeye2/ decodes 64 of width 64"
    with pytest.raises(WeightsError, match=told):
        Nearest(gallery=str(album), weights=str(tmp_path / "w")).digests()
    file.write_text("{}")
    with pytest.raises(WeightsError, match=r"config\.json is not that of a CLIP"):
        Nearest(gallery=str(album), weights=str(tmp_path / "w")).digests()


def test_nan_of_the_decoder_is_told(album, response, monkeypatch):
    bad = np.zeros((12, 64, 64), np.float32)
    bad[3, 5, 7] = np.nan
    monkeypatch.setattr(Nearest, "queries", lambda self, response: bad)
    with pytest.raises(WeightsError, match="NaN or infinite tokens of phantom-test-000003"):
        Nearest(gallery=str(album))(response)


def test_bad_tokens_and_full_disks_leave_no_shard(album, monkeypatch):
    gallery, index = opened(album)
    with pytest.raises(WeightsError, match="NaN or infinite tokens of 000.png"):
        index.grow(gallery, lambda pictures: image_tokens(pictures) * np.nan)
    with pytest.raises(WeightsError, match="too large for float16; .*keep: float32"):
        index.grow(gallery, lambda pictures: image_tokens(pictures) * 1e6)
    few = shutil.disk_usage("/")._replace(free=1000)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: few)
        with pytest.raises(StoreError, match=r"of 40 pictures takes 0\.0 GB, and .* has 0\.0 GB"):
            index.grow(gallery, Counting())
    assert not list(index.folder.glob("0*"))


def test_a_folder_that_is_no_index_is_refused(album, tmp_path):
    with pytest.raises(ParameterError, match="holds something else than an index"):
        Nearest(gallery=str(album), index=album).indexed()
    assert not (album / "index.json").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match="is a file; name a folder"):
        Nearest(gallery=str(album), index=tmp_path / "file").indexed()
