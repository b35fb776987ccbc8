"""What scores are called, what they are called with, and conditions that lack it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from insilico.protocol.document import Loc
from insilico.protocol.expand import changed
from insilico.protocol.model import Protocol
from insilico.protocol.steps import Complaint, build, called, complaints, kinds, takes

NEEDS = {
    "measured": ("recording", "measured responses: add 'recording', or a preset"),
    "captioned": ("captioner", "a captioner: add 'captioner', such as git"),
}
"""What a score may be called with besides reconstruction and stimuli, and the section behind it."""
PARTNERED = ("interpolate", "swap")
"""Perturbations whose responses name a partner of each stimulus."""


def names_of(score: str | dict[str, Any]) -> set[str]:
    """Return what statistics may call a score: its kind, and what its metric is called."""
    spec = {"kind": score} if isinstance(score, str) else score
    if "kind" not in spec or any(complaints("scores", spec, (), files=False)):
        return {str(spec.get("kind"))}
    return {str(spec["kind"]), called(build("scores", spec))}


def scored(protocol: Protocol, spec: dict[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield conditions that lack what a score is called with."""
    asked = takes(build("scores", spec)) if spec["kind"] in kinds("scores") else ()
    for what in asked:
        section, wanted = NEEDS.get(what, ("", ""))
        lacking = section and [
            name
            for name, condition in protocol.conditions.items()
            if not changed(protocol, condition, section)
        ]
        if lacking:
            yield loc, f"{spec['kind']} needs {wanted} (condition '{lacking[0]}' has none)"
    if "perturbed" in asked:
        for name, condition in protocol.conditions.items():
            met = (condition.perturb or {}).get("kind")
            if met not in PARTNERED:
                told = f"{spec['kind']} needs a partner of each stimulus in every condition"
                yield loc, f"{told}: perturb '{name}' by {' or '.join(PARTNERED)}; met {met}"
    for name in protocol.conditions:
        if complaint := _decoded(protocol, name, build("scores", spec)):
            yield loc, f"{spec['kind']} {complaint} (condition '{name}')"
            return


def _decoded(protocol: Protocol, name: str, score: Any) -> str:
    """Return what a score that reads the decoder's tokens, or a pool, lacks in a condition."""
    condition = protocol.conditions[name]
    stimuli, decoder = (changed(protocol, condition, part) for part in ("stimuli", "decoder"))
    kept, wanted = decoder.get("keep", ()), getattr(score, "keeps", None)
    if wanted is not None and not (isinstance(kept, list) and wanted in kept):
        return f"reads tokens that the decoder must keep: set decoder.keep: [{wanted}]"
    pool, n = getattr(score, "pool", None), stimuli.get("n")
    if pool is not None and isinstance(n, int) and n < pool:
        return f"has a pool of {pool}, and 'stimuli' shows {n}: show more, or set pool to {n}"
    return ""
