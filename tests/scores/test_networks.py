"""The networks that judge pictures, against torchvision's numbers with weights by formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made import pixels, state
from transformers import ResNetConfig, ResNetModel

from insilico.errors import WeightsError
from insilico.scores.features import FEATURES, NETWORKS
from insilico.scores.networks.alexnet import AlexNet
from insilico.scores.networks.efficientnet import EfficientNetB1
from insilico.scores.networks.inception import InceptionV3
from insilico.scores.networks.resnet import ResNet50, backbone
from insilico.scores.readers import loaded

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "scores" / "networks.npz")
CASES = {
    "alexnet2": (AlexNet, "features.4", 96, 61_100_840),
    "alexnet5": (AlexNet, "features.11", 96, 61_100_840),
    "inception": (InceptionV3, "avgpool", 107, 27_161_264),
    "resnet50": (ResNet50, "avgpool", 96, 25_557_032),
    "efficientnet_b1": (EfficientNetB1, "avgpool", 97, 7_794_184),
}


def empty(build):
    with torch.device("meta"):
        return build()


def filled(build):
    module = empty(build)
    module.load_state_dict(state(module), assign=True)
    return module.eval()


@pytest.mark.parametrize("name", CASES)
def test_keys_shapes_and_counts_are_torchvisions(name):
    build, _, _, count = CASES[name]
    module = empty(build)
    found = [f"{key} {tuple(value.shape)}" for key, value in module.state_dict().items()]
    assert found == str(GOLDEN[f"{name}_keys"]).split("\n")
    assert sum(p.numel() for p in module.parameters()) == count


def test_swavs_backbone_has_no_classifier():
    assert sum(p.numel() for p in empty(backbone).parameters()) == 25_557_032 - 2_049_000


@pytest.mark.parametrize("name", CASES)
def test_features_are_torchvisions(name):
    build, layer, side, _ = CASES[name]
    module = filled(build)
    with torch.inference_mode():
        found = module(pixels(side), layer).flatten(1)
    assert found.shape[1] == GOLDEN[f"{name}_width"]
    some = found[:, :: found.shape[1] // 97].numpy()
    np.testing.assert_allclose(some, GOLDEN[f"{name}_some"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.double().sum(1), GOLDEN[f"{name}_sum"], rtol=1e-4)


def test_published_sizes_give_the_published_widths():
    module = empty(AlexNet)
    images = torch.empty(1, 3, 256, 256, device="meta")
    assert module(images, "features.4").shape == (1, 192, 31, 31)
    assert module(images, "features.11").shape == (1, 256, 15, 15)
    for name in ("alexnet2", "alexnet5"):  # after the ReLU, as torchvision numbers its layers
        assert FEATURES[name].layer == CASES[name][1]
        last = int(FEATURES[name].layer.removeprefix("features."))
        assert isinstance(module.features[last], torch.nn.ReLU)
    for build, side, width in ((InceptionV3, 342, 2048), (EfficientNetB1, 255, 1280)):
        assert empty(build)(torch.empty(1, 3, side, side, device="meta")).shape == (1, width)


def test_resnet50_equals_transformers():
    ours = filled(ResNet50)
    theirs = ResNetModel(ResNetConfig(layer_type="bottleneck")).eval()
    assert not theirs.config.downsample_in_bottleneck
    values = iter([v for k, v in ours.state_dict().items() if k not in ("fc.weight", "fc.bias")])
    kept = {}
    for key in torchvision_order(theirs):
        kept[key] = next(values)
    theirs.load_state_dict(kept)
    with torch.inference_mode():
        expected = theirs(pixels(64)).pooler_output.flatten(1)
        np.testing.assert_allclose(ours(pixels(64)), expected, rtol=1e-4, atol=1e-5)


def torchvision_order(model):
    """Return transformers' keys in torchvision's order: a block's shortcut comes last."""
    keys = list(model.state_dict())
    stem = [k for k in keys if k.startswith("embedder")]
    blocks = list(dict.fromkeys(".".join(k.split(".")[:5]) for k in keys if k not in stem))
    ordered = stem
    for block in blocks:
        own = [k for k in keys if k.startswith(block + ".")]
        ordered = ordered + sorted(own, key=lambda k: "shortcut" in k)
    return ordered


SWAV = NETWORKS["swav_resnet50"]


def saved(tmp_path, content):
    torch.save(content, tmp_path / SWAV.file)
    return tmp_path / SWAV.file


def backbone_state():
    return state(empty(backbone))


def test_swavs_file_is_read(tmp_path):
    whole = {f"module.{key}": value for key, value in backbone_state().items()}
    whole |= {
        "module.projection_head.0.weight": torch.zeros(8, 8),
        "module.prototypes.weight": torch.zeros(3, 8),
    }
    module = loaded(SWAV, saved(tmp_path, {"state_dict": whole}))
    assert torch.equal(module.conv1.weight, whole["module.conv1.weight"])
    assert not module.training


def test_half_precision_and_missing_counters_are_taken(tmp_path):
    half = {k: v.half() for k, v in backbone_state().items() if "batches" not in k}
    module = loaded(SWAV, saved(tmp_path, half))
    assert module.conv1.weight.dtype == torch.float32
    assert not module.conv1.weight.requires_grad
    assert not any(value.is_meta for value in module.state_dict().values())


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


@pytest.mark.parametrize("how", ["truncated", "code", "empty", "text", "no tensors"])
def test_broken_files_are_refused_and_run_nothing(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    content = {"code": {"a": Evil()}, "no tensors": {"a": "b"}}.get(how, {"a": torch.zeros(999)})
    path = saved(tmp_path, content)
    if how in ("truncated", "empty", "text"):
        bytes_kept = {"truncated": path.read_bytes()[:-200], "empty": b"", "text": b"<html>"}
        path.write_bytes(bytes_kept[how])
    with pytest.raises(WeightsError, match=path.name):
        loaded(SWAV, path)
    assert not Path("harm").exists()


def test_another_networks_file_is_named(tmp_path):
    wrong = backbone_state()
    wrong["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    wrong["more"] = wrong.pop("bn1.bias")
    with pytest.raises(WeightsError, match="missing keys bn1.bias; unexpected keys more; .*conv1"):
        loaded(SWAV, saved(tmp_path, wrong))
