"""The phantom's MARY-Nano: from pictures to the average subject's cortex.

It is trained on what a scanner would give: pictures of training scenes and the mean measured
response (three repeats) of subjects 2 to 8. It sees no attribute, no caption and no other network.
The network learns the responses' scores on their leading axes; at the end the cortical head is
solved in closed form on all vertices (ridge of reduced rank), and the spread of the training
features is noted, so that pictures from elsewhere can be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from insilico.encoders.network import MaryNanoConfig, MaryNanoModel
from insilico.phantom import anatomy
from insilico.phantom.cohort import Cohort
from insilico.phantom.scenes import ATTRIBUTES, SOURCE, draw_scene
from insilico.phantom.training.course import Course, Draw, Losses
from insilico.phantom.training.data import WORLD, Pictures, pictures
from insilico.phantom.training.muon import optimizers_for
from insilico.schema import short_digest

BATCH, CHUNK = 64, 1000
PENALTY, N_TESTED = 1e-3, 600
CONFIG = MaryNanoConfig(
    slow=(24, 48, 112), fast=(6, 12, 24), placed=12, width=192, rank=96, directions=96
)


def as_stimuli(shown: Pictures, split: str, rows: range) -> xr.Dataset:
    """Return rendered scenes as stimuli that the cohort can answer."""
    scenes = [draw_scene(WORLD, split, k) for k in rows]
    named = {key: ("stimulus", [scene.attributes[key] for scene in scenes]) for key in ATTRIBUTES}
    pixels = ("stimulus", "y_pixel", "x_pixel", "rgb")
    image = np.array(shown.images[rows.start : rows.stop])
    return xr.Dataset(
        {"image": (pixels, image)},
        coords={"stimulus": [scene.id for scene in scenes], **named},
        attrs={"source": SOURCE},
    )


def _answer(shown: Pictures, split: str, rows: range, noisy: bool) -> np.ndarray:
    stimuli = as_stimuli(shown, split, rows)
    return Cohort(WORLD).average_signal(stimuli, noisy=noisy)[:, anatomy.cortex()]


def average_responses(
    cache: str | Path, shown: Pictures, split: str, *, noisy: bool = True
) -> np.ndarray:
    """Return the average subject's responses on cortex, float16 (n, cortex).

    They are kept in the cache, under a name that changes with the cohort.

    Parameters
    ----------
    cache : path
    shown : Pictures
        The first scenes of a split.
    split : str
    noisy : bool
        Whether responses are measured ones or the noise-free truth.
    """
    first = np.round(_answer(shown, split, range(2), noisy), 2)
    name = f"{split}-{len(shown)}-{short_digest(first.tobytes())[:12]}.npy"
    file = Path(cache) / "responses" / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        part, shape = file.with_suffix(".part"), (len(shown), first.shape[1])
        kept = np.lib.format.open_memmap(part, "w+", np.float16, shape)
        for start in range(0, len(shown), CHUNK):
            rows = range(start, min(start + CHUNK, len(shown)))
            kept[rows.start : rows.stop] = _answer(shown, split, rows, noisy)
        kept.flush()
        part.rename(file)
    return np.load(file, mmap_mode="r")


def in_chunks(
    responses: np.ndarray, mean: np.ndarray | float = 0.0
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of rows and their centred responses in single precision."""
    for start in range(0, len(responses), CHUNK):
        rows = slice(start, start + CHUNK)
        yield rows, responses[rows].astype(np.float32) - mean


@dataclass(frozen=True)
class Targets:
    """Responses on their leading axes.

    Attributes
    ----------
    mean : float32, (cortex,)
    axes : float32, (rank, cortex)
        Orthonormal rows, largest variance first.
    scores : float32, (n, rank)
        Of unit variance.
    spread : float32, (rank,)
        Standard deviation of each score before.
    """

    mean: np.ndarray
    axes: np.ndarray
    scores: np.ndarray
    spread: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Weight of each score in the loss: between its variance and one, mean one."""
        return self.spread / self.spread.mean()


def leading_axes(responses: np.ndarray, rank: int, seed: int = 0, rounds: int = 3) -> Targets:
    """Find the leading axes of responses by subspace iteration (Halko et al. 2011).

    Parameters
    ----------
    responses : (n, cortex)
    rank : int
        Number of axes.
    seed : int
        Seed of the first guess.
    rounds : int
        Passes over the responses.
    """
    total = sum(part.sum(0, dtype=np.float64) for _, part in in_chunks(responses))
    mean = (total / len(responses)).astype(np.float32)
    extra = min(rank + 32, *responses.shape)
    guess = np.random.default_rng(seed).standard_normal((extra, responses.shape[1]))
    axes = guess.astype(np.float32)
    for _ in range(rounds):
        grown = sum((axes @ part.T) @ part for _, part in in_chunks(responses, mean))
        axes = np.ascontiguousarray(np.linalg.qr(grown.T)[0].T)
    raw = np.concatenate([part @ axes.T for _, part in in_chunks(responses, mean)])
    _, turn = np.linalg.eigh(raw.T @ raw)
    turn = turn[:, ::-1][:, :rank]
    raw, axes = raw @ turn, turn.T @ axes
    spread = np.maximum(raw.std(0), 1e-6)
    return Targets(mean, axes, raw / spread, spread)


def film(shown: Pictures, rows: np.ndarray | slice) -> torch.Tensor:
    """Return pictures as films of one frame, (n, 1, 3, 64, 64)."""
    return shown.pixels(rows)[:, None]


def learn_scores(
    model: MaryNanoModel,
    shown: Pictures,
    targets: Targets,
    course: Course,
    report: Callable[[], str] = str,
    every: int = 200,
) -> None:
    """Train everything but the vertices' weights on the responses' scores.

    Parameters
    ----------
    model : MaryNanoModel
    shown : Pictures
        One for each row of the targets.
    targets : Targets
    course : Course
        Schedule, optimisers and checkpoint of the training.
    report : callable
        Returns a text for the progress line.
    every : int
        Steps between progress lines and checkpoints.
    """
    where = next(model.parameters()).device
    scores = torch.from_numpy(np.asarray(targets.scores, np.float32))
    weight = torch.from_numpy(np.asarray(targets.weight, np.float32)).to(where)

    def losses_of(draw: Draw) -> Losses:
        rows = draw.numbers().integers(len(scores), size=BATCH)
        model.train()
        fused = model.fused(film(shown, rows).to(where)).mean(1)
        made = model.head.components(model.of_subject(fused))
        error = (made - scores[rows].to(where)) ** 2
        return {"scores": (weight * error).mean()}

    course.run(losses_of, report, every=every)
    model.eval()


def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
    """Say which parameters are matrices inside the network."""
    first = ("slow.0.0.", "fast.0.0.")
    return (
        parameter.ndim >= 2
        and key.startswith(("streams", "fusion.enter", "fusion.mix"))
        and not any(name in key for name in first)
    )


@torch.no_grad()
def fused_features(model: MaryNanoModel, shown: Pictures) -> np.ndarray:
    """Return the fused features of pictures, mean over rows, float32 (n, width)."""
    where = next(model.parameters()).device
    slices = [slice(start, start + 256) for start in range(0, len(shown), 256)]
    parts = [model.fused(film(shown, rows).to(where)).mean(1).cpu() for rows in slices]
    return torch.cat(parts).numpy()


def solve_head(
    features: np.ndarray, responses: np.ndarray, mean: np.ndarray, rank: int
) -> tuple[np.ndarray, np.ndarray]:
    """Solve ridge of reduced rank from features to vertices (Izenman 1975).

    Parameters
    ----------
    features : (n, width)
    responses : (n, cortex)
    mean : (cortex,)
        Mean of the responses.
    rank : int

    Returns
    -------
    into : (rank, width)
        Features, less their mean, to components.
    out : (cortex, rank)
        Components to vertices.
    """
    x = (features - features.mean(0)).astype(np.float64)
    crossed = sum(x[rows].T @ part for rows, part in in_chunks(responses, mean))
    gram = x.T @ x
    gram += PENALTY * np.trace(gram) / len(gram) * np.eye(len(gram))
    solution = np.linalg.solve(gram, crossed)
    root = np.linalg.cholesky(gram).T
    fitted = root @ solution
    _, vectors = np.linalg.eigh(fitted @ fitted.T)
    kept = vectors[:, ::-1][:, :rank]
    return (np.linalg.solve(root, kept)).T, (kept.T @ fitted).T


@torch.no_grad()
def set_head(
    model: MaryNanoModel, features: np.ndarray, responses: np.ndarray, mean: np.ndarray
) -> None:
    """Write the closed-form solution into the cortical head; its components get unit variance."""
    into, out = solve_head(features, responses, mean, model.config.rank)
    spread = (features @ into.T).std(0) + 1e-12
    into, out = into / spread[:, None], out * spread
    head = model.head
    head.components.weight.copy_(torch.from_numpy(into))
    head.components.bias.copy_(torch.from_numpy(-into @ features.mean(0)))
    head.vertices.weight.copy_(torch.from_numpy(out))
    head.vertices.bias.copy_(torch.from_numpy(mean))


@torch.no_grad()
def note_spread(model: MaryNanoModel, features: np.ndarray, held: Pictures) -> None:
    """Note the mean and the minor directions of the training features.

    Pictures of another world do not go farther along the main directions; they leave along those
    that the training scenes hardly use. New scenes give the usual distance.
    """
    mean = features.mean(0)
    squares, vectors = np.linalg.eigh(np.cov((features - mean).T))
    n = model.config.directions
    axes = (vectors[:, :n] / np.sqrt(np.maximum(squares[:n], 1e-9))).T
    model.training_mean.copy_(torch.from_numpy(mean))
    model.training_axes.copy_(torch.from_numpy(axes))
    away = (fused_features(model, held) - mean) @ axes.T
    logs = np.log(np.sqrt((away**2).mean(1)))
    model.training_distance.copy_(torch.tensor([logs.mean(), logs.std()]))


def set_cortex(model: MaryNanoModel) -> None:
    """Tell the model which vertices are cortex."""
    model.head.cortex.copy_(torch.from_numpy(anatomy.cortex()))


@torch.no_grad()
def accuracy(model: MaryNanoModel, shown: Pictures, truth: np.ndarray) -> np.ndarray:
    """Return the correlation over scenes with the true average response, (cortex,)."""
    fused = torch.from_numpy(fused_features(model, shown))
    head = model.head.cpu()
    made = head.vertices(head.components(model.cpu().of_subject(fused))).numpy()
    true = truth.astype(np.float32)
    made, true = made - made.mean(0), true - true.mean(0)
    norm = np.sqrt((made**2).sum(0) * (true**2).sum(0))
    return (made * true).sum(0) / np.maximum(norm, 1e-12)


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1500,
) -> None:
    """Train MARY-Nano and write it to ``folder/mary_nano``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set, responses and checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches of 64 pictures.
    """
    torch.manual_seed(seed)
    shown, tested = pictures(cache), pictures(cache, "test", N_TESTED)
    responses = average_responses(cache, shown, "train")
    truth = average_responses(cache, tested, "test", noisy=False)
    targets = leading_axes(responses, CONFIG.rank)
    model = MaryNanoModel(replace(CONFIG, n_cortex=responses.shape[1])).to(device)
    set_cortex(model)
    optimizers = optimizers_for([model], hidden, weight_decay=0.1)
    checkpoint = Path(cache) / "checkpoints" / "mary_nano.pt"
    course = Course({"model": model}, optimizers, steps, checkpoint, seed)
    learn_scores(model, shown, targets, course)
    features = fused_features(model, shown)
    set_head(model, features, responses, targets.mean)
    note_spread(model, features, pictures(cache, "seen", N_TESTED))
    model.save_pretrained(Path(folder) / "mary_nano", half=True)
    r = accuracy(model, tested, truth)
    print(f"done: r with the true average response, median {np.median(r):.3f}", flush=True)
