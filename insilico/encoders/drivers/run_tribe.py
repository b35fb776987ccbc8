"""Runs TRIBE v2 over a job; needs numpy, pandas, tribev2 and what tribev2 needs, not insilico.

In: job.json (weights, device), events.csv, media/*.npy (frame, y, x, rgb), media/*.wav.
Out: preds.npy (row, 20484), segments.csv (timeline, start, duration).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def films(events, folder):
    """Turn arrays of frames into the mp4 files that TRIBE v2 opens."""
    import numpy as np

    for row in events.index[events["type"] == "Video"]:
        from moviepy import ImageSequenceClip

        path = Path(events.at[row, "filepath"])
        clip = ImageSequenceClip(list(np.load(path)), fps=float(events.at[row, "frequency"]))
        clip.write_videofile(str(path.with_suffix(".mp4")), codec="libx264", logger=None)
        events.at[row, "filepath"] = str(path.with_suffix(".mp4"))
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
    words = dict.fromkeys(("timeline", "text", "context"), str)
    events = pd.read_csv(folder / "events.csv", dtype=words, keep_default_na=False, na_values=[""])
    model = TribeModel.from_pretrained(
        job["weights"], cache_folder=str(folder / "cache"), device=job["device"]
    )
    preds, segments = model.predict(chunks(films(events, folder)))
    rows = [
        {name: getattr(s, name) for name in ("timeline", "start", "duration")} for s in segments
    ]
    np.save(folder / "preds.npy", np.asarray(preds, np.float32), allow_pickle=False)
    pd.DataFrame(rows).to_csv(folder / "segments.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
