from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny import SOUND, TEXT, TINY, VISION, dataset, tokenizer
from transformers import (  # fmt: skip
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from insilico.encoders.backbones import load_slowfast, parameters, table, with_backbones
from insilico.encoders.config import MaryNanoConfig
from insilico.encoders.network import MaryNanoModel
from insilico.encoders.presentation import Presentation
from insilico.encoders.slowfast import SlowFast
from insilico.errors import WeightsError


@pytest.fixture
def published(tmp_path: Path) -> dict[str, Path]:
    """Return files in the layout in which the backbones are published, at a tiny size."""
    torch.manual_seed(3)
    Wav2Vec2Model(Wav2Vec2Config(**SOUND)).save_pretrained(tmp_path / "sound")
    GPT2Model(GPT2Config(**TEXT)).save_pretrained(tmp_path / "text")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer()).save_pretrained(tmp_path / "text")
    state = SlowFast(replace(VISION, classes=3)).state_dict()
    torch.save({"model_state": state}, tmp_path / "slowfast.pyth")
    return {
        "vision": tmp_path / "slowfast.pyth",
        "sound": tmp_path / "sound",
        "text": tmp_path / "text",
    }


def test_published_weights_fill_the_streams(published: dict[str, Path], tmp_path: Path):
    model = with_backbones(**published, config=replace(TINY, sound={}, text={}))
    heard = Wav2Vec2Model.from_pretrained(published["sound"]).eval()
    wave = torch.randn(2, 24_000)
    ready = model.sound._ready(wave)
    torch.testing.assert_close(
        model.sound.wav2vec2(ready).last_hidden_state, heard(ready).last_hidden_state
    )
    read = GPT2Model.from_pretrained(published["text"]).eval()
    tokens = torch.tensor([[1, 2, 3]])
    torch.testing.assert_close(
        model.text.gpt2(tokens).last_hidden_state, read(tokens).last_hidden_state
    )
    wanted = torch.load(published["vision"], weights_only=True)["model_state"]
    for key, value in model.vision.slowfast.state_dict().items():
        torch.testing.assert_close(value, wanted[key])
    model.save_pretrained(tmp_path / "mine")
    again = MaryNanoModel.from_pretrained(tmp_path / "mine")
    shown = Presentation(dataset("text"), again.config, again.tokenizer)
    _, batch = next(shown.batches(64))
    torch.testing.assert_close(again(batch), model(batch))


def test_slowfast_is_read_from_safetensors_too(published: dict[str, Path], tmp_path: Path):
    state = torch.load(published["vision"], weights_only=True)["model_state"]
    save_file(state, tmp_path / "slowfast.safetensors")
    model = MaryNanoModel(TINY)
    load_slowfast(model, tmp_path / "slowfast.safetensors")
    torch.testing.assert_close(
        model.vision.slowfast.blocks[0].multipathway_blocks[0].conv.weight,
        state["blocks.0.multipathway_blocks.0.conv.weight"],
    )


def test_what_is_missing_or_of_another_size_is_named(published: dict[str, Path], tmp_path: Path):
    with pytest.raises(WeightsError, match=r"sound: .*nowhere.* a folder that holds it"):
        with_backbones(**{**published, "sound": tmp_path / "nowhere"}, config=TINY)
    other = MaryNanoModel(replace(TINY, vision=replace(VISION, width=16)))
    with pytest.raises(WeightsError, match="names or shapes differ, such as blocks.0"):
        load_slowfast(other, published["vision"])
    (tmp_path / "odd.pyth").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_slowfast(other, tmp_path / "odd.pyth")


def test_parameter_table_counts_every_part():
    counts = parameters(MaryNanoConfig())
    assert sum(n for part, n in counts.items() if part != "all") == counts["all"]
    assert counts["language: GPT-2"] == 124_439_808
    lines = table({"tiny": TINY, "base": MaryNanoConfig()}).splitlines()
    assert lines[0] == "| | tiny | base |"
    assert f"{counts['all']:,}" in lines[-1]
