"""What a run's log says while one job takes long."""

from __future__ import annotations

from io import StringIO

from insilico.run import progress
from insilico.run.progress import Lines


def test_a_long_job_says_that_it_begins_and_then_how_far_it_is(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    told = Lines(StringIO())
    told.begin(2)
    told.started("fit mlp")
    told.news("fit mlp", 0, 300)
    for epoch in range(1, 7):  # ten seconds each
        now += 10
        told.news(f"fit mlp, error held out 0.{epoch}", epoch, 300)
    told.ended("fit mlp", 60.0, None)
    lines = [line.strip() for line in told.stream.getvalue().splitlines()]
    assert lines == [
        "fit mlp: 0 of 300",
        "fit mlp, error held out 0.3: 3 of 300",
        "fit mlp, error held out 0.6: 6 of 300",
        "[  1/2]   60.0 s  fit mlp",
    ]


def test_short_jobs_say_nothing_inside():
    told = Lines(StringIO())
    told.begin(1)
    told.started("decode")
    for done in range(1, 50):
        told.news("pictures", done, 50)
    assert told.stream.getvalue() == ""
