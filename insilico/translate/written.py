"""The files that a translation leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import insilico
from insilico.chain import Chain
from insilico.protocol.model import CHAIN
from insilico.protocol.resolved import resolved
from insilico.report.folder import Folder, as_yaml
from insilico.run.portable import portable
from insilico.run.store import write_bytes, write_entry, writing
from insilico.stimuli.files import digest
from insilico.translate.told import Familiarity, loudness

FORMS = {"image": "image", "text": "caption", "sound": "sound"}
"""What can be asked for, and the variable of a reconstruction that holds it."""


def record(chain: Chain, spec: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Return what is run: the options, the chain with all defaults, digests of all files."""
    whole = resolved(chain.protocol, chain.planner.step)
    parts = {part: whole[part] for part in (*CHAIN, "training", "bindings") if part in whole}
    given = {"file": digest(Path(spec["path"]))} if "path" in spec else {}
    return {
        **{name: value for name, value in options.items() if value not in (None, {})},
        "chain": {**parts, "stimuli": dict(spec)},
        "digests": {**({"stimuli": given} if given else {}), **chain.digests()},
    }


def write(
    folder: Folder,
    stimuli: xr.Dataset,
    response: xr.Dataset,
    made: xr.Dataset,
    forms: list[str],
    near: Familiarity,
    run: Mapping[str, Any],
    said: str,
) -> list[str]:
    """Write all files and return their names."""
    one = made.isel(stimulus=0, draw=0)
    shown = dict(_shown(stimuli, stimuli.isel(stimulus=0)))
    names = [*_files(folder, shown), *_files(folder, _decoded(one, forms))]
    write_entry(portable(response), folder.path / "response.nc")
    names += ["response.nc", *_page(folder, stimuli, response, made, forms, near)]
    found = {
        "caption": str(one["caption"].values) if "text" in forms else None,
        "distance_from_training": round(near.distance, 3) if np.isfinite(near.distance) else None,
        "unknown_words": list(near.unknown) or None,
        "note": str(made.attrs.get("note", "")) or None,
    }
    found = {name: value for name, value in found.items() if value is not None}
    head = f"# insilico {insilico.__version__}. Simulated; not a person's brain.\n"
    folder.text("translation.yaml", head + as_yaml({**run, "found": found}))
    folder.text("summary.txt", said)
    return [*names, "translation.yaml", "summary.txt"]


def _files(folder: Folder, contents: Mapping[str, bytes]) -> list[str]:
    for name, content in contents.items():
        write_bytes(content, folder.path / name)
    return list(contents)


def _shown(stimuli: xr.Dataset, one: xr.Dataset) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of what was presented."""
    modality = stimuli.attrs.get("modality", "image")
    if modality == "image":
        yield "seen.png", png(one["image"].values[None])
    if modality == "film":
        yield "seen.png", png(one["film"].values, float(stimuli.attrs["frame_rate_hz"]))
    if modality == "text":
        yield "read.txt", f"{one['caption'].values}\n".encode()
    if modality in ("sound", "film") and "sound" in one:
        wave = one["sound"].values[: int(one["n_samples"])]
        yield "heard.wav", wav(wave, int(stimuli.attrs["sampling_rate_hz"]))


def _decoded(one: xr.Dataset, forms: list[str]) -> dict[str, bytes]:
    found = {}
    if "image" in forms:
        found["image.png"] = png(one["image"].values[None])
    if "text" in forms:
        found["caption.txt"] = f"{one['caption'].values}\n".encode()
    if "sound" in forms:
        wave = one["sound"].values
        found["sound.wav"] = wav(wave * loudness(wave), int(one.attrs["sampling_rate_hz"]))
    return found


def _page(
    folder: Folder,
    stimuli: xr.Dataset,
    response: xr.Dataset,
    made: xr.Dataset,
    forms: list[str],
    near: Familiarity,
) -> list[str]:
    from insilico.figures import save
    from insilico.figures.one_page import one_page

    figure = one_page(
        stimuli,
        response,
        made,
        forms,
        distance=near.distance,
        world=near.world,
        unknown=near.unknown,
        taught=near.taught,
    )
    with writing(folder.path / "translation"):
        return [file.name for file in save(figure, folder.path, "translation")]


def png(frames: np.ndarray, rate_hz: float = 1.0) -> bytes:
    """Return frames, uint8 (n, y, x, rgb), as a PNG file; several are an animated one."""
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    moving: dict[str, Any] = {"save_all": True, "append_images": others, "duration": 1000 / rate_hz}
    stream = BytesIO()
    first.save(stream, "PNG", **(moving if others else {}))
    return stream.getvalue()


def wav(wave: np.ndarray, rate_hz: int) -> bytes:
    """Return samples, float32 (n,), as a WAV file of the same numbers."""
    from scipy.io import wavfile

    stream = BytesIO()
    wavfile.write(stream, rate_hz, wave.astype(np.float32))
    return stream.getvalue()
