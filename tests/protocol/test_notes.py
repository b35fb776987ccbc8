"""A note on what one condition was shown stands with that condition alone."""

from __future__ import annotations

from types import SimpleNamespace

from insilico.job import carried
from insilico.protocol.expand import Row
from insilico.protocol.join import Join
from insilico.report.nouns import Assembly, table
from insilico.schema import sample
from insilico.statistics.levels import Levels

FAR = "1 of 20 images lie more than 2.6 SD outside"
ATLAS = "phantom7 in place of yeo7"


def joined(**notes):
    """Return the scores of conditions with these notes."""
    step = Join.of(
        Row(f"{name}/V1" if name == "cut" else name, name, "", -1, "encoder", {}, None, (ATLAS,))
        for name in notes
    )
    scores = [sample("score", 8).assign_attrs(note=note, source="s") for note in notes.values()]
    return step(*scores)


def test_a_note_on_some_conditions_names_them():
    notes = joined(seen=f"{FAR}; {ATLAS}", read=ATLAS, cut=FAR).attrs["note"]
    assert notes == f"seen, cut: {FAR}; {ATLAS}"
    assert joined(seen=FAR, read=FAR).attrs["note"] == FAR
    assert "note" not in joined(seen="", read="").attrs


def test_a_row_of_the_table_has_the_notes_of_its_condition():
    levels = Levels(of=("seen", "read"), n=10)(joined(seen=FAR, read="", heard="other"))
    assert levels.attrs["note"] == f"seen: {FAR}; heard: other"
    rows = table({"levels": levels}).set_index("contrast")["note"]
    assert set(rows["seen"]) == {f"seen: {FAR}; heard: other"}
    assert set(rows["read"]) == {"heard: other"}


def test_a_note_on_some_conditions_is_not_said_again_of_all():
    result, source = joined(seen=FAR, read=""), sample("score", 8).assign_attrs(note=FAR)
    assert carried(result, source, ATLAS).attrs["note"] == f"seen: {FAR}; {ATLAS}"


def test_a_note_of_the_protocol_is_said_once():
    about = SimpleNamespace(note=f"{ATLAS}; other", key="k", protocol=SimpleNamespace(title="t"))
    noun = sample("score", 8).assign_attrs(note=f"{FAR}; {ATLAS}")
    made = Assembly(about, None)._titled(noun)  # type: ignore[arg-type]
    assert made.attrs["note"] == f"{FAR}; {ATLAS}; other"
