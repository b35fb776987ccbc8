"""Any photograph through the chain: what would be read out of the brain that saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import xarray as xr

from insilico.chain import Chain, load_chain
from insilico.errors import ParameterError, StimulusError, not_one_of
from insilico.report.folder import Folder
from insilico.run.portable import portable
from insilico.run.store import write_bytes, write_entry
from insilico.schema import canonical, short_digest
from insilico.step import computing

FORMS = ("image", "text")


@dataclass(frozen=True)
class Translation:
    """What came of one picture.

    Attributes
    ----------
    folder : Path
    caption : str
        Empty if no text was asked for.
    distance : float
        Standard deviations from the encoder's training pictures; NaN if the encoder cannot tell.
    summary : str
    """

    folder: Path
    caption: str
    distance: float
    summary: str


def translate(
    file: str | Path,
    to: Sequence[str] = FORMS,
    out: str | Path = "translation",
    *,
    overwrite: bool = False,
    preset: str = "phantom",
    seed: int = 0,
    store: str | Path | None = None,
    device: str = "cpu",
) -> Translation:
    """Encode a picture, adapt and decode the response, and write what comes out.

    Parameters
    ----------
    file : path
        A picture of any size and mode.
    to : list of {"image", "text"}
    out : path
        Folder for ``image.png``, ``caption.txt``, ``seen.png``, ``response.nc`` and
        ``translation.yaml``. One that holds another translation, or other files, is refused.
    overwrite : bool
        Let the outputs take the place of what the folder holds.
    preset : str
    seed : int
        Of the decoder.
    store : path, optional
    device : str

    Raises
    ------
    StimulusError
        If the file is missing, damaged or no picture.
    """
    forms = [to] if isinstance(to, str) else list(dict.fromkeys(to))
    for form in forms:
        if form not in FORMS:
            raise ParameterError(not_one_of("form", form, FORMS))
    if Path(file).is_dir():
        raise StimulusError(f"{file} is a folder; translate takes one picture: name the file")
    folder = Folder(Path(out).expanduser())
    with computing(device=device):
        chain = load_chain(preset, seed=seed, store=store)
        stimuli = chain.stimuli(kind="images", path=str(file))
        key = short_digest("translation", Path(file).read_bytes(), preset, seed, forms)
        folder.begin(key, overwrite=overwrite)
        response = chain.encode(stimuli)
        made = chain.decode(response)
        distance = _distance(chain, stimuli)
    caption = str(made["caption"].values[0, 0]) if "text" in forms else ""
    names = _write(folder, forms, stimuli, response, made, caption)
    text = _summary(str(file), preset, distance, made, forms, caption)
    about = {"file": str(file), "preset": preset, "seed": seed, "to": forms, "caption": caption}
    about["distance_from_training"] = None if np.isnan(distance) else round(distance, 3)
    about["note"] = str(made.attrs.get("note", ""))
    folder.text("translation.yaml", "".join(f"{k}: {canonical(v)}\n" for k, v in about.items()))
    folder.finish(key, [*names, "translation.yaml"])
    return Translation(folder.path, caption, distance, text)


def _distance(chain: Chain, stimuli: xr.Dataset) -> float:
    if chain.protocol.encoder["kind"] != "mary_nano":
        return float("nan")
    from insilico.encoders.mary_nano import distance_from_training

    weights = chain.protocol.encoder.get("weights", "phantom")
    return float(distance_from_training(stimuli["image"].values, weights=weights)[0])


def _write(
    folder: Folder,
    forms: list[str],
    stimuli: xr.Dataset,
    response: xr.Dataset,
    made: xr.Dataset,
    caption: str,
) -> list[str]:
    names = ["seen.png", "response.nc"]
    _picture(stimuli["image"].values[0], folder.path / "seen.png")
    write_entry(portable(response), folder.path / "response.nc")
    if "image" in forms:
        _picture(made["image"].values[0, 0], folder.path / "image.png")
        names.append("image.png")
    if "text" in forms:
        folder.text("caption.txt", caption + "\n")
        names.append("caption.txt")
    return names


def _picture(pixels: np.ndarray, path: Path) -> None:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    write_bytes(stream.getvalue(), path)


def _summary(
    file: str, preset: str, distance: float, made: xr.Dataset, forms: list[str], caption: str
) -> str:
    lines = [f"{file} through the chain of '{preset}' (simulated; not a person's brain)"]
    if "text" in forms:
        lines.append(f'caption: "{caption}"')
    if "image" in forms:
        size = made["image"].shape[2:4]
        lines.append(f"image.png: {size[1]} x {size[0]} pixels")
    if not np.isnan(distance):
        lines.append(_how_far(distance, preset))
    return "\n".join(lines) + "\n"


def _how_far(distance: float, preset: str) -> str:
    from insilico.encoders.mary_nano import FAR

    text = f"distance from the pictures that the encoder knows: {distance:.1f} SD"
    if distance > FAR:
        return (
            f"{text}: another world than the {preset}'s (of its own new scenes 98 in 100 "
            f"lie below {FAR:g}). What comes out is the nearest that this small world can say; do "
            "not read it as a description of the picture"
        )
    return f"{text}: within the {preset}'s world"
