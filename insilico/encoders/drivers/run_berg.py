"""Runs a model of BERG over a job; needs numpy, berg and what berg needs, not insilico.

In: job.json (folder, model, subject, roi, device), images.npy (n, 3, side, side) uint8.
Out: responses.npz (lh and rh, or bold), metadata.npz (names such as fmri/roi_mask_volume).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def flat(metadata, above=""):
    """Return the arrays of nested dictionaries under names such as ``fmri/ncsnr``."""
    import numpy as np

    found: dict = {}
    for key, value in metadata.items():
        if isinstance(value, dict):
            found |= flat(value, f"{above}{key}/")
        elif np.asarray(value).dtype.kind in "biuf":
            found[f"{above}{key}"] = np.asarray(value)
    return found


def main(folder):
    """Encode the job in `folder`."""
    import numpy as np
    from berg import BERG

    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    berg, roi = BERG(job["folder"]), {"roi": job["roi"]} if job["roi"] else None
    model = berg.get_encoding_model(
        job["model"], subject=job["subject"], selection=roi, device=job["device"]
    )
    responses = berg.encode(model, np.load(folder / "images.npy"))
    try:
        metadata = berg.get_model_metadata(job["model"], subject=job["subject"], **(roi or {}))
    except Exception as error:  # BERG's metadata are files that a user may not have fetched
        print(f"no metadata: {error}", file=sys.stderr)
        metadata = {}
    halves = isinstance(responses, (list, tuple))
    named = dict(zip(("lh", "rh"), responses, strict=True)) if halves else {"bold": responses}
    np.savez(folder / "responses.npz", **named)
    np.savez(folder / "metadata.npz", **flat(metadata))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
