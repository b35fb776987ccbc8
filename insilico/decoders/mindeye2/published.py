"""MindEye2's published ``last.pth``: sizes told by the shapes, names held against the networks."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from insilico.decoders.mindeye2.model import CONFIG, WEIGHTS, MindEye2Config, MindEye2Model
from insilico.errors import ParameterError, SpaceError, WeightsError, listed
from insilico.schema import place_of
from insilico.weights.catalogue import VOXELS, subjects
from insilico.weights.checkpoint import fit, read
from insilico.weights.stable_diffusion import new_names

State = dict[str, torch.Tensor]
NAMED = re.compile(r"(multisubject_)?subj0(\d)")


def convert(source: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of ``mindeye2/`` from a training run's checkpoint.

    Parameters
    ----------
    source : path
        ``train_logs/<model>/last.pth``; the name of the run must not contradict the ridge in it.
    settings : dict
        ``{"blurry": {"groups": 32}}``: the groups of the low-level head's norms.

    Returns
    -------
    dict of file name to text or tensors

    Raises
    ------
    WeightsError
        If the file is of another subject or its parts do not fit together; names are told.
    """
    state = new_names(read(source).tensors)
    config = config_of(state, str(source), settings.get("blurry", {}).get("groups", 32))
    _named_rightly(source, config)
    checked(state, config, str(source))
    return {CONFIG: json.dumps(dataclasses.asdict(config), indent=2) + "\n", WEIGHTS: state}


def config_of(state: Mapping[str, torch.Tensor], what: str, groups: int = 32) -> MindEye2Config:
    """Infer all sizes from the shapes of a state dict.

    Parameters
    ----------
    state : dict of str to Tensor
        In the authors' names.
    what : str
        For messages.
    groups : int
        Of the low-level head's norms, which no shape tells; 32 as published.

    Returns
    -------
    MindEye2Config

    Raises
    ------
    WeightsError
        If parts are missing or do not fit together.
    """
    shapes = _Shapes({key: tuple(value.shape) for key, value in state.items()}, what)
    prior = "diffusion_prior.net."
    layers = f"{prior}causal_transformer.layers."
    tokens, width = shapes[f"{prior}learned_query"]
    voxels, hidden = _ridge(shapes)
    _backbone_fits(shapes, hidden, tokens * width)
    return MindEye2Config(
        voxels=voxels,
        hidden=hidden,
        n_blocks=shapes.count("backbone.mixer_blocks2."),
        tokens=tokens,
        width=width,
        blurry=_blurry(shapes, groups) if "backbone.blin1.weight" in state else None,
        depth=shapes.count(layers),
        heads=shapes[f"{prior}causal_transformer.rel_pos_bias.relative_attention_bias.weight"][1],
        head_width=shapes[f"{layers}0.0.null_kv"][1],
    )


class _Shapes(dict[str, tuple[int, ...]]):
    def __init__(self, shapes: Mapping[str, tuple[int, ...]], what: str) -> None:
        super().__init__(shapes)
        self.what = what

    def __missing__(self, key: str) -> tuple[int, ...]:
        raise WeightsError(
            f"{self.what}: missing key {key}; it holds {listed(self, 3)}: not a whole MindEye2"
        )

    def count(self, prefix: str) -> int:
        """Return how many numbered children a name has."""
        return len({k[len(prefix) :].partition(".")[0] for k in self if k.startswith(prefix)})


def _ridge(shapes: _Shapes) -> tuple[list[int], int]:
    weights = [
        shapes[f"ridge.linears.{k}.weight"] for k in range(max(1, shapes.count("ridge.linears.")))
    ]
    widths = {hidden for hidden, _ in weights}
    if len(widths) > 1:
        raise WeightsError(f"{shapes.what}: ridges of several hidden sizes: {sorted(widths)}")
    return [voxels for _, voxels in weights], widths.pop()


def _backbone_fits(shapes: _Shapes, hidden: int, size: int) -> None:
    out, features = shapes["backbone.backbone_linear.weight"]
    seq_len = shapes["backbone.mixer_blocks2.0.0.weight"][0]
    if seq_len != 1:
        raise WeightsError(f"{shapes.what}: made for sequences of {seq_len} responses; allowed: 1")
    if features != hidden:
        raise WeightsError(
            f"{shapes.what}: the ridge gives {hidden} hidden numbers, the backbone takes "
            f"{features}: these are parts of two models"
        )
    if out != size:
        raise WeightsError(
            f"{shapes.what}: the backbone gives {out} numbers, the prior's tokens are {size}"
        )


def _blurry(shapes: _Shapes, groups: int) -> dict[str, Any]:
    decoder = "backbone.bupsampler."
    channels = shapes["backbone.bnorm.weight"][0]
    ups = range(shapes.count(f"{decoder}up_blocks."))
    blocks = [shapes[f"{decoder}up_blocks.{i}.resnets.0.conv1.weight"][0] for i in ups]
    return {
        "channels": channels,
        "grid": math.isqrt(shapes["backbone.blin1.weight"][0] // channels),
        "blocks": blocks[::-1],
        "groups": groups,
        "aux": shapes["backbone.b_maps_projector.0.weight"][0],
        "latent": shapes[f"{decoder}conv_out.weight"][0],
    }


def _named_rightly(source: Path, config: MindEye2Config) -> None:
    """Raise if the run's name tells another subject than the ridge does."""
    name = source.parent.name
    told = NAMED.search(name)
    if told is None:
        return
    several, subject = bool(told[1]), int(told[2])
    met = [s for s, voxels in VOXELS.items() if voxels in config.voxels]
    # A multi-subject name may still hold the ridge of the one subject that it was tuned on.
    if subject in met and len(met) > 1 if several else met and met != [subject]:
        read_by = "; ".join(f"{count}{subjects(count)}" for count in config.voxels)
        kind = f"all subjects but {subject}" if several else f"subject {subject}"
        raise WeightsError(
            f"{source}: the name '{name}' says {kind}, but its ridge reads voxels: {read_by}; "
            f"it is the checkpoint of another subject"
        )


def checked(state: Mapping[str, torch.Tensor], config: MindEye2Config, what: str) -> None:
    """Raise unless names and shapes are those of the networks; noise tables may be missing."""
    try:
        with torch.device("meta"):
            expected = MindEye2Model(config).state_dict()
    except ValueError as error:
        raise WeightsError(
            f"{what}: no such networks: {error}; a head of other groups than the published ones "
            f'says so in last.json beside it: {{"blurry": {{"groups": 8}}}}'
        ) from error
    fit(state, expected, what, may_lack=lambda key: ".noise_scheduler." in key)


def position(config: MindEye2Config, voxels: int) -> int:
    """Return which ridge reads so many voxels: a position in the run's list of subjects.

    Raises
    ------
    SpaceError
        If none does, or several do.
    """
    found = [k for k, count in enumerate(config.voxels) if count == voxels]
    if len(found) == 1:
        return found[0]
    reads = listed(f"{count}{subjects(count)}" for count in config.voxels)
    raise SpaceError(
        f"this decoder reads {reads} voxels; the response has {voxels} voxels{subjects(voxels)}: "
        f"bring it into the decoder's voxels with an adapter, or take weights of its subject"
    )


def subject_of(config: MindEye2Config, response: xr.Dataset, asked: int | None) -> int:
    """Return the position asked for, else that of the ridge which reads the response's voxels.

    Raises
    ------
    ParameterError
        If there is no such position.
    SpaceError
        If no ridge, or several, read so many voxels.
    """
    count = len(config.voxels)
    if asked is None:
        several = count > 1 and place_of(response) == "voxel"
        return position(config, response["bold"].sizes["voxel"]) if several else 0
    if asked >= count:
        raise ParameterError(
            f"subject {asked}: these weights have {count}, at positions 0 to {count - 1}"
        )
    return asked
