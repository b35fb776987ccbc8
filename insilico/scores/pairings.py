"""Captions three ways, and the share that is left of what the picture itself would give.

``img_ref``: the captioner's words on the picture, against the picture's caption: the ceiling.
``brain_ref``: the decoded caption against the picture's caption. ``brain_img``: the decoded caption
against the captioner's words. ``relative`` = brain_img / img_ref (MindEye2, section 6.4).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import xarray as xr
from pydantic import field_validator

from insilico.errors import InsilicoError, SchemaError
from insilico.schema import check
from insilico.scores.score import Score
from insilico.scores.words import TextScore

PAIRINGS = {
    "img_ref": "the captioner's caption of the picture against the picture's own",
    "brain_ref": "decoded caption against the picture's own",
    "brain_img": "decoded caption against the captioner's caption of the picture",
    "relative": "brain_img over the mean of img_ref",
}


class CaptionPairings(Score):
    """A score of captions in three pairings, and relative to the captioner's own words.

    An item's `relative` is its brain_img over the mean img_ref of all items, so that the mean of
    `relative` is the ratio of the means.

    Parameters
    ----------
    of : str or dict
        The score: ``"meteor"``, or ``{kind: bleu4, smoothing: coco}``.
    """

    kind: ClassVar[str] = "caption_pairings"
    definition: ClassVar[str] = (
        "a caption score as img_ref, brain_ref, brain_img and relative (brain_img / img_ref)"
    )
    needs: ClassVar[tuple[str, str]] = ("caption", "caption")
    of: str | dict[str, Any] = "meteor"

    @field_validator("of")
    @classmethod
    def _compares_captions(cls, value: Any) -> Any:
        from insilico.scores import KINDS

        try:
            inner = KINDS.build(value)
        except InsilicoError as error:
            raise ValueError(str(error)) from error
        if not isinstance(inner, TextScore):
            raise ValueError(f"{inner.kind} compares no captions; name bleu1, meteor, rouge_l, ...")
        return value

    def _inner(self) -> Any:
        from insilico.scores import KINDS

        return KINDS.build(self.of)

    def described(self) -> tuple[str, str]:
        """Return name and definition, with the score inside."""
        name, definition = self._inner().described()
        return f"{self.kind} of {name}", f"{self.definition}: {definition}"

    def identity(self) -> dict[str, Any]:
        """Return all parameters, those of the score inside with their defaults."""
        return {**super().identity(), "of": self._inner().identity()}

    def digests(self) -> dict[str, str]:
        """Return the digests of the score inside."""
        return self._inner().digests()

    def __call__(
        self,
        reconstruction: xr.Dataset,
        stimuli: xr.Dataset,
        captioned: xr.Dataset | None = None,
    ) -> xr.Dataset:
        """Score each item four times.

        Parameters
        ----------
        reconstruction : reconstruction, with `caption`
        stimuli : stimuli, with `caption`
        captioned : reconstruction, with `caption`
            The captioner's words on the stimuli themselves, one draw.

        Returns
        -------
        score, (stimulus, draw, metric)
            Metrics ``meteor img_ref``, ``meteor brain_ref``, ...
        """
        check(reconstruction, "reconstruction")
        self._shown(check(stimuli, "stimuli"), reconstruction)
        if captioned is None or "caption" not in captioned:
            raise SchemaError(
                f"{self.kind}: it needs the captioner's words on the stimuli themselves: "
                "score(..., captioned=chain.caption(stimuli))"
            )
        ids, draws = reconstruction["stimulus"].values, reconstruction["draw"].values
        unsaid = set(ids) - set(captioned["stimulus"].values)
        if unsaid:
            raise SchemaError(f"{self.kind}: the captioner said nothing of {sorted(unsaid)[0]}")
        inner, own = self._inner(), captioned.isel(draw=[0]).sel(stimulus=ids)
        seen = stimuli.drop_vars("caption").sel(stimulus=ids)
        seen = seen.assign(caption=own["caption"].isel(draw=0, drop=True))
        ceiling = inner(own, stimuli).isel(draw=[0] * len(draws)).assign_coords(draw=draws)
        found = {
            "img_ref": ceiling,
            "brain_ref": inner(reconstruction, stimuli),
            "brain_img": inner(reconstruction, seen),
        }
        found["relative"] = _over(found["brain_img"], float(ceiling["value"].mean()))
        parts = [_renamed(score, self.name, pairing) for pairing, score in found.items()]
        return xr.concat(
            parts, "metric", coords="different", compat="equals", combine_attrs="drop_conflicts"
        )


def _over(score: xr.Dataset, ceiling: float) -> xr.Dataset:
    """Return a score and its chance level in units of the ceiling; NaN where that is nothing."""
    unit = ceiling if ceiling else np.nan
    return score.assign(value=score["value"] / unit).assign_coords(chance=score["chance"] / unit)


def _renamed(score: xr.Dataset, name: str | None, pairing: str) -> xr.Dataset:
    name, definition = name or score["metric"].item(), score["definition"].item()
    return score.assign_coords(
        metric=[f"{name} {pairing}"],
        definition=("metric", [f"{PAIRINGS[pairing]}; {definition}"]),
    )
