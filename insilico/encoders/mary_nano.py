"""The step MARY-Nano: pictures, texts, sounds and films in, the cortex of a subject out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from string import punctuation
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
import xarray as xr
from pydantic import Field, model_validator
from torch import Tensor

from insilico.encoders.config import CONFIG, MaryNanoConfig, read_config
from insilico.encoders.network import TOKENIZER, WEIGHTS, MaryNanoModel
from insilico.encoders.presentation import (
    ALONE,
    Presentation,
    Shown,
    Stream,
    framed,
    nothing_left,
    silenced,
)
from insilico.errors import ParameterError, WeightsError, listed, not_one_of
from insilico.schema import check, short_digest
from insilico.spaces import fsaverage5
from insilico.spaces.timeline import IMAGE_S, rows
from insilico.step import Step, device
from insilico.weights.alone import granted, need, taken
from insilico.weights.memory import Need
from insilico.weights.shelf import kept

ROWS_AT_ONCE = 64
HELD = "encoder"
FAR = 2.6
"""Standard deviations beyond which a picture counts as of another world: 2 in 100 new scenes do."""
SILENT = (
    "A lesion here silences the encoder's stream of {}: every vertex is predicted without it, as "
    "where that modality is absent."
)
PLURALS = {"image": "images", "text": "texts", "sound": "sounds", "film": "films"}


def weights_folder(weights: str) -> Path:
    """Return the folder of the weights: a path, or ``"phantom"`` for those shipped."""
    if weights == "phantom":
        return Path(str(files("insilico.phantom"))) / "weights" / "mary_nano"
    return Path(weights).expanduser()


def weights_digest(folder: Path) -> str:
    """Return a digest of config, weights and tokenizer."""
    names = [CONFIG, WEIGHTS, *([TOKENIZER] if (folder / TOKENIZER).exists() else [])]
    try:
        return short_digest(*((folder / name).read_bytes() for name in names))
    except OSError as error:
        raise WeightsError(f"{folder}: weights of MARY-Nano cannot be read: {error}") from error


@kept(HELD, 2)
def _loaded(folder: Path, digest: str, where: str) -> MaryNanoModel:
    return MaryNanoModel.from_pretrained(folder).to(where)


class MaryNano(Step):
    """Encode pictures, texts, sounds or films into the responses of a subject's cortex.

    What is shown is the stimuli's `modality`. Rows stand one TR apart from the start of a stimulus
    to its end; an image is shown for one second and a word read for 0.3 s. The rows' hemodynamic
    offset is recorded in the attributes and not applied.

    Attributes
    ----------
    weights : str
        Folder of a trained MARY-Nano, or ``"phantom"``.
    subject : str
        ``"average"`` or a subject that the weights know.
    tr_s : float
        Seconds between rows; must be the weights' own.
    rows : {"mean", "keep"}
        Whether the response of a stimulus is the mean over its rows, or all of them
        (``row × vertex`` with coordinates timeline and time).
    without : tuple of {"vision", "sound", "text"}
        Streams that are silenced: a lesion on the side of the stimulus, after which the network
        predicts every vertex as if this were absent (as a text has no picture).
    """

    kind: ClassVar[str] = "mary_nano"
    version: ClassVar[int] = 3
    weights: str = "phantom"
    subject: str = "average"
    tr_s: float = Field(default=1.0, gt=0)
    rows: Literal["mean", "keep"] = "mean"
    without: tuple[Stream, ...] = ()

    @model_validator(mode="after")
    def _something_is_left(self) -> MaryNano:
        if not set(get_args(Stream)) - {*self.without}:
            raise ValueError("without all of its streams an encoder has no input: silence fewer")
        return self

    def digests(self) -> dict[str, str]:
        """Return the digest of the weights."""
        return {"weights": weights_digest(weights_folder(self.weights))}

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little for the network and a picture."""
        config = read_config(weights_folder(self.weights) / CONFIG)
        granted(lambda: picture_need(config))

    def require(self, *given: xr.Dataset) -> None:
        """Raise if stimuli have no other stream than those that are silenced."""
        modality = str(given[0].attrs.get("modality"))
        if ALONE.get(modality) in self.without:
            raise ParameterError(nothing_left(self.without, modality))

    def model(self) -> MaryNanoModel:
        """Return the network on the current device."""
        folder = weights_folder(self.weights)
        return _loaded(folder, weights_digest(folder), device())

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the response on fsaverage5 to what the stimuli's `modality` presents."""
        model = self.model()
        shown = Presentation(stimuli, model.config, model.tokenizer)
        subject = self._subject(model.config)
        found = _responses(model, shown, subject, self.without, keep=self.rows == "keep")
        attrs = self._attrs(model.config)
        said = [attrs.pop("note")]
        if not model.taught(shown.modality):
            said.append(f"these weights were never taught {PLURALS[shown.modality]}")
        said.append(_idle(self.without, shown))
        attrs |= _notes(shown, found.remoteness, said)
        ids = stimuli["stimulus"].values
        if self.rows == "keep":
            return _in_rows(found.bold, np.repeat(ids, shown.rows), shown, attrs)
        if len(counts := np.unique(shown.rows)) == 1:
            attrs["rows_averaged"] = int(counts[0])
        return fsaverage5.response(found.bold, ids, **attrs)

    def side(self) -> int:
        """Return the side in pixels at which the network sees a picture."""
        return self.model().config.vision.side

    def answering(self, weight: np.ndarray) -> Callable[[Tensor], Tensor]:
        """Return what takes pictures to weighted sums of their responses, with gradients.

        Parameters
        ----------
        weight : (20484,)

        Returns
        -------
        function
            Of floating tensors (n, 3, y, x), square, 0 to 1; returns (n,).
        """
        model = self.model()
        subject, weights = self._subject(model.config), torch.from_numpy(weight).to(device())
        n_rows = rows(IMAGE_S, self.tr_s)

        def answer(pictures: Tensor) -> Tensor:
            film = framed(255 * pictures, model.config.vision)[:, None]
            shown = silenced(Shown(n_rows, film=film, rate_hz=1 / IMAGE_S), self.without)
            return model.predict(model.fused(shown).mean(1), subject) @ weights

        return answer

    def _subject(self, config: MaryNanoConfig) -> int:
        if self.subject not in config.subjects:
            raise ParameterError(not_one_of("subject of MARY-Nano", self.subject, config.subjects))
        if self.tr_s != config.tr_s:
            raise ParameterError(f"mary_nano.tr_s is {self.tr_s}; these weights have {config.tr_s}")
        return config.subjects.index(self.subject)

    def _attrs(self, config: MaryNanoConfig) -> dict[str, Any]:
        return {
            **config.attrs_of(self.subject),
            "subject": self.subject,
            "encoder": self.kind,
            "weights": self.digests()["weights"],
            "tr_s": self.tr_s,
            **({"lesion": SILENT.format(listed(self.without))} if self.without else {}),
        }


@dataclass
class Found:
    """Responses of stimuli, or of their rows, in order, and the stimuli's remoteness."""

    bold: np.ndarray
    remoteness: np.ndarray


@torch.inference_mode()
def _responses(
    model: MaryNanoModel, shown: Presentation, subject: int, without: Collection[str], keep: bool
) -> Found:
    """Encode batch by batch; besides one batch, only the responses are held."""
    n, rows = len(shown), shown.rows if keep else np.ones(len(shown), int)
    bold = np.empty((rows.sum(), model.config.n_vertices), np.float32)
    first, found = np.cumsum(rows) - rows, Found(bold, np.zeros(n, np.float32))
    longest = np.array([shown.rows.argmax()])
    most = taken(HELD, lambda: needed(model.config, shown.shown(longest)))
    for numbers, batch in shown.batches(ROWS_AT_ONCE, most=most):
        fused = model.fused(silenced(batch, without).to(device()))
        found.remoteness[numbers] = model.remoteness(fused.mean(1), shown.modality).cpu().numpy()
        fused = fused if keep else fused.mean(1, keepdim=True)
        made = model.predict(fused, subject).cpu().numpy()
        bold[first[numbers][:, None] + np.arange(made.shape[1])] = made
    return found


def needed(config: MaryNanoConfig, shown: Shown) -> Need:
    """Return what the network needs for stimuli like one that is shown.

    Texts are counted as silent films of their length, which take more.
    """
    shown = _film(config, shown.rows) if shown.modality == "text" else shown
    with torch.device("meta"):
        model = MaryNanoModel(config).eval()
    one = {k: v.to("meta") for k, v in vars(shown).items() if isinstance(v, torch.Tensor)}

    def call(n: int) -> object:
        parts: dict[str, Any] = {k: v.expand(n, *v.shape[1:]).clone() for k, v in one.items()}
        return model.predict(model.fused(replace(shown, **parts)))

    return need(HELD, model, call, max(1, ROWS_AT_ONCE // shown.rows))


def picture_need(config: MaryNanoConfig) -> Need:
    """Return what the network needs for pictures."""
    return needed(config, _film(config, 1))


def _film(config: MaryNanoConfig, rows: int) -> Shown:
    side = config.vision.side
    return Shown(rows, film=torch.empty(1, rows, 3, side, side, device="meta"))


def _idle(without: Collection[str], shown: Presentation) -> str:
    """Say which of the silenced streams have nothing of what is shown; nothing where all have."""
    film = ("vision", *(["sound"] if "sound" in shown.stimuli else []))
    taken = (ALONE[shown.modality],) if shown.modality in ALONE else film
    idle = [name for name in without if name not in taken]
    what = f"{PLURALS[shown.modality]} have nothing for it, so that nothing is lost"
    return f"without {listed(idle)}: {what}" if idle else ""


def _notes(shown: Presentation, remoteness: np.ndarray, said: Sequence[str]) -> dict[str, str]:
    """Say what of the stimuli lies outside the training world, after what the weights say."""
    notes, what = [note for note in said if note], PLURALS[shown.modality]
    if far := int((remoteness > FAR).sum()):
        notes.append(
            f"{far} of {len(shown)} {what} lie more than {FAR:g} SD "
            f"outside what the encoder was trained on (largest {remoteness.max():.1f})"
        )
    if unknown := shown.unknown_words():
        notes.append(f"{len(unknown)} words are unknown to the encoder: {listed(unknown, 5)}")
    modality = {} if shown.modality == "image" else {"modality": shown.modality}
    return {**modality, **({"note": "; ".join(notes)} if notes else {})}


def _in_rows(
    bold: np.ndarray, timeline: np.ndarray, shown: Presentation, attrs: dict[str, Any]
) -> xr.Dataset:
    """Return a response in rows, each with its timeline and its time in seconds."""
    time = np.concatenate([np.arange(n) * shown.config.tr_s for n in shown.rows])
    response = xr.Dataset(
        {"bold": (("row", "vertex"), bold)},
        coords={
            "timeline": ("row", timeline),
            "time": ("row", time),
            **fsaverage5.coordinates(),
        },
        attrs={"space": "fsaverage5", **attrs},
    )
    return check(response, "response", rows=True)


def distance_from_training(
    shown: xr.Dataset | np.ndarray | Sequence[np.ndarray], *, weights: str = "phantom"
) -> np.ndarray:
    """Return how far stimuli lie from those that MARY-Nano was trained on.

    Parameters
    ----------
    shown : stimuli, or uint8 (n, height, width, 3)
        Or a list of pictures of unequal sizes, (height, width, 3) each.
    weights : str
        Folder of a trained MARY-Nano, or ``"phantom"``.

    Returns
    -------
    float32, (n,)
        In standard deviations among new scenes of the phantom, see `MaryNanoModel.remoteness`:
        beyond `FAR` the stimulus is of another world; NaN where its modality was not taught, or
        too few stimuli were held out to tell.
    """
    model = MaryNano(weights=weights).model()
    if isinstance(shown, xr.Dataset):
        return _distances(model, shown)
    alike = [shown] if isinstance(shown, np.ndarray) else [one[None] for one in shown]
    return np.concatenate([_distances(model, _pictures(np.asarray(some))) for some in alike])


@torch.inference_mode()
def _distances(model: MaryNanoModel, stimuli: xr.Dataset) -> np.ndarray:
    shown = Presentation(stimuli, model.config, model.tokenizer)
    found = np.full(len(shown), np.nan, np.float32)
    for numbers, batch in shown.batches(ROWS_AT_ONCE):
        fused = model.fused(batch.to(device())).mean(1)
        found[numbers] = model.remoteness(fused, shown.modality).cpu().numpy()
    return found


def _pictures(images: np.ndarray) -> xr.Dataset:
    ids = [str(k) for k in range(len(images))]
    pixels = (("stimulus", "y_pixel", "x_pixel", "rgb"), images)
    coords = {"stimulus": ids, "split": ("stimulus", ids)}
    return xr.Dataset({"image": pixels}, coords, {"source": "given"})


def words_of(stimuli: xr.Dataset, *, weights: str = "phantom") -> tuple[list[str], list[str]]:
    """Return which words of texts MARY-Nano does not know, and all that it knows.

    Each stands once, without the punctuation around it. A tokenizer that can spell any word knows
    them all: both lists are empty then.

    Parameters
    ----------
    stimuli : stimuli
    weights : str
        Folder of a trained MARY-Nano, or ``"phantom"``.
    """
    model = MaryNano(weights=weights).model()
    unknown = Presentation(stimuli, model.config, model.tokenizer).unknown_words()
    unknown = [word.strip(punctuation) or word for word in unknown]
    if model.tokenizer is None or model.tokenizer.token_to_id("<unk>") is None:
        return [], []
    known = [word for word in sorted(model.tokenizer.get_vocab()) if not word.startswith("<")]
    return list(dict.fromkeys(unknown)), known
