"""Which picture was shown in which trial: ``nsd_expdesign.mat``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import ParameterError, RecordingError, listed, not_one_of
from insilico.spaces.nsd import PICTURES
from insilico.weights.catalogue import SESSIONS

TRIALS, IMAGES = 30_000, 10_000
COMMON_SESSIONS = 30
"""Sessions that all eight subjects completed."""
EARLY_SESSIONS = {40: 37, 32: 29, 30: 27}
"""Sessions that were public first, of those completed; they hold 982 of the shared pictures."""
SPLITS = ("shared1000", "982", "515", "test", "train")


@dataclass(frozen=True)
class Design:
    """The order of presentation.

    Attributes
    ----------
    order : int (trial,)
        Of each trial, which of a subject's pictures it shows, from 0; the same for all subjects.
    pictures : int (subject, picture)
        Each subject's pictures as places among the 73,000, from 0; the shared ones come first.
    shared : int (picture,)
        Those shown to all subjects, ascending.
    sessions : int
        How many the design has.
    """

    order: np.ndarray
    pictures: np.ndarray
    shared: np.ndarray
    sessions: int

    @property
    def published(self) -> bool:
        """Whether this is NSD's own design, so that its published counts hold."""
        return (len(self.order), self.pictures.shape) == (TRIALS, (8, IMAGES))

    @property
    def trials(self) -> int:
        """How many trials a session has."""
        return len(self.order) // self.sessions

    def completed(self, subject: int) -> tuple[int, ...]:
        """Return the numbers, from 1, of the sessions that a subject completed."""
        last = SESSIONS[subject] if self.published else self.sessions
        return tuple(range(1, last + 1))

    def shown(self, subject: int) -> np.ndarray:
        """Return the picture of every trial, int (trial,)."""
        if not 1 <= subject <= len(self.pictures):
            raise ParameterError(f"subject: 1 to {len(self.pictures)}, got {subject}")
        return self.pictures[subject - 1, self.order]

    def presentations(self, subject: int, sessions: tuple[int, ...]) -> dict[int, list[int]]:
        """Return the trials, from 0 and ascending, in which each picture was shown."""
        shown, found = self.shown(subject), dict[int, list[int]]()
        for session in sorted(sessions):
            first = (session - 1) * self.trials
            for trial in range(first, first + self.trials):
                found.setdefault(int(shown[trial]), []).append(trial)
        return found

    def split(
        self, name: str, subject: int, sessions: tuple[int, ...], at_least: int = 1
    ) -> np.ndarray:
        """Return the pictures of a split that a subject saw, ascending.

        Parameters
        ----------
        name : {"shared1000", "982", "515", "test", "train"}
            ``shared1000`` and ``test`` (MindEye2's) are the pictures shown to all subjects; ``982``
            those of them that came in the sessions public first; ``515`` those that all eight
            subjects saw three times; ``train`` is the rest of the subject's.
        sessions : tuple of int
        at_least : int
            How often the subject must have seen a picture in these sessions.
        """
        if name not in SPLITS:
            raise ParameterError(not_one_of("split", name, SPLITS))
        often = {p: len(t) for p, t in self.presentations(subject, sessions).items()}
        seen = np.array(sorted(p for p, n in often.items() if n >= at_least), int)
        if name == "train":
            return np.setdiff1d(seen, self.shared)
        return np.intersect1d(seen, self._of_shared(name, subject))

    def _of_shared(self, name: str, subject: int) -> np.ndarray:
        """Return the shared pictures of a test split, ascending."""
        if name in ("shared1000", "test"):
            return self.shared
        completed = len(self.completed(subject))
        last = COMMON_SESSIONS if name == "515" else EARLY_SESSIONS.get(completed, completed)
        shown = self.presentations(subject, tuple(range(1, min(last, self.sessions) + 1)))
        least = 3 if name == "515" else 1
        return np.array([p for p in self.shared if len(shown.get(int(p), [])) >= least], int)


def read_design(path: Path) -> Design:
    """Read ``nsd_expdesign.mat``.

    Raises
    ------
    RecordingError
        If it is missing, cut short or not what its name says.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read ({error.strerror or error})") from error
    return _read(path, (state.st_size, state.st_mtime_ns))


@lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, int]) -> Design:
    from scipy.io import loadmat

    try:
        held: dict[str, Any] = loadmat(path, appendmat=False)
    except Exception as error:  # scipy's reader raises whatever a broken file makes it raise
        raise RecordingError(f"{path}: cannot be read as a MATLAB file ({error})") from error
    missing = [key for key in ("masterordering", "subjectim", "sharedix") if key not in held]
    if missing:
        keys = [key for key in held if not key.startswith("__")]
        raise RecordingError(f"{path}: {listed(missing)} missing; holds {listed(keys)}")
    order, pictures, shared = (
        np.asarray(held[key]).astype(np.int64) - 1
        for key in ("masterordering", "subjectim", "sharedix")
    )
    sessions = len(held["stimpattern"]) if "stimpattern" in held else 40
    design = Design(order.ravel(), pictures, np.sort(shared.ravel()), sessions)
    _check(design, path)
    return design


def _check(design: Design, path: Path) -> None:
    """Raise unless the parts fit one another; indices count from 1 in the file."""
    order, pictures = design.order, design.pictures
    if pictures.ndim != 2 or order.min() < 0 or order.max() >= pictures.shape[1]:
        raise RecordingError(
            f"{path}: masterordering must count subjectim's columns from 1 (subjects x pictures); "
            f"it holds {order.min() + 1} to {order.max() + 1}, subjectim is {pictures.shape}"
        )
    if pictures.min() < 0 or pictures.max() >= PICTURES:
        raise RecordingError(
            f"{path}: subjectim must hold 1 to {PICTURES}; it holds {pictures.min() + 1} to "
            f"{pictures.max() + 1}"
        )
    if not len(order) or len(order) % design.sessions:
        raise RecordingError(
            f"{path}: {len(order)} trials do not fill {design.sessions} sessions (stimpattern)"
        )
