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
        Of the label file.
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
        found = self.aliases.get(_folded(spelling))
        if found is None:
            raise RegionError(self._unknown(spelling))
        return found

    def _unknown(self, spelling: str) -> str:
        near = difflib.get_close_matches(_folded(spelling), self.aliases, n=1)
        hint = f" (did you mean '{self.aliases[near[0]]}'?)" if near else ""
        return f"unknown region of {self.name} '{spelling}'; one of: {listed(self.regions)}{hint}"

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
    return _load(name, str(path or _find(name)))


@lru_cache(maxsize=16)
def _load(name: str, path: str) -> Atlas:
    about, file = describe(name), Path(path)
    labels, found = _read(file)
    regions = tuple(about["regions"])
    labels = _renumbered(labels, found, regions, about, file)
    labels.setflags(write=False)
    return Atlas(
        name=name,
        labels=labels,
        regions=regions,
        colours=tuple(region["colour"] for region in about["regions"].values()),
        aliases=_aliases(about["regions"]),
        digest=hashlib.sha256(labels.astype(np.int16).tobytes()).hexdigest(),
        **{key: str(about[key]) for key in ("title", "source", "licence", "citation")},
    )


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
    cached = cache_folder() / f"lh.{name}.annot"
    if cached.exists():
        _check_digests(name)
        return cached
    raise RegionError(
        f"the labels of {name} ({about['title']}) are not here: give a path, set "
        f"{variable(name)}=/path/to/labels.npz, or run `insilico fetch atlases` to download them"
    )


# --- readers --------------------------------------------------------------------------------------


def _read(file: Path) -> tuple[np.ndarray, list[str]]:
    """Return the labels of both hemispheres and the name of each label number."""
    if not file.exists():
        raise RegionError(f"no atlas file at {file}; .npz, lh.*.annot or *.label.gii are read")
    reader = {".npz": _read_npz, ".annot": _read_annot, ".gii": _read_gifti}.get(file.suffix)
    if reader is None:
        raise RegionError(f"{file.name}: labels are read from .npz, .annot or .label.gii files")
    halves, found = reader(file)
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
    for left, right in (("lh", "rh"), ("_L", "_R"), ("-L", "-R"), ("left", "right")):
        other = file.with_name(file.name.replace(left, right, 1))
        if other != file and other.exists():
            return other
    raise RegionError(f"{file}: the right hemisphere's file (rh...) is not beside it")


def _read_annot(file: Path) -> tuple[list[np.ndarray], list[str]]:
    from nibabel.freesurfer import read_annot

    halves = [read_annot(part) for part in (file, _other_hemisphere(file))]
    return [half[0] for half in halves], [name.decode() for name in halves[0][2]]


def _read_gifti(file: Path) -> tuple[list[np.ndarray], list[str]]:
    import nibabel

    halves = [nibabel.load(part) for part in (file, _other_hemisphere(file))]
    table = halves[0].labeltable.get_labels_as_dict()
    found = [table.get(number, "") for number in range(max(table) + 1)]
    return [np.asarray(half.darrays[0].data) for half in halves], found


def _renumbered(
    labels: np.ndarray,
    found: list[str],
    regions: tuple[str, ...],
    about: dict[str, Any],
    file: Path,
) -> np.ndarray:
    aliases, result = _aliases(about["regions"]), np.zeros(N_VERTICES, np.int16)
    for number, name in enumerate(found):
        region = aliases.get(_folded(name))
        if region is not None:
            result[labels == number] = regions.index(region) + 1
    absent = [name for k, name in enumerate(regions, 1) if not (result == k).any()]
    if absent:
        raise RegionError(f"{file.name}: no vertex of {absent}; its labels are {found}")
    return result


# --- download -------------------------------------------------------------------------------------


def fetch(name: str) -> Path:
    """Download a published atlas into the user's cache and record its digest.

    Raises
    ------
    RegionError
        Nothing to download, no network, or a file other than the one first recorded.
    """
    import urllib.error
    import urllib.request

    urls = describe(name).get("download")
    if not urls:
        raise RegionError(f"{name} ships with insilico; there is nothing to download")
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for hemi, url in urls.items():
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                content = answer.read()
        except (urllib.error.URLError, TimeoutError) as error:
            raise RegionError(
                f"{name} cannot be downloaded from {url}: {error}; download it by hand and set "
                f"{variable(name)} to its path"
            ) from error
        part = folder / f"{hemi}.{name}.part"
        part.write_bytes(content)
        part.replace(folder / f"{hemi}.{name}.annot")
    _check_digests(name)
    return folder / f"lh.{name}.annot"


def _check_digests(name: str) -> None:
    """Record the digests of cached files at first use, and hold them to it ever after."""
    folder = cache_folder()
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.glob(f"?h.{name}.annot"))
    }
    record = folder / f"{name}.json"
    if not record.exists():
        record.write_text(json.dumps(found, indent=2) + "\n")
    elif json.loads(record.read_text()) != found:
        raise RegionError(
            f"{name}: the files in {folder} are not those of first use ({record.name}); delete "
            f"them and run `insilico fetch atlases` again"
        )
