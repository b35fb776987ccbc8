"""The Natural Scenes Dataset as it lies on a disk: stimuli -> measured response."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.errors import ParameterError, RecordingError, listed
from insilico.recordings import betas
from insilico.recordings.ncsnr import ncsnr, ncsnr_files, noise_ceiling
from insilico.recordings.places import surface_coordinates, voxel_coordinates
from insilico.recordings.repeats import Presentations, Uneven, presentations
from insilico.schema import check
from insilico.spaces import fsaverage5
from insilico.spaces.nsd import picture_of, rois
from insilico.spaces.nsd.layout import Tree, present, root_of, stamp
from insilico.step import Step, batches

MEASURED = "measured responses of the Natural Scenes Dataset"


class NSD(Step):
    """Single-trial betas of one subject of NSD, in nsdgeneral's voxels or on fsaverage5.

    Attributes
    ----------
    root : path, optional
        NSD's folder; by default that of the environment variable INSILICO_NSD.
    subject : int
        1 to 8.
    betas : {"b3", "b2", "b1"}
        ``betas_fithrf_GLMdenoise_RR``, ``betas_fithrf`` (MindEye2's) or ``betas_assumehrf``.
    space : {"voxels", "fsaverage5"}
        nsdgeneral at 1.8 mm, in the C order of its mask; or the first 10,242 vertices of fsaverage.
    repeats : {"mean", "keep"}
        Whether to average a stimulus's trials, be they 1, 2 or 3, or to keep the first `n_repeats`
        of them in a dimension ``repeat``.
    n_repeats : int
    uneven : {"refuse", "pad"}
        What ``keep`` does with stimuli shown less often: refuse, or fill up to three as MindEye2
        does (a, a, a and a, b, a). Coordinate `n_repeats` holds the true counts.
    zscore : {"session", "none"}
        Whether betas are z-scored per place over all trials of their session; else they are percent
        signal change.
    sessions : tuple of int, optional
        By default all that the subject completed.
    """

    kind: ClassVar[str] = "nsd"
    version: ClassVar[int] = 2  # labels of the atlas areas
    root: Path | None = None
    subject: int = Field(1, ge=1, le=8)
    betas: Literal["b3", "b2", "b1"] = "b3"
    space: Literal["voxels", "fsaverage5"] = "voxels"
    repeats: Literal["mean", "keep"] = "mean"
    n_repeats: PositiveInt = 3
    uneven: Uneven = "refuse"
    zscore: Literal["session", "none"] = "session"
    sessions: tuple[PositiveInt, ...] | None = None

    # --- the files ---

    def tree(self) -> Tree:
        """Return where the subject's files are."""
        return Tree(root_of(self.root), self.subject)

    def spaces(self) -> tuple[str, ...]:
        """Return the spaces in which the subject's betas are on the disk."""
        tree = self.tree()
        first = self.sessions[0] if self.sessions else 1
        there = {
            "voxels": present(tree.volumes(self.betas, first)),
            "fsaverage5": present(tree.surfaces(self.betas, first)),
        }
        return tuple(space for space, file in there.items() if file)

    def labels(self) -> tuple[str, ...]:
        """Return the families of regions that responses carry as labels of their own."""
        return rois.families(self.tree(), self.space)

    def used_sessions(self, tree: Tree) -> tuple[int, ...]:
        """Return the numbers of the sessions that count, ascending."""
        completed = tree.design.completed(self.subject)
        if self.sessions is None:
            return completed
        strange = sorted(set(self.sessions) - set(completed))
        if strange or not self.sessions or len(set(self.sessions)) < len(self.sessions):
            raise ParameterError(
                f"nsd.sessions: subject {self.subject} completed 1 to {len(completed)}, each can "
                f"be named once; got {listed(self.sessions)}"
            )
        return tuple(sorted(self.sessions))

    def _files(self, tree: Tree, session: int) -> tuple[Path, ...]:
        """Return the files of a session that will be read, there or not."""
        if self.space == "fsaverage5":
            return tree.surfaces(self.betas, session)
        candidates = tree.volumes(self.betas, session)
        return (present(candidates) or candidates[0],)

    def digests(self) -> dict[str, str]:
        """Return digests of all files used, so that all that are missing are named at once."""
        tree = self.tree()
        sessions = self.used_sessions(tree)
        needed = [file for session in sessions for file in self._files(tree, session)]
        masks = [tree.roi(rois.NSDGENERAL)] if self.space == "voxels" else []
        here = [s for s in sessions if all(file.is_file() for file in self._files(tree, s))]
        some = ""
        if here and len(here) < len(sessions):
            some = f"To use those at hand set sessions: {list(here)}. "
        what = f"NSD subject {self.subject}, {self.space}, {self.betas}"
        tree.require([*masks, *needed], what, some)
        labels = [*self._label_files(tree), *ncsnr_files(tree, self.betas, self.space)]
        return {
            "design": stamp([tree.design_file]),
            "places": stamp([*masks, *(file for file in labels if file.is_file())]),
            "betas": stamp(needed),
        }

    def _label_files(self, tree: Tree) -> list[Path]:
        if self.space == "voxels":
            sides = [(name, side) for name in rois.REGIONS for side in ("", "lh", "rh")]
            sides += [(rois.NSDGENERAL, side) for side in ("lh", "rh")]
            files = [tree.roi(name, side) for name, side in sides]
        else:
            files = [
                tree.label(name, side, surface)
                for name in rois.REGIONS
                for side in ("lh", "rh")
                for surface in ("", "fsaverage")
            ]
        return [file for file in files if file.is_file()]

    # --- the work ---

    def __call__(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the subject's responses to pictures of NSD.

        Parameters
        ----------
        stimuli : stimuli
            With ids such as ``coco73k-03157``; the pictures themselves are not read.

        Returns
        -------
        response, ([repeat,] stimulus, voxel or vertex)
            With coordinate `n_repeats` over stimuli and, over places, `hemi`, `x`, `y`, `z` in mm,
            the regions of NSD's families, such as `floc-faces`, and `ncsnr` where NSD's maps are
            there. Only the trials asked for are
            kept; one session is in memory at a time.

        Raises
        ------
        RecordingError, StimulusError, SpaceError
        """
        ids = [str(label) for label in check(stimuli, "stimuli")["stimulus"].values]
        self.digests()  # all that is missing is named before any work
        tree = self.tree()
        asked = self._presentations(tree, ids)
        place, coords, said = self._places(tree)
        n_places = len(coords["hemi"][1])
        rows, without = asked.rows(n_places), np.zeros(n_places, bool)
        for first, session, empty in self._sessions(tree, asked):
            asked.add(rows, session, first)
            without |= empty
        dims = ("stimulus", place) if self.repeats == "mean" else ("repeat", "stimulus", place)
        bold = rows.reshape(*asked.shape, n_places)
        labels: dict[str, Any] = {"stimulus": ids, "split": stimuli["split"].variable}
        labels["n_repeats"] = ("stimulus", asked.counts)
        response = xr.Dataset({"bold": (dims, bold)}, coords={**labels, **coords})
        if self.repeats == "keep":
            response = response.assign_coords(repeat=np.arange(self.n_repeats))
        attrs = {**self._attrs(tree), **said, **_lacking(without, asked)}
        return check(response.assign_attrs(attrs), "response")

    def places(self) -> xr.Dataset:
        """Return where its responses lie; the mask and the regions' files are read, no beta is."""
        tree = self.tree()
        return xr.Dataset(coords=self._places(tree)[1], attrs=self._attrs(tree))

    def measures(self, ids: Collection[str]) -> None:
        """Raise if stimuli were not shown as asked, or files of their trials cannot be read.

        Heads of files are opened, no beta is read.

        Raises
        ------
        RecordingError
        """
        tree, wrong = self.tree(), list[str]()
        for session in _needed(tree, self._presentations(tree, [str(one) for one in ids])):
            try:
                for file in self._files(tree, session):
                    betas.check_head(file, tree.design.trials)
            except RecordingError as error:
                wrong.append(str(error))
        if wrong:
            raise RecordingError(
                f"{listed(wrong, 3)}: get the file again, or leave the session out"
            )

    def _presentations(self, tree: Tree, ids: list[str]) -> Presentations:
        shown = tree.design.presentations(self.subject, self.used_sessions(tree))
        found = {label: shown.get(picture_of(label), []) for label in ids}
        who = f"NSD subject {self.subject}"
        return presentations(found, self.repeats, self.n_repeats, self.uneven, who)

    def _sessions(
        self, tree: Tree, asked: Presentations
    ) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield the first trial's number, the betas and the empty places of each session asked."""
        trials, needed = tree.design.trials, _needed(tree, asked)
        inside = rois.mask(tree)[0] if self.space == "voxels" else None
        for session in (s for part in batches(needed, 1, "sessions") for s in part):
            values, empty = self._session(tree, session, inside)
            yield (session - 1) * trials, values, empty

    def _session(
        self, tree: Tree, session: int, inside: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a session's betas, and which places hold no data in it."""
        files = self._files(tree, session)
        if inside is None:
            values, wall = betas.vertices(*files), fsaverage5.medial_wall()
            values[:, wall] = 0
        else:
            values, wall = betas.voxels(files[0], inside), np.zeros(int(inside.sum()), bool)
        if len(values) != tree.design.trials:
            raise RecordingError(
                f"{files[0]}: {len(values)} trials; sessions of this design have "
                f"{tree.design.trials}"
            )
        empty = betas.refuse_gaps(values, str(files[0]))
        if self.zscore == "session":
            values = betas.zscored(values, empty)
        else:
            values[:, ~np.isfinite(values[0])] = 0
        return values, empty & ~wall

    def _places(self, tree: Tree) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Return the name of the places' dimension, its coordinates, and what to say of them."""
        place, said = "vertex", dict[str, Any]()
        if self.space == "fsaverage5":
            coords = surface_coordinates(tree)
        else:
            place, (coords, said) = "voxel", voxel_coordinates(tree)
        if all(file.is_file() for file in ncsnr_files(tree, self.betas, self.space)):
            coords["ncsnr"] = (place, self._ncsnr(tree))
        return place, coords, said

    def _ncsnr(self, tree: Tree) -> np.ndarray:
        return ncsnr(tree, self.betas, rois.mask(tree)[0] if self.space == "voxels" else None)

    def _attrs(self, tree: Tree) -> dict[str, Any]:
        sessions = self.used_sessions(tree)
        space = "fsaverage5" if self.space == "fsaverage5" else tree.space
        said = {
            "space": space,
            "units": "session z" if self.zscore == "session" else "percent signal change",
            "subject": tree.space,
            "hemodynamic_offset_s": 0.0,
            "source": tree.mark.get("source", MEASURED),
            "recording": f"{tree.space} {self.betas}, {len(sessions)} sessions",
            "modality": "image",
        }
        notes = [tree.mark["note"]] if "note" in tree.mark else []
        if not tree.design.published and not tree.mark:
            notes.append("not NSD's published design: counts were not checked")
        return {**said, "note": "; ".join(notes)} if notes else said

    # --- ceilings ---

    def noise_ceiling(self, n: int = 3) -> xr.Dataset:
        """Return NSD's own noise ceiling of averages of `n` trials, from its ncsnr maps.

        Returns
        -------
        estimate over place: `effect` in R² units, and `ncsnr`.
        """
        tree = self.tree()
        place, coords, said = self._places(tree)
        coords.pop("ncsnr", None)
        return noise_ceiling(
            self._ncsnr(tree), self.betas, n, place, coords, {**self._attrs(tree), **said}
        )


def _needed(tree: Tree, asked: Presentations) -> list[int]:
    """Return the sessions of the trials that are asked for, ascending."""
    return sorted(set((asked.trial // tree.design.trials + 1).tolist()))


def _lacking(without: np.ndarray, asked: Presentations) -> dict[str, Any]:
    """Return attributes that say where data were lacking and where repeats were padded."""
    said: dict[str, Any] = {}
    if without.any():
        said["places_without_data"] = int(without.sum())
    n = asked.shape[0] if len(asked.shape) == 2 else 1
    padded = int((asked.counts < n).sum())
    if padded:
        said["padded_stimuli"] = padded
    return said
