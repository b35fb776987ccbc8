"""The figures of the studies of ceilings, subjects, baseline, scaling and gaps, drawn again.

python figures/studies.py RUN [FOLDER]

RUN is the output folder of a run of one of them; its figures are written to FOLDER, or into RUN.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xarray as xr

from insilico.figures import save
from insilico.figures.baseline import score_spread, stages
from insilico.figures.ceilings import ceilings
from insilico.figures.gains import encoding_gap
from insilico.figures.scaling import scaling_curves
from insilico.figures.subjects import cross_subject

NAMES = ("ceilings", "cross_subject", "score_spread", "stages", "scaling_curves", "encoding_gap")
BESIDE = ("nsd", "glmsingle", "one trial")


def main(run: str, folder: str | None = None) -> None:
    def noun(name: str) -> xr.Dataset:
        return xr.load_dataset(Path(run) / f"{name}.nc")

    makers = {
        "ceiling": lambda e: ceilings(e, {name: noun(f"estimate-{name}") for name in BESIDE}),
        "between": cross_subject,
        "levels": lambda e: score_spread(e, noun("score")),
        "stages": stages,
        "scaling": scaling_curves,
        "gain": encoding_gap,
    }
    names = dict(zip(makers, NAMES, strict=True))
    for name, draw in makers.items():
        if (Path(run) / f"estimate-{name}.nc").exists():
            save(draw(noun(f"estimate-{name}")), Path(folder or run), names[name])


if __name__ == "__main__":
    main(*sys.argv[1:])
