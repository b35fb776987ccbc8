"""An adapter that was fitted elsewhere and saved as a folder."""

from __future__ import annotations

from typing import ClassVar

import xarray as xr

from insilico.adapters import KINDS
from insilico.adapters.adapter import Adapter
from insilico.adapters.files import about_adapter, fitted_ids, load_adapter
from insilico.adapters.own import adapt
from insilico.errors import ParameterError


class Saved(Adapter):
    """An adapter of any kind, from the folder that `isi.save_adapter` wrote.

    Attributes
    ----------
    file : str
        The folder.
    """

    kind: ClassVar[str] = "saved"
    learns: ClassVar[bool] = False
    file: str

    def digests(self) -> dict[str, str]:
        """Return the digest of the folder's files; raise if there is no adapter."""
        attrs, digest = about_adapter(self.file)
        if attrs["adapter"] not in KINDS.addresses() or attrs["adapter"] == self.kind:
            raise ParameterError(
                f"saved: {self.file} holds an adapter of kind '{attrs['adapter']}'; known are "
                f"{', '.join(KINDS)}"
            )
        return {"adapter": digest}

    def fitted_on(self) -> list[str]:
        """Return the ids of the stimuli that it was fitted on."""
        return fitted_ids(self.file)

    def load(self) -> xr.Dataset:
        """Return the fitted parameters."""
        return load_adapter(self.file)

    def fit(self, source: xr.Dataset, target: xr.Dataset) -> xr.Dataset:
        """Refuse: it is fitted."""
        raise ParameterError(f"saved: the adapter of {self.file} is fitted; use load()")

    def __call__(self, response: xr.Dataset, fitted: xr.Dataset) -> xr.Dataset:
        """Return the response in the voxels that the adapter was fitted on."""
        return adapt(response, fitted, seen=self.seen)
