from __future__ import annotations

import numpy as np
import pytest
import soundfile
from PIL import Image

from insilico import schema
from insilico.errors import StimulusError
from insilico.stimuli import KINDS
from insilico.stimuli.table import Table


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    for k, level in enumerate((40, 90, 200)):
        Image.new("RGB", (20, 20), (level, 0, 0)).save(tmp_path / "files" / f"{k}.png")
        wave = np.full(1600 * (k + 1), level / 255, np.float32)
        soundfile.write(tmp_path / "files" / f"{k}.wav", wave, 16_000, subtype="FLOAT")
    return tmp_path


def table(folder, columns, *rows):
    path = folder / "list.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


ROWS = [f"s{k},files/{k}.png,files/{k}.wav,scene {k},{s},d{k}" for k, s in enumerate("aab")]
COLUMNS = "id,image,sound,caption,split,day"


def test_files_captions_and_labels(folder):
    stimuli = KINDS.build({"kind": "table", "path": str(table(folder, COLUMNS, *ROWS))})()
    schema.check(stimuli, "stimuli")
    assert stimuli["stimulus"].values.tolist() == ["s0", "s1", "s2"]
    assert stimuli.attrs["modality"] == "image"
    assert stimuli["image"].values[:, 9, 9, 0].tolist() == [40, 90, 200]
    assert stimuli["n_samples"].values.tolist() == [1600, 3200, 4800]
    assert stimuli["sound"].values[1, 100] == pytest.approx(90 / 255)
    assert stimuli["caption"].values.tolist() == ["scene 0", "scene 1", "scene 2"]
    assert stimuli["split"].values.tolist() == ["a", "a", "b"]
    assert stimuli["day"].values.tolist() == ["d0", "d1", "d2"]
    assert set(stimuli.coords) == {"stimulus", "n_samples", "cut", "split", "day"}


@pytest.mark.parametrize(("modality", "suffix"), [("sound", "wav"), ("image", "png")])
def test_what_is_shown_is_asked_for(folder, modality, suffix):
    stimuli = Table(path=table(folder, COLUMNS, *ROWS), modality=modality)()
    assert stimuli.attrs["modality"] == modality
    assert stimuli["path"].values[0].endswith(f"0.{suffix}")


def test_captions_alone(folder):
    stimuli = Table(path=table(folder, "caption", "a cat"))()
    assert stimuli["stimulus"].values.tolist() == ["list-000001"]
    assert stimuli.attrs["modality"] == "text"
    assert stimuli["split"].values.tolist() == ["given"]


def test_a_row_with_a_broken_file_stops_or_is_left_out_whole(folder):
    path = table(folder, COLUMNS, *ROWS)
    (folder / "files" / "1.wav").write_bytes(b"no sound")
    with pytest.raises(StimulusError, match=r"1\.wav: not a sound"):
        Table(path=path)()
    rest = Table(path=path, broken="skip")()
    assert rest["stimulus"].values.tolist() == ["s0", "s2"]
    assert rest["image"].values[:, 9, 9, 0].tolist() == [40, 200]
    assert rest["day"].values.tolist() == ["d0", "d2"]
    assert rest.attrs["skipped"] == ["s1"]
    assert "left out, because the file is broken: s1" in rest.attrs["note"]


def test_digests_follow_the_table_and_its_files(folder):
    step = Table(path=table(folder, COLUMNS, *ROWS))
    before = step.digests()
    assert len(before) == 7
    Image.new("RGB", (9, 9)).save(folder / "files" / "1.png")
    after = step.digests()
    assert [k for k in before if before[k] != after[k]] == [str(folder / "files" / "1.png")]


@pytest.mark.parametrize(
    ("columns", "row", "complaint"),
    [
        ("id,image", "x,files/9.png", r"row 1: .*9\.png: no such file"),
        ("id,image", "x,", "row 1: column 'image' is empty"),
        ("id,caption", "x,\u200b", "row 1: an empty caption"),
        ("id,colour", "x,red", "needs a column film, image, sound, caption; has id, colour"),
        ("film,sound", "files/0.wav,files/0.wav", "film and sound do not go together"),
        ("image,path", "files/0.png,x", "column 'path' means something else; rename it"),
        ("image,stimulus", "files/0.png,x", "column 'stimulus' means something else"),
    ],
)
def test_bad_tables_are_named(folder, columns, row, complaint):
    with pytest.raises(StimulusError, match=rf"list\.csv.*{complaint}"):
        Table(path=table(folder, columns, row))()


def test_a_modality_without_its_column_is_refused(folder):
    with pytest.raises(StimulusError, match=r"modality is film, but the columns are \['caption'\]"):
        Table(path=table(folder, "caption", "a cat"), modality="film")()
