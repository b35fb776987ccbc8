"""The phantom's CLIP: pictures and captions of the world in one space.

Besides the contrastive loss, throw-away heads read the attributes from the text embedding, from
the image embedding and from the mean patch token, and the patch pixels from every patch token.
The text head keeps the caption's position words alive until the image tower can see positions; the
pixel head keeps the patch tokens rich in space, since they later steer the pictures' generation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from insilico.course import Course, Draw, Losses
from insilico.phantom.scenes import ATTRIBUTES, COMBINATIONS, TRAINED, attribute_indices
from insilico.phantom.training.data import Pictures, pictures, scaled
from insilico.phantom.training.muon import optimizers_for
from insilico.phantom.training.storage import finish
from insilico.phantom.training.vocabulary import (
    BOS,
    EOS,
    PAD,
    WORDS,
    caption_tokens,
    save_processors,
)

WIDTH, PATCH, GRID = 64, 8, 8
N_VALUES = tuple(len(values) for values in ATTRIBUTES.values())
CONTEXTS = (  # backgrounds x colours x positions x sizes, each with all twelve objects
    (6, 1, 1, 1),
    (1, 1, 3, 2),
    (1, 6, 1, 1),
    (2, 1, 3, 1),
    (1, 3, 1, 2),
    (3, 1, 1, 2),
    (1, 2, 3, 1),
    (2, 3, 1, 1),
    (3, 2, 1, 1),
)


def grid_code(side: int, width: int) -> torch.Tensor:
    """Return a sine and cosine code of a square grid, (side * side, width)."""
    n = width // 4
    rates = torch.pi / side * (torch.arange(n) * (side / 2) / max(n - 1, 1) + 0.5)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [(axis.reshape(-1, 1) + 0.5) * rates for axis in (x, y)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)], 1)


def build() -> CLIPModel:
    """Return the untrained CLIP; the vision tower's positions start from a grid code."""
    shared = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 4}
    text = {
        **shared,
        "vocab_size": len(WORDS),
        "num_hidden_layers": 2,
        "max_position_embeddings": 16,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
        "projection_dim": WIDTH,
    }
    vision = {
        **shared,
        "num_hidden_layers": 3,
        "image_size": GRID * PATCH,
        "patch_size": PATCH,
        "projection_dim": WIDTH,
    }
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=WIDTH))
    positions = model.vision_model.embeddings.position_embedding.weight
    with torch.no_grad():
        positions[0] = 0
        positions[1:] = 0.3 * grid_code(GRID, WIDTH)
    return model


def patch_tokens(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return the patch tokens after the last layer norm, (n, 64, 64): the decoder's targets."""
    hidden = model.vision_model(pixel_values=pixels).last_hidden_state
    return model.vision_model.post_layernorm(hidden)[:, 1:]


def text_embeddings(model: CLIPModel, tokens: torch.Tensor) -> torch.Tensor:
    """Return unit text embeddings, (n, 64)."""
    pooled = model.text_model(input_ids=tokens).pooler_output
    return functional.normalize(model.text_projection(pooled), dim=-1)


def image_embeddings(model: CLIPModel, pixels: torch.Tensor) -> torch.Tensor:
    """Return unit image embeddings, (n, 64)."""
    pooled = model.vision_model(pixel_values=pixels).pooler_output
    return functional.normalize(model.visual_projection(pooled), dim=-1)


def attribute_loss(logits: torch.Tensor, combinations: np.ndarray) -> torch.Tensor:
    """Return the mean cross-entropy of the five attributes; `logits` is (n, 31)."""
    truth = torch.from_numpy(attribute_indices()[combinations]).to(logits.device)
    parts = zip(logits.split(N_VALUES, 1), truth.T, strict=True)
    return torch.stack([functional.cross_entropy(part, right) for part, right in parts]).mean()


def choose_combinations(numbers: np.random.Generator) -> np.ndarray:
    """Choose a batch: all objects in a few like contexts, and 72 combinations at random."""
    table = np.arange(len(COMBINATIONS)).reshape(N_VALUES)
    sizes = CONTEXTS[numbers.integers(len(CONTEXTS))]
    chosen = [numbers.permutation(n)[:m] for n, m in zip(N_VALUES[1:], sizes, strict=True)]
    alike = table[np.ix_(np.arange(N_VALUES[0]), *chosen)].ravel()
    others = numbers.choice(TRAINED, 72, replace=False)
    return np.intersect1d(np.union1d(alike, others), TRAINED)


class Heads(torch.nn.Module):
    """Linear read-outs that exist during training only."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Linear(WIDTH, sum(N_VALUES))
        self.tokens = torch.nn.Linear(WIDTH, sum(N_VALUES))
        self.pixels = torch.nn.Linear(WIDTH, 3 * PATCH * PATCH)

    def pixel_loss(self, tokens: torch.Tensor, pixels: torch.Tensor, weight: torch.Tensor):
        """Return the weighted squared error of the pixels read from each patch's token."""
        read = self.pixels(tokens).mT.reshape(len(tokens), -1, GRID, GRID)
        error = (functional.pixel_shuffle(read, PATCH) - pixels) ** 2
        return (weight * error).mean() / weight.mean()


def learn_words(model: CLIPModel, heads: Heads, seed: int, steps: int = 250) -> None:
    """Teach the text tower alone to tell the attributes apart."""
    tokens = caption_tokens().to(model.device)
    trained = [model.text_model, model.text_projection, heads.embedding]
    parameters = [p for module in trained for p in module.parameters()]
    optimizer = torch.optim.AdamW(parameters, 2e-3)
    for step in range(steps):
        chosen = Draw(seed + 1000, step).numbers().choice(TRAINED, 256)
        logits = 8 * heads.embedding(text_embeddings(model, tokens[chosen]))
        loss = attribute_loss(logits, chosen)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"text tower: attribute loss {float(loss.detach()):.4f}", flush=True)


@torch.no_grad()
def zero_shot(model: CLIPModel, held: Pictures, rows: slice) -> dict[str, float]:
    """Return how often the best of all 3,456 captions is right, and each attribute of it."""
    images = image_embeddings(model, held.pixels(rows).to(model.device))
    texts = text_embeddings(model, caption_tokens().to(model.device))
    best = (images @ texts.T).argmax(1).cpu().numpy()
    truth = held.combinations[rows]
    right = (attribute_indices()[best] == attribute_indices()[truth]).mean(0)
    scores = dict(zip(ATTRIBUTES, right.tolist(), strict=True))
    return {"all": float((best == truth).mean()), **scores}


def contrastive_losses(
    model: CLIPModel, heads: Heads, batch: tuple[torch.Tensor, torch.Tensor], chosen: np.ndarray
) -> Losses:
    """Return all losses of one batch of pictures, their object masks and combinations."""
    pixels, objects = batch
    written = caption_tokens()[chosen].to(pixels.device)
    out = model(input_ids=written, pixel_values=pixels)
    logits, truth = out.logits_per_image, torch.arange(len(chosen), device=pixels.device)
    tokens = model.vision_model.post_layernorm(out.vision_model_output.last_hidden_state[:, 1:])
    matching = functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)
    return {
        "match": matching / 2,
        "image": attribute_loss(8 * heads.embedding(out.image_embeds), chosen),
        "text": attribute_loss(8 * heads.embedding(out.text_embeds), chosen),
        "tokens": attribute_loss(heads.tokens(tokens.mean(1)), chosen),
        "pixels": heads.pixel_loss(tokens, pixels, 1 + 4 * objects),
    }


def train(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 0,
    device: str = "cpu",
    steps: int = 1200,
    name: str = "clip",
    reconstructions: np.ndarray | None = None,
) -> None:
    """Train a CLIP and write it to ``folder/name``.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the training set and of checkpoints.
    seed : int
        Seed of the initial weights and of all batches.
    device : str
        Torch device.
    steps : int
        Number of batches (about 144 pictures each).
    name : str
        Subfolder of the weights.
    reconstructions : uint8, (m, 64, 64, 3), optional
        Autoencoded versions of the first `m` training pictures; every second batch shows these.
    """
    torch.manual_seed(seed)
    real, unseen = pictures(cache), pictures(cache, "unseen", 345)
    model, heads = build().to(device), Heads().to(device)
    checkpoint = Path(cache) / "checkpoints" / f"{name}.pt"
    if not checkpoint.exists():
        learn_words(model, heads, seed)
    modules = {"model": model, "heads": heads}

    def hidden(key: str, parameter: torch.nn.Parameter) -> bool:
        return parameter.ndim == 2 and ".layers." in key

    optimizers = optimizers_for(modules.values(), hidden, weight_decay=0.2)
    course = Course(modules, optimizers, steps, checkpoint, seed)

    def losses_of(draw: Draw) -> Losses:
        with torch.no_grad():
            model.logit_scale.clamp_(max=4.6)
        numbers = draw.numbers()
        chosen = choose_combinations(numbers)
        again = reconstructions if draw.step % 2 else None
        turns = real.rows_of.shape[1] if again is None else len(again) // len(TRAINED)
        rows = real.rows_of[chosen, numbers.integers(turns, size=len(chosen))]
        shown = pictures_of(real, rows, again)
        batch = (shown.to(device), real.objects(rows).to(device))
        return contrastive_losses(model, heads, batch, chosen)

    def report() -> str:
        return " ".join(f"{k} {v:.3f}" for k, v in zero_shot(model, unseen, slice(0, 345)).items())

    course.run(losses_of, report)
    with torch.no_grad():
        model.logit_scale.clamp_(max=4.6)
    model.eval().save_pretrained(Path(folder) / name)
    save_processors(Path(folder) / name)
    finish(Path(folder) / name)
    print("done", report(), flush=True)


def pictures_of(real: Pictures, rows: np.ndarray, instead: np.ndarray | None) -> torch.Tensor:
    """Return the pictures of some rows, or their reconstructions where given."""
    return real.pixels(rows) if instead is None else scaled(instead[rows])


def train_judge(
    folder: str | Path,
    *,
    cache: str | Path,
    seed: int = 1,
    device: str = "cpu",
    steps: int = 1000,
) -> None:
    """Train the CLIP that judges pictures; it also sees autoencoded ones and makes no tokens."""
    from insilico.phantom.training.autoencoder import reconstructions

    again = reconstructions(folder, cache=cache, device=device)
    train(
        folder,
        cache=cache,
        seed=seed,
        device=device,
        steps=steps,
        name="judge_clip",
        reconstructions=again,
    )
