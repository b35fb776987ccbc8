"""Sound from captions by AudioLDM2 [1]_, diffusers' pipeline.

Sound is second order: it depends on the brain through the caption alone.

References
----------
.. [1] Liu et al. (2023), AudioLDM 2. https://arxiv.org/abs/2308.05734
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from insilico.decoders.sound_needs import BATCH, planned
from insilico.errors import SchemaError, WeightsError, listed
from insilico.schema import check, short_digest
from insilico.step import Step, batches, device, generator
from insilico.weights.folders import UNREADABLE, digest, found
from insilico.weights.memory import Plan
from insilico.weights.shelf import kept

PROMPT = "ambient sound of {caption}"
PUBLISHED = {"seconds": 10.0, "steps": 200, "guidance": 3.5}
ORDER = "second order: sound depends on the brain through the caption alone"
Condition = dict[str, torch.Tensor]


@kept("sound")
def _loaded(path: Path, weights: str, where: str) -> Any:
    from diffusers import AudioLDM2Pipeline
    from diffusers.utils import logging
    from transformers import GPT2LMHeadModel

    logging.disable_progress_bar()
    try:
        # Repositories that name a GPT2Model load, then fail in diffusers' loop, which calls a
        # method of generating models (diffusers issue 12630); the same weights fit this class.
        safe = {"use_safetensors": True}
        language = GPT2LMHeadModel.from_pretrained(path / "language_model", **safe)
        vocoder = _griffin_lim(path / "vocoder")  # by us: diffusers loads its own classes alone
        given = {"language_model": language, **dict.fromkeys(vocoder)}
        pipe = AudioLDM2Pipeline.from_pretrained(path, **given, **safe, low_cpu_mem_usage=False)
        pipe.register_modules(**vocoder)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as AudioLDM2: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    for part in pipe.components.values():
        if isinstance(part, torch.nn.Module):
            part.float().eval()
    return pipe.to(where)


def _griffin_lim(folder: Path) -> dict[str, Any]:
    """Return the vocoder if it is ours."""
    file = folder / "config.json"
    if not file.is_file() or json.loads(file.read_text("utf-8")).get("_class_name") != "GriffinLim":
        return {}
    from insilico.decoders.griffin_lim import GriffinLim

    how = {"low_cpu_mem_usage": False, "use_safetensors": True}
    return {"vocoder": GriffinLim.from_pretrained(folder, **how)}


def new_tokens(path: Path) -> int:
    """Return how many states the language model writes: 8, unless its configuration says.

    Transformers 5 no longer keeps this number in the model's configuration, where diffusers looks
    for it; so it is read from the file and handed over.
    """
    values = json.loads((path / "language_model" / "config.json").read_text("utf-8"))
    return int(values.get("max_new_tokens") or 8)


def defaults(path: Path) -> dict[str, Any]:
    """Return length, steps and guidance: those of the folder's ``sound.json``, or as published."""
    file = path / "sound.json"
    return PUBLISHED | (json.loads(file.read_text("utf-8")) if file.is_file() else {})


class AudioLdm2(Step):
    """Give a reconstruction the sound of its captions.

    Parameters
    ----------
    weights : str
        ``"phantom"``, a folder with ``model_index.json`` or with ``audioldm2/``, or a hub id such
        as ``cvssp/audioldm2-large``, with ``@revision`` where it is to be pinned.
    prompt : str
        What is asked for, with ``{caption}`` in it.
    negative_prompt : str
        What the guidance leads away from.
    seconds, steps, guidance : optional
        Length, denoising steps and classifier-free guidance; as published 10 s, 200 and 3.5, for
        the phantom 1 s, 20 and 2.
    seed : int
        Item noise depends on seed, stimulus id and draw alone: a sound is the same in any batch.
    """

    kind: ClassVar[str] = "audioldm2"
    weights: str = "phantom"
    prompt: str = PROMPT
    negative_prompt: str = ""
    seconds: float | None = Field(None, ge=0.2, le=120)
    steps: PositiveInt | None = None
    guidance: float | None = Field(None, ge=1)
    seed: NonNegativeInt = 0

    @field_validator("prompt")
    @classmethod
    def _holds_caption(cls, value: str) -> str:
        if value.count("{caption}") != 1:
            raise ValueError("must hold {caption} once, where the caption goes")
        return value

    def digests(self) -> dict[str, str]:
        """Return the digest of the pipeline's networks."""
        return {"audioldm2": digest(self._folder())}

    def _folder(self) -> Path:
        return found(self.weights, "audioldm2", "model_index.json")

    def __call__(self, reconstruction: xr.Dataset) -> xr.Dataset:
        """Add sounds.

        Parameters
        ----------
        reconstruction : reconstruction, (stimulus, draw), with `caption`
            An empty caption gets silence.

        Returns
        -------
        reconstruction
            With `sound`, float32 (stimulus, draw, sample), and attributes ``sampling_rate_hz`` and
            ``sound_order``.

        Raises
        ------
        SchemaError
            If there are no captions, or one is longer than the text encoders read.
        WeightsError
        """
        captions = _captions(check(reconstruction, "reconstruction"))
        used = self.digests()
        ids = [str(name) for name in captions["stimulus"].values]
        items = [(name, int(draw)) for name in ids for draw in captions["draw"].values]
        said = [str(text).strip() for text in captions.values.ravel()]
        waves, rate = self.sounds(said, items)
        shaped = waves.reshape(*captions.shape, -1)
        made = reconstruction.assign(sound=(("stimulus", "draw", "sample"), shaped))
        attrs = {"sampling_rate_hz": rate, "sound_order": ORDER, "sound_prompt": self.prompt}
        attrs |= {"sound_seed": self.seed, "sound_weights": short_digest(used)}
        return check(made.assign_attrs(attrs), "reconstruction")

    def sounds(self, captions: list[str], items: list[tuple[str, int]]) -> tuple[np.ndarray, int]:
        """Make the sound of each caption.

        Parameters
        ----------
        captions : list of str
        items : list of (stimulus id, draw)
            They name each sound's noise.

        Returns
        -------
        float32 (n, samples), sampling rate in Hz
        """
        path = self._folder()
        given, plan = defaults(path), self._plan()
        pipe = _loaded(path, digest(path), device())
        seconds = self.seconds or given["seconds"]
        rate = int(pipe.vocoder.config.sampling_rate)
        waves = np.zeros((len(captions), int(seconds * rate)), np.float32)
        spoken = [k for k, text in enumerate(captions) if text]
        self._check_lengths(pipe, [captions[k] for k in spoken])
        for part in batches(spoken, BATCH, "sound", None if plan is None else plan["sound"].batch):
            conditions = [self._condition(pipe, path, captions[k]) for k in part]
            noise = torch.stack([self._noise(pipe, seconds, *items[k]) for k in part])
            made = pipe(
                **padded(conditions),
                latents=noise.to(device()),
                audio_length_in_s=seconds,
                num_inference_steps=self.steps or given["steps"],
                guidance_scale=self.guidance or given["guidance"],
            ).audios
            waves[part, : made.shape[1]] = made
        return waves, rate

    def _plan(self) -> Plan | None:
        path = self._folder()
        return planned(path, self.seconds or defaults(path)["seconds"])

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little."""
        self._plan()

    def _asked(self, caption: str) -> str:
        return self.prompt.replace("{caption}", caption)

    def _check_lengths(self, pipe: Any, captions: list[str]) -> None:
        for text in dict.fromkeys(captions):
            for tokenizer in (pipe.tokenizer, pipe.tokenizer_2):
                longest = min(tokenizer.model_max_length, 10_000)
                length = len(tokenizer(self._asked(text), verbose=False)["input_ids"])
                if length > longest:
                    raise SchemaError(
                        f"a caption of {len(text.split())} words ('{text[:40]}…') makes {length} "
                        f"tokens; this AudioLDM2 reads {longest}: shorten it"
                    )

    @torch.no_grad()
    def _condition(self, pipe: Any, path: Path, caption: str) -> Condition:
        """Encode one prompt alone: padding would shift the language model's positions."""
        both = pipe.encode_prompt(
            self._asked(caption),
            device(),
            1,
            True,
            negative_prompt=self.negative_prompt,
            max_new_tokens=new_tokens(path),
        )
        names = ("prompt_embeds", "attention_mask", "generated_prompt_embeds")
        sides = enumerate(("negative_", ""))
        return {
            s + name: value[k] for k, s in sides for name, value in zip(names, both, strict=True)
        }

    def _noise(self, pipe: Any, seconds: float, stimulus: str, draw: int) -> torch.Tensor:
        rng = generator(self.seed, self.kind, stimulus, draw)
        return torch.from_numpy(rng.standard_normal(latent_shape(pipe, seconds)).astype(np.float32))


def latent_shape(pipe: Any, seconds: float) -> tuple[int, int, int]:
    """Return the shape of one sound's noise: channels, time, bands."""
    vocoder, factor = pipe.vocoder.config, pipe.vae_scale_factor
    frames = int(seconds / (np.prod(vocoder.upsample_rates) / vocoder.sampling_rate))
    return pipe.unet.config.in_channels, -(-frames // factor), vocoder.model_in_dim // factor


def padded(conditions: list[Condition]) -> Condition:
    """Stack conditions of texts of unequal lengths; what is added is masked out."""
    pad = torch.nn.utils.rnn.pad_sequence
    return {name: pad([one[name] for one in conditions], True) for name in conditions[0]}


def _captions(reconstruction: xr.Dataset) -> xr.DataArray:
    if "caption" not in reconstruction:
        raise SchemaError(
            f"audioldm2: sound is made from captions; this reconstruction holds "
            f"{listed(reconstruction.data_vars)}: decode with captions first"
        )
    return reconstruction["caption"].transpose("stimulus", "draw")
