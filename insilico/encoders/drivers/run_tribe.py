"""Runs TRIBE v2 over a job; needs numpy, pandas, tribev2 and what tribev2 needs, not insilico.

In: job.json (weights, device), events.csv and the films and sounds in media/ that it plays.
Out: preds.npy (row, 20484), segments.csv (timeline, start, duration).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def with_context(events, n=1024):
    """Give every word those before it in its timeline, and itself, as TRIBE v2's text needs."""
    words = events[events["type"] == "Word"]
    for _, part in words.groupby("timeline", sort=False):
        said = part["text"].tolist()
        for k, row in enumerate(part.index):
            events.loc[row, "context"] = " ".join(said[max(0, k + 1 - n) : k + 1])
    return events


def chunks(events):
    """Cut long sounds and films as TRIBE v2's own pipeline does."""
    from neuralset.events.transforms import ChunkEvents
    from neuralset.events.utils import standardize_events

    events = standardize_events(events)
    for kind in set(events["type"]) & {"Audio", "Video"}:
        events = ChunkEvents(event_type_to_chunk=kind, max_duration=60, min_duration=30)(events)
    return standardize_events(events)


def main(folder):
    """Predict the job in `folder`."""
    import numpy as np
    import pandas as pd
    from tribev2 import TribeModel

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    words = dict.fromkeys(("timeline", "text"), str)
    events = pd.read_csv(folder / "events.csv", dtype=words, keep_default_na=False, na_values=[""])
    events = events.drop(columns="stop").dropna(axis=1, how="all")  # as before standardize_events
    model = TribeModel.from_pretrained(
        job["weights"], cache_folder=str(folder / "cache"), device=job["device"]
    )
    preds, segments = model.predict(chunks(with_context(events)))
    rows = [
        {name: getattr(s, name) for name in ("timeline", "start", "duration")} for s in segments
    ]
    np.save(folder / "preds.npy", np.asarray(preds, np.float32), allow_pickle=False)
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
