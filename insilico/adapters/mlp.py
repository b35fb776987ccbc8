"""The network adapters: what a ridge learns in closed form, learned by gradient descent."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import xarray as xr
from pydantic import Field, PositiveInt

from insilico.adapters.adapter import Adapter
from insilico.adapters.fitted import labelled
from insilico.adapters.network import VertexNetwork
from insilico.adapters.pairs import Pairs, aligned
from insilico.adapters.scaling import (
    constant_note,
    mean_and_scale,
    refuse_constant,
    standardized,
)
from insilico.course import Course, Draw, Losses
from insilico.errors import ParameterError, StoreError
from insilico.schema import short_digest
from insilico.step import device, generator, progress, scratch

ROWS = 256


class MLP(Adapter):
    """Three linear layers, 20,484 to 2048 to 2048 to 15,724 at full size, standardised in and out.

    Trained by Adam on the mean squared error. Some stimuli are held out; training ends when the
    error on them no longer improves, and the best state is kept. A killed training goes on from
    its checkpoint when the same fit is asked for, in a run, a chain or with the same `checkpoint`.

    Vertices that do not vary over the pairs are left out; voxels that do not are given back as
    their constant.

    Attributes
    ----------
    hidden : tuple of int
        Sizes of the hidden layers, each with LayerNorm, GELU and dropout.
    dropout : float
    epochs : int
        Passes over the pairs; the learning rate falls from `lr` to zero over them by a half cosine.
    lr, weight_decay : float
        Weight decay is apart from the gradient (AdamW), none is plain Adam.
    batch : int
    held_out : float
        Share of the stimuli on which the training is measured.
    patience : int, optional
        After how many epochs without improvement it ends; without it, it runs to its end and
        keeps the last state, as published.
    seed : int
        Of first weights, batches, dropout and the split.
    """

    kind: ClassVar[str] = "mlp"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (2048, 2048)
    dropout: float = Field(0.1, ge=0, lt=1)
    epochs: PositiveInt = 300
    lr: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    batch: int = Field(64, ge=2)
    held_out: float = Field(0.1, gt=0, lt=1)
    patience: PositiveInt | None = 20
    seed: int = Field(0, ge=0)

    def fit(
        self, source: xr.Dataset, target: xr.Dataset, checkpoint: str | Path | None = None
    ) -> xr.Dataset:
        """Learn voxels from vertices.

        Parameters
        ----------
        source : response on fsaverage5
        target : response in voxels
            Of (some of) the same stimuli; repeats are averaged.
        checkpoint : path, optional
            Folder from which a killed training goes on, and which keeps the state of every epoch;
            another fit (other pairs or parameters) has another subfolder. Delete it when the
            adapter is saved. In a run the store has one of its own.

        Returns
        -------
        Dataset
            The network's tensors under their names, ``source_mean``, ``source_scale`` (vertex),
            ``target_mean``, ``target_scale`` (voxel), ``held_out`` (pair), and the training curve,
            ``training_error`` and ``held_out_error`` (epoch): mean squared errors of standardised
            voxels, 1 for one who knows their mean.

        Raises
        ------
        StoreError
            If the folder cannot be written, or what it holds is damaged.
        """
        pairs = aligned(source, target)
        kept = scratch() if checkpoint is None else self._own_folder(checkpoint, pairs)
        held = self._held(pairs.stimulus)
        x_mean, x_scale = mean_and_scale(pairs.x[~held])
        y_mean, y_scale = mean_and_scale(pairs.y[~held])
        refuse_constant(x_scale, y_scale, self.kind)
        x = torch.from_numpy(standardized(pairs.x, x_mean, x_scale))
        y = torch.from_numpy(standardized(pairs.y, y_mean, y_scale))
        network, curve = self._trained(x, y, torch.from_numpy(held), kept)
        variables: dict[str, Any] = {
            "source_mean": ("vertex", x_mean),
            "source_scale": ("vertex", x_scale),
            "target_mean": ("voxel", y_mean),
            "target_scale": ("voxel", y_scale),
            "held_out": ("pair", held),
            **curve,
            **_tensors(network),
        }
        return labelled(
            variables,
            pairs,
            self,
            vertices=x_scale > 0,
            voxels=y_scale > 0,
            note=constant_note(y_scale),
        )

    def network(self, vertices: int, voxels: int) -> VertexNetwork:
        """Return the network with its first weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._word("weights"))
            return VertexNetwork(vertices, voxels, self.hidden, self.dropout)

    def _held(self, stimulus: np.ndarray) -> np.ndarray:
        """Choose the stimuli to hold out, by their ids; at least one, and two stay."""
        n = max(1, round(self.held_out * len(stimulus)))
        if len(stimulus) - n < 2:
            raise ParameterError(
                f"{self.kind}: of {len(stimulus)} pairs {n} are held out; at least 2 must be left "
                "to learn from"
            )
        line = sorted(range(len(stimulus)), key=lambda k: short_digest(self.seed, stimulus[k]))
        return np.isin(np.arange(len(stimulus)), line[:n])

    def _own_folder(self, checkpoint: str | Path, pairs: Pairs) -> Path:
        """Return the folder of this very fit within the one that was named."""
        name = short_digest(self.identity(), pairs.provenance())
        folder = Path(checkpoint).expanduser() / f"{self.kind}-{name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"checkpoint {checkpoint}: cannot be written ({error.strerror}); name another "
                "folder"
            ) from error
        return folder

    def _trained(
        self, x: torch.Tensor, y: torch.Tensor, held: torch.Tensor, kept: Path | None
    ) -> tuple[VertexNetwork, dict[str, Any]]:
        where, network = device(), self.network(x.shape[1], y.shape[1])
        network = network.to(where)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=self.lr, weight_decay=self.weight_decay
        )
        learned = torch.nonzero(~held)[:, 0].numpy()
        an_epoch = -(-len(learned) // self.batch)
        with _folder(kept) as folder:
            course = Course(
                {"network": network},
                [optimizer],
                self.epochs * an_epoch,
                folder / "checkpoint.pt",
                self.seed,
                decay=None,
                patience=self.patience,
                log=folder / "curve.jsonl",
                tell=self._tell,
            )
            progress(f"fit {self.kind}", course.step // an_epoch, self.epochs)
            lesson = partial(self._losses, network, x, y, learned)
            score = partial(_error, network, x[held], y[held])
            course.run(lesson, every=an_epoch, score=score)
            curve = _curve(folder / "curve.jsonl")
        return network.eval().cpu(), curve

    def _tell(self, step: int, steps: int, means: dict[str, float]) -> None:
        if "held out" in means:
            told = f"fit {self.kind}, error held out {means['held out']:.4f}"
            progress(told, step * self.epochs // steps, self.epochs)

    def _losses(
        self,
        network: VertexNetwork,
        x: torch.Tensor,
        y: torch.Tensor,
        learned: np.ndarray,
        draw: Draw,
    ) -> Losses:
        an_epoch = -(-len(learned) // self.batch)
        epoch, place = divmod(draw.step, an_epoch)
        order = Draw(draw.seed, epoch).numbers().permutation(len(learned))
        rows = learned[order[place * self.batch : (place + 1) * self.batch]]
        where = next(network.parameters()).device
        with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
            torch.manual_seed(self._word("dropout", draw.step))
            made = network.train()(x[rows].to(where))
        return {"error": ((made - y[rows].to(where)) ** 2).mean()}

    def _word(self, *names: object) -> int:
        return int(generator(self.seed, self.kind, *names).integers(2**63))

    def adapted(self, bold: np.ndarray, fitted: xr.Dataset) -> np.ndarray:
        """Return voxels, float32 (..., voxel)."""
        network = self._loaded(fitted)
        mean, scale = fitted["source_mean"].values, fitted["source_scale"].values
        rows = bold.reshape(-1, bold.shape[-1])
        made = np.empty((len(rows), fitted.sizes["voxel"]), np.float32)
        with torch.inference_mode():
            for start in range(0, len(rows), ROWS):
                some = standardized(rows[start : start + ROWS], mean, scale)
                made[start : start + ROWS] = network(torch.from_numpy(some).to(device())).cpu()
        made *= fitted["target_scale"].values
        made += fitted["target_mean"].values
        return made.reshape(*bold.shape[:-1], -1)

    def _loaded(self, fitted: xr.Dataset) -> VertexNetwork:
        with torch.device("meta"):
            network = VertexNetwork(
                fitted.sizes["vertex"], fitted.sizes["voxel"], self.hidden, self.dropout
            )
        state = {name: torch.from_numpy(fitted[name].values) for name in network.state_dict()}
        network.load_state_dict(state, assign=True)
        return network.eval().to(device())


class Bottleneck(MLP):
    """One narrow hidden layer, 20,484 to 512 to 15,724 at full size, with weight decay.

    Everything else is as in `mlp`.
    """

    kind: ClassVar[str] = "bottleneck"
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (512,)
    weight_decay: float = Field(0.1, ge=0)


@torch.no_grad()
def _error(network: VertexNetwork, x: torch.Tensor, y: torch.Tensor) -> float:
    where = next(network.parameters()).device
    network.eval()
    total = sum(
        float(((network(some.to(where)) - true.to(where)) ** 2).sum())
        for some, true in zip(x.split(ROWS), y.split(ROWS), strict=True)
    )
    return total / y.numel()


def _tensors(network: VertexNetwork) -> dict[str, Any]:
    """Return a network's tensors as variables; the outer dimensions are vertices and voxels."""
    state = {name: value.numpy() for name, value in network.state_dict().items()}
    first, last = next(iter(state)), list(state)[-1]
    variables: dict[str, Any] = {}
    for name, value in state.items():
        dims = [f"{name}.{axis}" for axis in range(value.ndim)]
        if name == first:
            dims[1] = "vertex"
        if name in (last, last.replace("bias", "weight")):
            dims[0] = "voxel"
        variables[name] = (tuple(dims), value)
    return variables


def _curve(log: Path) -> dict[str, Any]:
    """Return the errors of every epoch, from the lines that the training wrote."""
    lines = log.read_text("utf-8").splitlines() if log.is_file() else []
    rows = [json.loads(line) for line in lines]
    whole = {row["step"]: row for row in rows if "held out" in row}  # one came twice, if killed
    told = [whole[step] for step in sorted(whole)]
    return {
        name: ("epoch", np.array([row[key] for row in told]))
        for name, key in (("training_error", "error"), ("held_out_error", "held out"))
    }


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """Yield the folder of checkpoints: the one given, or one that is gone afterwards."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
