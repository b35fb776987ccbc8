"""A photograph, a sentence, a recording or a film through the chain, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insilico.chain import Chain, load_chain
from insilico.errors import ParameterError, not_one_of
from insilico.report.folder import Folder
from insilico.schema import short_digest
from insilico.step import computing
from insilico.stimuli.given import named
from insilico.translate.told import Familiarity, summary
from insilico.translate.written import FORMS, record, write


@dataclass(frozen=True)
class Translation:
    """What came of one stimulus.

    Attributes
    ----------
    folder : Path
    caption : str
        Empty if no text was asked for.
    distance : float
        Standard deviations from what the encoder was trained on; NaN if that is not measured.
    unknown : tuple of str
        Words that the encoder does not know.
    summary : str
    """

    folder: Path
    caption: str
    distance: float
    unknown: tuple[str, ...]
    summary: str


def translate(
    what: str | Path,
    to: str | Sequence[str] = tuple(FORMS),
    out: str | Path = "translation",
    *,
    text: bool = False,
    overwrite: bool = False,
    preset: str = "phantom",
    seed: int = 0,
    set: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    device: str = "cpu",
    batch: int | None = None,
    compile: bool = False,
    memory: int | str | None = None,
) -> Translation:
    """Encode one stimulus, adapt and decode the response, and write what comes out.

    Parameters
    ----------
    what : str or path
        A picture, a sound, a film or a ``.txt`` file, or words; see `insilico.stimuli.given.named`.
    to : list of {"image", "text", "sound"}
        Sound is made from the caption alone.
    out : path
        Folder for ``image.png``, ``caption.txt``, ``sound.wav``, what was shown (``seen.png``,
        ``read.txt``, ``heard.wav``), ``response.nc``, a page with all of it (``translation.pdf``,
        ``.png``) and what was run (``translation.yaml``). One that holds another translation, or
        other files, is refused.
    text : bool
        Whether `what` is words, whatever it looks like.
    overwrite : bool
        Let the outputs take the place of what the folder holds.
    preset : str
    seed : int
        Of the decoder, and of the sound.
    set : dict, optional
        Dotted keys to values that replace the preset's; see `load_chain`.
    store : path, optional
    device, batch, compile, memory
        How it is computed, see `insilico.step.computing`.

    Raises
    ------
    StimulusError
        If the file is missing, damaged or of no kind that can be shown, or there are no words.
    ParameterError
        If the chain of the preset does not make what is asked for.
    """
    forms = _forms(to)
    spec = named(what, text=text)
    folder = Folder(Path(out).expanduser())
    with computing(device=device, batch=batch, compile=compile, memory=memory):
        chain = _chain(preset, seed, forms, dict(set or {}), store)
        chain.ready()
        stimuli = chain.stimuli(**spec).load()
        run = record(chain, spec, preset=preset, set=set, to=forms, seed=seed)
        key = short_digest("translation", run)
        near = Familiarity.of(chain.protocol.encoder or {}, stimuli)
        folder.begin(key, overwrite=overwrite)
        response = chain.encode(stimuli)
        made = chain.decode(response)
    _check_made(made, forms, preset)
    caption = str(made["caption"].values[0, 0]) if "text" in forms else ""
    said = summary(spec, preset, stimuli, made, forms, near)
    about = {**run, "device": device}
    folder.finish(key, write(folder, stimuli, response, made, forms, near, about, said))
    return Translation(folder.path, caption, near.distance, near.unknown, said)


def _forms(to: str | Sequence[str]) -> list[str]:
    forms = [to] if isinstance(to, str) else list(dict.fromkeys(to))
    for form in forms:
        if form not in FORMS:
            raise ParameterError(not_one_of("form", form, FORMS))
    if not forms:
        raise ParameterError(f"to what? name one or more of: {', '.join(FORMS)}")
    return [form for form in FORMS if form in forms]


def _chain(
    preset: str, seed: int, forms: list[str], changes: dict[str, Any], store: str | Path | None
) -> Chain:
    """Return the preset's chain; the phantom's gets a sound where one is asked for."""
    chain = load_chain(preset, seed=seed, set=changes, store=store)
    if "sound" not in forms or chain.protocol.sound is not None:
        return chain
    if (chain.protocol.decoder or {}).get("weights", "phantom") != "phantom":
        raise ParameterError(
            f"preset '{preset}' makes no sound; say which network does: --set "
            "sound.kind=audioldm2 --set sound.weights=FOLDER-OR-HUB-ID"
        )
    changes["sound.kind"] = "audioldm2"
    return load_chain(preset, seed=seed, set=changes, store=store)


def _check_made(made: Any, forms: list[str], preset: str) -> None:
    for form in forms:
        if FORMS[form] not in made:
            raise ParameterError(
                f"the chain of preset '{preset}' makes no {form}; it makes "
                f"{', '.join(map(str, made.data_vars))}"
            )
