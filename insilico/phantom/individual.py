"""What a subject's own weights gain over the average subject's, network by network.

`python -m insilico.phantom.individual FOLDER SUBJECT` measures weights that were trained on the
responses of the phantom's subject 1.
"""

from __future__ import annotations

import sys

import numpy as np
import xarray as xr

from insilico.encoders.mary_nano import MaryNano
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.stimuli import Scenes
from insilico.statistics.permutations import unit_columns

EARLY = "V1-V4"


def individual(folder: str, subject: str, n: int = 300, number: int = 1) -> xr.Dataset:
    """Correlate average and own predictions with a subject's measured responses, over scenes.

    Parameters
    ----------
    folder : str
        Weights that know the subject.
    subject : str
        Its name in them.
    n : int
        Test scenes.
    number : int
        The subject's number in the cohort.

    Returns
    -------
    xarray.Dataset
        `r` and `negative`, the share of vertices with r below 0 (model, region); `ceiling` of r.
    """
    scenes = Scenes(split="test", n=n)()
    measured = unit_columns(Cohort().measure(scenes, number, mean=True))
    models = {"average": MaryNano(), "own": MaryNano(weights=folder, subject=subject)}
    r = np.stack(
        [(unit_columns(m(scenes)["bold"].values) * measured).sum(0) for m in models.values()]
    )
    regions, ceiling = _regions(), np.sqrt(Cohort().ceiling(number))
    dims = ("model", "region")
    return xr.Dataset(
        {
            "r": (dims, np.stack([r[:, at].mean(1) for at in regions.values()], 1)),
            "negative": (dims, np.stack([(r[:, at] < 0).mean(1) for at in regions.values()], 1)),
            "ceiling": ("region", [ceiling[at].mean() for at in regions.values()]),
        },
        coords={"model": list(models), "region": list(regions)},
        attrs={"source": scenes.attrs["source"], "n": n},
    )


def _regions() -> dict[str, np.ndarray]:
    networks, early = anatomy.networks(), anatomy.retinotopy().area > 0
    names = sorted({str(name) for name in networks if name})
    return {EARLY: early, **{name: (networks == name) & anatomy.cortex() for name in names}}


def written(found: xr.Dataset) -> str:
    """Write the comparison as a Markdown table."""
    lines = [
        "| | r, average subject | r, own weights | ceiling of r | r < 0, average | r < 0, own |",
        "|---|---|---|---|---|---|",
    ]
    for name in found["region"].values:
        one = found.sel(region=name)
        average, own = one["r"].values
        parts = [f"{average:.3f}", f"{own:.3f}", f"{float(one['ceiling']):.3f}"]
        parts += [f"{share:.1%}" for share in one["negative"].values]
        lines.append(f"| {name} | {' | '.join(parts)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(written(individual(sys.argv[1], sys.argv[2])))
