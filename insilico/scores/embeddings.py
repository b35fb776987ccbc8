"""Scores on features of networks: identification, distance, cosine.

What is looked at is named by `features`; on the phantom that is a CLIP which has never made a
decoder's target, and a small convolutional net.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import AfterValidator, Field

from insilico.errors import SchemaError
from insilico.scores.features import Features, features
from insilico.scores.preparation import Setting
from insilico.scores.readers import HELD, ROWS, Reader, needed, reader
from insilico.scores.score import Score, drawn, n_way, top1, two_way
from insilico.scores.similarity import matched, similarities
from insilico.step import batches
from insilico.weights.alone import granted, taken
from insilico.weights.memory import Need


def known(name: str) -> str:
    """Return the name of features that there are."""
    features(name)
    return name


FeatureName = Annotated[str, AfterValidator(known)]


def embedded(images: np.ndarray, read: Reader, most: int | None = None) -> np.ndarray:
    """Return features of pictures (n, y, x, rgb): float32 (n, p); `most` fit into memory."""
    parts = batches(images, most or ROWS, "embed", most)
    return np.concatenate([read(np.stack(part)) for part in parts])


class FeatureScore(Score):
    """Base of scores that look at features.

    Parameters
    ----------
    features : str
        Such as ``alexnet2``; `insilico.scores.features.FEATURES` lists them.
    weights : str, optional
        The published file, or a folder that holds it under its name: by default the folder of
        published weights (``INSILICO_WEIGHTS``), and for the phantom's nets those that ship.
    protocol : {"mindeye2", "brain-diffuser"}, optional
        Whose setting: how pictures are prepared, and the rule for ties. Without it pictures are
        prepared as MindEye2 does, and ties get half credit.
    """

    features: FeatureName
    weights: str | None = None
    protocol: Setting | None = None

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the features and the setting."""
        return self.called(), self.defined()

    def called(self) -> str:
        """Return the features, the kind, and the setting."""
        return f"{self.features}_{self.kind}" + (f"@{self.protocol}" if self.protocol else "")

    def digests(self) -> dict[str, str]:
        """Return the digest of the network's weights."""
        return {"weights": self._about.digest(self._path())}

    def defined(self) -> str:
        """Return the definition, the features and the setting."""
        own = "pictures as MindEye2" if self._about.published else "pictures as it was trained"
        whose = f"as {self.protocol}" if self.protocol else own
        return f"{self.definition}; {self._about.about}; {whose}"

    @property
    def _about(self) -> Features:
        return features(self.features)

    def _path(self) -> Any:
        return self._about.path(self.label, self.weights, self.protocol)

    def _need(self) -> Need:
        return needed(self._about, self._path(), self.protocol)

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little."""
        granted(self._need)

    def room(self) -> int | None:
        """Return how many pictures fit into memory together, and let other networks go."""
        return taken(HELD, self._need)

    def reader(self) -> Reader:
        """Return what turns pictures into features."""
        return reader(self._about, self._path(), self.protocol)


class Matched(FeatureScore):
    """Base of scores that compare a picture with its own reconstruction alone."""

    centred: ClassVar[bool]

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return the similarity of each item, and the mean over mismatched pairs."""
        shown, made = stimuli["image"].values, drawn(reconstruction)
        most, read = self.room(), self.reader()
        return matched(shown, made, read, most or ROWS, centred=self.centred)


class Cosine(Matched):
    """Cosine of the features of a picture and its reconstruction."""

    kind: ClassVar[str] = "cosine"
    definition: ClassVar[str] = "cosine of the features of a picture and its reconstruction"
    centred: ClassVar[bool] = False


class Distance(Matched):
    """Correlation distance of the features of a picture and its reconstruction."""

    kind: ClassVar[str] = "distance"
    definition: ClassVar[str] = "1 - Pearson r of the features of a picture and its reconstruction"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    centred: ClassVar[bool] = True

    def scored(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> tuple[np.ndarray, float]:
        """Return the distance of each item, and the mean over mismatched pairs."""
        own, mismatched = super().scored(stimuli, reconstruction)
        return 1 - own, 1 - mismatched


class Identification(FeatureScore):
    """Base of scores that ask which stimulus a reconstruction resembles most.

    Parameters
    ----------
    features, weights, protocol
        See `FeatureScore`.
    by : {"pearson", "cosine"}
        Similarity.
    ties : {"half", "strict"}, optional
        Equal candidates share the credit, or a tie is lost as in the published scripts; the
        default with a `protocol`.
    among : {"stimuli", "reconstructions"}
        Candidates: which stimulus does this reconstruction resemble, as published, or which
        reconstruction does this stimulus.
    """

    by: Literal["pearson", "cosine"] = "pearson"
    ties: Literal["half", "strict"] | None = None
    among: Literal["stimuli", "reconstructions"] = "stimuli"

    @property
    def strict(self) -> bool:
        """Whether a tie is lost."""
        return (self.ties or ("strict" if self.protocol else "half")) == "strict"

    def defined(self) -> str:
        """Return the definition, the features, the setting, the rule for ties."""
        ties = "ties are lost" if self.strict else "ties share the credit"
        return f"{super().defined()}; by {self.by}, among {self.among}, {ties}"

    def similarity(self, stimuli: xr.Dataset, reconstruction: xr.Dataset) -> np.ndarray:
        """Return every pair's similarity, (draw, candidate, item)."""
        if stimuli.sizes["stimulus"] < 2:
            raise SchemaError(f"{self.label}: at least two stimuli are needed, there is one")
        most, read, centred = self.room(), self.reader(), self.by == "pearson"
        shown = embedded(stimuli["image"].values, read, most)
        found = []
        for draw in drawn(reconstruction):
            parts = (read(np.stack(part)) for part in batches(draw, most or ROWS, "embed", most))
            found.append(similarities(shown, parts, centred=centred))
        alike = np.stack(found)
        return alike if self.among == "stimuli" else alike.swapaxes(1, 2)


class TwoWay(Identification):
    """Two-way identification: own stimulus against each other one."""

    kind: ClassVar[str] = "two_way"
    definition: ClassVar[str] = (
        "share of other candidates that the reconstruction resembles less than its own"
    )

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return each item's two-way identification and chance, one half."""
        return two_way(similarity, strict=self.strict), 0.5


class NWay(Identification):
    """n-way identification: own stimulus among n, expected over all choices of the others.

    Parameters
    ----------
    n : int
        Candidates, the own stimulus included.
    """

    kind: ClassVar[str] = "n_way"
    definition: ClassVar[str] = "probability that the own candidate is the most similar of n"
    n: Annotated[int, Field(ge=2)]

    def called(self) -> str:
        """Return the features, the number of candidates, and the setting."""
        return super().called().replace("_n_way", f"_{self.n}_way")

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return each item's probability and chance, one in n."""
        there = similarity.shape[-1]
        if self.n > there:
            raise SchemaError(f"{self.label}: {self.n} candidates are needed, there are {there}")
        return n_way(similarity, self.n, strict=self.strict), 1 / self.n


class ClipCosine(Cosine):
    """Cosine of the CLIP image embeddings of a picture and its reconstruction.

    Parameters
    ----------
    weights : str
        ``"phantom"`` (its judge CLIP), or the folder of a CLIP of transformers.
    """

    kind: ClassVar[str] = "clip_cosine"
    features: Literal["clip", "clip_l14"] = "clip"
    weights: str | None = "phantom"

    def called(self) -> str:
        """Return the kind and the setting."""
        return self.kind + (f"@{self.protocol}" if self.protocol else "")


class ClipTwoWay(TwoWay):
    """Two-way identification in the embedding of a CLIP, by cosine.

    Parameters
    ----------
    weights : str
        ``"phantom"`` (its judge CLIP), or the folder of a CLIP of transformers.
    """

    kind: ClassVar[str] = "clip_two_way"
    features: Literal["clip", "clip_l14"] = "clip"
    weights: str | None = "phantom"
    by: Literal["pearson", "cosine"] = "cosine"

    def called(self) -> str:
        """Return the kind and the setting."""
        return self.kind + (f"@{self.protocol}" if self.protocol else "")


class ClipTop1(ClipTwoWay):
    """Whether the reconstruction resembles its own stimulus most, among all stimuli given."""

    kind: ClassVar[str] = "clip_top1"
    definition: ClassVar[str] = "1 if its own candidate is the most similar of all given, else 0"

    def values(self, similarity: np.ndarray) -> tuple[np.ndarray, float]:
        """Return hits and chance, one in the number of stimuli."""
        return top1(similarity, strict=self.strict), 1 / similarity.shape[-1]
