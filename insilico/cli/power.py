"""`insilico power`: how many stimuli a paired effect of a pilot run needs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

NOTE = """\
by t: paired t test, noncentral t. cautious: the same for the d_z that the pilot does not rule out
(of a given effect: with the upper end of the spread's 95 % interval; of the pilot's own, which are
too large on average where the large ones are followed up: the end of d_z's interval nearer zero).
by flips: sign flips in studies drawn from the pilot's stimuli; corrected: by the maximum over all
contrasts of the statistic. '-': more than were tried, or no effect in the pilot. Power is for new
stimuli of the same kind, through the same model: it says nothing of other subjects."""


def power(arguments: argparse.Namespace) -> int:
    """Print the numbers of stimuli."""
    from insilico.errors import ParameterError
    from insilico.statistics.power import flips_for

    for name, usual in (("power", 0.8), ("alpha", 0.05)):
        given = getattr(arguments, name)
        if not 0 < given < 1:
            raise ParameterError(f"--{name} {given:g}: allowed: between 0 and 1, such as {usual}")
    step, scores = pilot(arguments.run, arguments.statistic)
    flips_for(arguments.alpha, step.n)
    found = list(rows(step, scores, arguments))  # a mistake is told alone, without a header
    print(
        f"pilot {arguments.run}: {step.of} minus {step.against}, {scores.sizes['stimulus']} stimuli"
    )
    told = "the pilot's own effects" if arguments.effect is None else f"{arguments.effect:g}"
    print(f"power {arguments.power:g} at alpha {arguments.alpha:g}, two-sided, for {told}")
    head = ("metric", "contrast", "effect", "d_z", "by t", "cautious", "by flips", "corrected")
    print(_line(head))
    for row in found:
        print(_line(row))
    print(NOTE)
    return 0


def _line(cells: tuple[Any, ...]) -> str:
    words = ["-" if cell is None else str(cell) for cell in cells]
    return f"{words[0]:<16}{words[1]:<20}" + "".join(f"{word:>11}" for word in words[2:])


def pilot(folder: Path, name: str | None) -> tuple[Any, xr.Dataset]:
    """Return a run's paired statistic and its scores.

    Raises
    ------
    ParameterError
        No folder of a run, no such statistic, or one of another kind.
    """
    from insilico.errors import ParameterError, not_one_of
    from insilico.protocol.document import read_document
    from insilico.protocol.steps import build
    from insilico.run.store import read_entry

    for file in ("protocol.yaml", "score.nc"):
        if not (folder / file).is_file():
            raise ParameterError(f"{folder} holds no {file}: name the output folder of a run")
    asked = read_document(folder / "protocol.yaml").data.get("statistics") or {}
    paired = {key: spec for key, spec in asked.items() if spec.get("kind") == "paired"}
    if not paired:
        raise ParameterError(f"{folder}: the run has no statistic of kind paired")
    if name in asked and name not in paired:
        kind = asked[name].get("kind")
        raise ParameterError(f"'{name}' is of kind {kind}; power knows paired: {', '.join(paired)}")
    if name is not None and name not in paired:
        raise ParameterError(not_one_of("paired statistic", name, paired))
    return build("statistics", paired[name or next(iter(paired))]), read_entry(folder / "score.nc")


def rows(step: Any, scores: xr.Dataset, arguments: argparse.Namespace) -> Iterator[tuple[Any, ...]]:
    """Yield the cells of each line."""
    from insilico.errors import ParameterError, not_one_of
    from insilico.statistics.contrasts import effects, regions_of, require_conditions
    from insilico.statistics.power import looked_for
    from insilico.step import generator

    require_conditions(scores, (step.of, step.against), "power")
    names = [name or step.of for name in regions_of(scores, step.of)]
    metrics = scores["metric"].values.astype(str)
    for what, asked, known in (
        ("metric", arguments.metric, metrics),
        ("contrast", arguments.contrast, names),
    ):
        if asked is not None and asked not in known:
            raise ParameterError(not_one_of(what, asked, known))
    each = effects(scores, step.of, step.against, "power").mean(1)
    for m, metric in enumerate(metrics):
        if arguments.metric in (None, metric):
            wanted = looked_for(each[..., m], arguments.effect)
            rng = generator(arguments.seed, "power", metric)
            for name, cells in zip(names, _numbers(wanted, arguments, rng, step.n), strict=True):
                if arguments.contrast in (None, name):
                    yield (metric, name, *cells)


def _numbers(
    wanted: np.ndarray, arguments: argparse.Namespace, rng: np.random.Generator, most: int
) -> list[tuple[Any, ...]]:
    """Return effect, d_z and the four numbers of stimuli of each contrast."""
    import numpy as np

    from insilico.statistics.effects import d_z
    from insilico.statistics.power import cautious, enough, flips_for, needed, simulated, sizes

    goal, alpha = arguments.power, arguments.alpha
    d = d_z(wanted)
    nearer = cautious(wanted, arguments.effect)
    by_t = [needed(one, goal, alpha) for one in d]
    within = [n for n in by_t if n is not None and n <= arguments.most]
    tried = sizes(min(2 * max(within, default=10), arguments.most))
    flips = flips_for(alpha, most)
    powers = np.array([simulated(wanted, n, rng, alpha=alpha, flips=flips) for n in tried])
    found = []
    for c, effect in enumerate(wanted.mean(0)):
        by_flips = [enough(tried, powers[:, k, c], goal) for k in (0, 1)]
        sure = needed(nearer[c], goal, alpha)
        found.append((f"{effect:+.4f}", f"{d[c]:+.2f}", by_t[c], sure, *by_flips))
    return found
