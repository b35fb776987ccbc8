"""Programs that stand in for TRIBE v2 and BERG, which cannot be installed beside insilico.

They have the packages' own calls (names, arguments, returned types) and predict from what they are
given, so that a test can tell whether it reached them.
"""

from __future__ import annotations

import sys
from pathlib import Path

TRIBE = """
import numpy as np, pandas as pd
from types import SimpleNamespace

class TribeModel:
    @classmethod
    def from_pretrained(cls, checkpoint_dir, cache_folder=None, device="auto"):
        assert checkpoint_dir == "facebook/tribev2" and device == "cpu" and cache_folder
        return cls()

    def predict(self, events, verbose=True):
        events.to_csv(__file__ + ".csv", index=False)
        rows, segments = [], []
        for timeline, group in events.groupby("timeline", sort=False):
            first, last = group.start.min(), (group.start + group.duration).max()
            for k in range(int(np.ceil(last - first - 1e-9))):
                rows.append(signal(group, k))
                segments.append(SimpleNamespace(timeline=timeline, start=first + k, duration=1.0))
        return np.stack(rows), segments

def signal(group, k):
    seed = sum(map(ord, "".join(group.text.dropna())))
    for name in group.filepath.dropna():
        seed += sum(open(name, "rb").read()[-4000:])  # the head of a WAV has the time
    return np.random.default_rng(seed * 1000 + k).standard_normal(20484)
"""

NEURALSET = """
class ChunkEvents:
    def __init__(self, event_type_to_chunk, max_duration, min_duration): pass
    def __call__(self, events): return events
def standardize_events(events):
    assert {"type", "start", "duration", "timeline"} <= set(events)
    return events.assign(stop=events["start"] + events["duration"])
"""

BERG = """
import numpy as np
class BERG:
    def __init__(self, berg_dir): self.dir = berg_dir
    def get_encoding_model(self, model_id, device="auto", selection=None, **kwargs):
        return (model_id, selection, kwargs["subject"])
    def encode(self, model, stimulus, return_metadata=False):
        assert stimulus.dtype == np.uint8 and stimulus.shape[1] == 3
        bold = stimulus.mean(axis=(2, 3)) @ np.random.default_rng(0).random((3, 40))
        if "fsaverage" in model[0]:
            lh = np.random.default_rng(1).random((3, 163842))
            return stimulus.mean(axis=(2, 3)) @ lh, stimulus.mean(axis=(2, 3)) @ lh[:, ::-1]
        return bold.astype(np.float32)
    def get_model_metadata(self, model_id, subject, roi=None):
        if "fsaverage" in model_id:
            raise FileNotFoundError("no metadata here")
        mask = np.zeros((5, 4, 3), bool); mask[:, :, :2] = True
        return {"fmri": {"roi_mask_volume": mask, "fmri_affine": np.eye(4), "ncsnr": np.ones(40)},
                "encoding_models": {"r2": np.full(40, .5), "note": "text is left out"}}
"""


def python_with(folder: Path, *packages: str) -> str:
    """Return a program that is this Python with stand-ins of these packages."""
    sources = {
        "tribev2": {"tribev2.py": TRIBE, "neuralset/__init__.py": "",
                    "neuralset/events/__init__.py": "",
                    "neuralset/events/transforms.py": NEURALSET,
                    "neuralset/events/utils.py": NEURALSET},
        "berg": {"berg.py": BERG},
        "broken": {"tribev2.py": "raise RuntimeError('the weights are gated')"},
        "idle": {"tribev2.py": "import sys; sys.exit(0)"},
    }  # fmt: skip
    for name, text in {k: v for package in packages for k, v in sources[package].items()}.items():
        (folder / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "site" / name).write_text(text)
    program = folder / "python"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{folder}/site" exec "{sys.executable}" "$@"\n'
    )
    program.chmod(0o755)
    return str(program)
