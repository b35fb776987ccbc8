"""A protocol from file to folder: read, plan, compute what is missing, write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import insilico
from insilico.errors import ParameterError, listed
from insilico.protocol.branches import Plan
from insilico.protocol.plan import plan
from insilico.protocol.read import Reading, read
from insilico.protocol.spared import spared
from insilico.report.folder import Folder, as_yaml
from insilico.run.runner import Failure, Outcome, lacking
from insilico.run.runner import run as compute
from insilico.run.store import Store, read_entry
from insilico.step import computing

if TYPE_CHECKING:
    import xarray as xr

    from insilico.report.nouns import Assembly
    from insilico.run.progress import Bars, Lines

DIGITS = 8
LARGEST_BYTES = 1_000_000_000
"""Of a variable in an output, where the user has its files."""


@dataclass(frozen=True)
class Results:
    """What a run left.

    Attributes
    ----------
    folder : Path
    summary : str
    computed : tuple of str
        Names of the jobs that were computed now; empty if all lay in the store.
    failures : tuple of Failure
    """

    folder: Path
    summary: str
    computed: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = field(default=())

    def open(self, noun: str) -> xr.Dataset:
        """Return ``stimuli``, ``response``, ``reconstruction``, ``score`` or ``estimate-NAME``."""
        path = self.folder / f"{noun}.nc"
        if not path.exists():
            there = ", ".join(sorted(file.stem for file in self.folder.glob("*.nc")))
            raise ParameterError(f"{self.folder} holds no {noun}.nc; it holds {there or 'none'}")
        return read_entry(path)


def run(
    file: str | Path,
    *,
    set: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    store: str | Path | None = None,
    jobs: int = 1,
    device: str = "cpu",
    batch: int | None = None,
    compile: bool = False,
    memory: int | str | None = None,
    watch: Lines | Bars | None = None,
) -> Results:
    """Run a protocol.

    Parameters
    ----------
    file : path
        Or the name of a shipped protocol.
    set : dict, optional
        Dotted keys to values that replace the file's, such as ``{"stimuli.n": 6}``.
    out : path, optional
        Output folder; by default ``runs/<protocol>-<key>``. One that holds another run, or files
        of no run, is refused.
    overwrite : bool
        Let the outputs take the place of what the folder holds.
    store : path, optional
        Folder of stored datasets; by default ``INSILICO_STORE`` or the user's cache.
    jobs : int
        Processes.
    device, batch, compile, memory
        How it is computed, see `insilico.step.computing`: no result depends on them, but for
        roundings.
    watch : Lines or Bars, optional
        Who hears of progress.

    Returns
    -------
    Results

    Raises
    ------
    InsilicoError
        For anything that the user can mend. A job that fails is no reason: see
        `Results.failures`.
    """
    from insilico.report.nouns import Assembly

    if jobs < 1:
        raise ParameterError(f"jobs is {jobs}; allowed: 1 or more processes")
    how: dict[str, Any] = {"device": device, "batch": batch, "compile": compile, "memory": memory}
    with computing(progress=watch.news if watch else None, **how):  # digests take a while at first
        reading = read(file, set)
        work = plan(reading.protocol)
    folder = Folder(_place(out, file, work))
    if folder.complete(work.key):
        return Results(folder.path, (folder.path / "summary.txt").read_text())
    folder.begin(work.key, overwrite=overwrite)
    shelf = Store(store)
    outcome = compute(work.targets(), shelf, processes=jobs, how=how, watch=watch)
    instead = spared(work, outcome.failures)
    more = compute(instead.values(), shelf, processes=jobs, how=how, watch=watch)
    outcome.mended(instead, more)
    text = _write(folder, Assembly(work, shelf, outcome.failures, instead), outcome, reading)
    failures = tuple(outcome.failures.values())
    return Results(folder.path, text, tuple(outcome.computed), failures)


def missing(work: Plan, store: str | Path | None = None) -> list[str]:
    """Return the names of the jobs that a run would compute."""
    return [job.name for job in lacking(work.targets(), Store(store))]


def _place(out: str | Path | None, file: str | Path, work: Plan) -> Path:
    if out is not None:
        return Path(out).expanduser()
    stem = re.sub(r"[^\w-]+", "_", Path(file).stem)
    return Path("runs") / f"{stem}-{work.key[:DIGITS]}"


def _write(folder: Folder, assembly: Assembly, outcome: Outcome, reading: Reading) -> str:
    """Write all outputs and return the summary."""
    from insilico.report.drawn import draw
    from insilico.report.methods import methods
    from insilico.report.nouns import table
    from insilico.report.summary import summary
    from insilico.run.portable import portable
    from insilico.run.store import write_entry

    work, nouns = assembly.plan, assembly.nouns()
    folder.text("protocol.yaml", resolved(work, reading.document.name))
    for stem, noun in nouns.items():
        write_entry(portable(_fit_to_write(noun)), folder.path / f"{stem}.nc")
    names = ["protocol.yaml", *(f"{stem}.nc" for stem in nouns)]
    estimates = {k.removeprefix("estimate-"): v for k, v in nouns.items() if "estimate-" in k}
    if estimates:
        folder.text("estimates.csv", table(estimates).to_csv(index=False))
        names.append("estimates.csv")
    figures, failures = draw(work.protocol, nouns, folder.path)
    outcome.failures.update(failures)
    names += figures
    text = summary(work, nouns, outcome.failures)
    folder.text("summary.txt", text)
    folder.text("methods.txt", methods(work, nouns))
    names += ["summary.txt", "methods.txt"]
    folder.finish(work.key, names, complete=not outcome.failures)
    return text


def _fit_to_write(noun: xr.Dataset) -> xr.Dataset:
    """Leave out what stands in the user's own files and would be larger than `LARGEST_BYTES`."""
    sizes = {name: held.nbytes for name, held in noun.data_vars.items() if name != "path"}
    large = [name for name, size in sizes.items() if size > LARGEST_BYTES]
    if "path" not in noun or not large:
        return noun
    note = f"{listed(large)} left out here for size: see the files of 'path'"
    note = "; ".join(filter(None, (str(noun.attrs.get("note", "")), note)))
    return noun.drop_vars(large).assign_attrs(note=note)


def resolved(work: Plan, source: str) -> str:
    """Return the protocol with all defaults, as YAML that can be run again."""
    head = f"# {Path(source).name}, complete: insilico {insilico.__version__}, key {work.key}\n"
    note = f"# {work.note}\n" if work.note else ""
    return head + note + as_yaml(work.resolved)
