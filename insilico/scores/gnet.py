"""GNet: pictures -> voxels, the encoder of MindEye2's brain correlation.

One convolutional trunk is shared by all subjects; every voxel reads two of its stacks of feature
maps through a pooling field of its own (St-Yves and Naselaris 2018,
https://doi.org/10.1016/j.neuroimage.2017.06.035). Specification: MindEye2, section 6.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from insilico.errors import WeightsError, listed
from insilico.step import batches, device
from insilico.weights.alone import need
from insilico.weights.checkpoint import content, fit
from insilico.weights.memory import Need
from insilico.weights.shelf import kept

SIZE = 227
FIELDS = {"rf0": (25, 25), "rf1": (13, 13)}
"""Pooling fields of a voxel over the fine and the coarse maps of a picture of that size."""
CONVOLUTIONS = ("pre.conv1.0", "pre.conv2.0", "enc.conv3", "enc.conv6b.conv1")
"""Those whose numbers of maps are the encoder's sizes."""
ROWS = 32
"""Pictures that go together where there is room."""
HELD = "gnet"
MOST_VOXELS = 17907
"""Voxels of the largest head, that of NSD's subject 6."""
VOXELS = 512
"""Voxels read out together: what bounds the memory of the pooled features."""


def squashed(x: torch.Tensor) -> torch.Tensor:
    """Return ``log(1 + |x|) tanh x``."""
    return torch.log1p(x.abs()) * torch.tanh(x)


class TrunkBlock(nn.Module):
    """Batch norm, dropout of whole maps, 3x3 convolution, ReLU."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside, momentum=0.25)
        self.drop1 = nn.Dropout2d(0.5)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, inside, y, x) to (n, outside, y, x)."""
        return functional.relu(self.conv1(self.drop1(self.bn1(x))))


class Prefilter(nn.Module):
    """The first two convolutions, AlexNet's."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        wide = nn.Conv2d(3, first, 11, stride=4, padding=2)
        self.conv1 = nn.Sequential(wide, nn.ReLU(), nn.MaxPool2d(3, 2))
        self.conv2 = nn.Sequential(nn.Conv2d(first, second, 5, padding=2), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map pictures (n, 3, y, x) to (n, second, y, x)."""
        return self.conv2(self.conv1(x))


class Trunk(nn.Module):
    """The rest: the third convolution and six blocks, whose first maps are read out."""

    def __init__(self, second: int, third: int, width: int, passed: int) -> None:
        super().__init__()
        both = width + passed
        self.width = width
        self.bn1 = nn.BatchNorm2d(second, momentum=0.25)
        self.drop1 = nn.Dropout2d(0.5)
        self.conv3 = nn.Conv2d(second, third, 3)
        self.pool1 = nn.MaxPool2d(3, 2, padding=1)
        self.conv4a, self.conv4b = TrunkBlock(third, both), TrunkBlock(both, both)
        self.conv5a, self.conv5b = TrunkBlock(both, both), TrunkBlock(both, both)
        self.conv6a, self.conv6b = TrunkBlock(both, both), TrunkBlock(both, width)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map (n, second, y, x) to the fine and the coarse stack of maps."""
        third = functional.relu(self.conv3(self.drop1(self.bn1(x))))
        a = self.conv4a(third)
        b = self.conv4b(a)
        fine = torch.cat([third, a[:, : self.width], b[:, : self.width]], 1)
        c = self.conv5a(self.pool1(b))
        d = self.conv5b(c)
        e = self.conv6a(d)
        passed = [maps[:, : self.width] for maps in (c, d, e)]
        return fine, torch.cat([*passed, self.conv6b(e)], 1)


class Encoder(nn.Module):
    """The network that all subjects share; names of parameters are the file's.

    Parameters
    ----------
    first, second, third : int
        Maps of the first three convolutions.
    width, passed : int
        Maps of a block that are read out, and that are only passed on.
    """

    def __init__(
        self,
        first: int = 64,
        second: int = 192,
        third: int = 128,
        width: int = 64,
        passed: int = 192,
    ) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.zeros(1, 3, 1, 1), requires_grad=False)
        self.pre = Prefilter(first, second)
        self.enc = Trunk(second, third, width, passed)

    @classmethod
    def like(cls, state: Mapping[str, torch.Tensor]) -> Encoder:
        """Return an encoder, on no device, of the sizes that a state dict has."""
        with torch.device("meta"):
            first, second, third, width = (len(state[f"{name}.weight"]) for name in CONVOLUTIONS)
            both = len(state["enc.conv4a.conv1.weight"])
            made = cls(first, second, third, width, both - width)
        made.mu = nn.Parameter(torch.empty_like(state["mu"], device="meta"), requires_grad=False)
        return made

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map pictures (n, 3, 227, 227) to maps (n, 256, 25, 25) and (n, 256, 13, 13)."""
        return self.enc(self.pre(x - self.mu))


def read_out(maps: tuple[torch.Tensor, ...], head: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return responses (n, voxels) from feature maps.

    Parameters
    ----------
    maps : tensors (n, features, y, x)
    head : dict
        ``rf0``, ``rf1`` (voxels, y, x): pooling fields before their softmax over space;
        ``w`` (voxels, features of all maps), ``b`` (voxels,).
    """
    flat = [squashed(stack.flatten(2)) for stack in maps]
    found = []
    for start in range(0, len(head["b"]), VOXELS):
        part = {name: values[start : start + VOXELS] for name, values in head.items()}
        fields = [part[f"rf{k}"].flatten(1).softmax(1) for k in range(len(flat))]
        pooled = [
            torch.einsum("vs,nfs->nvf", field, stack)
            for field, stack in zip(fields, flat, strict=True)
        ]
        features = squashed(torch.cat(pooled, 2))
        found.append(torch.einsum("nvf,vf->nv", features, part["w"]) + part["b"])
    return torch.cat(found, 1)


class GNet:
    """An encoder and the heads of its subjects, as the authors' file holds them.

    Parameters
    ----------
    path : Path
        Of ``gnet_multisubject.pt``.

    Raises
    ------
    WeightsError
        If the file is missing, holds code, or is not laid out as GNet's.
    """

    def __init__(self, path: Path) -> None:
        held = content(path)
        params = held.get("best_params") if isinstance(held, Mapping) else None
        if not isinstance(params, Mapping) or not {"enc", "fwrfs"} <= set(params):
            raise WeightsError(
                f"{path} is no GNet: best_params with enc and fwrfs is missing; allowed: "
                "gnet_multisubject.pt of the hub's dataset pscotti/mindeyev2"
            )
        self.path, self.heads = path, params["fwrfs"]
        state = dict(params["enc"])
        try:
            expected = Encoder.like(state)
        except (KeyError, TypeError) as error:
            raise WeightsError(f"{path}: the encoder lacks {error}") from error
        fit(state, expected.state_dict(), f"{path}: GNet's encoder")
        expected.load_state_dict(state, assign=True)
        self.encoder = expected.float().eval().to(device())

    def head(self, subject: int, voxels: np.ndarray) -> dict[str, torch.Tensor]:
        """Return the head of a subject, of some voxels alone.

        Parameters
        ----------
        subject : int
        voxels : bool (voxels of the subject,)
        """
        if subject not in self.heads:
            raise WeightsError(
                f"{self.path}: no head of subject {subject}; it has {listed(self.heads)}"
            )
        head = {name: torch.as_tensor(values) for name, values in self.heads[subject].items()}
        lacking = {*FIELDS, "w", "b"} - set(head)
        if lacking:
            raise WeightsError(
                f"{self.path}: the head of subject {subject} lacks {listed(lacking)}"
            )
        shapes = {name: tuple(head[name].shape[1:]) for name in FIELDS}
        if shapes != FIELDS:
            raise WeightsError(f"{self.path}: pooling fields are {shapes}, and not {FIELDS}")
        if len(head["b"]) != len(voxels):
            raise WeightsError(
                f"{self.path}: subject {subject} has {len(head['b'])} voxels there, and the "
                f"measured response {len(voxels)}: is it another subject, or another space?"
            )
        chosen = torch.from_numpy(voxels)
        return {name: values[chosen].float().to(device()) for name, values in head.items()}

    @torch.inference_mode()
    def predict(
        self, images: np.ndarray, head: Mapping[str, torch.Tensor], most: int | None = None
    ) -> np.ndarray:
        """Return responses, float32 (n, voxels), to pictures, uint8 (n, y, x, 3).

        `most` pictures fit into memory together.
        """
        found = []
        for part in batches(images, most or ROWS, "GNet", most):
            pixels = torch.from_numpy(prepared(part)).to(device())
            found.append(read_out(self.encoder(pixels), head).cpu().numpy())
        return np.concatenate(found)


def prepared(images: Any) -> np.ndarray:
    """Return pictures as GNet sees them, float32 (n, 3, 227, 227) in [0, 1].

    Lanczos on 8-bit pictures; pictures in [0, 1] are cut down to 8 bits first, not rounded.

    Parameters
    ----------
    images : list of (y, x, 3)
        uint8, or floating point in [0, 1].
    """
    from PIL import Image

    found = []
    for image in images:
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8:
            pixels = np.clip(pixels * 255, 0, 255).astype(np.uint8)
        seen = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        found.append(np.asarray(seen, np.float32).transpose(2, 0, 1) / 255)
    return np.stack(found)


@kept(HELD)
def gnet(path: Path, used: str, where: str) -> GNet:
    """Return the GNet of a file, read once."""
    return GNet(path)


@lru_cache(maxsize=4)
def needed(voxels: int = MOST_VOXELS) -> Need:
    """Return what the published encoder and a head of so many voxels need."""
    with torch.device("meta"):
        encoder = Encoder().eval()
        features = 2 * 256
        head = {name: torch.empty(voxels, *field) for name, field in FIELDS.items()}
        head |= {"w": torch.empty(voxels, features), "b": torch.empty(voxels)}

    def call(n: int) -> object:
        return read_out(encoder(torch.empty(n, 3, SIZE, SIZE)), head)

    return need(HELD, encoder, call, ROWS, more=sum(value.nbytes for value in head.values()))
