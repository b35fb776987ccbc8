from __future__ import annotations

import json

import pytest

from insilico import schema
from insilico.errors import ParameterError, StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.captions import Captions


def told(stimuli):
    captions = stimuli["caption"].values.tolist()
    return dict(zip(stimuli["stimulus"].values.tolist(), captions, strict=True))


def written(path, text, encoding="utf-8"):
    path.write_text(text, encoding=encoding)
    return path


def test_captions_of_a_protocol():
    stimuli = KINDS.build({"kind": "captions", "text": ["a cat", "two  dogs\n"]})()
    schema.check(stimuli, "stimuli")
    assert told(stimuli) == {"a-cat-e77a0bc9": "a cat", "two-dogs-e6609c1d": "two dogs"}
    assert stimuli.attrs["modality"] == "text"


def test_the_id_of_a_caption_is_its_own_wherever_it_stands():
    (cat,) = Captions(text="a cat")().stimulus.values
    assert cat in Captions(text=["a dog", " a  cat"])().stimulus.values
    long = [f"The man, who sat still on the {place}" for place in ("mat", "hat")]
    first, second = Captions(text=long)().stimulus.values
    assert first.rpartition("-")[0] == second.rpartition("-")[0] == "the-man-who-sat-still"
    assert first != second
    names = Captions(text=["\u732b \u732b", "\u2603", "\u2604", "word" * 100])().stimulus.values
    assert [name.rpartition("-")[0] for name in names] == [
        "\u732b-\u732b",
        "caption",
        "caption",
        "word" * 10,
    ]
    assert Captions(text="A cat!")().stimulus.values.tolist() == [cat]
    for again in ("a cat", "A cat!"):
        with pytest.raises(
            StimulusError, match="caption 3 has the words of caption 1, .*, or a ta"
        ):
            Captions(text=["a cat", "a dog", again])()


def test_text_file_a_caption_a_line(tmp_path):
    path = written(tmp_path / "some.txt", "\ufeffa cat\r\ntwo dogs\r\n\r\n")
    assert told(Captions(path=path)()) == {"some-000001": "a cat", "some-000002": "two dogs"}


def test_tables_with_and_without_ids(tmp_path):
    path = written(tmp_path / "a.csv", 'id,caption\nx,"a cat, a mat"\ny,NA\n')
    assert told(Captions(path=path)()) == {"x": "a cat, a mat", "y": "NA"}
    path = written(tmp_path / "b.tsv", "text\na cat\n")
    assert told(Captions(path=path, column="text")()) == {"b-000001": "a cat"}


def test_coco(tmp_path):
    rows = [(9, 3, "a cat"), (9, 1, "one cat\n"), (4, 7, "a dog")]
    annotations = [{"image_id": i, "id": n, "caption": text} for i, n, text in rows]
    path = written(tmp_path / "captions.json", json.dumps({"annotations": annotations}))
    found = told(Captions(path=path)())
    assert found == {"coco-4-1": "a dog", "coco-9-1": "one cat", "coco-9-2": "a cat"}


def test_10_000_words_are_a_caption():
    words = " ".join(["word"] * 10_000)
    assert [*told(Captions(text=words)()).values()] == [words]


def test_any_character_stays_and_equal_texts_are_equal():
    composed, apart = (
        "caf\u00e9 \U0001f431 \u732b \U00013080 \u200d\ufffd",
        "cafe\u0301 \U0001f431 \u732b \U00013080 \u200d\ufffd",
    )
    assert composed != apart
    assert set(told(Captions(text=composed)()).values()) == {composed}
    assert told(Captions(text=composed)()) == told(Captions(text=apart)())


@pytest.mark.parametrize("text", ["", "  \t\n", "\u200b\u00a0", "\u0007"])
def test_an_empty_caption_is_named(text):
    with pytest.raises(StimulusError, match="caption 2: an empty caption"):
        Captions(text=["a cat", text])()


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_what_no_file_can_hold_is_refused(text):
    with pytest.raises(StimulusError, match="caption 1: holds NUL or half of a character"):
        Captions(text=[text])()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.txt", b"", "no captions|an empty caption"),
        ("a.txt", b"one\n\ntwo", "line 2: an empty caption"),
        ("a.txt", b"caf\xe9", "byte 3 is not UTF-8"),
        ("a.csv", b"", "not a table"),
        ("a.csv", b"caption\n", "a table without rows"),
        ("a.csv", b"text\na cat\n", "no column 'caption'; has text"),
        ("a.csv", b"id,caption\nx,a cat\ny,\n", "row 2: column 'caption' is empty"),
        ("a.csv", b"id,caption\nx,a\nx,b\n", "row 2: id 'x' is that of row 1 too"),
        ("a.csv", b"id,caption\nx,a,b,c\n", "not a table"),
        ("a.json", b"{", "not a file of COCO captions"),
        ("a.json", b"[1, 2]", "not a file of COCO captions"),
        ("a.json", b'{"annotations": [{"id": 1, "caption": "a"}]}', "image_id"),
        ("a.json", b'{"annotations": []}', "no captions in this file"),
        ("a.docx", b"PK", "captions are read from .txt, .csv, .tsv and COCO"),
    ],
)
def test_bad_files_are_named(tmp_path, name, content, complaint):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StimulusError, match=rf"{name}.*({complaint})"):
        Captions(path=tmp_path / name)()


def test_deep_json_does_not_end_the_program(tmp_path):
    path = written(tmp_path / "a.json", "[" * 100_000)
    with pytest.raises(StimulusError, match=r"a\.json: not a file of COCO captions"):
        Captions(path=path)()


def test_either_a_path_or_a_text(tmp_path):
    for how in ({}, {"text": ["a"], "path": tmp_path / "a.txt"}):
        with pytest.raises(StimulusError, match="either a path or the text itself"):
            Captions(**how).digests()
    with pytest.raises(StimulusError, match=r"gone\.txt: cannot be read"):
        Captions(path=tmp_path / "gone.txt").digests()
    with pytest.raises(ParameterError, match="did you mean 'path'"):
        KINDS.build({"kind": "captions", "paths": "x"})


def test_a_list_of_texts_in_a_protocol():
    from insilico.protocol.steps import checked

    assert checked(Captions, {"text": ["a dog", "a bird"]}).text == ("a dog", "a bird")
