"""Scores in Python: decoded pictures and words against what was shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr

from insilico.errors import ProtocolError
from insilico.job import carried
from insilico.protocol.document import Loc
from insilico.protocol.join import side_by_side
from insilico.protocol.steps import build, complaints, takes
from insilico.scores.settings import expanded

NEEDED = {
    "measured": "the measured response to the same stimuli: measured=chain.record(stimuli)",
    "captioned": "the captioner's words on the stimuli: captioned=chain.caption(stimuli)",
    "perturbed": "the response that was decoded, with its partners: perturbed=response",
}
"""What some scores are called with, besides reconstruction and stimuli."""


def score(
    reconstruction: xr.Dataset,
    stimuli: xr.Dataset,
    metrics: Iterable[str | Mapping[str, Any]],
    *,
    measured: xr.Dataset | None = None,
    captioned: xr.Dataset | None = None,
    perturbed: xr.Dataset | None = None,
) -> xr.Dataset:
    """Score reconstructions against what was shown.

    Parameters
    ----------
    reconstruction : reconstruction
    stimuli : stimuli
    metrics : list of str or dict
        Kinds of scores, such as ``["pixcorr", "clip_cosine"]``, or a paper's:
        ``[{"protocol": "mindeye2", "weights": folder}]``.
    measured : response, optional
        To the same stimuli, in voxels; `brain_correlation` needs it.
    captioned : reconstruction, optional
        Of `Chain.caption`; `caption_pairings` needs it.
    perturbed : response, optional
        As `interpolate` or `swap` made it; `to_partner` needs it.

    Returns
    -------
    score, (stimulus, draw, metric); scores of sets beside them, as `set_value`

    Raises
    ------
    ProtocolError
        That names every unknown score or parameter, every file that is missing and every input
        that is not given; and what could be computed.
    """
    metrics = [metrics] if isinstance(metrics, (str, Mapping)) else list(metrics)
    specs = [spec for one in metrics for spec in expanded(one)]
    given: dict[str, Any] = {"reconstruction": reconstruction, "stimuli": stimuli}
    given |= {"measured": measured, "captioned": captioned, "perturbed": perturbed}
    _require_all(specs, given)
    steps = [build("scores", spec) for spec in specs]
    made = [step(*(given[name] for name in takes(step))) for step in steps]
    return side_by_side([carried(one, reconstruction) for one in made])


def _whose(spec: Mapping[str, Any], loc: Loc, message: str) -> str:
    """Return a complaint with the score, and the parameter, that it is about."""
    kind = str(spec.get("kind", ""))
    return (
        message
        if not kind or kind in message
        else f"{'.'.join([kind, *map(str, loc[1:])])}: {message}"
    )


def _require_all(specs: list[dict[str, Any]], given: Mapping[str, Any]) -> None:
    """Raise unless every score can be computed: name all that is wrong, and what could be."""
    wrong: list[str] = []
    right = []
    for spec in specs:
        found = [_whose(spec, *one) for one in complaints("scores", spec, ("scores",))]
        if not found:
            step = build("scores", spec)
            lacking = [name for name in takes(step) if given[name] is None]
            found = [f"{step.kind} needs {NEEDED[name]}" for name in lacking]
        wrong += found
        right += [] if found else [spec if len(spec) > 1 else spec["kind"]]
    if not wrong:
        return
    if len(specs) == 1:
        raise ProtocolError("; ".join(wrong))
    could = f"what could be computed: {right}" if right else "none of the others can be computed"
    raise ProtocolError("\n".join([*dict.fromkeys(wrong), could]))
