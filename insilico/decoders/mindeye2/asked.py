"""What can be asked of MindEye2, and what that needs: networks, digests, memory, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from insilico.decoders.mindeye2.betas import Repeats
from insilico.decoders.mindeye2.entry import entry_digest
from insilico.decoders.mindeye2.needs import planned
from insilico.decoders.mindeye2.stages import present, stage
from insilico.decoders.precision import Precision
from insilico.step import Item, Step, batches, generator, memory
from insilico.weights.folders import folder, source, used_all
from insilico.weights.memory import Plan

Kept = Literal["ridge", "backbone", "clip_voxels", "prior"]


class Asked(Step):
    """The parameters of MindEye2.

    Parameters
    ----------
    weights : str
        ``"phantom"``; a folder with ``mindeye2/``, ``unclip/`` and ``captioner/``, and for what is
        asked ``converter/``, ``blurry/`` and ``refiner/``, or one as the authors' hub has it;
        ``"published"`` for that in ``INSILICO_WEIGHTS``.
    model : str, optional
        Training run in the authors' folder, such as ``final_subj01_pretrained_40sess_24bs``.
    subject : int, optional
        Position of the subject in the checkpoint's list, not its number; by default the one whose
        number of voxels the response has.
    draws : int
        Reconstructions of each response.
    seed : int
        Item noise depends on seed, stimulus id and draw alone: it is the same in every condition
        and every batch.
    repeats : {"outputs", "betas"}
        What is averaged over repeats: the network's outputs as published, or the betas.
    repeat : int, optional
        Decode this repeat alone; the first is 1.
    prior_steps : int
        20 as published: 19 network calls; 100: the ancestral loop.
    steps, guidance : optional
        Of the unCLIP decoder; its own defaults otherwise.
    captions : {"auto", "tokens", "pictures", "none"}
        What GIT captions: the prior's tokens through the converter, as published, or the decoded
        pictures. ``auto``: tokens where ``converter/`` is there, else pictures.
    beams : int
        Width of the captioner's beam search; 1 is greedy, as published.
    blurry : bool, optional
        Whether to decode the low-level head; by default where ``blurry/`` is there.
    refine : bool
        Whether pictures are refined by SDXL img2img, with their captions as prompts. The unCLIP's
        are kept as ``unrefined``.
    mix : float
        Share of the blurry picture in a refined one; 0.25 in the authors' scores of refined
        pictures. The refined ones are kept as ``refined``.
    size : int, optional
        Larger pictures are stored at this side, 256 as published; null stores them as they are.
    entry : str, optional
        File of `train_entry`: an entry ridge for what an adapter gives, in the place of the
        subject's own.
    renormalise : bool
        Whether the backbone's tokens are brought to the mean norm of those of training responses,
        a second input: for patterns that no brain gave.
    keep : list of {"ridge", "backbone", "clip_voxels", "prior"}
        What is stored beside the pictures, as ``tokens_ridge``, ``tokens_backbone``,
        ``tokens_voxels`` and ``tokens_prior``.
    precision : {"fp32", "fp16", "bf16"}
        Of matrix products; the published run is fp16. Autoencoders are fp32 always.
    tiled : bool
        Whether autoencoders decode tile by tile: less memory, seams that differ a little.
    """

    weights: str = "phantom"
    model: str | None = None
    subject: NonNegativeInt | None = None
    draws: PositiveInt = 1
    seed: NonNegativeInt = 0
    repeats: Repeats = "outputs"
    repeat: PositiveInt | None = None
    prior_steps: Annotated[int, Field(ge=2)] = 20
    steps: PositiveInt | None = None
    guidance: float | None = None
    captions: Literal["auto", "tokens", "pictures", "none"] = "auto"
    beams: PositiveInt = 1
    blurry: bool | None = None
    refine: bool = False
    mix: Annotated[float, Field(ge=0, le=1)] = 0.0
    size: PositiveInt | None = 256
    entry: str | None = None
    renormalise: bool = False
    keep: tuple[Kept, ...] = ()
    precision: Precision = "fp32"
    tiled: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Asked:
        if self.refine and self.captions == "none":
            raise ValueError("refine: its prompts are captions; set captions: auto")
        if self.mix and not self.refine:
            raise ValueError("mix: the authors mix refined pictures alone; set refine: true")
        if self.mix and self.blurry is False:
            raise ValueError("mix: blurry pictures are needed; leave 'blurry' out")
        return self

    # --- what is used ---

    @property
    def takes(self) -> tuple[str, ...]:
        """Names of the datasets that it is called with."""
        return ("response", "training") if self.renormalise else ("response",)

    @property
    def captioned(self) -> str:
        """What is captioned: tokens, pictures or none."""
        if self.captions != "auto":
            return self.captions
        return "tokens" if present("converter", self.weights) else "pictures"

    def networks(self) -> list[str]:
        """Return the names of all networks used."""
        names = {"mindeye2": True, "unclip": True}
        names["captioner"] = self.captioned != "none"
        names["converter"] = self.captioned == "tokens"
        names["blurry"] = self.blurry is not False and present("blurry", self.weights)
        names["refiner"] = self.refine
        return [name for name, asked in names.items() if asked]

    def digests(self) -> dict[str, str]:
        """Return the digests of all networks used.

        Raises
        ------
        SeveralMissing, WeightsError
            That names every network which is missing or damaged.
        """
        found = used_all(self.weights, self.networks(), self.model)
        return found | ({"entry": entry_digest(self.entry)} if self.entry else {})

    @property
    def variant(self) -> str:
        """Say which of the published and other ways this is."""
        alone = f"repeat {self.repeat} alone"
        said = [alone if self.repeat else f"{self.repeats} averaged over repeats"]
        said += [f"prior in {self.prior_steps} steps", f"captions of {self.captioned}"]
        said += ["tokens at the training's norm"] * self.renormalise
        if self.captioned != "none" and self.beams > 1:
            said[-1] += f" by {self.beams} beams"
        steps = f" in {self.steps} steps" if self.steps is not None else ""
        guided = f" with guidance {self.guidance:g}" if self.guidance is not None else ""
        said += [f"unCLIP{steps}{guided}"] * bool(steps or guided)
        if self.entry:
            said.append("entry trained for the adapter")
        said += ["refined by SDXL" if self.refine else "unrefined", self.precision]
        if self.mix:
            said[-2] += f", {1 - self.mix:g} refined + {self.mix:g} blurry"
        return "; ".join(said)

    def _stage(self, name: str) -> Any:
        return stage(name, self.weights, self.precision, self.tiled, self.model, self._plan())

    def _plan(self, found: Callable[..., Path] = folder) -> Plan | None:
        """Return how the memory that `computing` sets is shared, None where none is set."""
        if memory() is None:
            return None
        paths = {name: found(self.weights, name, self.model) for name in self.networks()}
        there = {name: path for name, path in paths.items() if path.is_dir()}
        return planned(there, self.precision, self.tiled, self.beams)

    def ready(self) -> None:
        """Raise if the memory that `computing` sets is too little; converts nothing."""
        self._plan(source)

    def _batches(self, name: str, items: Iterable[Item], size: int, what: str) -> Iterator[list]:
        plan = self._plan()
        most = None if plan is None else plan[name].batch
        return batches(items, most or size, what, most)

    def _rng(self, stage: str, stimulus: object, draw: int) -> np.random.Generator:
        return generator(self.seed, "mindeye2", stage, stimulus, draw)

    def _items(self, stimuli: list[str]) -> list[tuple[int, int]]:
        return [(k, draw) for k in range(len(stimuli)) for draw in range(self.draws)]
