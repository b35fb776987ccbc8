"""The model that a training begins with, and what it says of the responses it learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import xarray as xr

from insilico.encoders.backbones import SOUND, TEXT, with_backbones
from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.mary_nano import weights_folder
from insilico.encoders.network import MaryNanoModel
from insilico.errors import ParameterError, SchemaError, listed
from insilico.spaces import fsaverage5
from insilico.training.document import Training

FRESH = ("tiny", "base")


def begin(training: Training, responses: list[xr.Dataset]) -> MaryNanoModel:
    """Return the model to train, with the units and the subject of the responses."""
    said = said_by(responses)
    torch.manual_seed(training.seed)
    if training.model not in FRESH:
        model = MaryNanoModel.from_pretrained(weights_folder(training.model))
        return _of_subject(model, training, said)
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
        config = replace(shipped.config, own_heads=(), own_attrs={}, note="", **own)
        model = MaryNanoModel(config, shipped.tokenizer)
    model.head.cortex.copy_(torch.from_numpy(cortex))
    return model


def said_by(responses: list[xr.Dataset]) -> dict[str, Any]:
    """Return units, source and hemodynamic offset of responses that agree in them."""
    said = {key: _one(responses, key) for key in ("units", "source")}
    offset = _one(responses, "hemodynamic_offset_s")
    try:
        return {**said, "hemodynamic_offset_s": float(offset)}
    except (TypeError, ValueError) as error:
        raise SchemaError(
            f"hemodynamic_offset_s must be a number of seconds: {offset!r}"
        ) from error


def _one(responses: list[xr.Dataset], key: str) -> Any:
    values = {response.attrs.get(key) for response in responses}
    if len(values) > 1 or None in values:
        raise SchemaError(f"responses of one training must agree in {key}; they have {values}")
    return values.pop()


def _of_subject(model: MaryNanoModel, training: Training, said: dict[str, Any]) -> MaryNanoModel:
    """Return a trained model that knows the subject: added to it, or in place of the first."""
    name, known = training.subject, model.config.subjects
    if training.learn == "head" and name in known:
        raise ParameterError(f"subject '{name}' is in these weights already: {listed(known)}")
    first = known.index(name) if name in known else 0
    said = {**said, "note": _origin(model.config.attrs_of(known[first]), said["source"])}
    if training.learn == "head":
        model = model.with_subject(name)
        own = {**model.config.own_attrs, name: said}
        model.config = replace(model.config, own_attrs=own)
        return model
    only: dict[str, Any] = {"subjects": (name,), "own_heads": (), "own_attrs": {}}
    again = MaryNanoModel(replace(model.config, **only, **said), model.tokenizer)
    state = {k: v for k, v in model.state_dict().items() if not k.startswith("own_heads")}
    state |= {f"head.{k}": v for k, v in model.head_of(first).state_dict().items()}
    state |= {k: state[k][first : first + 1] for k in ("gain.weight", "shift.weight")}
    again.load_state_dict(state)
    return again


def _origin(before: dict[str, Any], source: str) -> str:
    """Return what is known of the weights that were there before: whose responses they learned."""
    news = f"its training began with weights of '{before['source']}'"
    notes = [before["note"], news if before["source"] != source else ""]
    return "; ".join(filter(None, notes))


def note_for(model: MaryNanoModel, subject: str, note: str) -> None:
    """Add a note to what the model says of a subject's responses."""
    config = model.config
    before = config.attrs_of(subject)["note"]
    notes = before if note in before else "; ".join(filter(None, (before, note)))
    if subject in config.own_attrs:
        own = {**config.own_attrs, subject: {**config.own_attrs[subject], "note": notes}}
        model.config = replace(config, own_attrs=own)
    else:
        model.config = replace(config, note=notes)
