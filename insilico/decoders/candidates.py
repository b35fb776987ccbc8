"""Where candidate descriptions come from: a file, a grammar, or a local text generator."""

from __future__ import annotations

import itertools
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from insilico.errors import ParameterError, StimulusError, WeightsError, listed, not_one_of
from insilico.schema import short_digest
from insilico.step import device, generator
from insilico.weights.folders import UNREADABLE, digest, found
from insilico.weights.shelf import kept

MOST = 10_000
PROMPT = "A sound was recorded. In a picture of where it was recorded one sees"


class _Source(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def texts(self) -> list[str]:
        """Return the candidates, without repetitions."""
        raise TypeError(f"{type(self).__name__} has no candidates")

    def digests(self) -> dict[str, str]:
        """Return digests of the files that the candidates depend on."""
        return {}


class FromFile(_Source):
    """Candidates in a text file, one a line; empty lines are left out.

    Attributes
    ----------
    path : Path
        UTF-8.
    """

    source: Literal["file"] = "file"
    path: Path

    def texts(self) -> list[str]:
        """Return the lines of the file.

        Raises
        ------
        StimulusError
            If it is missing, not text, or empty.
        """
        lines = [" ".join(line.split()) for line in self._text().splitlines()]
        return _counted(lines, str(self.path))

    def digests(self) -> dict[str, str]:
        """Return the digest of the file."""
        return {str(self.path): short_digest(self._text())}

    def _text(self) -> str:
        try:
            return self.path.expanduser().read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise StimulusError(f"{self.path}: not text in UTF-8; save it as such") from error
        except OSError as error:
            raise StimulusError(
                f"{self.path}: candidates cannot be read ({error.strerror or error}); "
                "give a text file with one description a line"
            ) from error


class FromGrammar(_Source):
    """Candidates that a grammar spells out.

    Attributes
    ----------
    rules : dict of lists of str
        Alternatives of each name; ``{name}`` in one of them stands for the alternatives of another.
    start : str
        The name to spell out.
    n : int, optional
        How many of them, drawn without repetition; all by default.
    seed : int
        Of the draw.
    """

    source: Literal["grammar"] = "grammar"
    rules: dict[str, tuple[str, ...]]
    start: str = "caption"
    n: PositiveInt | None = None
    seed: NonNegativeInt = 0

    def texts(self) -> list[str]:
        """Return the sentences.

        Raises
        ------
        ParameterError
            If a name is unknown or stands for itself, or there are more than 10,000 sentences.
        """
        every = _counted(self._spelled(self.start, ()), f"grammar of '{self.start}'")
        if self.n is None or self.n >= len(every):
            return every
        drawn = generator(self.seed, "grammar").choice(len(every), self.n, replace=False)
        return [every[k] for k in sorted(drawn)]

    def _spelled(self, name: str, above: tuple[str, ...]) -> list[str]:
        if name not in self.rules:
            raise ParameterError(not_one_of("name in the grammar", name, self.rules))
        if name in above:
            raise ParameterError(f"grammar: '{name}' stands for itself: {listed([*above, name])}")
        return [
            text for form in self.rules[name] for text in self._filled(name, form, (*above, name))
        ]

    def _filled(self, name: str, form: str, above: tuple[str, ...]) -> list[str]:
        try:
            parts = [(text, field) for text, field, *_ in Formatter().parse(form)]
        except ValueError as error:
            raise ParameterError(f"grammar: '{name}' has '{form}': {error}") from error
        choices = [[""] if f is None else self._spelled(f, above) for _, f in parts]
        if np.prod([float(len(choice)) for choice in choices]) > MOST:
            raise ParameterError(f"grammar: '{form}' has more than {MOST:,} sentences")
        texts = [text for text, _ in parts]
        made = itertools.product(*choices)
        return ["".join(a + b for a, b in zip(texts, words, strict=True)) for words in made]


class FromGenerator(_Source):
    """Candidates that a language model of transformers goes on with.

    Attributes
    ----------
    weights : str
        Folder or hub id of a causal language model with safetensors.
    prompt : str
        What it goes on with; the candidate is what it writes, up to the end of the line or of the
        first sentence.
    n : int
        Texts written; those that come twice count once.
    longest : int
        Tokens of each at most.
    temperature : float
    seed : int
        Of the sampling.
    """

    source: Literal["generator"] = "generator"
    weights: str
    prompt: str = Field(PROMPT, min_length=1)
    n: PositiveInt = Field(20, le=1000)
    longest: PositiveInt = Field(30, le=500)
    temperature: float = Field(1.0, gt=0, le=10)
    seed: NonNegativeInt = 0

    def texts(self) -> list[str]:
        """Return what the model wrote.

        Raises
        ------
        WeightsError
            If there is no such model.
        StimulusError
            If it wrote nothing.
        """
        import torch

        path = found(self.weights, "generator")
        model, tokenizer = _generator(path, digest(path), device())
        given = tokenizer(self.prompt, return_tensors="pt").to(device())
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(self.seed)
            written = model.generate(
                **given,
                do_sample=True,
                temperature=self.temperature,
                num_return_sequences=self.n,
                max_new_tokens=self.longest,
                pad_token_id=tokenizer.eos_token_id,
            )
        start = given["input_ids"].shape[1]
        texts = tokenizer.batch_decode(written[:, start:], skip_special_tokens=True)
        return _counted([_sentence(text) for text in texts], f"generator {self.weights}")

    def digests(self) -> dict[str, str]:
        """Return the digest of the model."""
        return {"generator": digest(found(self.weights, "generator"))}


Candidates = Annotated[FromFile | FromGrammar | FromGenerator, Field(discriminator="source")]


@kept("candidates")
def _generator(path: Path, weights: str, where: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        model = AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
    except UNREADABLE as error:
        raise WeightsError(f"{path} cannot be loaded as a text generator: {error}") from error
    return model.eval().to(where), tokenizer


def _sentence(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    return " ".join(lines[0].split(". ")[0].split()).rstrip(".")


def _counted(texts: list[str], where: str) -> list[str]:
    """Return the texts that say something, each once."""
    kept = list(dict.fromkeys(text for text in texts if text))
    if not kept:
        raise StimulusError(f"{where}: no candidates; give one description at least")
    if len(kept) > MOST:
        raise ParameterError(f"{where}: {len(kept):,} candidates; {MOST:,} at most")
    return kept
