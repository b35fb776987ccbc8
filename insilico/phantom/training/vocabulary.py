"""Words of the phantom's captions as numbers, and the files that transformers reads them from."""

from __future__ import annotations

from pathlib import Path

import torch

from insilico.phantom.drawing import SIDE
from insilico.phantom.scenes import CAPTIONS

PAD, BOS, UNKNOWN = 0, 1, 2
WORDS: tuple[str, ...] = (
    "<pad>",
    "<bos>",
    "<unk>",
    *sorted({word for text in CAPTIONS for word in text.split()}),
    "<eos>",
)
EOS = len(WORDS) - 1
NUMBERS = {word: number for number, word in enumerate(WORDS)}


def caption_tokens() -> torch.Tensor:
    """Return all captions as numbers, int64 (3456, 12), with start and end."""
    return torch.tensor([[BOS, *(NUMBERS[w] for w in text.split()), EOS] for text in CAPTIONS])


def spelled(numbers: torch.Tensor) -> str:
    """Write out numbers up to the end token."""
    words = []
    for number in numbers.tolist():
        if number == EOS:
            break
        if number > UNKNOWN:
            words.append(WORDS[number])
    return " ".join(words)


def save_processors(folder: str | Path) -> None:
    """Write the tokenizer and the image processor beside a network's weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPImageProcessorPil, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(NUMBERS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    special = {f"{key}_token": f"<{key}>" for key in ("pad", "bos", "unk", "eos")}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **special)
    fast.save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    side = {"height": SIDE, "width": SIDE}
    CLIPImageProcessorPil(
        size=side, crop_size=side, do_center_crop=False, image_mean=half, image_std=half
    ).save_pretrained(folder)
