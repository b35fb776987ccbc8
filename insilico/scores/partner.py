"""A score against the stimulus towards which a response was changed, not the one that was shown."""

from __future__ import annotations

from typing import Any, ClassVar

import xarray as xr

from insilico.errors import ParameterError, SchemaError, listed
from insilico.schema import check
from insilico.scores.score import Score


class ToPartner(Score):
    """Another score, of each reconstruction against the stimulus's partner.

    Parameters
    ----------
    score : str or dict
        The other score, with its parameters if it has any, such as ``clip_cosine``. It must
        compare pairs of pictures or captions.

    The partner is the one that `interpolate` or `swap` gave the response.
    """

    kind: ClassVar[str] = "to_partner"
    takes: ClassVar[tuple[str, ...]] = ("reconstruction", "stimuli", "perturbed")
    score: str | dict[str, Any]

    @property
    def inner(self) -> Score:
        """The other score."""
        from insilico.scores import KINDS

        spec = {"kind": self.score} if isinstance(self.score, str) else self.score
        made: Any = KINDS.build(spec)
        if not isinstance(made, Score) or type(made).__call__ is not Score.__call__:
            raise ParameterError(
                f"to_partner: {made.kind} compares no single pictures or captions; "
                "pixcorr, clip_cosine and caption_object do"
            )
        return made

    def described(self) -> tuple[str, str]:
        """Return the metric's name and definition."""
        name, definition = self.inner.described()
        return f"{name} to partner", f"{definition}; against the stimulus's partner"

    def digests(self) -> dict[str, str]:
        """Return the digests of the other score's files."""
        return self.inner.digests()

    def __call__(  # type: ignore[override]
        self, reconstruction: xr.Dataset, stimuli: xr.Dataset, perturbed: xr.Dataset
    ) -> xr.Dataset:
        """Score each item.

        Parameters
        ----------
        reconstruction : reconstruction, (stimulus, draw)
        stimuli : stimuli
            What was shown, partners included.
        perturbed : response
            After the change, with `partner` of each stimulus.
        """
        check(reconstruction, "reconstruction")
        check(stimuli, "stimuli")
        if "partner" not in perturbed.coords:
            raise SchemaError(
                f"to_partner: the response names no partner of each stimulus (it has "
                f"{listed(perturbed.coords)}); change it by interpolate or swap"
            )
        names = reconstruction["stimulus"].values
        partner = perturbed["partner"].sel(stimulus=names).values.astype(str)
        ends = stimuli.sel(stimulus=partner).assign_coords(stimulus=names)
        made = self.inner(reconstruction, ends)
        name, definition = self.described()
        made = made.assign_coords(metric=[self.name or name], definition=("metric", [definition]))
        return made
