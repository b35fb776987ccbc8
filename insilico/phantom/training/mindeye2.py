"""The phantom's MindEye2: trained on the simulated betas of one subject.

Unlike the published networks, which start from random numbers, ridge and backbone start from a
closed form: the reduced-rank ridge regression of the tokens on the betas. All parts are then
trained together on the published losses: 30 times the prior's, the contrastive one (BiMixCo for
the first third, SoftCLIP after it), and half of the low-level one. Ridge and backbone move slowly
there, or they would learn the training noise by heart.

A step sees the mean of three repeats or one of them, drawn to the mean of all scenes by up to a
third (as smooth predictions of other brains are), plus noise taken from the difference of two
repeats of another scene: so the prior meets errors as large as those of new scenes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from insilico.course import Course, Draw, Losses
from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.decoders.unclip import UnclipDecoder
from insilico.phantom.cohort import Cohort
from insilico.phantom.training.data import WORLD, pictures
from insilico.phantom.training.mary_nano import scenes_shown
from insilico.phantom.training.muon import Muon
from insilico.phantom.training.storage import halve
from insilico.phantom.training.unclip import stored_conditions
from insilico.schema import short_digest

SUBJECT, REPEATS, N_TRAINED, CHUNK = 1, 3, 9000, 1000
BATCH, HIDDEN, PENALTY = 64, 256, 4000.0
SLOW, FAST = 1e-5, 1e-3
SINGLE_SHARE, SHRINKAGE, ADDED_NOISE = 0.25, 0.33, 0.6
MIXED_SHARE, DROPPED, TEMPERATURE = 0.33, 0.2, 0.02
LOW_LEVEL = {
    "channels": 32,
    "grid": 2,
    "blocks": [16, 24, 32],
    "groups": 8,
    "aux": 32,
    "latent": 16,
}


def build(voxels: int) -> MindEye2Model:
    """Return the untrained model at the phantom's sizes."""
    return MindEye2Model(
        MindEye2Config(
            voxels=[voxels],
            hidden=HIDDEN,
            n_blocks=2,
            tokens=64,
            width=64,
            blurry=LOW_LEVEL,
            depth=4,
            heads=4,
            head_width=16,
        )
    )


def simulated_betas(cache: Path, n: int = N_TRAINED) -> np.ndarray:
    """Return the subject's betas to the first training scenes, float16 (repeat, n, voxel)."""
    cohort = Cohort(WORLD)
    places = cohort.voxels(SUBJECT)["vertex"].values
    shown = scenes_shown(cache, "train", len(pictures(cache)))

    def measured(rows: range) -> np.ndarray:
        return cohort.measure(shown.isel(stimulus=rows), SUBJECT, places, REPEATS)

    key = short_digest(np.round(measured(range(2)), 2).tobytes())[:12]
    file = cache / "betas" / f"subj{SUBJECT:02d}-{n}-{key}.npy"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = [
            measured(range(k, min(k + CHUNK, n))).astype(np.float16) for k in range(0, n, CHUNK)
        ]
        np.save(file.with_suffix(".part.npy"), np.concatenate(parts, axis=1))
        file.with_suffix(".part.npy").rename(file)
    return np.load(file)


@torch.no_grad()
def start_from_regression(model: MindEye2Model, betas: np.ndarray, tokens: torch.Tensor) -> None:
    """Set ridge and backbone to the reduced-rank ridge regression of tokens on betas.

    Parameters
    ----------
    model : MindEye2Model
    betas : (n, voxel)
        Mean over repeats.
    tokens : (n, tokens, width)
    """
    x, y = betas.astype(np.float32), tokens.flatten(1).float().numpy()
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += PENALTY * len(x) / N_TRAINED
    weights = np.linalg.solve(gram, x.T @ y)  # (voxel, token values)
    fitted = x @ weights
    axes = np.linalg.eigh(fitted.T @ fitted)[1][:, ::-1][:, :HIDDEN]  # (token values, hidden)
    spread = (fitted @ axes).std(0) + 1e-6
    backbone: Any = model.backbone
    linear: Any = model.ridge.linears[0]
    for name, parameter in backbone.mixer_blocks2.named_parameters():
        if ".1.3." in name:
            parameter.zero_()
    linear.weight.copy_(torch.from_numpy((weights @ axes / spread).T))
    linear.bias.copy_(-torch.from_numpy(mean_x @ (weights @ axes / spread)))
    backbone.backbone_linear.weight.copy_(torch.from_numpy(axes * spread))
    backbone.backbone_linear.bias.copy_(torch.from_numpy(mean_y))


def soft_clip(made: torch.Tensor, true: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the SoftCLIP loss: the targets' own similarities are the soft labels."""
    soft = (true @ true.T / temperature).softmax(-1)
    return _both(made @ true.T / temperature, soft)


def _both(logits: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
    rows = -(logits.log_softmax(-1) * soft).sum(-1).mean()
    return (rows - (logits.T.log_softmax(-1) * soft).sum(-1).mean()) / 2


def bimixco(
    made: torch.Tensor,
    true: torch.Tensor,
    temperature: float,
    order: torch.Tensor,
    share: torch.Tensor,
) -> torch.Tensor:
    """Return the BiMixCo loss of predictions from mixed betas.

    Parameters
    ----------
    made, true : (n, features), unit length
    order : int (n,)
        Partner of each item.
    share : (n,)
        Weight of the item itself; its partner has the rest.
    """
    soft = torch.diag(share).scatter_add(1, order[:, None], (1 - share)[:, None])
    return _both(made @ true.T / temperature, soft / soft.sum(-1, keepdim=True))


class Lesson:
    """The losses of one step.

    Parameters
    ----------
    model : MindEye2Model
    betas : float16, (repeat, n, voxel)
    tokens, latents : float16 or float32, (n, ...)
        Targets of the prior and of the low-level head.
    steps : int
        Length of the training.
    """

    def __init__(
        self,
        model: MindEye2Model,
        betas: np.ndarray,
        tokens: torch.Tensor,
        latents: torch.Tensor,
        steps: int,
    ) -> None:
        self.model, self.tokens, self.latents = model, tokens, latents
        self.betas = torch.from_numpy(betas)
        self.mean = self.betas.float().mean((0, 1))
        self.mixed_steps = MIXED_SHARE * steps

    def given(self, rows: np.ndarray, noise: torch.Generator) -> torch.Tensor:
        """Return betas as the decoder will meet them, float32 (n, voxel)."""
        n, items = len(rows), torch.arange(len(rows))
        each = self.betas[:, rows].float()
        one = each[torch.randint(REPEATS, (n,), generator=noise), items]
        single, share, extra = torch.rand(3, n, 1, generator=noise)
        betas = torch.where(single < SINGLE_SHARE, one, each.mean(0))
        other = torch.randint(self.betas.shape[1], (n,), generator=noise)
        difference = self.betas[0, other].float() - self.betas[1, other].float()
        betas = self.mean + (1 - SHRINKAGE * share**2) * (betas - self.mean)
        return betas + ADDED_NOISE * extra.sqrt() * difference

    def losses(self, draw: Draw) -> Losses:
        """Return the published losses, weighted."""
        noise, rows = draw.noise(), draw.numbers().integers(len(self.tokens), size=BATCH)
        where = next(self.model.parameters()).device
        mixing = draw.step < self.mixed_steps
        order, share = _partners(noise, mixing)
        betas = self.given(rows, noise)
        betas = share[:, None] * betas + (1 - share[:, None]) * betas[order]
        true = self.tokens[rows].float()
        pure = share == 1  # only these have one picture as their truth
        self.model.train()
        backbone, projected, low = self.model.backbone(self.model.ridge(betas[:, None].to(where)))
        return {
            "prior": 30 * self._prior(backbone[pure], true[pure], noise),
            "contrast": contrast(projected, true.to(where), order, share, mixing),
            "low level": 0.5 * self._low_level(low[0][pure], rows[pure.numpy()]),
        }

    def _low_level(self, made: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return (made - self.latents[rows].to(made)).abs().mean()

    def _prior(
        self, backbone: torch.Tensor, true: torch.Tensor, noise: torch.Generator
    ) -> torch.Tensor:
        prior, n, where = self.model.diffusion_prior, len(true), backbone.device
        t = torch.randint(prior.timesteps, (n,), generator=noise).to(where)
        white = torch.randn(true.shape, generator=noise).to(where)
        keep = (torch.rand(2, n, generator=noise) >= DROPPED).to(where)
        return prior.loss(backbone, true.to(where), t, white, keep[0], keep[1])[0]


def _partners(noise: torch.Generator, mixing: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each item's partner and its own share: 1 for half of the items, or for all."""
    order = torch.randperm(BATCH, generator=noise)
    mixed, share = torch.rand(2, BATCH, generator=noise)
    return order, torch.where((mixed < 0.5) & mixing, share, torch.ones(()))


def contrast(
    projected: torch.Tensor,
    true: torch.Tensor,
    order: torch.Tensor,
    share: torch.Tensor,
    mixing: bool,
) -> torch.Tensor:
    """Return the contrastive loss of this phase of the training."""
    made, goal = (functional.normalize(x.flatten(1), dim=-1) for x in (projected, true))
    if mixing:
        return bimixco(made, goal, TEMPERATURE, order.to(made.device), share.to(made.device))
    return soft_clip(made, goal, TEMPERATURE)


def optimizers(model: MindEye2Model) -> list[torch.optim.Optimizer]:
    """Return Muon for the prior's matrices, AdamW for the rest, slow where a closed form began."""
    named = {key: value for key, value in model.named_parameters() if value.requires_grad}
    matrices = [key for key, value in named.items() if hidden(key, value)]
    solved = [key for key in named if key.startswith(("ridge.", "backbone.backbone_linear."))]
    rest = [key for key in named if key not in {*matrices, *solved}]
    groups = [
        {"params": [named[key] for key in solved], "lr": SLOW},
        {"params": [named[key] for key in rest], "lr": FAST},
    ]
    return [
        Muon([named[key] for key in matrices]),
        torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=1e-2),
    ]


def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    """Say which parameters are matrices inside the prior."""
    inside = key.startswith("diffusion_prior.net.causal_transformer.layers")
    return inside and parameter.ndim == 2 and "null_kv" not in key


def low_level_targets(folder: Path, latents: torch.Tensor) -> torch.Tensor:
    """Return the autoencoder's latents at the scale that the UNet sees."""
    config = UnclipDecoder.from_pretrained(folder / "unclip").config
    scale, shift = (
        torch.tensor(value).reshape(-1, 1, 1)
        for value in (config.latent_scale, config.latent_shift)
    )
    return (latents.float() - shift) / scale


def save_average(model: MindEye2Model, average: list[torch.Tensor], folder: Path) -> None:
    """Write the averaged weights in half precision."""
    kept = copy.deepcopy(model)
    with torch.no_grad():
        for parameter, value in zip(kept.parameters(), average, strict=True):
            parameter.copy_(value)
    kept.save_pretrained(folder)
    halve(folder)


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 2500,
    n: int = N_TRAINED,
) -> None:
    """Train and write ``mindeye2/``.

    Parameters
    ----------
    folder : path
        Folder of all weights; ``clip`` and ``unclip`` must be there.
    cache : path
        Pictures, betas and checkpoints.
    seed, device, steps : optional
    n : int
        Training scenes, each with three repeats.
    """
    folder, cache = Path(folder), Path(cache)
    torch.manual_seed(seed)
    checkpoint = cache / "checkpoints" / "mindeye2.pt"
    betas = simulated_betas(cache, n)
    shown = stored_conditions(folder, cache, "train", None, device)
    model = build(betas.shape[2])
    if not checkpoint.exists():
        start_from_regression(model, betas.mean(0, dtype=np.float32), shown.tokens[:n])
    model = model.to(device)
    latents = low_level_targets(folder, shown.latents[:n])
    lesson = Lesson(model, betas, shown.tokens[:n], latents, steps)
    course = Course({"model": model}, optimizers(model), steps, checkpoint, seed, averaged="model")

    def save() -> None:
        save_average(model, course.average, folder / "mindeye2")

    course.run(lesson.losses, every=100, save=save)
    save()
