"""Scores of many conditions and metrics side by side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
import xarray as xr

from insilico.errors import SchemaError, SpaceError, listed
from insilico.job import notes_of
from insilico.protocol.expand import Row
from insilico.protocol.regions import colour_of
from insilico.schema import check
from insilico.step import Step


class Join(Step):
    """Join scores along condition and metric.

    Attributes
    ----------
    condition, name, region, colour : tuple of str
        Label of each condition, its name in the protocol, the region that it perturbs, and that
        region's colour in its atlas.
    level : tuple of float or None
        Fraction, dose or weight of each condition that is part of a curve.
    variant : tuple of str
        What `stability` changed in each condition.
    notes : tuple of str
        Which atlas stands for which: notes on the protocol, not on a condition.
    pairs, draws : tuple of int, optional
        How many pairs each adapter was fitted on, and which draw of them; see `Row`.
    """

    kind: ClassVar[str] = "join"
    version: ClassVar[int] = 3  # level and variant
    condition: tuple[str, ...]
    name: tuple[str, ...]
    region: tuple[str, ...]
    colour: tuple[str, ...]
    level: tuple[float | None, ...] = ()
    variant: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pairs: tuple[int, ...] = ()
    draws: tuple[int, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Join:
        """Return the step that joins the scores of these conditions."""
        rows = list(rows)
        labels = [(row.name, row.base, row.region, colour_of(row.perturb or {})) for row in rows]
        condition, name, region, colour = zip(*labels, strict=True)
        notes = tuple(dict.fromkeys(note for row in rows for note in row.notes))
        level, variant = zip(*((row.level, row.variant) for row in rows), strict=True)
        labelled = {"condition": condition, "name": name, "region": region, "colour": colour}
        sizes = {"pairs": tuple(r.pairs for r in rows), "draws": tuple(r.draw for r in rows)}
        own = sizes if any(sizes["pairs"]) else {}
        return cls(**labelled, level=level, variant=variant, notes=notes, **own)

    def identity(self) -> dict[str, Any]:
        """Return all parameters; pairs only where conditions go through several numbers of them."""
        own = ("pairs", "draws")
        return {k: v for k, v in super().identity().items() if k not in own or self.pairs}

    def __call__(self, *scores: xr.Dataset) -> xr.Dataset:
        """Return one score, (condition, stimulus, draw, metric).

        Parameters
        ----------
        *scores : score
            Condition by condition, and in each of them metric by metric.

        Notes
        -----
        Chance levels that differ between conditions are averaged in `chance` and kept one by one
        in `chance_of_condition`. Scores of sets beside others: see `side_by_side`.
        """
        each = len(scores) // len(self.condition)
        parts = [scores[k : k + each] for k in range(0, len(scores), each)]
        rows = [side_by_side(part) for part in parts]
        chance = xr.concat([row["chance"].reset_coords(drop=True) for row in rows], "condition")
        plain = [row.drop_vars("chance") for row in rows]
        joined = noted(stacked(plain, self.condition), plain, self.name, self.notes)
        joined = joined.assign_coords(
            chance=("metric", chance.mean("condition").values),
            chance_of_condition=(("condition", "metric"), chance.values),
        )
        return check(joined.assign_coords(self.labels()), "score")

    def labels(self) -> dict[str, tuple[str, list[Any]]]:
        """Return the coordinates along `condition`."""
        found: dict[str, Any] = {name: getattr(self, name) for name in ("name", "region", "colour")}
        if self.pairs:
            found |= {"pairs": self.pairs, "pairs_draw": self.draws}
        if any(level is not None for level in self.level):
            found["level"] = [np.nan if one is None else one for one in self.level]
        if any(self.variant):
            found["variant"] = self.variant
        return {name: ("condition", list(values)) for name, values in found.items()}


SET_NAMES = {name: f"set_{name}" for name in ("value", "metric", "definition", "direction")}
SET_NAMES |= {"chance": "set_chance", "error": "set_error", "warning": "set_warning"}
"""What scores of sets are called beside scores of items."""


class Subjects(Step):
    """Stack responses of several subjects to the same stimuli along a dimension `subject`."""

    kind: ClassVar[str] = "subjects"

    def __call__(self, *responses: xr.Dataset) -> xr.Dataset:
        """Return one response, (subject, stimulus, place).

        Parameters
        ----------
        *responses : response
            In one space, with their subjects as attributes.
        """
        names = [str(response.attrs["subject"]) for response in responses]
        if len(set(names)) < len(names):
            raise SchemaError(f"subjects repeat: {listed(names)}; name each once")
        spaces = sorted({str(response.attrs["space"]) for response in responses})
        if len(spaces) > 1:
            raise SpaceError(f"subjects are compared in one space; these lie in {listed(spaces)}")
        joined = xr.concat(
            [one.drop_vars(_differing(responses), errors="ignore") for one in responses],
            "subject",
            join="exact",
            coords="minimal",
            compat="override",
            combine_attrs="drop_conflicts",
        )
        joined = joined.assign_coords(subject=names)
        return check(joined, "response")


def _differing(responses: Sequence[xr.Dataset]) -> list[str]:
    """Return the labels that responses do not share, such as regions drawn on each subject."""
    names = {str(k) for response in responses for k in response.coords if k not in response.dims}
    each = [response.coords.variables for response in responses]
    return [
        name
        for name in sorted(names)
        if not all(name in own and own[name].identical(each[0][name]) for own in each)
    ]


def side_by_side(scores: tuple[xr.Dataset, ...] | list[xr.Dataset]) -> xr.Dataset:
    """Join scores of the same reconstructions along metric.

    Scores of sets, which have no stimulus, stand apart where there are others: `set_value` over
    `set_metric`, so that no statistic takes them for scores of items.
    """
    labels = [str(label) for score in scores for label in score["metric"].values]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise SchemaError(f"two scores are called {listed(twice)}; give one another 'name'")
    items = [score for score in scores if "stimulus" in score.dims]
    sets = [score for score in scores if "stimulus" not in score.dims]
    joined = [_along_metric(part) for part in (items, sets) if part]
    if len(joined) == 1:
        return joined[0]
    of_items, of_sets = joined
    return of_items.merge(
        of_sets.rename(SET_NAMES), join="exact", combine_attrs="drop_conflicts", compat="equals"
    )


def _along_metric(scores: list[xr.Dataset]) -> xr.Dataset:
    return xr.concat(
        scores,
        "metric",
        join="exact",
        combine_attrs="drop_conflicts",
        coords="different",
        compat="equals",
    )


def stacked(datasets: list[xr.Dataset], labels: tuple[str, ...] | list[str]) -> xr.Dataset:
    """Stack datasets of several conditions along a new leading dimension `condition`.

    A text that a condition lacks is empty.
    """
    first = datasets[0]
    for dataset, label in zip(datasets, labels, strict=True):
        for name in ("stimulus", "draw", "vertex"):
            if name in first.dims and not first.indexes[name].equals(dataset.indexes[name]):
                raise SchemaError(
                    f"condition '{label}' has other labels of {name} than '{labels[0]}'; "
                    f"conditions are compared item by item: give them the same {name}"
                )
        _require_one_size(dataset, label, first, labels[0])
    joined = xr.concat(
        _with_all_texts(datasets),
        "condition",
        join="exact",
        combine_attrs="drop_conflicts",
        coords="minimal",
        compat="override",
        data_vars="all",
    )
    return joined.assign_coords(condition=list(labels))


def _require_one_size(dataset: xr.Dataset, label: str, first: xr.Dataset, other: str) -> None:
    for pixels in ("y_pixel", "x_pixel"):
        if dataset.sizes.get(pixels) != first.sizes.get(pixels):
            raise SchemaError(
                f"pictures of condition '{label}' have {dataset.sizes.get(pixels)} pixels a side, "
                f"those of '{other}' {first.sizes.get(pixels)}; give them one size"
            )


def _with_all_texts(datasets: list[xr.Dataset]) -> list[xr.Dataset]:
    texts = {k: v for d in datasets for k, v in d.data_vars.items() if v.dtype.kind in "OU"}
    return [
        d.assign({k: xr.full_like(v, "") for k, v in texts.items() if k not in d}) for d in datasets
    ]


def noted(
    joined: xr.Dataset,
    datasets: Sequence[xr.Dataset],
    names: Sequence[str],
    shared: Collection[str] = (),
) -> xr.Dataset:
    """Return datasets that were stacked with the notes of all; a note on some names them.

    What a lesion is, where they say it differently, is said in every way.

    Parameters
    ----------
    joined : Dataset
        What `stacked` made of them.
    datasets : list of Dataset
    names : list of str
        Of each one's condition.
    shared : list of str
        Notes that are on none of them alone.
    """
    whose: dict[str, dict[str, None]] = {}
    for dataset, name in zip(datasets, names, strict=True):
        for note in notes_of(dataset.attrs):
            whose.setdefault(note, {})[name] = None
    everywhere = set(names)
    said = [
        note if note in shared or everywhere <= set(some) else f"{listed(some, 4)}: {note}"
        for note, some in whose.items()
    ]
    attrs = {key: value for key, value in joined.attrs.items() if key != "note"}
    lesions = dict.fromkeys(str(one.attrs["lesion"]) for one in datasets if "lesion" in one.attrs)
    attrs |= {"lesion": " ".join(lesions)} if lesions else {}
    joined.attrs = {**attrs, **({"note": "; ".join(said)} if said else {})}
    return joined
