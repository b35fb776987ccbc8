"""The phantom's sound generator: AudioLDM2's own networks at a small size, trained together.

CLAP and the autoencoder exist; T5, the projection, the language model and the UNet learn to
turn prompts into latents of spectrograms. One prompt in ten is answered by none, as the pipeline
says none: an empty text, padded to the length of the prompts beside it.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
)
from transformers import (
    ClapModel,
    GPT2Config,
    GPT2LMHeadModel,
    T5Config,
    T5EncoderModel,
)

from insilico.course import Course, Draw, Losses
from insilico.phantom.spectrograms import vocoder
from insilico.phantom.training.clap import FOLDER as CLAP
from insilico.phantom.training.clap import extractor
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.prompts import LONGEST, clap_tokenizer, spoken, t5_tokenizer
from insilico.phantom.training.sound import FOLDER, LATENT, N_UNSEEN, seen, sounds
from insilico.phantom.training.storage import finish

BATCH, WIDTH, WRITTEN = 48, 64, 8
N_VALIDATION = 96
TRAINED = ("text_encoder_2", "projection_model", "language_model", "unet")
SETTINGS = {"seconds": 1.0, "steps": 20, "guidance": 2.0}
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "prediction_type": "v_prediction",
}


def build_unet(widths: tuple[int, int] = (48, 64)) -> AudioLDM2UNet2DConditionModel:
    """Return the untrained UNet: 13 x 8 latents; attention to itself, to GPT-2 and to T5."""
    return AudioLDM2UNet2DConditionModel(
        sample_size=LATENT[1],
        in_channels=LATENT[0],
        out_channels=LATENT[0],
        layers_per_block=1,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=((None, WIDTH, WIDTH),) * len(widths),
        attention_head_dim=4,
        norm_num_groups=8,
    )


def build(folder: Path) -> AudioLDM2Pipeline:
    """Return the pipeline: CLAP and autoencoder trained, T5, GPT-2 and UNet not."""
    words = t5_tokenizer()
    t5 = T5Config(
        vocab_size=len(words),
        d_model=WIDTH,
        d_kv=WIDTH // 4,
        d_ff=2 * WIDTH,
        num_layers=1,
        num_heads=4,
        dropout_rate=0.0,
    )
    quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    size = {"vocab_size": 2, "n_positions": LONGEST + WRITTEN + 5, "n_embd": WIDTH}
    gpt2 = GPT2Config(**size, **quiet, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=1)
    whole = {"low_cpu_mem_usage": False}
    return AudioLDM2Pipeline(
        vae=AutoencoderKL.from_pretrained(folder / FOLDER / "vae", **whole).float(),
        text_encoder=ClapModel.from_pretrained(folder / CLAP).float(),
        text_encoder_2=T5EncoderModel(t5),
        projection_model=AudioLDM2ProjectionModel(WIDTH, WIDTH, WIDTH),
        language_model=GPT2LMHeadModel(gpt2),
        tokenizer=clap_tokenizer(),
        tokenizer_2=words,
        feature_extractor=extractor(),
        unet=build_unet(),
        scheduler=DDIMScheduler(
            **SCHEDULE, clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing"
        ),
        vocoder=vocoder(),
    )


@torch.no_grad()
def latents_of(vae: AutoencoderKL, waves: np.ndarray) -> torch.Tensor:
    """Encode sounds, float32 (n, 16, 13, 8), at zero mean and unit variance a channel."""
    return torch.cat([vae.encode(part).latent_dist.mode() for part in seen(waves).split(64)])


def velocity_losses(
    pipe: AudioLDM2Pipeline,
    latents: torch.Tensor,
    prompts: list[str],
    noise: torch.Generator,
    dropped: float = 0.1,
) -> torch.Tensor:
    """Return the squared error of the velocity, (n, 16, 13, 8).

    Parameters
    ----------
    pipe : AudioLDM2Pipeline
    latents : (n, 16, 13, 8)
    prompts : list of n str
        Of one number of words.
    noise : torch.Generator
        Source of all draws.
    dropped : float
        Share of the items that see no prompt.
    """
    n, device = len(latents), pipe.unet.device
    white = torch.randn(latents.shape, generator=noise)
    times = torch.randint(0, 1000, (n,), generator=noise)
    own = torch.arange(n) + n * (torch.rand(n, generator=noise) >= dropped)  # the first n say none
    said = pipe.encode_prompt(prompts, device, 1, True, max_new_tokens=WRITTEN)
    words, mask, written = (value[own.to(device)] for value in said)
    schedule = DDPMScheduler(**SCHEDULE)
    target = schedule.get_velocity(latents, white, times).to(device)
    made = pipe.unet(
        schedule.add_noise(latents, white, times).to(device),
        times.to(device),
        encoder_hidden_states=written,
        encoder_hidden_states_1=words,
        encoder_attention_mask_1=mask,
    ).sample
    return (made - target) ** 2


def with_average(pipe: AudioLDM2Pipeline, average: list[torch.Tensor]) -> AudioLDM2Pipeline:
    """Return a copy of the pipeline with the averaged parameters."""
    parts = copy.deepcopy(pipe.components)
    parameters = [p for name in TRAINED for p in parts[name].parameters()]
    with torch.no_grad():
        for parameter, value in zip(parameters, average, strict=True):
            parameter.copy_(value)
    return AudioLDM2Pipeline(**parts)


def keep(pipe: AudioLDM2Pipeline, folder: Path) -> None:
    """Write the pipeline, and beside it the settings that it was trained for."""
    pipe.save_pretrained(folder)
    (folder / "sound.json").write_text(json.dumps(SETTINGS, indent=2) + "\n", "utf-8")
    finish(folder)


def _hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    ends = ("conv_in", "conv_out", "time_embedding", "shared", "wte", "wpe", "relative")
    return parameter.ndim >= 2 and not any(end in key for end in ends)


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1000,
    rate: float = 0.02,
) -> None:
    """Train the generator and write the whole pipeline to ``folder/audioldm2``.

    The averaged weights are also written on the way, so that the folder can be used early.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights (CLAP and autoencoder exist); folder of the sounds and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 48.
    rate : float
        Peak learning rate of Muon.
    """
    folder, cache = Path(folder), Path(cache)
    torch.manual_seed(seed)
    pipe = build(folder)
    (waves, combinations), (other, held) = sounds(cache), sounds(cache, "unseen", N_UNSEEN)
    known, unseen = latents_of(pipe.vae, waves), latents_of(pipe.vae, other[:N_VALIDATION])
    pipe.to(device).text_encoder.requires_grad_(False)
    networks = torch.nn.ModuleDict({name: getattr(pipe, name) for name in TRAINED})

    course = Course(
        {"networks": networks},
        optimizers_for([networks], _hidden, lr=rate),
        steps,
        cache / "checkpoints" / "audioldm2.pt",
        seed,
        averaged="networks",
    )

    def losses_of(draw: Draw) -> Losses:
        rows = draw.numbers().integers(len(known), size=BATCH)
        prompts = spoken(combinations[rows], form=draw.step)
        return {"velocity": velocity_losses(pipe, known[rows], prompts, draw.noise()).mean()}

    @torch.no_grad()
    def report() -> str:
        model, noise = with_average(pipe, course.average), torch.Generator().manual_seed(3)
        prompts = spoken(held[:N_VALIDATION])
        return f"unseen {float(velocity_losses(model, unseen, prompts, noise, 0).mean()):.4f}"

    def save() -> None:
        keep(with_average(pipe, course.average), folder / FOLDER)

    course.run(losses_of, report, save=save)
    save()
    print("done", report(), flush=True)
