"""Atlases of fsaverage5: what each is, where it came from, and how a published one is found.

`atlases/<name>.yaml` describes an atlas. A shipped atlas has its labels beside that file. A
published one is looked for at the path given, in the environment variable ``INSILICO_<NAME>``,
and in the user's cache; it is downloaded only by `fetch`.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from insilico.errors import RegionError, listed, not_one_of
from insilico.spaces.fsaverage5 import N_HEMISPHERE, N_VERTICES
from insilico.spaces.shipped import shipped


@dataclass(frozen=True)
class Atlas:
    """A parcellation of fsaverage5.

    Attributes
    ----------
    name, title, source, licence, citation : str
    labels : int (20484,)
        0 is no region; k is ``regions[k - 1]``.
    regions, colours : tuple of str
        In published order.
    aliases : dict
        Every known spelling, case folded, to the region's name.
    digest : str
        Of the labels, the same whichever file format they came in.
    """

    name: str
    title: str
    source: str
    licence: str
    citation: str
    labels: np.ndarray
    regions: tuple[str, ...]
    colours: tuple[str, ...]
    aliases: dict[str, str]
    digest: str

    def region(self, spelling: str) -> str:
        """Return the region's own name for a spelling, or raise `RegionError`."""
        found = spelled(self.name, spelling)
        if found is None:
            raise RegionError(unknown(self.name, spelling))
        return found

    def mask(self, spelling: str) -> np.ndarray:
        """Return which vertices belong to a region, bool (20484,)."""
        return self.labels == self.regions.index(self.region(spelling)) + 1


def names() -> tuple[str, ...]:
    """Return the names of all atlases that are described."""
    return tuple(name for name in sorted(_described()) if "regions" in _described()[name])


@lru_cache(maxsize=1)
def _described() -> dict[str, dict[str, Any]]:
    from ruamel.yaml import YAML

    folder = shipped("atlases")
    return {p.stem: YAML(typ="safe", pure=True).load(p) for p in sorted(folder.glob("*.yaml"))}


def describe(name: str) -> dict[str, Any]:
    """Return the description of an atlas: title, source, licence, citation, regions."""
    if name not in names():
        raise RegionError(not_one_of("atlas", name, names()))
    return _described()[name]


def load(name: str, path: str | Path | None = None) -> Atlas:
    """Load an atlas.

    Parameters
    ----------
    name : str
        Such as ``yeo7`` or ``phantom7``.
    path : path, optional
        Labels of a published atlas: ``.npz`` (left, right, names), or the left hemisphere's
        ``lh.*.annot`` or ``*.label.gii`` with the right one beside it.

    Raises
    ------
    RegionError
        Unknown name, labels not found, wrong number of vertices, or changed since first use.
    """
    describe(name)
    return _load(name, str(Path(path or _find(name)).expanduser()))


@lru_cache(maxsize=16)
def _load(name: str, path: str) -> Atlas:
    about = describe(name)
    labels = _labels(name, Path(path))
    labels.setflags(write=False)
    return Atlas(
        name=name,
        labels=labels,
        regions=tuple(about["regions"]),
        colours=tuple(region["colour"] for region in about["regions"].values()),
        aliases=_aliases(about["regions"]),
        digest=hashlib.sha256(labels.astype(np.int16).tobytes()).hexdigest(),
        **{key: str(about[key]) for key in ("title", "source", "licence", "citation")},
    )


def spelled(name: str, region: str) -> str | None:
    """Return a region's own name for any of its spellings, without the labels; or None."""
    if not re.fullmatch(r"\w[\w /+-]*", region.strip()):
        return None  # signs are never ignored: "!Vis" is not Vis
    return _aliases(describe(name)["regions"]).get(_folded(region))


def holding(region: str) -> list[str]:
    """Return the atlases that have a region of this name, or spelling; the phantom's come last."""
    found = [name for name in names() if spelled(name, region) is not None]
    return sorted(found, key=lambda name: name.startswith("phantom"))


def unknown(name: str, region: str) -> str:
    """Return the complaint about a region that an atlas does not have."""
    regions = describe(name)["regions"]
    aliases, sides = _aliases(regions), re.findall(r"(?i)lh|rh|left|right|_[LR]\b", region)
    bare = re.sub(r"(?i)[^a-z0-9]*(lh|rh|left|right|_[LR]\b)[^a-z0-9]*", "", region)
    near = difflib.get_close_matches(_folded(bare), aliases, n=1)
    meant = aliases[near[0]] if near else ""
    if sides and meant:
        side = "lh" if sides[0].casefold().strip("_") in ("lh", "left", "l") else "rh"
        meant = f"{meant} & {side}"
    if region.startswith(("!", "-")) and meant:
        meant = f"~{meant}"
    hint = f" (did you mean '{meant}'?)" if meant else ""
    return f"unknown region of {name} '{region}'; one of: {listed(regions)}{hint}"


def _folded(spelling: str) -> str:
    return "".join(letter for letter in spelling.casefold() if letter.isalnum())


def _aliases(regions: dict[str, dict[str, Any]]) -> dict[str, str]:
    spelled = {alias: name for name, region in regions.items() for alias in region["aliases"]}
    return {_folded(alias): name for alias, name in {**spelled, **{n: n for n in regions}}.items()}


def variable(name: str) -> str:
    """Return the environment variable that may hold an atlas's path."""
    return f"INSILICO_{name.upper()}"


def cache_folder() -> Path:
    """Return the folder of downloaded atlases."""
    from platformdirs import user_cache_path

    return user_cache_path("insilico") / "atlases"


def _find(name: str) -> Path:
    about = describe(name)
    if about["kind"] == "shipped":
        return shipped("atlases") / about["file"]
    given = os.environ.get(variable(name))
    if given:
        return Path(given)
    cached = [cache_folder() / f"{hemi}.{name}.annot" for hemi in ("lh", "rh")]
    if all(file.exists() for file in cached):
        _check_digests(name, cached)
        return cached[0]
    get = about.get("make", "or run `insilico fetch atlases` to download them")
    raise RegionError(
        f"the labels of {name} ({about['title']}) are not here: set "
        f"{variable(name)}=/path/to/labels.npz, {get}"
    )


# --- readers --------------------------------------------------------------------------------------


_BROKEN = (zipfile.BadZipFile, EOFError, SyntaxError)


def _read(file: Path) -> tuple[np.ndarray, list[str]]:
    """Return the labels of both hemispheres and the name of each label number."""
    if not file.exists():
        raise RegionError(f"no atlas file at {file}; .npz, lh.*.annot or *.label.gii are read")
    reader = {".npz": _read_npz, ".annot": _read_annot, ".gii": _read_gifti}.get(file.suffix)
    if reader is None:
        raise RegionError(f"{file.name}: labels are read from .npz, .annot or .label.gii files")
    try:
        halves, found = reader(file)
    except RegionError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, *_BROKEN) as error:
        raise RegionError(f"{file} cannot be read as {file.suffix} labels: {error}") from error
    for side, half in zip(("left", "right"), halves, strict=True):
        if half.shape != (N_HEMISPHERE,):
            raise RegionError(
                f"{file.name}: {half.size} labels in the {side} hemisphere; fsaverage5 has "
                f"{N_HEMISPHERE} vertices (of fsaverage's 163,842 keep the first {N_HEMISPHERE})"
            )
    return np.concatenate(halves).astype(np.int64), found


def _read_npz(file: Path) -> tuple[list[np.ndarray], list[str]]:
    with np.load(file, allow_pickle=False) as data:
        missing = {"left", "right", "names"} - set(data)
        if missing:
            raise RegionError(f"{file.name}: arrays {sorted(missing)} missing; has {sorted(data)}")
        return [data["left"], data["right"]], [str(name) for name in data["names"]]


def _other_hemisphere(file: Path) -> Path:
    for left, right in (
        ("lh", "rh"),
        (".L.", ".R."),
        ("_L", "_R"),
        ("-L", "-R"),
        ("left", "right"),
    ):
        other = file.with_name(file.name.replace(left, right, 1))
        if other != file and other.exists():
            return other
    raise RegionError(f"{file}: the right hemisphere's file (rh...) is not beside it")


def _read_annot(file: Path) -> tuple[list[np.ndarray], list[str]]:
    from nibabel.freesurfer import read_annot

    halves = [read_annot(part) for part in (file, _other_hemisphere(file))]
    _require_same_names(file, *([name.decode() for name in half[2]] for half in halves))
    return [half[0] for half in halves], [name.decode() for name in halves[0][2]]


def _read_gifti(file: Path) -> tuple[list[np.ndarray], list[str]]:
    import nibabel

    halves: list[Any] = [nibabel.load(part) for part in (file, _other_hemisphere(file))]
    table, other = (half.labeltable.get_labels_as_dict() for half in halves)
    _require_same_names(file, table, other)
    found = [table.get(number, "") for number in range(max(table) + 1)]
    return [np.asarray(half.darrays[0].data) for half in halves], found


def _require_same_names(file: Path, left: object, right: object) -> None:
    if left != right:
        raise RegionError(f"{file.name}: the hemispheres name their labels differently")


def _labels(name: str, file: Path) -> np.ndarray:
    """Read a file's labels and number them in published order, int16 (20484,)."""
    labels, found = _read(file)
    regions = tuple(describe(name)["regions"])
    aliases, result = _aliases(describe(name)["regions"]), np.zeros(N_VERTICES, np.int16)
    for number, spelling in enumerate(found):
        region = aliases.get(_folded(spelling))
        if region is not None:
            result[labels == number] = regions.index(region) + 1
    absent = [region for k, region in enumerate(regions, 1) if not (result == k).any()]
    if absent:
        raise RegionError(f"{file.name}: no vertex of {absent}; its labels are {found}")
    return result


# --- download -------------------------------------------------------------------------------------


def fetch(name: str) -> Path:
    """Download a published atlas into the user's cache and record its digest.

    Both hemispheres are read and checked before either takes its place in the cache.

    Raises
    ------
    RegionError
        Nothing to download, no network, no labels in the answer, or a file other than the one
        first recorded.
    """
    from tempfile import TemporaryDirectory

    urls = describe(name).get("download")
    if not urls:
        raise RegionError(f"{name} ships with insilico, or is yours: there is nothing to download")
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as part:
            files = [Path(part) / f"{hemi}.{name}.annot" for hemi in ("lh", "rh")]
            for hemi, file in zip(("lh", "rh"), files, strict=True):
                file.write_bytes(_downloaded(name, urls[hemi]))
            _labels(name, files[0])
            _check_digests(name, files)
            for file in files:
                file.replace(folder / file.name)
    except OSError as error:
        raise RegionError(f"{name} cannot be kept in {folder}: {error}") from error
    return folder / files[0].name


def _downloaded(name: str, url: str) -> bytes:
    import urllib.request
    from http.client import HTTPException

    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except (OSError, HTTPException) as error:
        raise RegionError(
            f"{name} cannot be downloaded from {url}: {error}; download it by hand and set "
            f"{variable(name)} to its path"
        ) from error


def _check_digests(name: str, files: list[Path]) -> None:
    """Record the digests of both files at first use, and hold them to it ever after."""
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    record = cache_folder() / f"{name}.json"
    if not record.exists():
        part = record.with_suffix(".part")
        part.write_text(json.dumps(found, indent=2) + "\n")
        part.replace(record)
    elif _recorded(record) != found:
        raise RegionError(
            f"{name}: the label files in {files[0].parent} are not those of first use, whose "
            f"digests are in {record}; to take new ones delete that file and "
            f"{', '.join(file.name for file in files)}, then run `insilico fetch atlases`"
        )


def _recorded(record: Path) -> object:
    try:
        return json.loads(record.read_text())
    except ValueError:
        return None
