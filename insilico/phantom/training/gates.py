"""What the trained networks must do, measured on combinations that were held out.

The judges (a second CLIP and a second captioner, of another seed) have made no tokens.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from transformers import CLIPModel, GitForCausalLM

from insilico.decoders.unclip import UnclipDecoder
from insilico.phantom.training.autoencoder import rebuilt
from insilico.phantom.training.captioner import caption_scores, captions_of
from insilico.phantom.training.clip import image_embeddings, patch_tokens, text_embeddings
from insilico.phantom.training.data import Pictures, pictures
from insilico.phantom.training.vocabulary import caption_tokens

CHUNK = 64


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share of `n`."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(middle - half), float(middle + half)


def written(share: float, n: int) -> str:
    """Write a share with its interval."""
    low, high = wilson(share, n)
    return f"{share:.3f} [{low:.3f}, {high:.3f}]"


@torch.no_grad()
def regenerated(
    decoder: UnclipDecoder, tokens: torch.Tensor, seed: int = 0, guidance: float | None = None
) -> torch.Tensor:
    """Make pictures in [-1, 1] from tokens, in chunks; item k's noise depends on seed and k."""
    made = []
    for start in range(0, len(tokens), CHUNK):
        part = tokens[start : start + CHUNK]
        draws = [
            torch.Generator().manual_seed(1_000_003 * seed + start + k) for k in range(len(part))
        ]
        noise = torch.stack([torch.randn(decoder.latent_shape, generator=g) for g in draws])
        uncond = torch.stack([torch.randn(part.shape[1:], generator=g) for g in draws])
        made.append(decoder.sample(part, noise, uncond, guidance=guidance))
    return torch.cat(made) * 2 - 1


class Judges:
    """The second CLIP and the second captioner.

    Parameters
    ----------
    folder : path
        Folder of all weights.
    clip, captioner : str
        Subfolders of the two networks.
    """

    def __init__(
        self, folder: Path, clip: str = "judge_clip", captioner: str = "judge_captioner"
    ) -> None:
        self.clip = CLIPModel.from_pretrained(folder / clip).eval()
        self.captioner = GitForCausalLM.from_pretrained(folder / captioner).eval()

    @torch.no_grad()
    def report(self, pixels: torch.Tensor, combinations: np.ndarray) -> str:
        """Return top-1 among all 3,456 captions, exact captions and right attributes."""
        n = len(combinations)
        nearest = (
            image_embeddings(self.clip, pixels) @ text_embeddings(self.clip, caption_tokens()).T
        )
        top = float((nearest.argmax(1).numpy() == combinations).mean())
        texts = [text for part in pixels.split(128) for text in captions_of(self.captioner, part)]
        scores = caption_scores(texts, combinations)
        named = " ".join(f"{key} {written(value, n)}" for key, value in scores.items())
        return f"n {n} top-1 {written(top, n)} {named}"


def tokens_of(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    """Return the true tokens of pictures."""
    clip = CLIPModel.from_pretrained(folder / "clip").eval()
    with torch.no_grad():
        return torch.cat([patch_tokens(clip, part) for part in pixels.split(128)])


def contact_sheet(rows: list[torch.Tensor], file: Path, zoom: int = 2) -> None:
    """Save rows of pictures in [-1, 1] one below the other."""
    from PIL import Image

    lines = [torch.cat(list(row), 2) for row in rows]
    whole = torch.cat(lines, 1).add(1).mul(127.5).clamp(0, 255).to(torch.uint8)
    image = Image.fromarray(whole.permute(1, 2, 0).numpy())
    image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST).save(file)


def measure(
    folder: str | Path, cache: str | Path, n: int = 345, judges: Judges | None = None
) -> None:
    """Print the gates for `n` held-out pictures and save a contact sheet in the cache.

    Parameters
    ----------
    folder, cache : path
        Folder of all weights; folder of the rendered pictures.
    n : int
        Number of pictures.
    judges : Judges, optional
        The networks that judge.
    """
    folder, cache = Path(folder), Path(cache)
    judges = judges or Judges(folder)
    held: Pictures = pictures(cache, "unseen", 345)
    rows = slice(0, n)
    pixels, truth = held.pixels(rows), held.combinations[rows]
    decoder = UnclipDecoder.from_pretrained(folder / "unclip")
    print("true pictures    ", judges.report(pixels, truth), flush=True)
    again = torch.cat([rebuilt(decoder.vae, part) for part in pixels.split(64)])
    print("autoencoded      ", judges.report(again, truth), flush=True)
    made = regenerated(decoder, tokens_of(folder, pixels))
    print("from true tokens ", judges.report(made, truth), flush=True)
    sheet = [part for k in range(0, 48, 12) for part in (pixels[k : k + 12], made[k : k + 12])]
    contact_sheet(sheet, cache / "contact_sheet.png")


if __name__ == "__main__":
    measure(sys.argv[1], sys.argv[2])
