"""Throughput and memory of the full-size MARY-Nano with random weights, modality by modality.

    python docs/benchmarks/mary_nano.py                        # on the processor
    python docs/benchmarks/mary_nano.py --device cuda --batch 32

Random weights cost what trained ones do. Timed is the network: from pixels, samples and tokens on
the device to responses of 20,484 vertices.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Shown

WORDS, SOUND_S, RATE_HZ = 10, 60, 16_000


def shown(config: MaryNanoConfig, n: int) -> dict[str, Shown]:
    """Return n pictures of 1 s, captions of ten words and sounds of 60 s, of random content."""
    side = config.vision.side
    starts = torch.arange(WORDS) * config.word_s
    spans = torch.stack([starts, starts + config.word_s], -1).expand(n, -1, -1)
    pieces = torch.randn(n, SOUND_S * RATE_HZ)
    return {
        "picture": Shown(2, film=torch.randn(n, 1, 3, side, side)),
        "caption": Shown(4, "text", tokens=torch.randint(0, 50_000, (n, WORDS)), spans=spans),
        "minute of sound": Shown(SOUND_S + 1, "sound", wave=pieces),
    }


@torch.inference_mode()
def seconds(model: MaryNanoModel, batch: Shown, repeats: int) -> float:
    """Return the seconds that one batch takes, after one that does not count."""
    model(batch).cpu()
    start = time.perf_counter()
    for _ in range(repeats):
        model(batch).cpu()
    return (time.perf_counter() - start) / repeats


def memory(device: str) -> float:
    """Return the peak in GB: of the device, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.manual_seed(0)
    model = MaryNanoModel(MaryNanoConfig()).eval().to(given.device)
    name = torch.cuda.get_device_name() if given.device.startswith("cuda") else "processor"
    print(f"| {name}, batches of {given.batch} | s an item | items/s | peak so far, GB |")
    print("|---|---:|---:|---:|")
    for what, batch in shown(model.config, given.batch).items():
        each = seconds(model, batch.to(given.device), given.repeats) / given.batch
        print(f"| {what} | {each:.3g} | {1 / each:.3g} | {memory(given.device):.2f} |")


if __name__ == "__main__":
    main()
