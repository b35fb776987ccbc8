"""Image tokens: the authors' odd preprocessing, and the phantom's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)

from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.phantom.gates import tokens_of
from insilico.schema import sample
from insilico.spaces.tokens import ImageTokens, clip_folder, image_tokens, washed_out


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        image_size=28, patch_size=14, hidden_act="gelu",
    )  # fmt: skip
    model = CLIPVisionModel(config).eval()
    with torch.no_grad():
        model.post_layernorm.weight.normal_()
    where = tmp_path_factory.mktemp("bigg")
    model.save_pretrained(where / "clip")
    return where, model


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)


def expected_tokens(model, images, side=28):
    """Follow specification 3.5 word by word."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = torch.nn.functional.interpolate(x, (side, side), mode="bicubic", align_corners=True)
    x = (x + 1) / 2
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    with torch.no_grad():
        states = model((x - mean) / std).last_hidden_state
        return torch.nn.functional.layer_norm(
            states, (16,), model.post_layernorm.weight, model.post_layernorm.bias, 1e-5
        )[:, 1:]


def test_tokens_are_the_authors(tower, images):
    where, model = tower
    made = image_tokens(images, str(where))
    assert made.shape == (3, 4, 16)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, expected_tokens(model, images), atol=1e-5)
    np.testing.assert_array_equal(made, image_tokens(images, str(where / "clip")))


def test_pictures_are_seen_washed_out_and_resized_only_if_need_be():
    black, white = torch.zeros(1, 3, 28, 28), torch.ones(1, 3, 28, 28)
    apart = washed_out(white, 28) - washed_out(black, 28)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
    torch.testing.assert_close(apart, (0.5 / std).expand_as(apart))
    torch.testing.assert_close(washed_out(black, 14), washed_out(black, 28)[..., :14, :14])


def test_retrieval_goes_through_another_size(tower, images):
    where, model = tower
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = torch.nn.functional.interpolate(x, (56, 56), mode="bilinear", align_corners=False)
    larger = x.permute(0, 2, 3, 1).numpy() * 255
    made = image_tokens(images, str(where), through=56)
    np.testing.assert_allclose(made, expected_tokens(model, larger), atol=1e-4)


def test_an_item_is_the_same_in_any_batch(tower, images):
    where, _ = tower
    alone = np.concatenate([image_tokens(image[None], str(where)) for image in images])
    np.testing.assert_allclose(alone, image_tokens(images, str(where)), atol=1e-5)


def test_the_phantoms_tokens_are_those_its_decoder_learnt():
    images = sample("stimuli", n=3)["image"].values
    expected = tokens_of(images, str(clip_folder("phantom")))
    np.testing.assert_allclose(image_tokens(images), expected, atol=1e-5)


def test_a_tower_saved_with_its_projection_has_the_same_tokens(tower, images, tmp_path):
    where, model = tower
    wider = CLIPVisionModelWithProjection(model.config)
    wider.vision_model.load_state_dict(model.state_dict())
    wider.save_pretrained(tmp_path)
    np.testing.assert_allclose(
        image_tokens(images, str(tmp_path)), image_tokens(images, str(where))
    )
    state = load_file(tmp_path / "model.safetensors")
    lost = state.pop("vision_model.post_layernorm.weight")
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert len(lost) == 16
    with pytest.raises(WeightsError, match=r"missing or of other sizes: .*post_layernorm\.weight"):
        image_tokens(images, str(tmp_path))


def test_own_preprocessing_is_taken_when_named(tower, images):
    where, model = tower
    with pytest.raises(WeightsError, match="cannot be loaded as CLIP"):
        image_tokens(images, str(where), "own")
    side = {"height": 28, "width": 28}
    processor = CLIPImageProcessorPil(size=side, crop_size=side)
    processor.save_pretrained(where / "clip")
    pixels = processor(list(images), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        states = model.post_layernorm(model(pixels).last_hidden_state)[:, 1:]
    np.testing.assert_allclose(image_tokens(images, str(where), "own"), states, atol=1e-5)
    (where / "clip" / "preprocessor_config.json").unlink()


def test_the_step_gives_stimuli_their_tokens(tower):
    where, _ = tower
    stimuli, step = sample("stimuli", n=3), ImageTokens(weights=str(where))
    made = step(stimuli)
    assert made["tokens"].dims == ("stimulus", "token", "channel")
    assert made["image"].identical(stimuli["image"])
    assert step.digests().keys() == {"clip"}
    assert step.digests() != ImageTokens().digests()
    with pytest.raises(SchemaError, match="hold no image; they hold caption"):
        step(stimuli.drop_vars("image").assign(caption=("stimulus", ["a", "b", "c"])))


def test_the_published_tower_has_its_published_size():
    with torch.device("meta"):
        tower = CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=1664, intermediate_size=8192, num_hidden_layers=48,
                num_attention_heads=16, patch_size=14, image_size=224, hidden_act="gelu",
            )
        )  # fmt: skip
    projection = 1664 * 1280  # the file's, which the tokens do not go through
    assert sum(p.numel() for p in tower.parameters()) + projection == 1_844_907_264


def test_wrong_input_is_told(tower, images, tmp_path):
    where, _ = tower
    with pytest.raises(SchemaError, match="uint8"):
        image_tokens(images / 255, str(where))
    with pytest.raises(ParameterError, match="unknown preprocessing 'mindeye'"):
        image_tokens(images, str(where), "mindeye")
    with pytest.raises(WeightsError, match="no weights of clip"):
        image_tokens(images, str(tmp_path))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(WeightsError, match="cannot be loaded as CLIP"):
        image_tokens(images, str(tmp_path))
