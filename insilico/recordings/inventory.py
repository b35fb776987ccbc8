"""What of NSD is on the disk and can be used, without reading gigabytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from insilico.errors import InsilicoError, RecordingError
from insilico.recordings.betas import check_head, named
from insilico.spaces.nsd import rois
from insilico.spaces.nsd.hub import Hub, check_betas
from insilico.spaces.nsd.layout import BETAS, CAPTIONS, HEMISPHERES, MARK, Tree, present
from insilico.spaces.nsd.names import REGIONS


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes
    ----------
    what : str
    state : {"usable", "partly", "missing", "broken"}
    about : str
    """

    what: str
    state: str
    about: str = ""


def of_nsd(root: Path) -> Iterator[Finding]:
    """Yield what a copy of NSD holds: design, pictures, captions, and each subject's files."""
    tree = Tree(root, 1)
    design = _tried("design", [tree.design_file], lambda: _design(tree))
    yield design
    yield _tried("pictures", [tree.pictures_file], lambda: _pictures(tree.pictures_file))
    yield _captions(tree)
    if design.state != "usable":
        return
    for subject in range(1, len(tree.design.pictures) + 1):
        yield from _subject(Tree(root, subject))


def of_hub(root: Path) -> Iterator[Finding]:
    """Yield what a copy of MindEye2's files holds, subject by subject."""
    for subject in range(1, 9):
        hub = Hub(root, subject)
        if not hub.betas_file.is_file():
            continue
        yield _tried(f"subject {subject} betas", [hub.betas_file], partial(_hub_betas, hub))
        for part in ("train", "new_test", "test"):
            if hub.tars(part):
                read = partial(_hub_trials, hub, part)
                yield _tried(f"subject {subject} {part}", hub.tars(part), read)


def _hub_trials(hub: Hub, part: str) -> str:
    return f"{len(hub.trials(part))} trials"


def _hub_betas(hub: Hub) -> str:
    import h5py

    with named(hub.betas_file), h5py.File(hub.betas_file, "r") as held:
        shape = held["betas"].shape
    check_betas(hub.betas_file, shape, hub.subject, (hub.root / MARK).is_file())
    return f"{shape[0]} trials of {shape[1]} voxels"


def _tried(what: str, files: list[Path], read: Callable[[], str]) -> Finding:
    """Return whether files are there and `read` makes sense of them."""
    missing = [file for file in files if not file.is_file()]
    if missing:
        return Finding(what, "missing", str(missing[0]))
    try:
        return Finding(what, "usable", read())
    except InsilicoError as error:
        return Finding(what, "broken", str(error))


def _design(tree: Tree) -> str:
    design = tree.design
    kind = "NSD's" if design.published else str(tree.mark.get("source", "not NSD's published one"))
    return f"{kind}: {design.sessions} sessions of {design.trials} trials"


def _pictures(file: Path) -> str:
    import h5py

    with named(file), h5py.File(file, "r") as held:
        if "imgBrick" not in held:
            raise RecordingError(f"{file}: the key 'imgBrick' is missing; holds {sorted(held)}")
        return f"{held['imgBrick'].shape[0]} of {held['imgBrick'].shape[1]} pixels"


def _captions(tree: Tree) -> Finding:
    table = tree.root / CAPTIONS
    coco = [tree.info_file, tree.annotations("train2017"), tree.annotations("val2017")]
    if table.is_file():
        return Finding("captions", "usable", CAPTIONS)
    if all(file.is_file() for file in coco):
        return Finding("captions", "usable", "COCO's annotations")
    return Finding("captions", "missing", f"{table}, or {', '.join(map(str, coco))}")


def _subject(tree: Tree) -> Iterator[Finding]:
    """Yield what is there of one subject; nothing, if nothing is."""
    name = f"subject {tree.subject}"
    found = [*_betas(tree, name, "voxels"), *_betas(tree, name, "fsaverage5")]
    mask = tree.roi(rois.NSDGENERAL)
    if not found and not mask.is_file():
        return
    yield _tried(f"{name} mask", [mask], lambda: f"{int(rois.mask(tree)[0].sum())} voxels")
    yield _families(tree, name)
    yield from found or [Finding(f"{name} betas", "missing", str(tree.betas("func1pt8mm", "b3")))]


def _families(tree: Tree, name: str) -> Finding:
    def there(family: str) -> bool:
        halves = (tree.roi(family, side) for side in HEMISPHERES)
        return tree.roi(family).is_file() or all(file.is_file() for file in halves)

    have = [family for family in REGIONS if there(family)]
    lack = [family for family in REGIONS if family not in have]
    state = "partly" if have and lack else ("missing" if lack else "usable")
    not_here = f"not here: {', '.join(lack)} (such as {tree.roi(lack[0])})" if lack else ""
    return Finding(f"{name} regions", state, "; ".join(filter(None, [", ".join(have), not_here])))


FOLDERS = {"voxels": "func1pt8mm", "fsaverage5": "fsaverage"}
PRESET = "b2"
"""The betas that MindEye2 was trained on, which the presets of NSD read."""


def _betas(tree: Tree, name: str, space: str) -> Iterator[Finding]:
    for version in BETAS:
        sessions = {s: _files(tree, space, version, s) for s in tree.design.completed(tree.subject)}
        here = {s: files for s, files in sessions.items() if files}
        if not here:
            continue
        broken = {s: wrong for s, files in here.items() if (wrong := _wrong(tree, files))}
        good = [s for s in here if s not in broken]
        whole = len(good) == len(sessions)
        about = f"{len(good)} of {len(sessions)} sessions"
        if not whole:
            about += f"; set sessions: {good}" if good else ""
        about += "".join(f"; {wrong}" for wrong in list(broken.values())[:3])
        if not tree.betas(FOLDERS[space], PRESET).is_dir():
            about += f"; the presets of NSD read {PRESET}: get {BETAS[PRESET]}, or "
            about += f"--set recording.betas={version}"
        state = "broken" if broken else ("usable" if whole else "partly")
        yield Finding(f"{name} {space} {version}", state, about)


def _files(tree: Tree, space: str, version: str, session: int) -> list[Path]:
    if space == "voxels":
        file = present(tree.volumes(version, session))
        return [file] if file else []
    files = list(tree.surfaces(version, session))
    return files if all(file.is_file() for file in files) else []


def _wrong(tree: Tree, files: list[Path]) -> str:
    """Return what is wrong with a session's files by their heads and sizes, or nothing."""
    try:
        for file in files:
            check_head(file, tree.design.trials)
    except InsilicoError as error:
        return str(error)
    return ""
