"""The output folder: written piece by piece, called complete at the very end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

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
        held = self._manifest()
        return held.get("key") == key and bool(held["complete"]) and held["files"] == self._found()

    def begin(self, key: str, *, overwrite: bool = False) -> None:
        """Make the folder, and remove what an earlier run left unchanged there.

        Parameters
        ----------
        key : str
            Of the run. A folder that holds another run, or files of no run, is refused.
        overwrite : bool
            Take such a folder too.

        Raises
        ------
        ParameterError, StoreError
        """
        held = self._manifest()
        if self.path.exists() and not self.path.is_dir():
            raise ParameterError(f"--out {self.path} is a file; name a folder")
        if not overwrite and held.get("key") != key and self.path.exists() and self._holds():
            what = "another run" if held else "files of no run"
            raise ParameterError(
                f"--out {self.path} holds {what}; name another folder, or add --overwrite "
                "(overwrite=True) to let the outputs take their place"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name, digest in self._found().items():
                if held["files"][name] == digest:
                    (self.path / name).unlink()
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be written ({error.strerror}); name another folder with --out"
            ) from error
        self._list(key, [], complete=False)

    def text(self, name: str, content: str) -> None:
        """Write a text file."""
        write_bytes(content.encode(), self.path / name)

    def finish(self, key: str, names: list[str], *, complete: bool = True) -> None:
        """Write the manifest of a run that has come to its end, whole or with failures."""
        self._list(key, [name for name in names if (self.path / name).exists()], complete=complete)

    def renew(self, names: list[str]) -> None:
        """Take down files that were written again, where a run has left its manifest."""
        if held := self._manifest():
            self._list(held["key"], [*held["files"], *names], complete=held["complete"])

    def _holds(self) -> bool:
        return any(self.path.iterdir())

    def _list(self, key: str, names: list[str], *, complete: bool) -> None:
        files = {name: _digest(self.path / name) for name in names}
        manifest = {"key": key, "complete": complete, "files": files}
        self.text(MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def _manifest(self) -> dict[str, Any]:
        """Return a run's manifest, empty if there is none."""
        try:
            manifest = json.loads((self.path / MANIFEST).read_text())
            files = {Path(name).name: str(digest) for name, digest in manifest["files"].items()}
            return {"key": manifest["key"], "complete": manifest["complete"], "files": files}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _found(self) -> dict[str, str]:
        """Return the digests of the manifest's files, as they are now."""
        paths = [self.path / name for name in self._manifest().get("files", {})]
        return {path.name: _digest(path) for path in paths if path.is_file()}


def as_yaml(data: Mapping[str, Any]) -> str:
    """Write plain values as YAML, in the order given."""
    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style, yaml.width, yaml.allow_unicode = False, 100, True
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(data, stream)
    return stream.getvalue()


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
