"""Adapters in Python, without a chain: fitted on responses of one's own, and used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import xarray as xr

from insilico.adapters import KINDS
from insilico.errors import ParameterError, not_one_of


def fit_adapter(
    kind: str,
    source: xr.Dataset,
    target: xr.Dataset,
    *,
    checkpoint: str | Path | None = None,
    **parameters: Any,
) -> xr.Dataset:
    """Fit an adapter on responses to the same stimuli in both spaces.

    Parameters
    ----------
    kind : {"ridge", "mlp", "bottleneck", "pca"}
    source : response on fsaverage5, (stimulus, 20484 vertices)
    target : response in voxels, ([repeat,] stimulus, voxel)
        Of (some of) the same stimuli, matched by their ids; `insilico.from_array` makes both of
        arrays.
    checkpoint : path, optional
        Of those that are trained in epochs (``mlp``, ``bottleneck``): folder from which a killed
        training goes on.
    **parameters
        Of the kind, such as ``alphas=[100, 1000], choose="loo"``; ``insilico list adapters``.

    Returns
    -------
    Dataset
        Fitted parameters: for `adapt` and `save_adapter`.

    Raises
    ------
    ParameterError, SchemaError, SpaceError
    """
    step = KINDS.build({"kind": kind, **parameters})
    if checkpoint is None:
        return step.fit(source, target)  # type: ignore[attr-defined]
    if "epochs" not in type(step).model_fields:
        raise ParameterError(f"{kind} is not trained in epochs: leave checkpoint out")
    return step.fit(source, target, checkpoint=checkpoint)  # type: ignore[attr-defined]


def adapt(
    response: xr.Dataset, fitted: xr.Dataset, *, seen: Literal["refuse", "allow"] = "refuse"
) -> xr.Dataset:
    """Return a response in the voxels that an adapter was fitted on.

    Parameters
    ----------
    response : response on fsaverage5
    fitted : Dataset
        Of `fit_adapter`, `load_adapter` or ``chain.fitted()``.
    seen : {"refuse", "allow"}
        What is done with stimuli that the adapter was fitted on: their result flatters.

    Raises
    ------
    ParameterError
        If it is no fitted adapter, or a stimulus was among the pairs of the fit.
    """
    if not isinstance(fitted, xr.Dataset):
        raise ParameterError(
            f"fitted parameters of an adapter are needed, got {type(fitted).__name__}: what "
            "fit_adapter or load_adapter returned"
        )
    kind, known = fitted.attrs.get("adapter"), [name for name in KINDS if name != "saved"]
    if kind not in known:
        raise ParameterError(not_one_of("kind of adapter", kind, known))
    step = KINDS[str(kind)].of(fitted)
    return step.model_copy(update={"seen": seen})(response, fitted)
