"""The folder of a training: its weights, its log, its checkpoint, and a note of what it learns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insilico.encoders.mary_nano import weights_digest, weights_folder
from insilico.encoders.network import WEIGHTS
from insilico.errors import ParameterError, StoreError
from insilico.schema import canonical
from insilico.training.beginning import FRESH
from insilico.training.document import Training
from insilico.training.given import Given, identity_of

VERSION = 2
"""Of what a training makes of its file; a checkpoint of another is not gone on from."""
LOCK = ".lock"


@dataclass(frozen=True)
class Place:
    """Folder that one training has for itself.

    Attributes
    ----------
    path : path
    """

    path: Path

    @property
    def log(self) -> Path:
        """Lines of JSON, one a report."""
        return self.path / "training.log"

    @property
    def checkpoint(self) -> Path:
        """What a killed training goes on from."""
        return self.path / "checkpoint.pt"

    @property
    def _note(self) -> Path:
        return self.path / "training.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out; a process that is killed lets them in.

        Raises
        ------
        ParameterError
            If another process trains in the folder.
        StoreError
            If the folder cannot be written.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ParameterError(f"--out {self.path} is a file; name a folder")
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / LOCK, timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise ParameterError(
                f"another process is training in {self.path}; wait for it, or name another folder "
                "with --out"
            ) from error
        except NotImplementedError:  # a disk that knows no locks
            pass
        except OSError as error:
            raise StoreError(_unwritable(self.path, error)) from error
        try:
            yield
        finally:
            lock.release()

    def begin(self, key: str, *, overwrite: bool = False) -> bool:
        """Take the folder; return whether this very training has come to its end in it.

        Parameters
        ----------
        key : str
            What the training is, see `key_of`.
        overwrite : bool
            Let it take the place of another training.

        Raises
        ------
        ParameterError
            If the folder holds weights or a checkpoint of another training.
        """
        same = self._note.is_file() and self._note.read_text(encoding="utf-8") == key
        held = self._held()
        if held and not same and not overwrite:
            whose = "of another training, or of other data"
            whose = whose if self._note.is_file() else f"and no {self._note.name} that says of what"
            raise ParameterError(
                f"{self.path} holds a {held} {whose}; name another folder with --out, or add "
                "--overwrite (overwrite=True) to let this training take its place"
            )
        if not same:
            self.clear()
        try:
            self._note.write_text(key, encoding="utf-8")
        except OSError as error:
            raise StoreError(_unwritable(self.path, error)) from error
        return self._held() == "trained encoder"

    def clear(self) -> None:
        """Remove what an earlier training left."""
        self.finish()
        for file in (self.path / WEIGHTS, self.log):
            file.unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove the checkpoint."""
        for file in (self.checkpoint, self.checkpoint.with_suffix(".best")):
            file.unlink(missing_ok=True)

    def _held(self) -> str:
        if self.checkpoint.exists():
            return "checkpoint"
        return "trained encoder" if (self.path / WEIGHTS).exists() else ""


def _unwritable(path: Path, error: OSError) -> str:
    return f"{path} cannot be written ({error.strerror}); name another folder with --out"


def key_of(training: Training, given: list[Given]) -> str:
    """Return what a training is: its file, its data, and the weights that it begins with."""
    said: dict[str, Any] = {"version": VERSION, **training.model_dump(mode="json")}
    pairs = zip(training.parts, given, strict=True)
    said["data"] = [identity_of(part, response) for part, (_, response) in pairs]
    if training.model not in FRESH:
        said["weights"] = weights_digest(weights_folder(training.model))
    return canonical(said)
