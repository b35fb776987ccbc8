"""Whole published settings: all metrics of a paper's table under one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from insilico.errors import ParameterError, not_one_of

Spec = dict[str, Any]
Given = Mapping[str, Any]

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
_RETRIEVAL: tuple[Spec, ...] = tuple(
    {"kind": f"retrieval_{direction}", "form": form}
    for form in ("pools", "items")
    for direction in ("image_from_brain", "brain_from_image")
)
REGIONS = ("nsd_general", "V1", "V2", "V3", "V4", "higher_vis")
"""Masks of the published brain correlation."""


@dataclass(frozen=True)
class Setting:
    """One published table, or the phantom's stand-in for it.

    Attributes
    ----------
    specs : function
        Of what is given beside the name, to specs of scores.
    keys : tuple of str
        What may be given.
    """

    specs: Callable[[Given], list[Spec]]
    keys: tuple[str, ...] = ()


def _pictures(protocol: str) -> Callable[[Given], list[Spec]]:
    def specs(given: Given) -> list[Spec]:
        weights = {"weights": given["weights"]} if "weights" in given else {}
        seen = [{**one, **weights} for one in _NETWORKS]
        return [{**one, "protocol": protocol} for one in (*_PIXELS, *seen)]

    return specs


def _captions(given: Given) -> list[Spec]:
    """Return METEOR, ROUGE-1 and -L, Sentence, CLIP-B and CLIP-L, in three pairings each."""
    place = given.get("weights", "published")
    wordnet = {"wordnet": given["wordnet"]} if "wordnet" in given else {}
    inner = [
        {"kind": "meteor", **wordnet},
        {"kind": "rouge1"},
        {"kind": "rouge_l"},
        {"kind": "sentence_cosine", "weights": f"{place}/all-MiniLM-L6-v2"},
        {"kind": "clip_text_cosine", "weights": f"{place}/clip-vit-base-patch32"},
        {"kind": "clip_text_cosine", "weights": f"{place}/clip-vit-large-patch14"},
    ]
    return [{"kind": "caption_pairings", "of": one} for one in inner]


def _phantom_captions(given: Given) -> list[Spec]:
    named = ("meteor", "rouge1", "rouge_l", "phantom_text_cosine")
    return [{"kind": "caption_pairings", "of": {"kind": name}} for name in named]


def _retrieval(given: Given) -> list[Spec]:
    pictures = {"weights": "published", "preprocessing": "mindeye2", "through": 256}
    return [{**one, **pictures, **given} for one in _RETRIEVAL]


def _brain(given: Given) -> list[Spec]:
    place = given.get("weights", "published")
    files = {"weights": place, "masks": place}
    return [{"kind": "brain_correlation", **files, "regions": [*REGIONS], "through": 256}]


SETTINGS: dict[str, Setting] = {
    "mindeye2": Setting(_pictures("mindeye2"), ("weights",)),
    "mindeye2-captions": Setting(_captions, ("weights", "wordnet")),
    "mindeye2-retrieval": Setting(_retrieval, ("weights", "pool")),
    "mindeye2-brain": Setting(_brain, ("weights",)),
    "brain-diffuser": Setting(_pictures("brain-diffuser"), ("weights",)),
    "phantom": Setting(lambda given: [dict(one) for one in (*_PIXELS, *_PHANTOM)]),
    "phantom-captions": Setting(_phantom_captions),
    "phantom-retrieval": Setting(lambda given: [{**one, **given} for one in _RETRIEVAL], ("pool",)),
}
"""The phantom's have its own networks in the place of the published ones."""


def expanded(spec: str | Mapping[str, Any]) -> list[Spec]:
    """Return the specs that an entry of `scores` stands for.

    Parameters
    ----------
    spec : str or mapping
        A kind; a spec with its kind; or ``{protocol: mindeye2, weights: FOLDER}``, which stands
        for all metrics of that table.

    Raises
    ------
    ParameterError
        If there is no such setting, or it is given what it does not take.
    """
    if isinstance(spec, str):
        return [{"kind": spec}]
    if "kind" in spec or "protocol" not in spec:
        return [dict(spec)]
    name = spec["protocol"]
    if name not in SETTINGS:
        raise ParameterError(not_one_of("protocol", name, SETTINGS))
    setting, given = SETTINGS[name], {k: v for k, v in spec.items() if k != "protocol"}
    for key in given:
        if key not in setting.keys:
            raise ParameterError(not_one_of("key", key, ("protocol", *setting.keys)))
    return setting.specs(given)
