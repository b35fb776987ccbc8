"""Sizes and units of a MARY-Nano, and the file that tells them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from insilico.encoders.slowfast import SlowFastConfig
from insilico.errors import WeightsError
from insilico.spaces.timeline import WORD_S

CONFIG = "config.json"


@dataclass(frozen=True)
class MaryNanoConfig:
    """Sizes and units of a MARY-Nano; the defaults are the full-size one.

    Attributes
    ----------
    vision : SlowFastConfig
    sound, text : dict
        What differs from `transformers.Wav2Vec2Config` and `transformers.GPT2Config`, whose
        defaults are wav2vec2-base and the small GPT-2.
    sound_window_s, word_s : float
        Length of the pieces in which sounds are heard; seconds for which a word is read.
    width, rank : int
        Fused features; rank of the cortical head.
    directions : int
        Directions of the fused features that count as hardly used in training: those along which
        the training features vary least; see `MaryNanoModel.remoteness`.
    subjects : tuple of str
        One embedding each; ``"average"`` is the first.
    own_heads : tuple of str
        Subjects that have a cortical head of their own; all others share one.
    n_vertices, n_cortex : int
        Vertices of the surface, and those that are not medial wall.
    tr_s, hemodynamic_offset_s : float
        Seconds between rows; seconds by which a row's response follows its stimulus.
    units, source : str
        What a response of this model is measured in, and where it comes from.
    note : str
        What whoever reads a response must know of the training.
    own_attrs : dict
        Units, offset, source and note of subjects whose responses differ in them, by subject.
    """

    vision: SlowFastConfig = field(default_factory=SlowFastConfig)
    sound: dict[str, Any] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)
    sound_window_s: float = 20.0
    word_s: float = WORD_S
    width: int = 1024
    rank: int = 512
    directions: int = 96
    subjects: tuple[str, ...] = ("average",)
    own_heads: tuple[str, ...] = ()
    n_vertices: int = 20484
    n_cortex: int = 20484
    tr_s: float = 1.0
    hemodynamic_offset_s: float = 0.0
    units: str = "session z"
    source: str = "MARY-Nano"
    note: str = ""
    own_attrs: dict[str, dict[str, Any]] = field(default_factory=dict)

    def attrs_of(self, subject: str) -> dict[str, Any]:
        """Return what is said of a subject's responses: units, offset, source and note."""
        keys = ("units", "hemodynamic_offset_s", "source", "note")
        return {key: getattr(self, key) for key in keys} | self.own_attrs.get(subject, {})


def write_config(config: MaryNanoConfig, folder: Path) -> None:
    """Write config.json into a folder."""
    text = json.dumps({"model_type": "mary_nano", **asdict(config)}, indent=2)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def read_config(file: Path) -> MaryNanoConfig:
    """Read config.json."""
    if not file.is_file():
        raise WeightsError(
            f"{file}: no such file; a folder with {CONFIG} and model.safetensors is needed, "
            "or 'phantom'"
        )
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
        name = given.pop("model_type", None)
        if name != "mary_nano":
            raise WeightsError(f"{file}: model_type is {name!r}; 'mary_nano' is needed")
        vision = SlowFastConfig(**_tuples(given["vision"]))
        return MaryNanoConfig(**{**_tuples(given), "vision": vision})
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise WeightsError(f"{file}: not the config of a MARY-Nano: {error}") from error


def _tuples(given: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
