"""The chain in Python: the steps that a protocol would run, called one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from insilico.errors import ParameterError, ProtocolError
from insilico.job import Job, carried
from insilico.protocol import patterns
from insilico.protocol.again import Again
from insilico.protocol.document import Document, merge, replaced
from insilico.protocol.expand import numbered
from insilico.protocol.model import CHAIN, ONWARD, Protocol
from insilico.protocol.plan import Planner
from insilico.protocol.read import filled, lines, preset, problems
from insilico.protocol.regions import EACH, bound, region_complaints, spelled
from insilico.protocol.shown import AsShown
from insilico.protocol.steps import build, complaints, takes
from insilico.run.runner import obtain
from insilico.run.store import Store
from insilico.schema import check, place_of
from insilico.step import Step


def load_chain(
    name: str = "phantom",
    *,
    seed: int = 0,
    set: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
) -> Chain:
    """Load the chain of a preset.

    Parameters
    ----------
    name : str
        Such as ``phantom``, or the path of a preset's file.
    seed : int
        Of lesions, their controls and the decoder; the `seed` of a protocol.
    set : dict, optional
        Dotted keys to values that replace the preset's, such as ``{"adapter.pairs": 500}``.
    store : path, optional
        Where fits and training responses are kept; by default ``INSILICO_STORE`` or the user's
        cache.

    Returns
    -------
    Chain
    """
    asked = Document({"preset": name}, name=f"load_chain('{name}')")
    below = replaced(preset(asked), set)
    data = {**below.data, "seed": seed, "conditions": {"intact": {}}, "title": f"chain {name}"}
    document = filled(Document(data, below.marks, below.name))
    found = problems(document)
    if found:
        raise ProtocolError(lines(found, document)[0])
    return Chain(Protocol.model_validate(document.data), Store(store))


class Chain:
    """One encoder, adapter and decoder, and what they were fitted on.

    Parameters
    ----------
    protocol : Protocol
        With the sections of the chain.
    store : Store
    """

    def __init__(self, protocol: Protocol, store: Store) -> None:
        self.protocol, self.store = protocol, store
        self.planner = Planner(protocol)

    def __repr__(self) -> str:
        parts = [f"  {section}: {self._spec(section)}" for section in CHAIN if self._has(section)]
        return "\n".join(["Chain", *parts])

    def digests(self) -> dict[str, dict[str, str]]:
        """Return the digests of the files (weights, atlases) that each section depends on."""
        found = {section: self._step(section).digests() for section in CHAIN if self._has(section)}
        return {section: digests for section, digests in found.items() if digests}

    def ready(self) -> None:
        """Raise if a section cannot be computed the way `insilico.step.computing` says."""
        for section in filter(self._has, CHAIN):
            self._step(section).ready()

    def stimuli(self, **parameters: Any) -> xr.Dataset:
        """Return stimuli: the preset's, with other parameters, such as ``split`` and ``n``."""
        spec = self._spec("stimuli")
        kind = parameters.get("kind", spec["kind"])
        base = spec if kind == spec["kind"] else {}
        return build("stimuli", {**base, **parameters})()

    def encode(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return synthetic responses on fsaverage5."""
        return carried(self._step("encoder")(stimuli), stimuli)

    def encode_again(self, reconstruction: xr.Dataset, draw: int = 0) -> xr.Dataset:
        """Return the encoder's response to decoded pictures, for statistics of cycles."""
        return self.encode(Again(draw=draw)(reconstruction))

    def record(
        self, stimuli: xr.Dataset, space: str = "voxels", repeats: str = "keep"
    ) -> xr.Dataset:
        """Return measured responses.

        Parameters
        ----------
        stimuli : stimuli
        space : {"voxels", "fsaverage5"}
        repeats : {"keep", "mean"}
        """
        spec = {**self._spec("recording"), "space": space, "repeats": repeats}
        return carried(build("recording", spec)(stimuli), stimuli)

    def ablate(self, response: xr.Dataset, **parameters: Any) -> xr.Dataset:
        """Return the response after a lesion; see `perturb` for other kinds.

        Parameters
        ----------
        response : response
        **parameters
            Of the step, such as ``atlas``, ``region``, ``fill``, ``control``.
        """
        return self.perturb(response, kind="ablate", **parameters)

    def perturb(self, response: xr.Dataset, **spec: Any) -> xr.Dataset:
        """Return the response after a perturbation, named as in a protocol."""
        _refuse_several(spec)
        spec, notes = bound(spec, self.protocol.bindings)
        _refuse("perturb", spec)
        if isinstance(spec.get("region"), str):
            spec["region"] = spelled(spec.get("atlas"), spec["region"])
        step = self.planner.step("perturb", spec, seeded=True)
        source = "recording" if place_of(response) == "voxel" else "encoder"
        beside = [self._get(job) for job in self.planner.beside(spec, self._chain(), source)]
        return carried(step(response, *beside), response, "; ".join(notes))

    def fitted(self) -> xr.Dataset:
        """Return the adapter's fitted parameters; it is fitted at first use."""
        self._spec("adapter")
        return self._get(self.planner.fitted(self._chain()))

    def adapt(self, response: xr.Dataset) -> xr.Dataset:
        """Return the response in the decoder's voxels; the adapter is fitted at first use."""
        if not self._has("adapter"):
            return response
        return carried(self._step("adapter")(response, self.fitted()), response)

    def train_entry(self, file: str | Path, n: int = 1000) -> Path:
        """Train the decoder's entry for this chain's adapter, on other pairs than the adapter's.

        Parameters
        ----------
        file : path
            Ends in ``.safetensors``; then ``load_chain(set={"decoder.entry": file})``.
        n : int
            How many stimuli of the training, after those that the adapter was fitted on.
        """
        decoder = self._step("decoder")
        if not hasattr(decoder, "train_entry"):
            raise ParameterError(f"decoder '{decoder.kind}' has no entry to train; mindeye2 has")
        known = self.fitted()["stimulus"].values
        shown = build("stimuli", {**self._spec("training"), "n": n + len(known)})()
        shown = shown.isel(stimulus=~np.isin(shown["stimulus"].values, known))
        adapted = self.adapt(self.encode(shown))
        return decoder.train_entry(adapted, self.record(shown, repeats="mean"), file)

    def rest(self) -> xr.Dataset:
        """Return the mean predicted response to training stimuli: a pattern to be changed."""
        return self._get(patterns.rest(self.planner, self._chain()))

    def decode(
        self, response: xr.Dataset, stimuli: xr.Dataset | None = None, **changes: Any
    ) -> xr.Dataset:
        """Return reconstructions; a response on fsaverage5 is adapted first.

        Captions and sounds follow where the chain has a `captioner` or a `sound`.

        Parameters
        ----------
        response : response
        stimuli : stimuli, optional
            What was shown, for a decoder that must know (``nearest`` with `exclude_shown`).
        **changes
            To the decoder, as a condition's `decoder` writes them: ``kind="ascend"``.
        """
        check(response, "response")
        decoder = merge({"it": self._spec("decoder")}, {"it": changes})["it"]
        _refuse("decoder", decoder)
        chain = {**self._chain(), "decoder": decoder}
        step = patterns.decoder(self.planner, chain)
        first, *beside = takes(step)
        adapts = first != patterns.ID and place_of(response) != "voxel"
        voxels = self.adapt(response) if adapts else response
        made = carried(step(voxels, *self._beside(beside, chain, stimuli)), voxels)
        for section in filter(self._has, ONWARD):
            made = carried(self._step(section, seeded=True)(made), made)
        return made

    def _beside(
        self, names: Iterable[str], chain: dict[str, Any], stimuli: xr.Dataset | None
    ) -> list[xr.Dataset]:
        """Return what a decoder is called with beside the response; stimuli only where given."""
        if "stimuli" in names:
            return [] if stimuli is None else [stimuli]
        return [self._get(patterns.beside(self.planner, name, chain)) for name in names]

    def caption(self, stimuli: xr.Dataset) -> xr.Dataset:
        """Return the captioner's words on the stimuli themselves, for `caption_pairings`."""
        return carried(self._step("captioner", seeded=True)(AsShown()(stimuli)), stimuli)

    def _has(self, section: str) -> bool:
        return getattr(self.protocol, section) is not None

    def _spec(self, section: str) -> dict[str, Any]:
        if not self._has(section):
            raise ProtocolError(f"this chain has no {section}; set it: load_chain(set=...)")
        return dict(getattr(self.protocol, section))

    def _chain(self) -> dict[str, Any]:
        return {section: self._spec(section) for section in CHAIN if self._has(section)}

    def _step(self, section: str, *, seeded: bool = False) -> Step:
        return self.planner.step(section, self._spec(section), seeded=seeded)

    def _get(self, job: Job) -> xr.Dataset:
        return obtain(job, self.store)


def _refuse_several(spec: Mapping[str, Any]) -> None:
    """Raise for what stands for several conditions in a protocol."""
    if isinstance(spec.get("region"), list) or spec.get("region") == EACH:
        raise ParameterError(
            f"region {spec['region']!r} stands for several conditions in a protocol; here call "
            "once for each region, or join them: 'Vis | Default'"
        )
    if "n" in spec:
        index = numbered(spec) or "control_index"
        raise ParameterError(f"n counts in a protocol; here call once for each: {index}=0, 1")
    if "refit" in spec:
        raise ParameterError(
            "refit fits the adapter again in a protocol: run({...}) with perturb: {refit: true}"
        )


def _refuse(section: str, spec: Mapping[str, Any]) -> None:
    """Raise for a spec with an unknown kind, parameter, atlas or region."""
    found = [*region_complaints(spec, (section,)), *complaints(section, spec, (section,))]
    if found:
        loc, message = found[0]
        raise ProtocolError(f"{'.'.join(map(str, loc))}: {message}")


def ablate(response: xr.Dataset, **parameters: Any) -> xr.Dataset:
    """Return a response after a lesion, without a chain; see `perturb`."""
    return perturb(response, kind="ablate", **parameters)


def perturb(
    response: xr.Dataset,
    *,
    training: xr.Dataset | None = None,
    leverage: xr.Dataset | None = None,
    **spec: Any,
) -> xr.Dataset:
    """Return a perturbed response, without a chain.

    Parameters
    ----------
    response : response
    training : response, optional
        Responses to training stimuli, where a mean or a spread of theirs is needed.
    leverage : Dataset, optional
        Each vertex's leverage in an adapter, for ``control="leverage"``.
    **spec
        `kind` and parameters of the step, such as ``kind="ablate", atlas=..., region=...``.
    """
    _refuse_several(spec)
    _refuse("perturb", spec)
    return carried(build("perturb", spec)(response, training, leverage), response)
