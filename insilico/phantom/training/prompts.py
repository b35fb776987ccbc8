"""Prompts of the phantom's sounds: its captions as AudioLDM2's two tokenizers read them.

Diffusers' AudioLDM2 pipeline reads text with a `RobertaTokenizer` (CLAP) and a `T5Tokenizer` and
takes any other class for a reader of speech; so these two are made from the phantom's words.
"""

from __future__ import annotations

import numpy as np
from transformers import RobertaTokenizer, T5Tokenizer

from insilico.decoders.audioldm2 import PROMPT
from insilico.phantom.scenes import CAPTIONS, COMBINATIONS
from insilico.phantom.training.vocabulary import WORDS

PROMPTS: tuple[str, ...] = tuple(PROMPT.format(caption=text) for text in CAPTIONS)
LONGEST = 32
SPOKEN = tuple(sorted({word for text in PROMPTS for word in text.split()} | set(WORDS[3:-1])))


def clap_tokenizer() -> RobertaTokenizer:
    """Return byte pairs whose merges spell the phantom's words, each letter by letter."""
    vocabulary = {word: k for k, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "<mask>"))}
    merges: list[tuple[str, str]] = []
    for word in SPOKEN:
        left = "Ġ"
        vocabulary.setdefault(left, len(vocabulary))
        for letter in word:
            vocabulary.setdefault(letter, len(vocabulary))
            if left + letter not in vocabulary:
                vocabulary[left + letter] = len(vocabulary)
                merges.append((left, letter))
            left += letter
    return RobertaTokenizer(
        vocab=vocabulary, merges=merges, add_prefix_space=True, model_max_length=LONGEST
    )


def t5_tokenizer() -> T5Tokenizer:
    """Return one piece for each word; what is no word of the phantom is unknown."""
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -10.0)]
    pieces = [(f"▁{word}", -1.0) for word in SPOKEN]
    return T5Tokenizer(vocab=[*special, *pieces], extra_ids=0, model_max_length=LONGEST)


def spoken(combinations: np.ndarray, form: int = 0) -> list[str]:
    """Write prompts of combinations.

    Parameters
    ----------
    combinations : int (n,)
    form : int
        Of every five forms, three are the captions in full and two name object and background
        alone; all prompts of one call have the same number of words.
    """
    if form % 5 in (1, 3):
        return [
            PROMPT.format(caption="a {} on a {}".format(*COMBINATIONS[k])) for k in combinations
        ]
    return [PROMPTS[k] for k in combinations]
