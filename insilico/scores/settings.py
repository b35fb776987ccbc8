"""Whole published settings: all metrics of a paper under one name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insilico.errors import ParameterError, not_one_of

Spec = dict[str, Any]

_PIXELS: tuple[Spec, ...] = ({"kind": "pixcorr"}, {"kind": "ssim"})
_NETWORKS: tuple[Spec, ...] = (
    {"kind": "two_way", "features": "alexnet2"},
    {"kind": "two_way", "features": "alexnet5"},
    {"kind": "two_way", "features": "inception"},
    {"kind": "two_way", "features": "clip_l14"},
    {"kind": "distance", "features": "efficientnet_b1"},
    {"kind": "distance", "features": "swav"},
)
_PHANTOM: tuple[Spec, ...] = (
    {"kind": "two_way", "features": "phantom_early"},
    {"kind": "two_way", "features": "phantom_late"},
    {"kind": "clip_two_way"},
    {"kind": "distance", "features": "phantom_late"},
)
SETTINGS: dict[str, tuple[Spec, ...]] = {
    "mindeye2": tuple({**spec, "protocol": "mindeye2"} for spec in (*_PIXELS, *_NETWORKS)),
    "brain-diffuser": tuple(
        {**spec, "protocol": "brain-diffuser"} for spec in (*_PIXELS, *_NETWORKS)
    ),
    "phantom": (*_PIXELS, *_PHANTOM),
}
"""Name to specs. That of the phantom has its own nets in the place of the published ones."""


def expanded(spec: str | Mapping[str, Any]) -> list[Spec]:
    """Return the specs that an entry of `scores` stands for.

    Parameters
    ----------
    spec : str or mapping
        A kind; a spec with its kind; or ``{protocol: mindeye2, weights: FOLDER}``, which stands
        for all metrics of that paper.

    Raises
    ------
    ParameterError
        If there is no such setting, or it is given more than `weights`.
    """
    if isinstance(spec, str):
        return [{"kind": spec}]
    if "kind" in spec or "protocol" not in spec:
        return [dict(spec)]
    name = spec["protocol"]
    if name not in SETTINGS:
        raise ParameterError(not_one_of("protocol", name, SETTINGS))
    for key in spec:
        if key not in ("protocol", "weights"):
            raise ParameterError(not_one_of("key", key, ("protocol", "weights")))
    weights = {"weights": spec["weights"]} if "weights" in spec else {}
    return [{**one, **(weights if one["kind"] in WEIGHED else {})} for one in SETTINGS[name]]


WEIGHED = ("two_way", "distance")
"""Kinds of published settings that look through a network."""
