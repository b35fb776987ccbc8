"""What a protocol is: one chain, named changes to it, and what is asked of the results."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from insilico.step import NAME

Spec = dict[str, Any]
"""A step as a file names it: ``kind`` and parameters."""

ONWARD = ("captioner", "sound")
"""Sections of what is made of reconstructions, in this order."""
CHAIN = ("stimuli", "training", "recording", "encoder", "adapter", "decoder", *ONWARD)

Name = Annotated[str, Field(pattern=NAME)]


class Condition(BaseModel):
    """What a condition changes in the chain; `source: recording` decodes measured responses.

    `source: pattern` decodes one that no stimulus gave, see `insilico.protocol.patterns`.
    `variant` is what `stability` changed in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: Literal["encoder", "recording", "pattern"] = "encoder"
    stimuli: Spec | None = None
    recording: Spec | None = None
    encoder: Spec | None = None
    perturb: Spec | None = None
    adapter: Spec | None = None
    decoder: Spec | None = None
    captioner: Spec | None = None
    sound: Spec | None = None
    variant: str = ""


class Protocol(BaseModel):
    """A protocol, its preset merged into it.

    Attributes
    ----------
    title, seed
        `seed` is given to perturbations, decoders and statistics that name none of their own.
    stimuli, training : dict
        What is shown; what adapters and training means are fitted on (`adapter.pairs` of them).
    recording, encoder, adapter, decoder : dict
        The chain. Only what conditions and statistics need must be there.
    captioner, sound : dict
        What is made of the decoded pictures, and of their captions.
    bindings : dict
        Atlas names that stand for others: ``{yeo7: phantom7}``.
    conditions : dict
        Name to `Condition`; none where statistics ask of responses alone.
    stability : dict
        What the conditions are repeated over, see `insilico.protocol.stability`.
    scores, statistics, figures
        What is asked of the results.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: Annotated[str, Field(min_length=1)] = "Untitled"
    preset: str | None = None
    seed: Annotated[int, Field(ge=0, strict=True)] = 0
    stimuli: Spec
    training: Spec | None = None
    recording: Spec | None = None
    encoder: Spec | None = None
    adapter: Spec | None = None
    decoder: Spec | None = None
    captioner: Spec | None = None
    sound: Spec | None = None
    bindings: dict[str, str] = {}
    conditions: dict[Name, Condition] = {}
    stability: Spec | None = None
    scores: tuple[str | Spec, ...] = ()
    statistics: dict[Name, Spec] = {}
    figures: tuple[str | Spec, ...] = ()
