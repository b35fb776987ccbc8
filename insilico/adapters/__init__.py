"""A response on fsaverage5 in, a response in a decoder's voxels out.

`fit(source, target)` takes the responses of both spaces to the same stimuli and returns the fitted
parameters as a labelled dataset; calling the step with a response and these gives the voxels.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "adapters",
    {
        "pca": "insilico.adapters.pca:PCA",
        "ridge": "insilico.adapters.ridge:Ridge",
        "mlp": "insilico.adapters.mlp:MLP",
        "bottleneck": "insilico.adapters.mlp:Bottleneck",
        "saved": "insilico.adapters.saved:Saved",
    },
)
