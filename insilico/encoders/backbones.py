"""MARY-Nano of full size: published backbones in its streams, and how many parameters it has."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.errors import WeightsError, listed

SOUND, TEXT = "facebook/wav2vec2-base", "gpt2"
BUILT = ("model_type", "transformers_version", "architectures", "dtype", "torch_dtype")


def with_backbones(
    vision: str | Path | None = None,
    sound: str | Path = SOUND,
    text: str | Path = TEXT,
    config: MaryNanoConfig | None = None,
) -> MaryNanoModel:
    """Return a model whose streams hold published weights; fusion and head are random.

    Parameters
    ----------
    vision : path, optional
        File of SlowFast weights with the published names, such as ``SLOWFAST_8x8_R50.pyth``
        (read without executing code) or safetensors; random where left out.
    sound, text : str or path
        Hub id or local folder of a wav2vec 2.0, and of a GPT-2 with its tokenizer.
    config : MaryNanoConfig, optional
        Everything else; the full-size one by default.

    Raises
    ------
    WeightsError
        If something is not there or not what it should be; the message says what to give.
    """
    from transformers import AutoTokenizer, GPT2Model, Wav2Vec2Model

    heard = _pretrained(Wav2Vec2Model, sound, "sound")
    read = _pretrained(GPT2Model, text, "text")
    tokenizer = _pretrained(AutoTokenizer, text, "text").backend_tokenizer
    base = config or MaryNanoConfig()
    config = replace(base, sound=_sizes(heard.config), text=_sizes(read.config))
    model = MaryNanoModel(config, tokenizer)
    model.sound.wav2vec2.load_state_dict(heard.state_dict())
    model.text.gpt2.load_state_dict(read.state_dict())
    if vision is not None:
        load_slowfast(model, vision)
    return model.eval()


def _pretrained(kind: Any, name: str | Path, stream: str) -> Any:
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{stream}: {name} cannot be loaded; give the id of a model on the hub that is already "
            f"in the cache, or a folder that holds it ({str(error).splitlines()[0]})"
        ) from error


def _sizes(config: Any) -> dict[str, Any]:
    """Return what differs from the defaults of a config's class."""
    usual, given = type(config)().to_dict(), config.to_dict()
    return {k: v for k, v in given.items() if usual.get(k) != v and k not in BUILT}


def load_slowfast(model: MaryNanoModel, file: str | Path) -> None:
    """Read SlowFast weights with the published names, their class head left out."""
    slowfast = model.vision.slowfast
    state = {k: v for k, v in _state(Path(file)).items() if ".proj." not in k}
    wanted = {k: v for k, v in slowfast.state_dict().items() if ".proj." not in k}
    odd = [k for k in wanted if k not in state or state[k].shape != wanted[k].shape]
    odd += [k for k in state if k not in wanted]
    if odd:
        raise WeightsError(
            f"{file}: not the SlowFast of this config; {len(odd)} names or shapes differ, such as "
            f"{listed(odd, 3)}"
        )
    slowfast.load_state_dict(state, strict=False)


def _state(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError, SafetensorError) as error:
        raise WeightsError(f"{file}: SlowFast weights cannot be read: {error}") from error
    return found.get("model_state", found)


def parameters(config: MaryNanoConfig) -> dict[str, int]:
    """Return the parameters of every part of a model, which is built on the meta device."""
    with torch.device("meta"):
        model = MaryNanoModel(config)
    parts = {
        "vision: SlowFast": model.vision.slowfast,
        "vision: read-out": torch.nn.ModuleList([model.vision.read_slow, model.vision.read_fast]),
        "sound: wav2vec 2.0": model.sound.wav2vec2,
        "language: GPT-2": model.text.gpt2,
        "fusion": model.fusion,
        "subjects' embeddings": torch.nn.ModuleList([model.gain, model.shift]),
        "cortical head": torch.nn.ModuleList([model.head, model.own_heads]),
    }
    counts = {k: sum(p.numel() for p in part.parameters()) for k, part in parts.items()}
    return {**counts, "all": sum(p.numel() for p in model.parameters())}


def table(configs: dict[str, MaryNanoConfig]) -> str:
    """Write the parameters of models side by side, as a Markdown table."""
    counts = {name: parameters(config) for name, config in configs.items()}
    lines = [f"| | {' | '.join(counts)} |", f"|---|{'---:|' * len(counts)}"]
    for part in next(iter(counts.values())):
        lines.append(f"| {part} | {' | '.join(f'{c[part]:,}' for c in counts.values())} |")
    return "\n".join(lines)


if __name__ == "__main__":
    from insilico.encoders.config import CONFIG, read_config
    from insilico.encoders.mary_nano import weights_folder

    named = {Path(name).name: read_config(Path(name) / CONFIG) for name in sys.argv[1:]}
    tiny = {"tiny (phantom)": read_config(weights_folder("phantom") / CONFIG)}
    print(table({**tiny, "base": MaryNanoConfig(), **named}))
