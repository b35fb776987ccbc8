"""The five nouns: stimuli, response, reconstruction, score, estimate.

Each is a plain `xarray.Dataset`. Dimension names, coordinates, dtypes and attributes are written
here, once; every public function calls `check` at its door.

========================  =====================================================  ================
noun                      dimensions                                             variables
========================  =====================================================  ================
stimuli                   stimulus                                               image, caption,
                                                                                 sound, film or
                                                                                 path
response                  [subject, repeat, condition] stimulus × vertex|voxel   bold
                          (or row × vertex|voxel: rows of unequal timelines)
reconstruction            [condition] stimulus × draw                            image, caption
score                     [condition] stimulus × draw × metric                   value
estimate                  contrast × metric, region, vertex or voxel             effect, ci_low,
                                                                                 ci_high, p,
                                                                                 p_corrected, n
========================  =====================================================  ================
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, SchemaError, SpaceError, listed, not_one_of


@dataclass(frozen=True)
class Noun:
    """What a dataset must be to carry this name.

    An attribute may also be a coordinate, where it differs between conditions.
    """

    dims: tuple[str, ...]
    variables: tuple[str, ...]
    any_variable: tuple[str, ...] = ()
    coords: tuple[str, ...] = ()
    attrs: tuple[str, ...] = ()


NOUNS = {
    "stimuli": Noun(
        dims=("stimulus",),
        variables=(),
        any_variable=("image", "caption", "sound", "film", "path"),
        coords=("split",),
        attrs=("source",),
    ),
    "response": Noun(
        dims=(),
        variables=("bold",),
        coords=("hemi", "x", "y", "z"),
        attrs=("space", "units", "subject", "hemodynamic_offset_s", "source"),
    ),
    "reconstruction": Noun(
        dims=("stimulus", "draw"),
        variables=(),
        any_variable=("image", "caption", "sound"),
        attrs=("decoder", "seed"),
    ),
    "score": Noun(
        dims=("metric",),
        variables=("value",),
        coords=("definition", "direction", "chance"),
    ),
    "estimate": Noun(
        dims=("contrast",),
        variables=("effect", "ci_low", "ci_high", "p", "p_corrected", "n"),
        attrs=("test", "null", "correction", "unit_of_inference"),
    ),
}

PLACES = ("vertex", "voxel")
UNKNOWN = ""
"""The `hemi` of a voxel whose side is not known; `x`, `y`, `z` that are not known are NaN."""
LESION = "A lesion here takes information from the read-out; nothing propagates to other areas."
"""What stands on everything that a lesion is shown in, by the attribute `lesion`."""


def check(
    dataset: xr.Dataset, noun: str, *, space: str | None = None, rows: bool = False
) -> xr.Dataset:
    """Return the dataset if it is the noun it is taken for.

    Parameters
    ----------
    dataset : xarray.Dataset
        What a function was given.
    noun : str
        One of `NOUNS`.
    space : str, optional
        For responses: the space needed, such as ``"fsaverage5"``.
    rows : bool
        For responses: whether they may lie in rows of unequal timelines instead of stimuli.

    Raises
    ------
    SchemaError
        If a dimension, variable, coordinate or attribute is missing or of the wrong kind.
    SpaceError
        If a response lies in another space.
    """
    if noun not in NOUNS:
        raise ParameterError(not_one_of("noun", noun, NOUNS))
    if not isinstance(dataset, xr.Dataset):
        raise SchemaError(
            f"{noun}: an xarray.Dataset is needed, got {type(dataset).__name__}; "
            f"`insilico.schema.sample('{noun}')` shows one"
        )
    _require_parts(dataset, noun)
    if "stimulus" in dataset.dims:
        _require_ids(dataset, noun)
    if "image" in dataset and dataset["image"].dtype != np.uint8:
        raise SchemaError(f"{noun}: image must be uint8, 0 to 255; is {dataset['image'].dtype}")
    if noun == "response":
        _require_response(dataset, space, rows)
    return dataset


def _require_parts(dataset: xr.Dataset, noun: str) -> None:
    """Raise with all that is missing, and what is of another type, at once."""
    spec, wrong = NOUNS[noun], []
    for what, needed, present in (
        ("dimension", spec.dims, dataset.dims),
        ("variable", spec.variables, dataset.data_vars),
        ("coordinate", spec.coords, dataset.coords),
        ("attribute", spec.attrs, [*dataset.attrs, *dataset.coords]),
    ):
        wrong += _missing(what, needed, present)
    if spec.any_variable and not set(spec.any_variable) & set(dataset.data_vars):
        wrong.append(
            f"needs one of the variables {listed(spec.any_variable)}; "
            f"has {listed(dataset.data_vars) or 'none'}"
        )
    if noun == "response" and "bold" in dataset and dataset["bold"].dtype != np.float32:
        wrong.append(f"bold must be float32; is {dataset['bold'].dtype}")
    if wrong:
        made = "; insilico.from_array labels an array" if noun == "response" else ""
        raise SchemaError(f"{noun}: {'. And: '.join(wrong)}{made * (len(wrong) > 1)}")


def _missing(what: str, needed: tuple[str, ...], present: Iterable[Hashable]) -> list[str]:
    here = list(present)
    missing = [name for name in needed if name not in here]
    return [f"{what} {listed(missing)} missing; has {listed(here) or 'none'}"] if missing else []


def _require_ids(dataset: xr.Dataset, noun: str) -> None:
    if "stimulus" not in dataset.coords:
        raise SchemaError(f"{noun}: the stimulus dimension has no labels; give each stimulus an id")
    ids, counts = np.unique(dataset["stimulus"].values.astype(str), return_counts=True)
    if (counts > 1).any():
        raise SchemaError(f"{noun}: stimulus ids repeat: {listed(ids[counts > 1], 3)}")


def _require_response(dataset: xr.Dataset, space: str | None, rows: bool) -> None:
    place = place_of(dataset)
    bold = dataset["bold"]
    items = "row" if rows and "row" in bold.dims else "stimulus"
    if bold.dims[-2:] != (items, place):
        hint = "; average the rows of each timeline first" if "row" in bold.dims else ""
        raise SchemaError(f"response: bold must end in ({items}, {place}); has {bold.dims}{hint}")
    if items == "row":
        for wrong in _missing("coordinate", ("timeline", "time"), dataset.coords):
            raise SchemaError(f"response in rows: {wrong}")
    known = {"L", "R", UNKNOWN} if place == "voxel" else {"L", "R"}
    if not set(np.unique(dataset["hemi"].values.astype(str))) <= known:
        raise SchemaError(
            f"response: hemi must be 'L' or 'R' for every {place} ('': unknown voxel)"
        )
    if not np.isfinite(bold.values).all():
        finite = xr.apply_ufunc(np.isfinite, bold).all([dim for dim in bold.dims if dim != items])
        bad = bold["stimulus" if items == "stimulus" else "timeline"].values[~finite.values]
        raise SchemaError(f"response: NaN or infinite bold in stimuli {listed(bad, 3)}")
    if space is not None and dataset.attrs["space"] != space:
        raise SpaceError(
            f"a response in {space} is needed; this one lies in {dataset.attrs['space']}"
        )


def require_varying(response: xr.Dataset, name: str, cortex: np.ndarray | None = None) -> None:
    """Raise if a response tells nothing: one number over all places, or the same for all stimuli.

    Parameters
    ----------
    response : response
        One that was perturbed is let pass: a lesion of everything leaves nothing.
    name : str
        What to call it.
    cortex : bool (place,), optional
        Places that count; all of them where left out.
    """
    if "perturbed" in response.attrs:
        return
    bold, place = response["bold"].values, place_of(response)
    bold = bold if cortex is None else bold[..., cortex]
    flat = (bold == bold[..., :1]).all(-1).reshape(-1, bold.shape[-2]).any(0)
    if flat.any():
        constant = response["stimulus"].values[flat]
        raise SchemaError(
            f"{name} is constant over every {place} for {listed(constant, 3)}; "
            "was it filled with zeros?"
        )
    if bold.shape[-2] > 1 and (bold == bold[..., :1, :]).all():
        raise SchemaError(
            f"{name} is the same for all {bold.shape[-2]} stimuli; it tells nothing about them: "
            "check the encoder, or the file it was read from"
        )


def place_of(dataset: xr.Dataset) -> str:
    """Return the dimension over which a response is laid out: ``vertex`` or ``voxel``."""
    found = [place for place in PLACES if place in dataset.dims]
    if len(found) != 1:
        raise SchemaError(f"a response or map is over vertex or voxel; met {listed(dataset.dims)}")
    return found[0]


def canonical(value: Any) -> str:
    """Write a JSON value in one fixed way: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def short_digest(*parts: Any) -> str:
    """Return 32 hexadecimal digits that name the parts (JSON values or bytes)."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(part if isinstance(part, bytes) else canonical(part).encode())
        state.update(b"\0")
    return state.hexdigest()


def digest(dataset: xr.Dataset) -> str:
    """Return a digest of values, labels and attributes, the same after a file round trip."""
    parts: list[object] = []
    for name in sorted(str(key) for key in dataset.variables):
        variable = dataset[name]
        values = np.asarray(variable.values)
        if values.dtype.kind in "OUT":
            parts += [name, list(variable.dims), [str(v) for v in values.ravel()]]
        else:
            parts += [name, list(variable.dims), str(values.dtype), list(values.shape)]
            parts.append(np.ascontiguousarray(values).tobytes())
    return short_digest(*parts, {str(k): str(v) for k, v in dataset.attrs.items()})


# --- shipped examples -----------------------------------------------------------------------------


def sample(noun: str, n: int = 4, seed: int = 0) -> xr.Dataset:
    """Make a small valid dataset: for tests, documentation and bug reports.

    Parameters
    ----------
    noun : str
        One of `NOUNS`.
    n : int
        Number of stimuli (contrasts, for an estimate).
    seed : int
        Seed of the random values.
    """
    if noun not in NOUNS:
        raise ParameterError(not_one_of("noun", noun, NOUNS))
    return check(_SAMPLES[noun](n, np.random.default_rng(seed)), noun)


def _ids(n: int) -> list[str]:
    return [f"sample-{index:06d}" for index in range(n)]


def _stimuli(n: int, rng: np.random.Generator) -> xr.Dataset:
    image = rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)
    return xr.Dataset(
        {"image": (("stimulus", "y_pixel", "x_pixel", "rgb"), image)},
        coords={"stimulus": _ids(n), "split": ("stimulus", ["test"] * n)},
        attrs={"source": "sample"},
    )


def _response(n: int, rng: np.random.Generator) -> xr.Dataset:
    bold = rng.standard_normal((n, 8)).astype(np.float32)
    places = rng.uniform(-60, 60, (3, 8))
    return xr.Dataset(
        {"bold": (("stimulus", "voxel"), bold)},
        coords={
            "stimulus": _ids(n),
            "voxel": np.arange(8),
            "hemi": ("voxel", ["L"] * 4 + ["R"] * 4),
            **{axis: ("voxel", row) for axis, row in zip("xyz", places, strict=True)},
        },
        attrs={
            "space": "sample",
            "units": "session z",
            "subject": "sample",
            "hemodynamic_offset_s": 0.0,
            "source": "sample",
        },
    )


def _reconstruction(n: int, rng: np.random.Generator) -> xr.Dataset:
    image = rng.integers(0, 256, (n, 1, 64, 64, 3), dtype=np.uint8)
    return xr.Dataset(
        {"image": (("stimulus", "draw", "y_pixel", "x_pixel", "rgb"), image)},
        coords={"stimulus": _ids(n), "draw": [0]},
        attrs={"decoder": "sample", "seed": 0},
    )


def _score(n: int, rng: np.random.Generator) -> xr.Dataset:
    return xr.Dataset(
        {"value": (("stimulus", "draw", "metric"), rng.uniform(0, 1, (n, 1, 2)))},
        coords={
            "stimulus": _ids(n),
            "draw": [0],
            "metric": ["pixcorr", "clip_cosine"],
            "definition": ("metric", ["sample", "sample"]),
            "direction": ("metric", ["higher", "higher"]),
            "chance": ("metric", [0.0, 0.0]),
        },
    )


def _estimate(n: int, rng: np.random.Generator) -> xr.Dataset:
    effect = rng.standard_normal(n)
    rows = {"effect": effect, "ci_low": effect - 1, "ci_high": effect + 1}
    rows |= {"p": rng.uniform(0, 1, n), "p_corrected": np.ones(n), "n": np.full(n, 20)}
    return xr.Dataset(
        {name: ("contrast", values) for name, values in rows.items()},
        coords={"contrast": [f"contrast {index}" for index in range(n)]},
        attrs=dict.fromkeys(NOUNS["estimate"].attrs, "sample"),
    )


_SAMPLES = {
    "stimuli": _stimuli,
    "response": _response,
    "reconstruction": _reconstruction,
    "score": _score,
    "estimate": _estimate,
}
