"""The stages of the full chain as they are measured: built, given items, run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from insilico.decoders import sound_needs
from insilico.decoders.git import Seen
from insilico.decoders.mindeye2 import skeleton
from insilico.decoders.mindeye2.needs import needs_at
from insilico.decoders.mindeye2.sizes import SIZES
from insilico.decoders.precision import Precision, products_in
from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Shown
from insilico.weights.memory import Need

Items = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Work:
    """How much each stage does for an item: as published, or less on a machine without GPU."""

    prior_steps: int = 20
    steps: int = 38
    refined: int = 12
    words: int = 19
    seconds: float = 10.0
    sound_steps: int = 200


WORK = {"full": Work(), "small": Work(10, 6, 3, 8, 1.0, 5)}


@dataclass(frozen=True)
class Stage:
    """One stage of the chain.

    Attributes
    ----------
    name : str
    build : function
        To the network, on the meta device.
    items : function
        Of network and number of items, to their inputs, the items first.
    run : function
        Of network, inputs and precision, to results, the items first.
    halved : bool
        Whether our setting keeps and computes it in half precision.
    """

    name: str
    build: Callable[[], Any]
    items: Callable[[Any, int], Items]
    run: Callable[[Any, Items, Precision], torch.Tensor]
    halved: bool = True


def stages(size: str) -> list[Stage]:
    """Return all stages at a size: ``"full"`` or ``"small"``."""
    told, work = SIZES[size](), WORK[size]

    def of(name: str, items: Any, run: Any, halved: bool = True) -> Stage:
        return Stage(name, lambda: skeleton.built(name, told[name]), items, run, halved)

    sound = sound_needs.published() if size == "full" else sound_needs.small()
    both = {name: told[name] for name in ("converter", "captioner")}
    return [
        Stage("encoder", lambda: _encoder(size), _shown, _encoded, halved=False),
        of("brain", _betas, _brain),
        of("prior", _noise(work), _prior(work)),
        of("blurry", _latents, _blurry, halved=False),
        of("unclip", _tokens, _unclip(work)),
        Stage("captioner", lambda: _captioner(both), _seen, _captions(work), halved=False),
        Stage("refiner", lambda: _refiner(told["refiner"], work), _pictures, _refined),
        Stage("sound", lambda: sound_needs.built(sound), _silence, _sound(work), halved=False),
    ]


def needs(size: str, precision: Precision, tiled: bool = False, beams: int = 1) -> tuple[Need, ...]:
    """Return what the decoder's stages need at a size."""
    return needs_at(SIZES[size](), precision, tiled, beams)


def sound_need(size: str) -> Need:
    """Return what the sound needs at a size."""
    sound = sound_needs.published() if size == "full" else sound_needs.small()
    return sound_needs.need(sound, WORK[size].seconds)


def normal(*shape: int, seed: int = 1) -> torch.Tensor:
    """Return standard normal numbers, the same on every machine."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# --- encoder --------------------------------------------------------------------------------------


def _encoder(size: str) -> MaryNanoModel:
    config = MaryNanoConfig()
    if size == "small":
        narrow = dataclasses.replace(config.vision, side=64)
        sound = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
        sound |= {"intermediate_size": 64, "num_conv_pos_embeddings": 16}
        sound |= {"num_conv_pos_embedding_groups": 4}
        text = {"n_embd": 48, "n_layer": 1, "n_head": 2, "vocab_size": 200}
        text |= {"bos_token_id": 0, "eos_token_id": 1}
        config = dataclasses.replace(
            config, vision=narrow, sound=sound, text=text, width=128, rank=32
        )
    with torch.device("meta"):
        return MaryNanoModel(config).eval()


def _shown(model: MaryNanoModel, n: int) -> Items:
    side = model.config.vision.side
    return {"film": normal(n, 1, 3, side, side)}


def _encoded(model: MaryNanoModel, items: Items, precision: Precision) -> torch.Tensor:
    return model.predict(model.fused(Shown(1, film=items["film"])))


# --- betas to tokens ------------------------------------------------------------------------------


def _betas(model: Any, n: int) -> Items:
    return {"betas": normal(n, 3, model.config.voxels[0])}


def _brain(model: Any, items: Items, precision: Precision) -> torch.Tensor:
    with products_in(precision):
        made = model.outputs(items["betas"].flatten(0, 1), model.ridge.linears[0])
    return made.backbone.unflatten(0, (-1, 3)).mean(1).float()


def _noise(work: Work) -> Callable[[Any, int], Items]:
    def items(prior: Any, n: int) -> Items:
        shape = prior.net.learned_query.shape
        draws = prior.draws(work.prior_steps)
        return {"brain": normal(n, *shape), "noise": normal(n, draws, *shape, seed=2)}

    return items


def _prior(work: Work) -> Callable[[Any, Items, Precision], torch.Tensor]:
    def run(prior: Any, items: Items, precision: Precision) -> torch.Tensor:
        with products_in(precision):
            noise = items["noise"].transpose(0, 1)
            return prior.sample(items["brain"], noise, work.prior_steps).float()

    return run


# --- pictures -------------------------------------------------------------------------------------


def _latents(decoder: Any, n: int) -> Items:
    return {"latent": 0.18215 * normal(n, 4, 28, 28)}


def _blurry(decoder: Any, items: Items, precision: Precision) -> torch.Tensor:
    return decoder.pictures(items["latent"])


def _tokens(decoder: Any, n: int) -> Items:
    shape = (256, decoder.unet.config.cross_attention_dim)
    latents = decoder.latent_shape
    return {
        "tokens": normal(n, *shape),
        "uncond": normal(n, *shape, seed=2),
        "z": normal(n, *latents, seed=3),
        "noise": normal(n, *latents, seed=4),
        "offset": normal(n, seed=5),
    }


def _unclip(work: Work) -> Callable[[Any, Items, Precision], torch.Tensor]:
    def run(decoder: Any, items: Items, precision: Precision) -> torch.Tensor:
        return decoder.sample(**items, steps=work.steps, precision=precision)

    return run


def _refiner(about: Any, work: Work) -> Any:
    refiner = skeleton.built("refiner", about)
    refiner.tokenizers = tuple(
        _Words(e.config) for e in (refiner.text_encoder, refiner.text_encoder_2)
    )
    refiner.config = dataclasses.replace(refiner.config, last=work.refined)
    return refiner


class _Words:
    """Numbers in the place of words, the same for the same text."""

    def __init__(self, config: Any) -> None:
        self.length, self.end = config.max_position_embeddings, config.eos_token_id

    def __call__(self, texts: list[str], **how: Any) -> dict[str, torch.Tensor]:
        rows = [[ord(text[k % len(text)]) for k in range(self.length - 1)] for text in texts]
        return {"input_ids": torch.tensor([[*row, self.end] for row in rows])}


def _pictures(refiner: Any, n: int) -> Items:
    side, latents = refiner.config.size, refiner.latent_shape
    return {
        "pictures": normal(n, 3, side, side).sigmoid(),
        "posterior": normal(n, *latents, seed=2),
        "noise": normal(n, *latents, seed=3),
    }


def _refined(refiner: Any, items: Items, precision: Precision) -> torch.Tensor:
    words = ["a small red dog on a beach"] * len(items["noise"])
    return refiner.refined(captions=words, **items, precision=precision)


# --- words and sounds -----------------------------------------------------------------------------


def _captioner(both: dict[str, Any]) -> nn.ModuleDict:
    return nn.ModuleDict({name: skeleton.built(name, about) for name, about in both.items()})


def _seen(networks: Any, n: int) -> Items:
    converter = networks["converter"]
    return {"tokens": normal(n, converter.linear1.in_features, converter.linear2.in_features)}


def _captions(work: Work) -> Callable[[Any, Items, Precision], torch.Tensor]:
    """Write as many words for every item, whatever they are; give the odds of the first."""

    def run(networks: Any, items: Items, precision: Precision) -> torch.Tensor:
        model, n = networks["captioner"], len(items["tokens"])
        with products_in(precision):
            seen = networks["converter"](items["tokens"]).float()
            tower, model.git.image_encoder = model.git.image_encoder, Seen(seen)
            made = model.generate(
                pixel_values=seen.new_zeros(n, 3, 1, 1),
                input_ids=torch.full((n, 1), 101, device=seen.device),
                attention_mask=torch.ones(n, 1, dtype=torch.long, device=seen.device),
                min_new_tokens=work.words,
                max_new_tokens=work.words,
                do_sample=False,
                pad_token_id=0,
                eos_token_id=102,
                output_logits=True,
                return_dict_in_generate=True,
            )
            model.git.image_encoder = tower
        return made.logits[0].float()

    return run


def _silence(networks: Any, n: int) -> Items:
    return {"item": torch.zeros(n)}


def _sound(work: Work) -> Callable[[Any, Items, Precision], torch.Tensor]:
    """Call the UNet for every step, then autoencoder and vocoder once."""

    def run(networks: Any, items: Items, precision: Precision) -> torch.Tensor:
        n = len(items["item"])
        with products_in(precision):
            for _ in range(work.sound_steps):
                made = sound_needs.denoise(networks, work.seconds, n)
            frames = networks["vae"].decode(made[:n]).sample[:, 0]
            return networks["vocoder"](frames).float()

    return run
