"""What scores look at: preparation, the phantom's nets, what is said of missing weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from made import pair, pictures, state
from scipy.spatial.distance import correlation, cosine
from transformers import CLIPModel

from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.phantom.scenes import ATTRIBUTES, draw_scene, render
from insilico.schema import check
from insilico.scores import KINDS, readers
from insilico.scores.features import FEATURES, NETWORKS, OPENAI, PUBLISHED
from insilico.scores.networks.alexnet import AlexNet
from insilico.scores.readers import loaded, reader
from insilico.weights import folders
from insilico.weights.catalogue import PUBLISHED as CATALOGUE
from insilico.weights.writing import written

SHIPPED = folders.root("phantom")
GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "scores" / "prepared.npz")
PHANTOM = ["phantom_early", "phantom_late", "clip"]


def scenes(n, start=0):
    return np.stack([render(draw_scene(9, "test", start + k)) for k in range(n)])


def spoiled(images, seed=0):
    noise = np.random.default_rng(seed).normal(0, 30, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def scored():
    shown = scenes(6)
    made = np.stack([spoiled(shown, 1), spoiled(shown[::-1], 2)])
    return *pair(shown, made), shown, made


@pytest.mark.parametrize("setting", ["mindeye2", "brain-diffuser"])
@pytest.mark.parametrize("name", [name for name in NETWORKS if NETWORKS[name].published])
def test_pictures_are_prepared_as_published(name, setting):
    found = NETWORKS[name].prepared(pictures(2, 425), setting)
    side = NETWORKS[name].side if setting == "mindeye2" else 224
    assert found.shape == (2, 3, side, side)
    expected = GOLDEN[f"{name}_{setting}"]
    np.testing.assert_allclose(found[:, :, ::37, ::41], expected, atol=2e-5)


def test_the_convnet_names_objects_and_colours_of_unseen_scenes():
    drawn = [draw_scene(0, "unseen", k) for k in range(100)]
    network = NETWORKS["phantom_convnet"]
    path = network.path("test", None, None)
    module = loaded(network, path)
    pixels = network.prepared(np.stack([render(s) for s in drawn]), None)
    with torch.inference_mode():
        late = module(pixels, "late")
        said = {"object": module.object(late), "colour": module.colour(late)}
    for key, logits in said.items():
        true = [ATTRIBUTES[key].index(scene.attributes[key]) for scene in drawn]
        assert np.mean(logits.argmax(1).numpy() == true) > 0.95
    assert path.stat().st_size < 0.6e6


@pytest.mark.parametrize("name", PHANTOM)
def test_scores_follow_their_definitions(name, scored):
    stimuli, reconstruction, shown, made = scored
    about = FEATURES[name]
    read_features = reader(about, about.path("test", None, None), None)
    a = read_features(shown).astype(float)
    b = np.stack([read_features(draw).astype(float) for draw in made])
    pairs = [[(x, y) for x, y in zip(a, draw, strict=True)] for draw in b]
    oracle = {"distance": correlation, "cosine": lambda x, y: 1 - cosine(x, y)}
    for kind, compare in oracle.items():
        score = check(
            KINDS.build({"kind": kind, "features": name})(reconstruction, stimuli), "score"
        )
        own = np.array([[compare(x, y) for x, y in draw] for draw in pairs]).T
        np.testing.assert_allclose(score["value"].values[..., 0], own, atol=1e-6)
        apart = [
            compare(x, y)
            for draw in b
            for i, x in enumerate(a)
            for j, y in enumerate(draw)
            if i != j
        ]
        assert score["chance"].item() == pytest.approx(np.mean(apart), abs=1e-6)
    assert KINDS["distance"].direction == "lower"


def test_identification_runs_over_draws_and_both_directions(scored):
    stimuli, reconstruction, shown, made = scored
    about = FEATURES["phantom_late"]
    embed = reader(about, about.path("test", None, None), None)
    for among in ("stimuli", "reconstructions"):
        spec = {"kind": "two_way", "features": "phantom_late", "among": among}
        value = KINDS.build(spec)(reconstruction, stimuli)["value"].values[..., 0]
        for d, draw in enumerate(made):
            r = np.corrcoef(embed(shown), embed(draw))[:6, 6:]
            r = r if among == "stimuli" else r.T
            expected = [(r[:, j] < r[j, j]).sum() / 5 for j in range(6)]
            np.testing.assert_allclose(value[:, d], expected, atol=1e-9)
    assert value[:, 0].mean() > 0.9
    assert value[:, 1].mean() < 0.6  # the second draw shows other scenes


def test_labels_tell_metrics_apart():
    specs = [
        {"kind": "two_way", "features": "phantom_late"},
        {"kind": "two_way", "features": "alexnet2", "protocol": "mindeye2"},
        {"kind": "n_way", "features": "clip", "n": 50},
        {"kind": "distance", "features": "swav", "protocol": "brain-diffuser"},
        {"kind": "clip_two_way"},
    ]
    assert [KINDS.build(spec).label for spec in specs] == [
        "phantom_late_two_way",
        "alexnet2_two_way@mindeye2",
        "clip_50_way",
        "swav_distance@brain-diffuser",
        "clip_two_way",
    ]


def test_the_authors_rule_for_ties_comes_with_their_protocol():
    build = KINDS.build
    spec = {"kind": "two_way", "features": "alexnet2"}
    assert not build(spec).strict
    assert build({**spec, "protocol": "mindeye2"}).strict
    assert not build({**spec, "protocol": "mindeye2", "ties": "half"}).strict
    assert "ties are lost" in build({**spec, "ties": "strict"}).described()[1]


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("setting", ["mindeye2", "brain-diffuser"])
def test_missing_weights_say_file_size_source_place_and_what_to_write(
    name, setting, tmp_path, monkeypatch
):
    monkeypatch.setenv("INSILICO_WEIGHTS", str(tmp_path / "published"))
    network = NETWORKS[FEATURES[name].network]
    file = dict(network.files).get(setting, network.file)
    row = next(row for row in CATALOGUE if row.path == file)
    for weights in (None, str(tmp_path), str(tmp_path / "nothing.pth")):
        spec = {"kind": "two_way", "features": name, "weights": weights, "protocol": setting}
        with pytest.raises(WeightsError) as error:
            KINDS.build(spec).digests()
        place = weights or str(tmp_path / "published")
        for part in (file, written(row.size), row.source, place, "weights: FOLDER"):
            assert part in str(error.value)


def test_brain_diffuser_takes_the_first_weights_of_efficientnet():
    network = NETWORKS["efficientnet_b1"]
    assert network.file == "efficientnet_b1-c27df63c.pth"  # IMAGENET1K_V2
    assert "rwightman" in dict(network.files)["brain-diffuser"]  # weights=True: IMAGENET1K_V1


def test_a_published_file_by_path_or_folder_gives_its_layer(tmp_path, monkeypatch):
    monkeypatch.setenv("INSILICO_WEIGHTS", str(tmp_path))
    with torch.device("meta"):
        module = AlexNet()
    made = {
        key: value if key.startswith("features") else torch.zeros(1).expand(value.shape)
        for key, value in state(module).items()
    }
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save(made, path)
    path.with_suffix(".json").write_text("{}")  # its zeros take no room: of another size
    images = pictures(2, 64)
    found = []
    for weights in (str(path), str(tmp_path), None):
        spec = {"kind": "two_way", "features": "alexnet2", "weights": weights}
        score = KINDS.build(spec)
        found.append(score.reader()(images))
        assert len(score.digests()["weights"]) >= 32
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert found[0].shape == (2, 184_512)
    module.load_state_dict(made, assign=True)
    with torch.inference_mode():
        own = module(NETWORKS["alexnet"].prepared(images, "mindeye2"), "features.4").flatten(1)
    np.testing.assert_array_equal(found[0], own)


def test_openai_clip_is_fed_bilinear_pictures_and_must_be_it(monkeypatch):
    judge = str(SHIPPED / "judge_clip")
    spec = {"kind": "two_way", "features": "clip_l14", "weights": judge}
    with pytest.raises(WeightsError, match="judge_clip is not CLIP ViT-L/14: patches of 8, width"):
        KINDS.build(spec).reader()
    small = dataclasses.replace(NETWORKS["clip_vit_l14"], side=64)
    monkeypatch.setitem(NETWORKS, "clip_vit_l14", small)
    monkeypatch.setattr(readers, "VIT_L14", (8, 64, 3))
    images = pictures(2, 100)
    found = KINDS.build({**spec, "protocol": "mindeye2"}).reader()(images)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    for side in (256, 64):
        x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear")
    mean, spread = (torch.tensor(v)[:, None, None] for v in OPENAI)
    model = CLIPModel.from_pretrained(judge).float().eval()
    with torch.inference_mode():
        own = model.get_image_features(pixel_values=((x - mean) / spread).float()).pooler_output
    np.testing.assert_allclose(found, own, atol=1e-4)


def test_mistakes_are_answered(scored):
    stimuli, reconstruction, *_ = scored
    with pytest.raises(ParameterError, match="unknown features 'alexnet3'.*did you mean 'alexnet"):
        KINDS.build({"kind": "two_way", "features": "alexnet3"})
    for spec in ({"kind": "two_way", "features": "phantom_late"}, {"kind": "clip_cosine"}):
        with pytest.raises(ParameterError, match="mindeye2 does not look at it; .* alexnet2"):
            KINDS.build({**spec, "protocol": "mindeye2"}).digests()
    with pytest.raises(SchemaError, match="9 candidates are needed, there are 6"):
        KINDS.build({"kind": "n_way", "features": "phantom_late", "n": 9})(reconstruction, stimuli)
    one = {"stimulus": slice(1)}
    with pytest.raises(SchemaError, match="at least two stimuli"):
        KINDS.build({"kind": "two_way", "features": "phantom_late"})(
            reconstruction.isel(one), stimuli
        )
    with pytest.raises(ParameterError, match="mindeye2"):
        KINDS.build({"kind": "distance", "features": "swav", "protocol": "mindeye"})
