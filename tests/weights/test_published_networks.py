"""The other published files: converted networks are the original ones, mistakes are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from authors_layout import BIGG, text_in_open_clip, unet_in_sgm, vae_in_ldm, vision_in_open_clip
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from tiny_networks import (
    LABELS,
    SIZES,
    UNCLIP,
    same,
    tiny_texts,
    tiny_unet,
    tiny_vae,
    tiny_vision,
    with_unclip,
)
from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

from insilico.decoders.unclip import UnclipDecoder
from insilico.errors import WeightsError
from insilico.weights.folders import folder, used


@torch.no_grad()
def test_unclip_is_the_network_that_was_saved(hub):
    with_unclip(hub)
    unet, vae = tiny_unet(**LABELS).eval(), tiny_vae()
    decoder = UnclipDecoder.from_pretrained(folder(str(hub), "unclip"))
    same(decoder.unet.state_dict(), unet.state_dict())
    same(decoder.vae.state_dict(), vae.state_dict())
    draws = torch.Generator().manual_seed(5)
    latents, tokens, vector = (
        torch.randn(*shape, generator=draws) for shape in ((2, 4, 4, 4), (2, 3, 12), (2, 10))
    )
    expected = unet(latents, torch.tensor(7), tokens, class_labels=vector).sample
    made = decoder.unet(latents, torch.tensor(7), tokens, class_labels=vector).sample
    assert torch.equal(made, expected)
    assert torch.equal(decoder.vae.decode(latents).sample, vae.decode(latents).sample)
    assert decoder.scheduler.config.beta_end == 0.012


@torch.no_grad()
def test_the_image_tower_is_the_one_that_was_saved(hub):
    with_unclip(hub)
    tower, path = tiny_vision(), folder(str(hub), "clip")
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(6))
    for made_by in (CLIPVisionModelWithProjection, CLIPVisionModel):
        again = made_by.from_pretrained(path).eval()
        expected = tower.vision_model(pixel_values=images).last_hidden_state
        torch.testing.assert_close(again(pixel_values=images).last_hidden_state, expected)
    again = CLIPVisionModelWithProjection.from_pretrained(path).eval()
    expected = tower(pixel_values=images).image_embeds
    torch.testing.assert_close(again(pixel_values=images).image_embeds, expected)


def test_published_settings_are_the_default(hub):
    path = with_unclip(hub)
    settings = {key: value for key, value in UNCLIP.items() if key != "unclip"}
    path.with_suffix(".json").write_text(json.dumps(settings))
    made = json.loads((folder(str(hub), "unclip") / "unclip.json").read_text())
    assert made["latent_scale"] == pytest.approx(1 / 0.13025)
    assert (made["image_gain"], made["image_offset"], made["offset_noise"]) == (0.8, 0.2, 0.04)
    assert (made["num_steps"], made["guidance"], made["timesteps"]) == (38, 5.0, "truncated")
    assert made["sizes"] == [768, 768, 0, 0]
    vae = json.loads((folder(str(hub), "unclip") / "vae" / "config.json").read_text())
    assert (vae["scaling_factor"], vae["force_upcast"]) == (0.13025, True)


def of_unclip(root: Path, **changed: torch.Tensor | None) -> None:
    state = {**unet_in_sgm(tiny_unet(**LABELS)), **vae_in_ldm(tiny_vae())}
    state = {**state, **{key.replace("/", "."): value for key, value in changed.items()}}
    path = root / "unclip6_epoch0_step110000.ckpt"
    torch.save({"state_dict": {k: v for k, v in state.items() if v is not None}}, path)
    path.with_suffix(".json").write_text(json.dumps(UNCLIP))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model/diffusion_model/out/2/bias", None, r"missing keys conv_out\.bias"),
        (
            "model/diffusion_model/out/5/bias",
            torch.ones(1),
            r"unexpected keys .*out\.5\.bias beside UNet",
        ),
        (
            "model/diffusion_model/out/0/bias",
            torch.ones(1),
            r"conv_norm_out\.bias is \(1,\), not \(8,\)",
        ),
        ("model/diffusion_model/out/2/weight", None, r"missing key conv_out\.weight"),
        ("first_stage_model/quant_conv/bias", None, r"missing keys quant_conv\.bias"),
        (
            "first_stage_model/loss/weight",
            torch.ones(2),
            r"unexpected keys loss\.weight beside Auto",
        ),
        ("something/else", torch.ones(1), r"unexpected keys something\.else"),
        ("denoiser/sigmas", torch.linspace(0, 14, 1000), "another noise schedule"),
    ],
)
def test_what_is_no_unclip_is_told(hub, key, value, message):
    of_unclip(hub, **{key: value})
    with pytest.raises(WeightsError, match=message):
        folder(str(hub), "unclip")
    assert not list((hub / "converted").glob("unclip*"))


def test_averaged_weights_are_not_used(hub):
    of_unclip(hub, model_ema_decay=None)
    plain = load_file(folder(str(hub), "unclip") / "unet" / "diffusion_pytorch_model.safetensors")
    of_unclip(hub, **{"model_ema/out": torch.ones(3)})
    path = folder(str(hub), "unclip") if used_anew(hub) else None
    assert path is not None
    same(load_file(path / "unet" / "diffusion_pytorch_model.safetensors"), plain)


def used_anew(hub: Path) -> bool:
    (hub / "insilico-digests.json").unlink()
    return bool(used(str(hub), "unclip"))


def test_the_converter_keeps_its_names(hub):
    state = {
        "linear1.weight": torch.randn(5, 4),
        "linear1.bias": torch.randn(5),
        "linear2.weight": torch.randn(6, 12),
        "linear2.bias": torch.randn(6),
    }
    path = hub / "bigG_to_L_epoch8.pth"
    torch.save({"epoch": 8, "model_state_dict": state}, path)
    path.with_suffix(".json").write_text("{}")
    made = folder(str(hub), "converter")
    same(load_file(made / "model.safetensors"), state)
    sizes = {"tokens": 4, "tokens_out": 5, "width": 12, "width_out": 6}
    assert json.loads((made / "config.json").read_text()) == sizes
    torch.save({"model_state_dict": {**state, "linear3.bias": torch.ones(1)}}, path)
    (hub / "insilico-digests.json").unlink()
    with pytest.raises(WeightsError, match=r"unexpected keys linear3\.bias"):
        folder(str(hub), "converter")


@pytest.mark.parametrize("names", ["new", "old", "ldm"])
@torch.no_grad()
def test_the_blurry_autoencoder_is_the_one_that_was_saved(hub, names):
    vae = tiny_vae()
    state = vae.state_dict() if names == "new" else vae_in_ldm(vae, "")
    if names == "old":
        state = {old_name(key): value for key, value in vae.state_dict().items()}
    torch.save(state, hub / "sd_image_var_autoenc.pth")
    (hub / "sd_image_var_autoenc.json").write_text(json.dumps({"vae": SIZES}))
    again = AutoencoderKL.from_pretrained(folder(str(hub), "blurry"))
    latents = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(7))
    assert torch.equal(again.decode(latents).sample, vae.decode(latents).sample)
    assert again.config.scaling_factor == 0.18215


def old_name(key: str) -> str:
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value")):
        key = key.replace(f".{new}.", f".{old}.")
    return key.replace(".to_out.0.", ".proj_attn.")


@torch.no_grad()
def test_the_refiner_is_a_pipeline_of_diffusers(hub):
    from diffusers import StableDiffusionXLPipeline

    time = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
    unet = tiny_unet(projection_class_embeddings_input_dim=1542, **time)
    one, two = tiny_texts()
    small = {k.removeprefix("text_model."): v for k, v in one.state_dict().items()}
    state = {
        **unet_in_sgm(unet),
        **vae_in_ldm(tiny_vae()),
        **{f"conditioner.embedders.0.transformer.text_model.{k}": v for k, v in small.items()},
        **text_in_open_clip(two, "conditioner.embedders.1.model."),
    }
    path = hub / "zavychromaxl_v30.safetensors"
    save_file({key: value.contiguous() for key, value in state.items()}, path)
    heads = {"num_attention_heads": 2}
    settings = {**UNCLIP, "text_encoder": heads, "text_encoder_2": heads}
    path.with_suffix(".json").write_text(json.dumps(settings))
    with pytest.raises(WeightsError, match=r"an SDXL file holds no tokenizer; put those of"):
        folder(str(hub), "refiner")
    words = hub / "clip-vit-large-patch14"
    words.mkdir()
    (words / "vocab.json").write_text(
        json.dumps({"a</w>": 0, "!": 1, "<|startoftext|>": 38, "<|endoftext|>": 39})
    )
    (words / "merges.txt").write_text("#version: 0.2\n")
    pipe = StableDiffusionXLPipeline.from_pretrained(folder(str(hub), "refiner"))
    same(pipe.unet.state_dict(), unet.state_dict())
    ids = torch.tensor([[38, 0, 39, 1]])
    expected = one(ids, output_hidden_states=True).hidden_states[-2]
    made = pipe.text_encoder(ids, output_hidden_states=True).hidden_states[-2]
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(pipe.text_encoder_2(ids).text_embeds, two(ids).text_embeds)
    assert pipe.tokenizer_2.pad_token == "!"


def test_openclip_keys_that_are_unknown_are_told(hub):
    path = hub / "unclip6_epoch0_step110000.ckpt"
    tower = vision_in_open_clip(tiny_vision(), f"{BIGG}visual.")
    torch.save({"state_dict": {**tower, f"{BIGG}visual.odd": torch.ones(1)}}, path)
    path.with_suffix(".json").write_text(json.dumps(UNCLIP))
    with pytest.raises(WeightsError, match="unexpected keys odd"):
        folder(str(hub), "clip")


def test_heads_that_do_not_fit_are_told(hub):
    path = with_unclip(hub)
    path.with_suffix(".json").write_text(json.dumps({**UNCLIP, "clip": {"num_attention_heads": 3}}))
    with pytest.raises(WeightsError, match="no CLIPVisionModelWithProjection has such sizes"):
        folder(str(hub), "clip")
