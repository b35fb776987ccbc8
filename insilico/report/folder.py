"""The output folder: written piece by piece, called complete at the very end."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from insilico.errors import ParameterError, StoreError
from insilico.run.store import write_bytes

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Folder:
    """An output folder.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def complete(self, key: str) -> bool:
        """Return whether this run's outputs are here, whole and unchanged."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_text())
            files = {name: self.path / name for name in manifest["files"]}
            return manifest["key"] == key and manifest["files"] == {
                name: _digest(path) for name, path in files.items()
            }
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def begin(self) -> None:
        """Make the folder, and remove an earlier run's outputs, as far as they are unchanged."""
        if self.path.exists() and not self.path.is_dir():
            raise ParameterError(f"--out {self.path} is a file; name a folder")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for path in [*self._unchanged(), self.path / MANIFEST]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written ({error.strerror}); name another folder with --out"
            ) from error

    def _unchanged(self) -> list[Path]:
        """Return the files that are as the manifest says."""
        try:
            listed = json.loads((self.path / MANIFEST).read_text())["files"]
            files = {self.path / Path(name).name: digest for name, digest in listed.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []
        return [
            path for path, digest in files.items() if path.is_file() and _digest(path) == digest
        ]

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        write_bytes(content.encode(), self.path / name)

    def finish(self, key: str, names: list[str]) -> None:
        """Write the manifest: the key of a whole run (empty where it failed) and its files."""
        files = {name: _digest(self.path / name) for name in names if (self.path / name).exists()}
        self.text(MANIFEST, json.dumps({"key": key, "files": files}, indent=2) + "\n")


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
