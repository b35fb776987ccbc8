"""Training of an encoder, as a file says it: which stimuli, which responses, from what, how long.

`insilico train encoder my_encoder.yaml --out my_encoder` reads one. Killed, it goes on where it
stood when it is called again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from insilico.course import Course
from insilico.encoders.backbones import SOUND, TEXT, with_backbones
from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.mary_nano import weights_folder
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.encoders.training import Lesson, learn, learn_head
from insilico.errors import ParameterError, ProtocolError, SchemaError, listed
from insilico.protocol.document import read_document
from insilico.protocol.steps import build, complaints, told
from insilico.schema import canonical, check, short_digest
from insilico.spaces import fsaverage5

NEARLY_S = 1e-3
FRESH = ("tiny", "base")
LOG = "training.log"


class Part(BaseModel):
    """Stimuli of one modality, and the responses to them.

    Attributes
    ----------
    stimuli : mapping
        As in a protocol, such as ``{kind: images, path: pictures}``.
    response : path, optional
        NetCDF file of a response on fsaverage5, by stimulus or in rows.
    recording : mapping, optional
        In place of a file, a recording as in a protocol.
    share : float
        Weight of this part in the loss, and its share of a batch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    stimuli: dict[str, Any]
    response: Path | None = None
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
        Share of the stimuli on which the training is measured, and ended early.
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
    yield from complaints("stimuli", part.stimuli, (*loc, "stimuli"))
    if part.recording is not None:
        yield from complaints("recording", part.recording, (*loc, "recording"))
    if part.response is not None and not part.response.is_file():
        yield (*loc, "response"), f"{part.response}: no such file"


def train_encoder(file: str | Path, out: str | Path, *, device: str = "cpu") -> Path:
    """Train a MARY-Nano as a file says, and write it to a folder.

    Parameters
    ----------
    file : path
    out : path
        Folder of the weights; it also holds ``training.log`` (JSON lines) and, until the training
        is done, its checkpoint.
    device : str
    """
    training, out = read_training(file), Path(out)
    given = [_given(part) for part in training.parts]
    model = _begin(training, [response for _, response in given]).to(device)
    subject = model.config.subjects.index(training.subject)
    lessons, held_out = _lessons(training, given, model)
    if training.learn == "head":
        learn_head(model, lessons, subject)
    else:
        course = _course(training, model, out)
        learn(
            model,
            lessons,
            course,
            subject=subject,
            held_out=held_out,
            batch=training.batch,
            every=training.every,
        )
    model.save_pretrained(out)
    for name in ("checkpoint.pt", "checkpoint.best"):
        (out / name).unlink(missing_ok=True)
    return out


def _course(training: Training, model: MaryNanoModel, out: Path) -> Course:
    """Return the course; a checkpoint of another training is refused."""
    out.mkdir(parents=True, exist_ok=True)
    asked, note = canonical(training.model_dump(mode="json")), out / "training.json"
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and note.exists() and note.read_text(encoding="utf-8") != asked:
        raise ParameterError(
            f"{out} holds a checkpoint of another training; remove {checkpoint} or name another "
            "folder with --out"
        )
    note.write_text(asked, encoding="utf-8")
    if not checkpoint.exists():
        (out / LOG).unlink(missing_ok=True)
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices},
        {"params": rest, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, training.lr, weight_decay=training.weight_decay)
    return Course(
        {"model": model},
        [optimizer],
        training.steps,
        checkpoint,
        training.seed,
        patience=training.patience,
        log=out / LOG,
    )


def _given(part: Part) -> tuple[xr.Dataset, xr.Dataset]:
    """Return stimuli and the responses to them."""
    stimuli = build("stimuli", part.stimuli)()
    if part.response is not None:
        with xr.open_dataset(part.response) as file:
            response = file.load()
    else:
        response = build("recording", part.recording or {})(stimuli)
    return stimuli, check(response, "response", space="fsaverage5", rows=True)


def _begin(training: Training, responses: list[xr.Dataset]) -> MaryNanoModel:
    """Return the model to train, with the units and the subject of the responses."""
    said = {
        key: _one(responses, key)
        for key in ("units", "source", "hemodynamic_offset_s")
        if any(key in response.attrs for response in responses)
    }
    torch.manual_seed(training.seed)
    if training.model not in FRESH:
        model = MaryNanoModel.from_pretrained(weights_folder(training.model))
        return _of_subject(model, training)
    if training.learn == "head":
        raise ParameterError(
            "learn: head needs a trained model: set model to 'phantom' or a folder"
        )
    cortex = ~fsaverage5.medial_wall()
    own = {"n_cortex": int(cortex.sum()), "subjects": (training.subject,), **said}
    if training.model == "base":
        names = {"sound": SOUND, "text": TEXT, **training.backbones}
        model = with_backbones(**names, config=replace(MaryNanoConfig(), **own))
    else:
        shipped = MaryNanoModel.from_pretrained(weights_folder("phantom"))
        model = MaryNanoModel(replace(shipped.config, own_heads=(), **own), shipped.tokenizer)
    model.head.cortex.copy_(torch.from_numpy(cortex))
    return model


def _of_subject(model: MaryNanoModel, training: Training) -> MaryNanoModel:
    """Return a trained model that knows the subject: added to it, or in place of the first."""
    name, known = training.subject, model.config.subjects
    if training.learn == "head":
        if name in known:
            raise ParameterError(f"subject '{name}' is in these weights already: {listed(known)}")
        return model.with_subject(name)
    again = MaryNanoModel(replace(model.config, subjects=(name,), own_heads=()), model.tokenizer)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("own_heads")}
    first = known.index(name) if name in known else 0
    state |= {f"head.{k}": v for k, v in model.head_of(first).state_dict().items()}
    state |= {k: state[k][first : first + 1] for k in ("gain.weight", "shift.weight")}
    again.load_state_dict(state)
    return again


def _one(responses: list[xr.Dataset], key: str) -> Any:
    values = {response.attrs.get(key) for response in responses}
    if len(values) > 1:
        raise SchemaError(f"responses of one training must agree in {key}; they have {values}")
    return values.pop()


def _lessons(
    training: Training, given: list[tuple[xr.Dataset, xr.Dataset]], model: MaryNanoModel
) -> tuple[list[Lesson], list[Lesson]]:
    """Return lessons and what is held out of them, stimulus by stimulus."""
    lessons: list[Lesson] = []
    held_out: list[Lesson] = []
    for part, (stimuli, response) in zip(training.parts, given, strict=True):
        n = stimuli.sizes["stimulus"]
        word = short_digest(training.seed, list(map(str, stimuli["stimulus"].values)))
        order = np.random.default_rng(int(word, 16)).permutation(n)
        cut = max(1, round(training.held_out * n))
        if cut >= n:
            raise ParameterError(f"{n} stimuli are too few to hold out {training.held_out:g}")
        for rows, where in ((order[cut:], lessons), (order[:cut], held_out)):
            some = stimuli.isel(stimulus=np.sort(rows))
            shown = Presentation(some, model.config, model.tokenizer)
            where.append(as_lesson(shown, response, model.head.cortex.cpu().numpy(), part.share))
    return lessons, held_out


def as_lesson(
    shown: Presentation, response: xr.Dataset, cortex: np.ndarray, share: float = 1.0
) -> Lesson:
    """Match responses to stimuli, by label.

    Parameters
    ----------
    shown : Presentation
    response : response
        By stimulus: of the mean over its rows. In rows: `timeline` is the stimulus, and `time` the
        start of the row in seconds from the stimulus' onset; its offset is already in it.
    cortex : bool, (vertices,)
    share : float

    Raises
    ------
    SchemaError
        If a stimulus has no response, or a row stands where the model has none.
    """
    ids = shown.stimuli["stimulus"].values.astype(str)
    labels = response["timeline" if "row" in response.dims else "stimulus"].values.astype(str)
    missing = set(ids) - set(labels)
    if missing:
        raise SchemaError(f"no response to {listed(sorted(missing), 3)} ({len(missing)} stimuli)")
    chosen = np.flatnonzero(np.isin(labels, ids))
    bold = response["bold"].values[..., chosen, :][..., cortex]
    if bold.ndim != 2:
        raise SchemaError(f"one response a stimulus is needed; bold has {response['bold'].dims}")
    number = {name: k for k, name in enumerate(ids)}
    stimulus = np.array([number[name] for name in labels[chosen]])
    if "row" not in response.dims:
        return Lesson.of_means(shown, bold[np.argsort(stimulus)], share)
    at = np.full((len(ids), max(2, int(shown.rows.max()))), -1)
    at[stimulus, _rows(shown, response["time"].values[chosen], stimulus)] = np.arange(len(chosen))
    return Lesson(shown, bold, at, share)


def _rows(shown: Presentation, time: np.ndarray, stimulus: np.ndarray) -> np.ndarray:
    """Return the number of the row that stands at each time."""
    tr_s = shown.config.tr_s
    rows = np.round(time / tr_s).astype(int)
    odd = np.abs(rows * tr_s - time) > NEARLY_S
    odd |= (rows < 0) | (rows >= shown.rows[stimulus])
    if odd.any():
        first = np.flatnonzero(odd)[0]
        name = shown.stimuli["stimulus"].values[stimulus[first]]
        raise SchemaError(
            f"row at {time[first]:g} s of timeline '{name}': the model has rows every {tr_s:g} s "
            f"from 0 to {(shown.rows[stimulus[first]] - 1) * tr_s:g} s"
        )
    return rows
