"""What insilico's folders hold, made of the authors' files.

Each conversion takes the source and the settings beside it, and returns the content of the folder:
relative paths to tensors, texts or files to copy. Nothing is written here, and tensors stay mapped
to the source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from insilico.errors import WeightsError, listed
from insilico.weights import open_clip, stable_diffusion
from insilico.weights.checkpoint import fit, read, under

Content = dict[str, dict[str, torch.Tensor] | str | Path]
Settings = Mapping[str, Any]

BIGG = "conditioner.embedders.0.model."
UNCLIP_PARTS = (stable_diffusion.UNET, stable_diffusion.VAE, BIGG, "denoiser.")
IGNORED = ("model_ema.",)
"""Averages that the published inference does not use."""
BETAS = (0.00085, 0.012)
EULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": BETAS[0],
    "beta_end": BETAS[1],
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
}
TOKENIZER = ("vocab.json", "merges.txt")


UNCLIP = {
    "num_steps": 38,
    "guidance": 5.0,
    "latent_scale": 1 / 0.13025,
    "image_gain": 0.8,
    "image_offset": 0.2,
    "sizes": [768, 768, 0, 0],
    "offset_noise": 0.04,
    "timesteps": "truncated",
}
"""The published sampler (specification sections 3.1 and 3.4)."""


def unclip(source: Path, settings: Settings) -> Content:
    """Convert ``unclip6_epoch0_step110000.ckpt``: UNet, VAE, scheduler, settings."""
    state = _of_unclip(source)
    how, net = stable_diffusion.unet(state, str(source), settings.get("unet", {}))
    vae_given = {"scaling_factor": 0.13025, "force_upcast": True, **settings.get("vae", {})}
    vae_how, vae = stable_diffusion.vae(
        {k: v for k, v in state.items() if k.startswith(stable_diffusion.VAE)},
        str(source),
        vae_given,
    )
    config = settings.get("unclip") or UNCLIP
    return {
        **_diffusers("unet", how, net),
        **_diffusers("vae", vae_how, vae),
        "scheduler/scheduler_config.json": _json(settings.get("scheduler") or EULER),
        "unclip.json": _json(config),
    }


def bigg(source: Path, settings: Settings) -> Content:
    """Convert the image tower kept in the unCLIP file."""
    visual = under(_of_unclip(source), f"{BIGG}visual.")
    if not visual:
        raise WeightsError(f"{source} holds no image tower ('{BIGG}visual.')")
    how, state = open_clip.vision(visual, str(source), settings.get("clip", {}))
    return {"config.json": how, "model.safetensors": state}


def _of_unclip(source: Path) -> dict[str, torch.Tensor]:
    state = read(source).tensors
    known = {k: v for k, v in state.items() if not k.startswith(IGNORED)}
    strange = [key for key in known if not key.startswith(UNCLIP_PARTS)]
    if strange:
        raise WeightsError(f"{source}: unexpected keys {listed(strange, 3)}: not an unCLIP file")
    _same_sigmas(known.get("denoiser.sigmas"), source)
    return known


def _same_sigmas(sigmas: torch.Tensor | None, source: Path) -> None:
    """Hold the schedule in the file against the one that is computed."""
    if sigmas is None:
        return
    steps = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, 1000, dtype=torch.float64)
    left = (1 - steps**2).cumprod(0)
    own = ((1 - left) / left).sqrt()
    met = sigmas.double().sort().values
    if met.shape != own.shape or not torch.allclose(met, own, rtol=2e-3):
        raise WeightsError(f"{source}: 'denoiser.sigmas' are those of another noise schedule")


def converter(source: Path, settings: Settings) -> Content:
    """Convert ``bigG_to_L_epoch8.pth``: two linear maps."""
    state = read(source).tensors
    first, second = (state.get(f"linear{k}.weight") for k in (1, 2))
    if first is None or second is None:
        raise WeightsError(f"{source}: missing keys linear1.weight or linear2.weight")
    sizes = {
        "tokens": first.shape[1],
        "tokens_out": first.shape[0],
        "width": second.shape[1],
        "width_out": second.shape[0],
    }
    with torch.device("meta"):
        maps = torch.nn.ModuleDict(
            {
                "linear1": torch.nn.Linear(sizes["tokens"], sizes["tokens_out"]),
                "linear2": torch.nn.Linear(sizes["width"], sizes["width_out"]),
            }
        )
    fit(state, maps.state_dict(), f"{source} (CLIPConverter)")
    return {"config.json": _json(sizes), "model.safetensors": state}


def blurry(source: Path, settings: Settings) -> Content:
    """Convert ``sd_image_var_autoenc.pth``: an autoencoder of diffusers."""
    given = {"scaling_factor": 0.18215, **settings.get("vae", {})}
    how, state = stable_diffusion.vae(read(source).tensors, str(source), given)
    return _diffusers("", how, state)


def captioner(source: Path, settings: Settings) -> Content:
    """Convert ``pytorch_model.bin`` of a transformers folder; the rest is copied."""
    beside = [p for p in source.parent.iterdir() if p.suffix in (".json", ".txt")]
    copied: Content = {p.name: p for p in beside if not p.name.endswith(".index.json")}
    return {**copied, "model.safetensors": read(source).tensors}


def refiner(source: Path, settings: Settings) -> Content:
    """Convert a single-file SDXL, such as ``zavychromaxl_v30.safetensors``."""
    state = read(source).tensors
    unet = stable_diffusion.unet(state, str(source), settings.get("unet", {}), vector="time")
    vae = stable_diffusion.vae(
        {k: v for k, v in state.items() if k.startswith(stable_diffusion.VAE)},
        str(source),
        {"scaling_factor": 0.13025, "force_upcast": True, **settings.get("vae", {})},
    )
    small, large = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
    one = open_clip.hub_text(under(state, small), str(source), settings.get("text_encoder", {}))
    two = open_clip.text(under(state, large), str(source), settings.get("text_encoder_2", {}))
    own = {"refiner.json": _json(settings["refiner"])} if "refiner" in settings else {}
    leading = {**EULER, "timestep_spacing": "leading", "steps_offset": 1}
    return {
        **_diffusers("unet", *unet),
        **_diffusers("vae", *vae),
        "text_encoder/config.json": one[0],
        "text_encoder/model.safetensors": one[1],
        "text_encoder_2/config.json": two[0],
        "text_encoder_2/model.safetensors": two[1],
        **own,
        **_tokenizers(source.parent / "clip-vit-large-patch14"),
        "scheduler/scheduler_config.json": _json(leading),
        "model_index.json": _json(_SDXL),
    }


_SDXL = {
    "_class_name": "StableDiffusionXLPipeline",
    "force_zeros_for_empty_prompt": True,
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def _tokenizers(folder: Path) -> Content:
    missing = [name for name in TOKENIZER if not (folder / name).is_file()]
    if missing:
        raise WeightsError(
            f"no {listed(missing)} in {folder}: an SDXL file holds no tokenizer; put those of "
            f"https://huggingface.co/openai/clip-vit-large-patch14 there"
        )
    made: Content = {}
    for name, pad in (("tokenizer", "<|endoftext|>"), ("tokenizer_2", "!")):
        made |= {f"{name}/{file}": folder / file for file in TOKENIZER}
        about = {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": pad,
        }
        made[f"{name}/tokenizer_config.json"] = _json(about)
    return made


def _diffusers(name: str, how: str, state: dict[str, torch.Tensor]) -> Content:
    before = f"{name}/" if name else ""
    return {
        f"{before}config.json": how,
        f"{before}diffusion_pytorch_model.safetensors": state,
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"
