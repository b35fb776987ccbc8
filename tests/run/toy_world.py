"""A world of toy steps: registries, a preset and a protocol, for tests that need a whole run."""

from __future__ import annotations

from pathlib import Path

TOYS = {
    "stimuli": "Shapes",
    "recordings": "Recording",
    "encoders": "Encoder",
    "perturbations": "Silence",
    "adapters": "Adapter",
    "decoders": "Decoder",
}

PRESET = """\
stimuli: {kind: toy, split: test, n: 4}
training: {kind: toy, split: train}
recording: {kind: toy}
encoder: {kind: toy}
adapter: {kind: toy, pairs: 6}
decoder: {kind: toy}
bindings: {yeo7: phantom7}
"""

PROTOCOL = """\
title: A toy study
preset: toy.yaml
seed: 7
stimuli: {split: test, n: 5}
conditions:
  measured: {source: recording}
  intact:   {}
  silenced: {perturb: {kind: toy, atlas: yeo7, region: each, fill: mean}}
  matched:  {perturb: {kind: toy, atlas: yeo7, region: each, fill: mean, control: patch, n: 2}}
scores: [brightness]
statistics:
  accuracy: {kind: toy_accuracy, by: yeo7, stimuli: {n: 8}}
  gap:      {kind: toy_paired, of: silenced, against: intact, control: matched}
figures: [toy_figure]
"""

JOBS = (
    1 + 1 + 1 + 1 + 1 + 1 + 1 + 1
)  # stimuli (test, train), encode x 2, record x 2, fit, fsaverage5
JOBS += 23 + 21 * 2 + 23 + 1  # decode; perturb or not, adapt; score; join
"""Jobs of PROTOCOL, counted by hand in `test_every_job_is_computed_once`."""


def toy_figure(estimate):
    """Draw the effects of an estimate."""
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot(estimate["effect"].values)
    return figure


def save(figure, folder, name):
    """Save as PDF and PNG."""
    for suffix in ("pdf", "png"):
        figure.savefig(Path(folder) / f"{name}.{suffix}")


def install(monkeypatch, folder: Path, regions: str = "[Vis, Limbic]") -> Path:
    """Put the toys into the rooms' registries, and write the protocol; return its path."""
    import importlib

    for room, name in TOYS.items():
        kinds = importlib.import_module(f"insilico.{room}").KINDS.kinds
        monkeypatch.setitem(kinds, "toy", f"toy_steps:{name}")
    for room, kind, name in (
        ("scores", "brightness", "Brightness"),
        ("statistics", "toy_accuracy", "Accuracy"),
        ("statistics", "toy_paired", "Difference"),
    ):
        kinds = importlib.import_module(f"insilico.{room}").KINDS.kinds
        monkeypatch.setitem(kinds, kind, f"toy_steps:{name}")
    figures = importlib.import_module("insilico.figures")
    monkeypatch.setattr(figures, "KINDS", {"toy_figure": toy_figure}, raising=False)
    monkeypatch.setattr(figures, "save", save, raising=False)
    monkeypatch.setenv("TOY_TRACE", str(folder / "trace.txt"))
    monkeypatch.setenv("INSILICO_STORE", str(folder / "store"))
    (folder / "toy.yaml").write_text(PRESET)
    (folder / "study.yaml").write_text(PROTOCOL.replace("region: each", f"region: {regions}"))
    return folder / "study.yaml"


def calls(folder: Path) -> list[str]:
    """Return the real calls so far, one line each."""
    file = folder / "trace.txt"
    return file.read_text().split() if file.exists() else []
