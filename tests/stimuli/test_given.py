from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from insilico.errors import StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.given import like_a_path, named

WORDS = [
    "dog",
    "dog.",
    "A red car on a beach.",
    "e.g. this one",
    "black and/or white, at 3.5 to 1",
    "你好",
    "x" * 100_000,
    "~ about a dog",
]
PATHS = ["cat.jpg", "and/or", "a/b", "C:\\x", "/My pictures/of a dog", "../a dog", "my cat.JPG"]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    wavfile.write(tmp_path / "a.wav", 16_000, np.ones(1600, np.int16))
    (tmp_path / "a.txt").write_text("A dog\n on  a beach.\n")
    (tmp_path / "dog").mkdir()
    return tmp_path


@pytest.mark.parametrize("words", WORDS)
def test_words_are_words(folder, words):
    spec = named(words + "!") if words == "dog" else named(words)
    assert KINDS.build(spec)()["caption"].values[0] == spec["text"][0]
    assert not like_a_path(words)


@pytest.mark.parametrize("words", PATHS)
def test_what_looks_like_a_path_must_be_there_unless_it_is_said_to_be_words(folder, words):
    with pytest.raises(StimulusError, match="no such file; if these are words .* --text"):
        named(words)
    assert named(words, text=True)["text"] == [words]


@pytest.mark.parametrize(("name", "kind"), [("a.png", "images"), ("a.wav", "sounds")])
def test_a_file_is_of_the_kind_of_its_suffix_or_else_of_its_content(folder, name, kind):
    assert named(name) == {"kind": kind, "path": name}
    (folder / name).rename(folder / "without")
    assert named("without") == {"kind": kind, "path": "without"}
    assert named(Path("without"))["kind"] == kind
    assert named("without", text=True)["kind"] == "captions"


def test_a_text_file_is_one_text(folder):
    assert named("a.txt") == named("A dog on a beach.")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("", "the text: an empty caption"),
        (" \n", "the text: an empty caption"),
        ("a\0b", "the text: holds NUL"),
        ("dog", "dog is a folder; name one file, or words to read with --text"),
        (Path("two words"), "two words: no such file"),
        ("empty.txt", "empty.txt: an empty caption"),
        ("latin.txt", "latin.txt: byte 1 is not UTF-8"),
        ("noise.bin", "noise.bin: not a picture, a sound, a film or a text"),
        ("table.csv", "table.csv: not a picture, a sound, a film or a text"),
        ("nothing", "nothing: not a picture, a sound, a film or a text"),
    ],
)
def test_what_cannot_be_shown_is_told(folder, what, message):
    (folder / "empty.txt").write_text(" \n")
    (folder / "latin.txt").write_bytes("mögen".encode("latin-1"))
    (folder / "noise.bin").write_bytes(np.random.default_rng(0).bytes(50_000))
    (folder / "table.csv").write_text("caption\na dog\n")
    (folder / "nothing").write_bytes(b"")
    with pytest.raises(StimulusError, match=message):
        named(what)
