"""What a training file holds, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insilico.errors import ProtocolError
from insilico.protocol.document import read_document
from insilico.protocol.steps import complaints, told


class Part(BaseModel):
    """Stimuli of one modality, and the responses to them.

    Attributes
    ----------
    stimuli : mapping
        As in a protocol, such as ``{kind: images, path: pictures}``.
    response : path, optional
        File of a response on fsaverage5, by stimulus or in rows: NetCDF, or what
        `insilico.read_response` reads.
    order : {"lh,rh", "rh,lh"}, optional
        Which hemisphere comes first in an array, if NAME.response.json does not say it. Where there
        is no such file at all, item k of the array is the response to stimulus k.
    recording : mapping, optional
        In place of a file, a recording as in a protocol.
    share : float
        Weight of this part in the loss, and its share of a batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    stimuli: dict[str, Any]
    response: Path | None = None
    order: Literal["lh,rh", "rh,lh"] | None = None
    recording: dict[str, Any] | None = None
    share: float = Field(1.0, gt=0, le=1)


class Training(BaseModel):
    """What a training file holds.

    Attributes
    ----------
    parts : list of Part
    model : str
        What to begin with: ``tiny`` or ``base`` with random weights, ``phantom`` for the shipped
        weights, or a folder of weights.
    backbones : mapping
        For ``base``: published weights by stream (vision, sound, text).
    learn : {"all", "head"}
        Whether all weights learn, or a head of the subject's own is solved beside those that the
        model has.
    subject : str
        Whose responses these are.
    held_out : float
        Share of the stimuli on which the training is measured, and ended early; a stimulus id is
        held out from all parts or from none.
    steps, batch, lr, weight_decay, seed
        Of AdamW; its rate rises over 50 steps and falls over the second half.
    patience : int
        After how many reports without improvement the training ends.
    every : int
        Steps between reports and checkpoints.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    parts: list[Part] = Field(min_length=1)
    model: str = "tiny"
    backbones: dict[Literal["vision", "sound", "text"], str] = {}
    learn: Literal["all", "head"] = "all"
    subject: str = Field("average", pattern=r"^[A-Za-z0-9_-]+$")
    held_out: float = Field(0.1, gt=0, lt=1)
    steps: int = Field(1200, ge=1)
    batch: int = Field(48, ge=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    patience: int = Field(5, ge=1)
    every: int = Field(100, ge=1)
    seed: int = Field(0, ge=0)


def read_training(file: str | Path) -> Training:
    """Read a training file.

    Raises
    ------
    ProtocolError
        With file, line and key of what is wrong.
    """
    document = read_document(file)
    try:
        training = Training.model_validate(document.data)
    except ValidationError as error:
        loc, text = next(told(error, (), [*Training.model_fields, *Part.model_fields]))
        raise ProtocolError(f"{document.where(loc)}: {text}") from error
    for number, part in enumerate(training.parts):
        for loc, text in _wrong(part, ("parts", number)):
            raise ProtocolError(f"{document.where(loc)}: {text}")
    return training


def _wrong(part: Part, loc: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if (part.response is None) == (part.recording is None):
        yield loc, "give either a response (a file) or a recording"
    if part.order is not None and part.response is None:
        yield (*loc, "order"), "is of a response's file; leave it out"
    yield from complaints("stimuli", part.stimuli, (*loc, "stimuli"))
    if part.recording is not None:
        yield from complaints("recording", part.recording, (*loc, "recording"))
    if part.response is not None and not part.response.is_file():
        yield (*loc, "response"), f"{part.response}: no such file"
