"""Jobs are computed, each once: in this process, or in several."""

from __future__ import annotations

import os
import shutil
import signal
import time
import traceback
from collections.abc import Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import xarray as xr

from insilico.errors import InsilicoError, StoreError
from insilico.job import Job, walk
from insilico.run.portable import portable
from insilico.run.store import DamagedEntry, Store
from insilico.step import LEFT_OUT, Progress, computing, in_bytes

How = Mapping[str, Any]


class Watch(Protocol):
    """Who hears of a run."""

    def begin(self, total: int) -> None:
        """So many jobs will be computed."""

    def started(self, name: str) -> None:
        """Hear that a job starts."""

    def news(self, what: str, done: int, total: int) -> None:
        """Hear from inside a job; see `insilico.step.batches`."""

    def ended(self, name: str, seconds: float, failure: Failure | None) -> None:
        """Hear that a job ended, well or badly."""


@dataclass(frozen=True)
class Failure:
    """Why a job gave no result."""

    job: str
    message: str
    trace: str = ""


@dataclass
class Outcome:
    """What a run did: names of computed jobs in order, and failures by key."""

    computed: list[str] = field(default_factory=list)
    failures: dict[str, Failure] = field(default_factory=dict)

    def mended(self, instead: Iterable[str], more: Outcome) -> None:
        """Take in what other jobs gave in the place of these failed ones."""
        self.computed += more.computed
        self.failures = {k: v for k, v in self.failures.items() if k not in {*instead}}
        self.failures |= more.failures


def obtain(job: Job, store: Store) -> xr.Dataset:
    """Return a job's dataset: from the store, else computed and stored.

    Safe to call from several processes: a key is locked while it is computed. A damaged entry is
    thrown away. What only points to files is made anew and not stored.
    """
    if not job.step.stored:
        return portable(job(*(obtain(needed, store) for needed in job.inputs)))
    found = _stored(job, store)
    if found is not None:
        return found
    with store.lock(job.key):
        found = _stored(job, store)
        if found is not None:
            return found
        inputs = [obtain(needed, store) for needed in job.inputs]
        unfinished = store.unfinished(job.key)
        with computing(scratch=unfinished):
            result = job(*inputs)
            kept = store.write(job.key, job.step.kept(result), job.name)
        shutil.rmtree(unfinished, ignore_errors=True)
        return store.remember(job.key, result) if LEFT_OUT in kept.attrs else kept


def _stored(job: Job, store: Store) -> xr.Dataset | None:
    try:
        found = store.read(job.key)
    except KeyError:
        return None
    except DamagedEntry:
        store.discard(job.key)
        return None
    if LEFT_OUT not in found.attrs:
        return found
    inputs = [obtain(needed, store) for needed in job.inputs]
    return store.remember(job.key, job.step.whole(found, *inputs))


def lacking(targets: Iterable[Job], store: Store) -> list[Job]:
    """Return the jobs to compute, inputs first; none if all that can be stored is there."""
    found = list(walk(targets, done=store))  # type: ignore[arg-type]
    return found if any(job.step.stored for job in found) else []


def run(
    targets: Iterable[Job],
    store: Store,
    *,
    processes: int = 1,
    how: How = MappingProxyType({}),
    watch: Watch | None = None,
) -> Outcome:
    """Compute what the store lacks of the targets and of what they need.

    Parameters
    ----------
    targets : jobs
    store : Store
    processes : int
        1 computes here; more start that many processes.
    how : dict
        ``device``, ``batch``, ``compile`` and ``memory`` of `insilico.step.computing`; processes
        share the memory.
    watch : Watch, optional

    Returns
    -------
    Outcome
        A job that failed, and those that need it, are among the failures; the rest is computed.

    Raises
    ------
    StoreError
        If results cannot be written.
    InsilicoError
        If a step cannot be computed that way: nothing is computed then.
    """
    waiting, outcome = lacking(targets, store), Outcome()
    if not waiting:
        return outcome
    how = _shared(how, processes)
    with computing(**how):
        for job in waiting:
            job.step.ready()
    if watch:
        watch.begin(len(waiting))
    if processes == 1:
        _run_here(waiting, store, how, watch, outcome)
    else:
        with _pool(processes) as pool:
            _run_in(pool, waiting, store, how, watch, outcome)
    return outcome


def _shared(how: How, processes: int) -> dict[str, Any]:
    memory = how.get("memory")
    return {**how, "memory": memory and in_bytes(memory) // processes}


def _run_here(
    waiting: list[Job], store: Store, how: How, watch: Watch | None, outcome: Outcome
) -> None:
    for job in waiting:
        if _skipped(job, outcome, watch):
            continue
        if watch:
            watch.started(job.name)
        seconds, failure = _attempt(job, store, how, watch.news if watch else None)
        _note(job, seconds, failure, watch, outcome)


def _attempt(
    job: Job, store: Store, how: How, progress: Progress | None
) -> tuple[float, Failure | None]:
    start, failure = time.perf_counter(), None
    try:
        with computing(progress=progress, **how):
            obtain(job, store)
    except StoreError:
        raise
    except InsilicoError as error:
        failure = Failure(job.name, str(error), traceback.format_exc())
    except Exception as error:  # one job's bug must not end the others
        text = f"{type(error).__name__}: {error}"
        failure = Failure(job.name, text, traceback.format_exc())
    return time.perf_counter() - start, failure


def _skipped(job: Job, outcome: Outcome, watch: Watch | None) -> bool:
    bad = [outcome.failures[need.key] for need in job.inputs if need.key in outcome.failures]
    if bad:
        failure = Failure(bad[0].job, bad[0].message, bad[0].trace)
        outcome.failures[job.key] = failure
        if watch:
            watch.ended(job.name, 0.0, failure)
    return bool(bad)


def _note(
    job: Job, seconds: float, failure: Failure | None, watch: Watch | None, outcome: Outcome
) -> None:
    if failure:
        outcome.failures[job.key] = failure
    else:
        outcome.computed.append(job.name)
    if watch:
        watch.ended(job.name, seconds, failure)


# --- several processes ----------------------------------------------------------------------------


def _pool(processes: int) -> Executor:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    threads = max(1, (os.cpu_count() or 1) // processes)
    return ProcessPoolExecutor(processes, get_context("spawn"), _settle, (threads,))


def _settle(threads: int) -> None:
    """Share the cores among the processes, and leave ^C to the one that started them."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@lru_cache(maxsize=4)
def _store_here(folder: Path, memory_bytes: int) -> Store:
    return Store(folder, memory_bytes)


def _work(job: Job, folder: Path, memory_bytes: int, how: How) -> tuple[float, Failure | None]:
    return _attempt(job, _store_here(folder, memory_bytes), how, None)


def _run_in(
    pool: Executor,
    waiting: list[Job],
    store: Store,
    how: How,
    watch: Watch | None,
    outcome: Outcome,
) -> None:
    left, running = {job.key: job for job in waiting}, dict[Future, Job]()
    try:
        while left or running:
            for job in [job for job in left.values() if _ready(job, left, running)]:
                del left[job.key]
                if _skipped(job, outcome, watch):
                    continue
                if watch:
                    watch.started(job.name)
                task = pool.submit(_work, job, store.folder, store.memory_bytes, how)
                running[task] = job
            for task in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                _note(running.pop(task), *task.result(), watch, outcome)
    except BrokenProcessPool as error:
        names = ", ".join(job.name for job in running.values())
        raise InsilicoError(
            f"a process died while it computed {names or 'a job'} (out of memory?); "
            "what is done is kept: run again with fewer --jobs"
        ) from error
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def _ready(job: Job, left: dict[str, Job], running: dict[Future, Job]) -> bool:
    busy = {other.key for other in running.values()}
    return not any(need.key in left or need.key in busy for need in job.inputs)
