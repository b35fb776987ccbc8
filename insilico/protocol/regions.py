"""Regions in protocols: atlas names bound to others, `each`, and names that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from insilico.errors import RegionError, not_one_of
from insilico.protocol.document import Loc
from insilico.protocol.steps import Complaint
from insilico.spaces import atlases, regions
from insilico.spaces.nsd.names import REGIONS

EACH = "each"
"""A region that stands for several conditions: every one of an atlas."""
ATLAS_FIELDS = ("atlas", "by")
COMBINE = ("subsets", "pairs")
MOST = 8
"""Regions of which all subsets are made: 255 conditions."""
GREY = "#777777"


def bound(spec: Mapping[str, Any], bindings: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Replace bound atlas names in a spec.

    Returns
    -------
    spec : dict
    notes : list of str
        ``phantom7 in place of yeo7`` for each replacement.
    """
    result, used = dict(spec), []
    for name, other in bindings.items():
        if name == other:
            continue  # the published labels themselves
        for key in ATLAS_FIELDS:
            if result.get(key) == name:
                result[key] = other
                used.append(name)
        region = result.get("region")
        several = [str(one) for one in region] if isinstance(region, list) else [str(region)]
        said = [re.sub(rf"\b{re.escape(name)}:", f"{other}:", one) for one in several]
        if said != several:
            result["region"] = said if isinstance(region, list) else said[0]
            used.append(name)
    notes = [f"{bindings[name]} in place of {name}" for name in dict.fromkeys(used)]
    if isinstance(result.get("bands"), Mapping):
        result["bands"], more = bound(result["bands"], bindings)
        notes += more
    return result, notes


def regions_of(atlas: str) -> tuple[str, ...]:
    """Return an atlas's regions in published order, without its labels."""
    return REGIONS[atlas] if atlas in REGIONS else tuple(atlases.describe(atlas)["regions"])


def colour_of(spec: Mapping[str, Any]) -> str:
    """Return the colour of a perturbation's region in its atlas; grey if it is not one region."""
    prefix, _, region = str(spec.get("region", "")).rpartition(":")
    atlas = prefix or spec.get("atlas")
    if atlas not in atlases.names():
        return GREY
    about = atlases.describe(atlas)["regions"]
    return str(about.get(spelled(atlas, region), {"colour": GREY})["colour"])


def spelled(atlas: str | None, region: str) -> str:
    """Return a region's own name for any of its spellings; expressions stay as they are."""
    if atlas is not None and atlas in REGIONS:
        return {name.casefold(): name for name in REGIONS[atlas]}.get(region.casefold(), region)
    return (atlases.spelled(atlas, region) if atlas else None) or region


def expanded(spec: Mapping[str, Any]) -> list[str]:
    """Return the regions that a perturbation goes through, one condition each; "" for its own.

    With `combine` these are the regions together: all ``subsets``, or ``pairs``, every region and
    every two of them.
    """
    names = _listed(spec)
    if "combine" not in spec:
        return names
    most = {"subsets": len(names), "pairs": 2}.get(str(spec["combine"]), 1)
    sets = [c for size in range(1, most + 1) for c in combinations(names, size)]
    return [regions.union(names) for names in sets]


def _listed(spec: Mapping[str, Any]) -> list[str]:
    region, atlas = spec.get("region"), spec.get("atlas")
    if region == EACH:
        return list(regions_of(str(atlas)))
    if region is None:
        return [""]
    several = region if isinstance(region, list) else [region]
    return [spelled(atlas, str(name)) for name in several]


def region_complaints(
    spec: Mapping[str, Any], loc: Loc, *, own_labels: bool = False
) -> Iterator[Complaint]:
    """Yield what is wrong with the atlases and regions of a spec.

    `own_labels` says whether `by` may name labels of a measured response's own.
    """
    for key in ATLAS_FIELDS:
        known = (*atlases.names(), *(REGIONS if key == "atlas" or own_labels else ()))
        if key in spec and spec[key] not in known:
            yield (*loc, key), not_one_of("atlas", spec[key], known)
            return
    region, atlas = spec.get("region"), spec.get("atlas")
    if region == EACH and atlas is None:
        yield (*loc, "region"), f"'each' of which atlas? Add atlas: {', '.join(atlases.names())}"
    elif region == "pairs":
        instead = "write region: each (or a list), combine: pairs"
        yield (*loc, "region"), f"'pairs' is no region; for every two regions {instead}"
        return
    elif region not in (EACH, None):
        several = region if isinstance(region, list) else [region]
        for name in several:
            yield from _unknown(str(name), atlas, (*loc, "region"))
        own = [spelled(atlas, str(name)) for name in several]
        if len(set(own)) < len(own) or not own:
            what = "names a region twice" if own else "names no region"
            yield (*loc, "region"), f"the list {several} {what}: name each once"
            return
    if "combine" in spec:
        yield from _combining(spec, (*loc, "combine"))


def _combining(spec: Mapping[str, Any], loc: Loc) -> Iterator[Complaint]:
    """Yield what is wrong with combinations of regions."""
    how, region = spec["combine"], spec.get("region")
    if how not in COMBINE:
        yield loc, not_one_of("value", how, COMBINE)
    elif region != EACH and not (isinstance(region, list) and len(region) > 1):
        yield loc, f"met region {region!r}; allowed: a list of two or more, or each"
    elif how == "subsets" and len(_listed(spec)) > MOST:
        many = len(_listed(spec))
        yield loc, f"{many} regions have {2**many - 1} subsets; allowed: at most {MOST} regions"


def _unknown(expression: str, atlas: str | None, loc: Loc) -> Iterator[Complaint]:
    whole = spelled(atlas, expression)
    try:
        names = regions.named(whole)
    except RegionError as error:
        yield loc, str(error)
        return
    found = [message for prefix, name in names if (message := _missing(prefix or atlas, name))]
    if not found and not any(regions.own_labels(prefix or atlas or "") for prefix, _ in names):
        found = _empty(whole, atlas)
    yield from ((loc, message) for message in found)


def _missing(home: str | None, name: str) -> str | None:
    """Return the complaint about a region that does not exist."""
    if home == "roi":
        return None
    if home is None:
        return regions.of_no_atlas(name)
    if home not in (*atlases.names(), *REGIONS):
        return not_one_of("atlas", home, (*atlases.names(), *REGIONS))
    if home in REGIONS and name == regions.ANY:
        return None
    if name.casefold() == EACH:
        return f"unknown region '{name}'; for every region of {home} write region: {EACH}"
    if spelled(home, name) not in regions_of(home):
        if home in REGIONS:
            return not_one_of(f"region of {home}", name, REGIONS[home])
        return atlases.unknown(home, name)
    return None


def _empty(expression: str, atlas: str | None) -> list[str]:
    """Return the complaint about labels that are not there, or a region of no vertex."""
    try:
        regions.mask(expression, atlas=atlas)
    except RegionError as error:
        return [str(error)]
    return []
