"""Embedding a gallery: pictures on their way from their files into a shard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from insilico.decoders.nearest.gallery import Gallery, fingerprint
from insilico.decoders.nearest.search import unit
from insilico.decoders.nearest.shards import Listed
from insilico.errors import WeightsError, listed

BATCH = 32
SHARD_PICTURES, SHARD_SECONDS = 256, 60
"""When a shard is written; so much is lost at most where the embedding is killed."""

Embed = Callable[[np.ndarray], np.ndarray]
"""Pictures, uint8 (n, y, x, 3), to tokens, float32 (n, tokens, width)."""


def described(clip: Path) -> tuple[int, int, int]:
    """Return how many tokens a CLIP makes, their width, and the side of the pictures it sees.

    Raises
    ------
    WeightsError
        If its ``config.json`` does not say so.
    """
    try:
        config = json.loads((clip / "config.json").read_text("utf-8"))
        vision = config.get("vision_config", config)
        side = int(vision["image_size"])
        return (side // int(vision["patch_size"])) ** 2, int(vision["hidden_size"]), side
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise WeightsError(f"{clip}: its config.json is not that of a CLIP: {error}") from error


def pooled(tokens: np.ndarray) -> np.ndarray:
    """Return the mean over tokens (n, tokens, width) as unit vectors, float32 (n, width)."""
    return unit(tokens.mean(1, dtype=np.float64))


class Waiting:
    """Pictures that are embedded and not yet written."""

    def __init__(self, gallery: Gallery, done: int = 0) -> None:
        self.gallery, self.done, self.begun = gallery, done, time.monotonic()
        self.asked: list[str] = []
        self.names: list[str] = []
        self.prints: list[str] = []
        self.tokens: list[np.ndarray] = []

    def take(self, names: list[str], embed: Embed) -> None:
        """Read and embed pictures."""
        there, pictures = self.gallery.pictures(names)
        self.asked += names
        if there:
            tokens = embed(pictures)
            require_finite(tokens, there)
            self.tokens.append(tokens)
            self.names += there
            self.prints += map(fingerprint, pictures)
            self.done += len(there)

    def full(self) -> bool:
        """Return whether it is time to write."""
        late = time.monotonic() - self.begun > SHARD_SECONDS
        return late or len(self.asked) >= SHARD_PICTURES

    def holds(self) -> Listed:
        """Return the list of a shard of these."""
        stamps, there = self.gallery.stamps, set(self.names)
        broken = {name: stamps[name] for name in self.asked if name not in there}
        return Listed(self.names, [stamps[name] for name in self.names], self.prints, broken)


def require_finite(tokens: np.ndarray, names: Iterable[str]) -> None:
    """Raise `WeightsError` unless all tokens of each name are numbers."""
    wrong = [n for n, each in zip(names, tokens, strict=True) if not np.isfinite(each).all()]
    if wrong:
        raise WeightsError(
            f"the networks make NaN or infinite tokens of {listed(wrong, 3)}; their weights are "
            "damaged, or too large for the precision"
        )


def as_kept(tokens: np.ndarray, kept: str) -> np.ndarray:
    """Return tokens in the precision of the index."""
    largest = np.abs(tokens).max(initial=0)
    if largest > np.finfo(kept).max:
        raise WeightsError(
            f"tokens reach {largest:.3g}, too large for {kept}; keep them in full (keep: float32)"
        )
    return tokens.astype(kept)
