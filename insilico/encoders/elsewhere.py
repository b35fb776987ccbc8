"""Encoders that run in an environment of their own and hand over files.

A job is a folder: ``job.json`` and the stimuli go in, arrays without pickles come out. The driver
(`insilico/encoders/drivers/run_<kind>.py`) needs nothing of insilico but that folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from insilico.errors import MissingPackage, ParameterError, StoreError, listed

TAIL = 1500
"""Characters of a failed driver's last words that an error repeats."""


def digest(path: Path) -> str:
    """Return a digest of a file, read in pieces; of a folder, of the files in it."""
    state = hashlib.blake2b(digest_size=16)
    if path.is_dir():
        for part in sorted(part for part in path.iterdir() if part.is_file()):
            state.update(f"{part.name} {digest(part)}\n".encode())
        return state.hexdigest()
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                state.update(piece)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error}") from error
    return state.hexdigest()


def driver(kind: str) -> Path:
    """Return the script that runs an encoder in its own environment."""
    return Path(str(files("insilico.encoders"))) / "drivers" / f"run_{kind}.py"


def program(python: str | None) -> str:
    """Return the interpreter to run: this one, if none is named."""
    return sys.executable if python is None else str(Path(python).expanduser())


def require(python: str | None, package: str, kind: str, how: str) -> None:
    """Raise unless a live run can start.

    Parameters
    ----------
    python : str, optional
        The interpreter asked for.
    package : str
        What must be installed there.
    kind : str
        Of the step.
    how : str
        What to install, and what to hand over instead.

    Raises
    ------
    ParameterError
        If there is no such interpreter.
    MissingPackage
        If it has no such package.
    """
    if shutil.which(program(python)) is None:
        raise ParameterError(f"{kind}.python: {python} is no program that can be run; {how}")
    if not _has(program(python), package):
        where = "" if python is None else f" in {python}"
        raise MissingPackage(package, "", f"a live run of kind '{kind}'{where}", how)


@lru_cache
def _has(python: str, package: str) -> bool:
    code = f"import sys, importlib.util as u; sys.exit(u.find_spec({package!r}) is None)"
    try:
        return _called([python, "-c", code]).returncode == 0
    except OSError:
        return False


def _called(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a program; another Python than this one does not see our packages."""
    ours = () if command[0] == sys.executable else ("PYTHONPATH", "PYTHONHOME")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(command, capture_output=True, text=True, errors="replace", env=env)


def run(
    python: str | None,
    kind: str,
    folder: Path,
    order: Mapping[str, Any],
    results: Sequence[str],
) -> None:
    """Run a driver over a job and make sure that it left its results.

    Parameters
    ----------
    python : str, optional
        The interpreter; by default this one.
    kind : str
        The driver's name.
    folder : Path
        The job.
    order : dict
        What is asked for; becomes job.json.
    results : sequence of str
        Files that must be there afterwards.

    Raises
    ------
    StoreError
        If the driver fails or leaves no result, with its last words.
    """
    (folder / "job.json").write_text(json.dumps(dict(order)), encoding="utf-8")
    command = [program(python), str(driver(kind)), str(folder)]
    try:
        done = _called(command)
    except OSError as error:
        raise StoreError(f"{command[0]}: cannot be started: {error}") from error
    missing = [name for name in results if not (folder / name).is_file()]
    if done.returncode or missing:
        why = f"status {done.returncode}" if done.returncode else f"left no {listed(missing)}"
        words = (done.stderr.strip() or done.stdout.strip())[-TAIL:]
        raise StoreError(f"kind '{kind}' run by {command[0]} failed ({why}): {words}")
