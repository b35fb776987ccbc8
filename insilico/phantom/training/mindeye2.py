"""The phantom's MindEye2: trained on the simulated betas of one subject.

Ridge and backbone start from a closed form, the reduced-rank ridge regression of the tokens on the
betas; all parts are then trained together on the published losses: 30 times the prior's, the
contrastive one (BiMixCo for the first third, SoftCLIP after it), and half of the low-level one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from insilico.decoders.mindeye2.model import MindEye2Config, MindEye2Model
from insilico.decoders.unclip import UnclipDecoder
from insilico.phantom.cohort import Cohort
from insilico.phantom.training.course import Course, Draw, Losses
from insilico.phantom.training.data import WORLD, pictures
from insilico.phantom.training.mary_nano import as_stimuli
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import halve
from insilico.phantom.training.unclip import stored_conditions
from insilico.schema import short_digest

SUBJECT, REPEATS, N_TRAINED, CHUNK = 1, 3, 9000, 1000
BATCH, HIDDEN, PENALTY = 64, 384, 2000.0
MIXED_SHARE, DROPPED = 0.33, 0.2
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
    shown = pictures(cache)

    def measured(rows: range) -> np.ndarray:
        return cohort.measure(as_stimuli(shown, "train", rows), SUBJECT, places, REPEATS)

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
    x, y = betas.astype(np.float32), tokens.flatten(1).numpy().astype(np.float32)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    gram = x.T @ x
    gram[np.diag_indices_from(gram)] += PENALTY
    weights = np.linalg.solve(gram, x.T @ y)  # (voxel, token values)
    fitted = x @ weights
    axes = np.linalg.eigh(fitted.T @ fitted)[1][:, ::-1][:, :HIDDEN]  # (token values, hidden)
    spread = (fitted @ axes).std(0) + 1e-6
    backbone, linear = model.backbone, model.ridge.linears[0]
    for block in backbone.mixer_blocks2:
        block[1][3].weight.zero_()
        block[1][3].bias.zero_()
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
    """The losses of one step."""

    def __init__(
        self, model: MindEye2Model, betas: np.ndarray, tokens: torch.Tensor, latents: torch.Tensor
    ) -> None:
        self.model, self.tokens, self.latents = model, tokens, latents
        self.betas = torch.from_numpy(betas)
        self.steps = 1
        self.mean = self.betas.float().mean((0, 1))

    def given(self, rows: np.ndarray, noise: torch.Generator) -> torch.Tensor:
        """Return betas of one repeat, or the mean of three, some of them drawn to the mean."""
        each = self.betas[:, rows].float()
        one = each[torch.randint(REPEATS, (len(rows),), generator=noise), torch.arange(len(rows))]
        average = torch.rand(len(rows), 1, generator=noise) < 0.6
        betas = torch.where(average, each.mean(0), one)
        shrunk = 0.75 + 0.25 * torch.rand(len(rows), 1, generator=noise)
        return self.mean + shrunk * (betas - self.mean)

    def losses(self, draw: Draw) -> Losses:
        """Return the published losses, weighted."""
        noise, rows = draw.noise(), draw.numbers().integers(len(self.tokens), size=BATCH)
        betas, true = self.given(rows, noise), self.tokens[rows].float()
        mixing = draw.step < MIXED_SHARE * self.steps
        order = torch.randperm(BATCH, generator=noise)
        share = torch.ones(BATCH)
        if mixing:
            some = torch.rand(BATCH, generator=noise) < 0.5
            share = torch.where(some, torch.rand(BATCH, generator=noise), share)
            betas = share[:, None] * betas + (1 - share)[:, None] * betas[order]
            true_mixed = share[:, None, None] * true + (1 - share)[:, None, None] * true[order]
        self.model.train()
        backbone, projected, low = self.model.backbone(self.model.ridge(betas[:, None]))
        pure = share > 0.999
        made = functional.normalize(projected.flatten(1), dim=-1)
        goal = functional.normalize(true.flatten(1), dim=-1)
        if mixing:
            contrast = bimixco(made, goal, 0.02, order, share)
        else:
            contrast = soft_clip(made, goal, 0.02)
        prior = self._prior(backbone[pure], true[pure], noise)
        latent = (low[0][pure] - self.latents[rows][pure].float()).abs().mean()
        direct = functional.mse_loss(backbone, true_mixed if mixing else true)
        return {
            "prior": 30 * prior,
            "tokens": 10 * direct,
            "contrast": contrast,
            "low level": 0.5 * latent,
        }

    def _prior(
        self, backbone: torch.Tensor, true: torch.Tensor, noise: torch.Generator
    ) -> torch.Tensor:
        prior, n = self.model.diffusion_prior, len(true)
        t = torch.randint(prior.timesteps, (n,), generator=noise)
        white = torch.randn(true.shape, generator=noise)
        keep = torch.rand(2, n, generator=noise) >= DROPPED
        return prior.loss(backbone, true, t, white, keep[0], keep[1])[0]


def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    """Say which parameters are matrices inside the prior."""
    inside = key.startswith("diffusion_prior.net.causal_transformer.layers")
    return inside and parameter.ndim == 2 and "null_kv" not in key


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1200,
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
    betas = simulated_betas(cache, n)
    shown = stored_conditions(folder, cache, "train", None, device)
    decoder = UnclipDecoder.from_pretrained(folder / "unclip")
    scale, shift = (
        torch.tensor(v).reshape(-1, 1, 1)
        for v in (decoder.config.latent_scale, decoder.config.latent_shift)
    )
    latents = (shown.latents[:n].float() - shift) / scale
    model = build(betas.shape[2])
    start_from_regression(model, betas.astype(np.float32).mean(0), shown.tokens[:n].float())
    rest = optimizers_for([model], hidden)
    rest[1].param_groups[0]["lr"] = 5e-4
    rest[1].param_groups[0]["weight_decay"] = 1e-2
    course = Course(
        {"model": model}, rest, steps, cache / "checkpoints" / "mindeye2.pt", seed, averaged="model"
    )
    lesson = Lesson(model, betas, shown.tokens[:n], latents)
    lesson.steps = steps

    def save() -> None:
        kept = build(betas.shape[2])
        kept.load_state_dict(model.state_dict())
        with torch.no_grad():
            for parameter, value in zip(kept.parameters(), course.average, strict=True):
                parameter.copy_(value)
        kept.save_pretrained(folder / "mindeye2")
        halve(folder / "mindeye2")

    course.run(lesson.losses, every=100, save=save)
    save()
