"""A MARY-Nano with all three streams, small enough for a test."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from tokenizers import Tokenizer, models

from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.slowfast import SlowFastConfig
from insilico.spaces import fsaverage5

WORDS = ("<unk>", "a", "red", "dog", "blue", "cat", "sleeps")
VISION = SlowFastConfig(
    side=16, mean=0.5, deviation=0.5, frames=4, ratio=2, width=8, thinner=4, stem=3, pool=False,
    depths=(1, 1), strides=(2, 2), slow_times=(1, 3), fusion_time=3, placed=2,
)  # fmt: skip
SOUND = {
    "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "conv_dim": [4, 8], "conv_kernel": [64, 8], "conv_stride": [64, 8],
    "num_feat_extract_layers": 2, "feat_extract_norm": "layer", "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2, "hidden_dropout": 0.0, "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0, "activation_dropout": 0.0,
}  # fmt: skip
TEXT = {
    "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": len(WORDS),
    "bos_token_id": 0, "eos_token_id": 0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
}  # fmt: skip
TINY = MaryNanoConfig(
    vision=VISION, sound=SOUND, text=TEXT, sound_window_s=2.0, width=12, rank=5, directions=4,
    subjects=("average", "2"), n_vertices=30, n_cortex=24, source="test",
)  # fmt: skip


def tokenizer() -> Tokenizer:
    from tokenizers import normalizers

    numbers = {word: k for k, word in enumerate(WORDS)}
    made = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    made.normalizer = normalizers.Strip()
    return made


def random_model(config: MaryNanoConfig = TINY, seed: int = 0) -> MaryNanoModel:
    """Return a model with random weights, embeddings and statistics; its wall is in the middle."""
    torch.manual_seed(seed)
    model = MaryNanoModel(config, tokenizer())
    cortex = torch.from_numpy(~fsaverage5.medial_wall())
    if config.n_vertices != len(cortex):
        cortex = torch.tensor([True] * 10 + [False] * 6 + [True] * 14)
    with torch.no_grad():
        model.head.cortex.copy_(cortex)
        model.gain.weight.normal_()
        model.training_axes.normal_()
        for value in model.fusion.absent.values():
            value.normal_()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
    return model.eval()


def dataset(modality: str, n: int = 5, **attrs: object) -> xr.Dataset:
    """Return stimuli of one modality, with ids."""
    rng = np.random.default_rng(0)
    variables = {
        "image": (
            ("stimulus", "y_pixel", "x_pixel", "rgb"),
            rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8),
        ),
        "text": (("stimulus",), [("a red dog sleeps " * (k + 1)).strip() for k in range(n)]),
        "sound": (
            ("stimulus", "sample"),
            rng.standard_normal((n, 24_000)).astype(np.float32),
        ),
        "film": (
            ("stimulus", "frame", "y_pixel", "x_pixel", "rgb"),
            rng.integers(0, 256, (n, 6, 16, 16, 3), dtype=np.uint8),
        ),
    }
    name = {"text": "caption"}.get(modality, modality)
    extra = {"sound": {"sampling_rate_hz": 16_000}, "film": {"frame_rate_hz": 2.0}}
    return xr.Dataset(
        {name: variables[modality]},
        coords={"stimulus": [f"test-{k}" for k in range(n)], "split": ("stimulus", ["test"] * n)},
        attrs={"source": "test", "modality": modality, **extra.get(modality, {}), **attrs},
    )
