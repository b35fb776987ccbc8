"""The figures of protocols/yeo7_gap.yaml, drawn again from what a run left.

python figures/yeo7_gap.py RUN [FOLDER]

RUN is the output folder of the run; the figures are written to FOLDER, or into RUN.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xarray as xr

from insilico.figures import save
from insilico.figures.grid import reconstruction_grid
from insilico.figures.lesions import lesion_effects
from insilico.figures.networks import network_gap
from insilico.figures.surface import surface_gap


def main(run: str, folder: str | None = None) -> None:
    def noun(name: str) -> xr.Dataset:
        return xr.load_dataset(Path(run) / f"{name}.nc")

    figures = {
        "network_gap": network_gap(noun("estimate-accuracy")),
        "surface_gap": surface_gap(noun("estimate-accuracy")),
        "lesion_effects": lesion_effects(noun("estimate-gap")),
        "reconstruction_grid": reconstruction_grid(noun("stimuli"), noun("reconstruction")),
    }
    for name, figure in figures.items():
        save(figure, Path(folder or run), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
