"""Training of an encoder, as a file says it: which stimuli, which responses, from what, how long.

`insilico train encoder my_encoder.yaml --out my_encoder` reads one. Killed, it goes on where it
stood when it is called again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from insilico.course import Course
from insilico.encoders.mary_nano import weights_folder
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.training import Lesson, learn, learn_head
from insilico.errors import ParameterError
from insilico.training.beginning import FRESH, begin, note_for
from insilico.training.document import Training, read_training
from insilico.training.folder import Place, key_of
from insilico.training.given import given_by
from insilico.training.lessons import lessons_of, unknown_words


def train_encoder(
    file: str | Path, out: str | Path, *, device: str = "cpu", overwrite: bool = False
) -> Path:
    """Train a MARY-Nano as a file says, and write it to a folder.

    Parameters
    ----------
    file : path
    out : path
        Folder of the weights; it also holds ``training.log`` (JSON lines) and, until the training
        is done, its checkpoint. Called again, a training that is done is left as it is.
    device : str
    overwrite : bool
        Let it take the place of another training.
    """
    training, place = read_training(file), Place(Path(out))
    if training.model not in FRESH and _same(weights_folder(training.model), place.path):
        raise ParameterError(f"model and --out are both {out}; name another folder with --out")
    given = [given_by(part) for part in training.parts]
    model = begin(training, [response for _, response in given]).to(device)
    lessons, held_out = lessons_of(training, given, model)
    if note := unknown_words([*lessons, *held_out]):
        print(f"warning: {note}; model: base has a tokenizer of any word", file=sys.stderr)
        note_for(model, training.subject, note)
    with place.alone():
        if not place.begin(key_of(training, given), overwrite=overwrite):
            _train(training, place, model, lessons, held_out)
    return place.path


def _train(
    training: Training,
    place: Place,
    model: MaryNanoModel,
    lessons: list[Lesson],
    held_out: list[Lesson],
) -> None:
    """Teach the model its lessons and write its weights."""
    subject = model.config.subjects.index(training.subject)
    if training.learn == "head":
        learn_head(model, lessons, subject)
    else:
        learn(
            model,
            lessons,
            _course(training, model, place),
            subject=subject,
            held_out=held_out,
            batch=training.batch,
            every=training.every,
        )
    model.save_pretrained(place.path)
    place.finish()


def _same(weights: Path, out: Path) -> bool:
    return weights.resolve() == out.expanduser().resolve()


def _course(training: Training, model: MaryNanoModel, place: Place) -> Course:
    """Return the course, at the checkpoint if there is one."""
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
        place.checkpoint,
        training.seed,
        patience=training.patience,
        log=place.log,
    )
