"""Regions by name: ``yeo7:Vis``, combined with ``|``, ``&``, ``-``, ``~`` and ``lh`` or ``rh``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from colorsys import hls_to_rgb

import numpy as np
import xarray as xr

from insilico.errors import RegionError, listed, not_one_of
from insilico.schema import place_of
from insilico.spaces import atlases, fsaverage5
from insilico.spaces.nsd.names import REGIONS

TOKEN = re.compile(
    r"\s*(?:([|&~()]|-(?=\s))"  # a minus has a space after it: FFA-1 is one name
    r"|((?:[A-Za-z][\w-]*:)?[A-Za-z0-9_](?:[\w/+ ]|(?<=\w)-(?=\w))*))"
)
GRAMMAR = (
    "combine regions with | (or), & (and), ' - ' (without), ~ (all but), parentheses, and lh or rh "
    "for a hemisphere, as in 'Default & lh'"
)
HEMISPHERES = {"lh": "L", "rh": "R"}
WALL, CORTEX, ANY = "medial wall", "cortex", "any"
PLAIN = (*HEMISPHERES, WALL, CORTEX)
"""Names that need no atlas."""
Resolver = Callable[[str], np.ndarray]


def mask(region: str, *, atlas: str | None = None, of: xr.Dataset | None = None) -> np.ndarray:
    """Return which vertices (or voxels) a region expression names.

    Parameters
    ----------
    region : str
        Such as ``"yeo7:Vis"``, ``"Vis & lh"`` or ``"~(Vis | Limbic)"``; ``cortex`` is all of it. A
        response also knows its own labels, coordinates that hold names: ``"roi:V1"`` of the
        phantom's voxels, ``"floc-faces:FFA-1"`` of NSD's, ``"floc-faces:any"`` for all of a
        family's. No region holds medial wall but ``"medial wall"`` itself, whose lesion must do
        nothing.
    atlas : str, optional
        Atlas of the names that carry none.
    of : xarray.Dataset, optional
        Response whose places are meant; the 20,484 vertices of fsaverage5 if none is given.

    Returns
    -------
    bool (place,)

    Raises
    ------
    RegionError
        Unknown atlas or region, an expression that cannot be read, or an empty region.
    """
    found = _Expression(region, lambda name: _named(name, atlas, of)).value()
    if region.strip().casefold() != WALL:
        found = found & _cortex(of)
    if not found.any():
        raise RegionError(f"the region '{region}' holds no vertex of this space")
    return found


def each(atlas: str | None, of: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """Return the regions of an atlas and which places of a response they hold, (region, place).

    Without an atlas it is one region, ``cortex``. An atlas may be labels of the response's own,
    such as ``floc-faces``. Regions that hold no place are left out.
    """
    everywhere = mask(CORTEX, of=of)
    if atlas is None:
        return ["cortex"], everywhere[None]
    if own_labels(atlas):
        labels = _own(atlas, "", of)
        known = [*REGIONS.get(atlas, ()), *sorted(set(labels) - {""})]
        found = {name: (labels == name) & everywhere for name in known}
    else:
        vertices, loaded = _vertices(of), atlases.load(atlas)
        found = {name: loaded.mask(name)[vertices] & everywhere for name in loaded.regions}
    kept = {name: where for name, where in found.items() if where.any()}
    if not kept:
        raise RegionError(f"no region of {atlas} holds a place of this response")
    return list(kept), np.stack(list(kept.values()))


def numbered(atlas: str, of: xr.Dataset) -> tuple[list[str], np.ndarray]:
    """Return the regions of `each` and of every place the number of its region, int (place,).

    0 is no region; k is the k-th.
    """
    names, masks = each(atlas, of)
    return names, (masks * np.arange(1, len(names) + 1)[:, None]).sum(0)


def digests(atlas: str | None) -> dict[str, str]:
    """Return the digest of an atlas; of a response's own labels none: they are part of it."""
    if atlas is None or own_labels(atlas):
        return {}
    return {atlas: atlases.load(atlas).digest}


def colours(atlas: str, names: Sequence[str]) -> list[str]:
    """Return the colour of each region; a response's own labels go round the hues."""
    if not own_labels(atlas):
        about = atlases.describe(atlas)["regions"]
        return [str(about[name]["colour"]) for name in names]
    round_the_hues = (hls_to_rgb(k / len(names), 0.5, 0.45) for k in range(len(names)))
    return ["#" + "".join(f"{int(255 * part):02x}" for part in hue) for hue in round_the_hues]


def named(region: str) -> list[tuple[str, str]]:
    """Return atlas (or ``""``) and name of every region in an expression, `PLAIN` ones left out.

    No label is read: the names may not exist.

    Raises
    ------
    RegionError
        An expression that cannot be read.
    """
    names: list[str] = []

    def noted(name: str) -> np.ndarray:
        names.append(name)
        return np.ones(1, bool)

    _Expression(region, noted).value()
    parts = [name.rpartition(":") for name in names if name.casefold() not in PLAIN]
    return [(atlas, name.strip()) for atlas, _, name in parts]


def of_no_atlas(name: str) -> str:
    """Return the complaint about a region whose atlas is not named: those that have it."""
    own = [family for family, known in REGIONS.items() if name in known]
    found = [*atlases.holding(name), *own]
    if not found:
        known = listed((*atlases.names(), *REGIONS))
        return f"which atlas does '{name}' belong to? None has a region of that name: {known}"
    first, *others = found
    also = f"; {listed(others)} {'have' if len(others) > 1 else 'has'} one too" if others else ""
    return f"which atlas does '{name}' belong to? Write atlas: {first}, or {first}:{name}{also}"


def union(names: Sequence[str]) -> str:
    """Return the expression of several regions together; one alone keeps its name."""
    if len(names) == 1:
        return names[0]
    bracketed = [f"({name})" if re.search(r"[|&~()]|\s-\s", name) else name for name in names]
    return " | ".join(bracketed)


def _vertices(of: xr.Dataset | None) -> np.ndarray:
    if of is None:
        return np.arange(fsaverage5.N_VERTICES)
    place = place_of(of)
    if "vertex" not in of.coords:
        raise RegionError(
            f"this response in {of.attrs.get('space')} does not know the vertex of each {place}; "
            "regions of surface atlases need the coordinate 'vertex'"
        )
    vertex = of["vertex"].values.astype(int)
    if vertex.min() < 0 or vertex.max() >= fsaverage5.N_VERTICES:
        raise RegionError(
            f"the coordinate 'vertex' holds {vertex.min()} to {vertex.max()}; fsaverage5's "
            f"vertices are 0 to {fsaverage5.N_VERTICES - 1}"
        )
    return vertex


def _cortex(of: xr.Dataset | None) -> np.ndarray:
    """Return which places are cortex: all of them, where no vertex is known."""
    if of is not None and "vertex" not in of.coords:
        return np.ones(of.sizes[place_of(of)], bool)
    return ~fsaverage5.medial_wall()[_vertices(of)]


def _named(name: str, atlas: str | None, of: xr.Dataset | None) -> np.ndarray:
    if name.casefold() in HEMISPHERES:
        hemi = fsaverage5.hemisphere() if of is None else of["hemi"].values.astype(str)
        return hemi == HEMISPHERES[name.casefold()]
    if name.casefold() in PLAIN:
        return _cortex(of) == (name.casefold() == CORTEX)
    prefix, _, region = name.rpartition(":")
    prefix = prefix or atlas or ""
    if own_labels(prefix) or (of is not None and prefix in of.coords):
        return _labelled(prefix, region, of)
    if not prefix:
        raise RegionError(of_no_atlas(name))
    return atlases.load(prefix).mask(region)[_vertices(of)]


def own_labels(prefix: str) -> bool:
    """Return whether an atlas's labels are a response's own: ``roi``, and NSD's families."""
    return prefix.casefold() == "roi" or prefix in REGIONS


def _labelled(prefix: str, region: str, of: xr.Dataset | None) -> np.ndarray:
    """Return where a response's own labels are the region."""
    labels = _own(prefix, region, of)
    found = labels != "" if region == ANY else np.char.lower(labels) == region.casefold()
    if not found.any():
        raise RegionError(not_one_of(prefix, region, sorted(set(labels) - {""})))
    return found


def _own(prefix: str, region: str, of: xr.Dataset | None) -> np.ndarray:
    """Return a response's own labels, a coordinate of this name, str (place,)."""
    name = "roi" if prefix.casefold() == "roi" else prefix
    if of is None or name not in of.coords:
        here = [] if of is None else [n for n in ("roi", *REGIONS) if n in of.coords]
        asked = f"{prefix}:{region}" if region else prefix
        surface = of is None or of.attrs["space"] == "fsaverage5"
        others = (
            [f"{atlas}:{region}" for atlas in atlases.holding(region)] if surface and region else []
        )
        instead = (
            f"on fsaverage5 there is {listed(others)}"
            if others
            else "recordings of NSD carry those families whose files are on the disk"
        )
        raise RegionError(
            f"'{asked}' needs a response with the coordinate '{name}'; this one has "
            f"{listed(here) or 'no labels of its own'}: {instead}"
        )
    return of[name].values.astype(str)


class _Expression:
    """Reads ``term (op term)*`` from left to right; ``&`` and ``-`` bind before ``|``."""

    def __init__(self, text: str, resolve: Resolver) -> None:
        self.text, self.resolve, self.position = text, resolve, 0
        self.tokens = self._tokens()

    def _tokens(self) -> list[str]:
        tokens, position, text = [], 0, self.text.strip()
        while position < len(text):
            match = TOKEN.match(text, position)
            if not match:
                raise RegionError(f"'{self.text}': cannot read '{text[position:]}'; {GRAMMAR}")
            tokens.append((match.group(1) or match.group(2)).strip())
            position = match.end()
        return tokens

    def value(self) -> np.ndarray:
        result = self._union()
        if self.position < len(self.tokens):
            raise RegionError(
                f"'{self.text}': '{self.tokens[self.position]}' was not expected; {GRAMMAR}"
            )
        return result

    def _next(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _take(self) -> str:
        token = self._next()
        if token is None:
            raise RegionError(f"'{self.text}': a region is missing at the end")
        self.position += 1
        return token

    def _union(self) -> np.ndarray:
        result = self._intersection()
        while self._next() == "|":
            self._take()
            result = result | self._intersection()
        return result

    def _intersection(self) -> np.ndarray:
        result = self._term()
        while self._next() in ("&", "-"):
            keep = self._take() == "&"
            term = self._term()
            result = result & (term if keep else ~term)
        return result

    def _term(self) -> np.ndarray:
        token = self._take()
        if token == "~":
            return ~self._term()
        if token == "(":
            result = self._union()
            if self._next() != ")":
                raise RegionError(f"'{self.text}': a ')' is missing")
            self._take()
            return result
        if token in "|&-)":
            raise RegionError(f"'{self.text}': a region is missing before '{token}'")
        return self.resolve(token)
