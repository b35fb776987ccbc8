"""Every statistic on scores, from a protocol to a folder; the power of the run it leaves."""

from __future__ import annotations

import pytest
from toy_world import install

from insilico.cli import main
from insilico.report.experiment import run

CHANGES = {
    "stimuli.n": 7,
    "scores": ["brightness"],
    "figures": [],
    "conditions": {
        "intact": {},
        "lost": {
            "perturb": {
                "kind": "toy",
                "atlas": "yeo7",
                "region": ["Vis", "Limbic", "Default"],
                "combine": "subsets",
            }
        },
        "again": {
            "perturb": {"kind": "toy", "atlas": "yeo7", "region": ["Vis", "Limbic", "Default"]}
        },
    },
    "statistics": {
        "gap": {
            "kind": "paired",
            "of": "lost",
            "against": "intact",
            "interval": "studentised",
            "equivalent_within": 0.5,
            "n": 99,
        },
        "shares": {
            "kind": "shapley",
            "of": "lost",
            "against": "intact",
            "regions": ["Vis", "Limbic", "Default"],
        },
        "model": {"kind": "mixed", "of": "lost", "against": "intact"},
        "cross": {
            "kind": "interaction",
            "of": "lost",
            "against": "intact",
            "regions": {"one": ["Vis"], "other": ["Limbic", "Default"]},
            "scores": {"a": ["brightness"], "b": ["brightness"]},
        },
        "people": {
            "kind": "prevalence",
            "of": ["again", "lost"],
            "against": ["intact", "intact"],
        },
        "order": {"kind": "stability", "of": ["again", "lost"], "against": ["intact"], "n": 99},
    },
}


def test_from_protocol_to_folder_and_to_power(monkeypatch, tmp_path, capsys):
    folder = run(install(monkeypatch, tmp_path), set=CHANGES, out=tmp_path / "out")
    assert folder.failures == ()
    told = folder.summary
    assert "double dissociation: none" in told
    assert "within the bound" in told
    shares = folder.open("estimate-shares")
    assert shares["effect"].sum().item() == pytest.approx(shares["whole"].item())
    assert folder.open("estimate-model")["df"].dims == ("contrast", "metric")
    assert folder.open("estimate-people").attrs["unit_of_inference"] == "subject"
    assert "(n = 2 subjects)" in told
    for name in CHANGES["statistics"]:
        assert f"\n{name}: " in told
    rows = (folder.folder / "estimates.csv").read_text().splitlines()
    assert any(row.startswith("order,all variants") for row in rows)
    arguments = ["power", str(folder.folder), "--statistic", "gap", "--most", "12", "--effect", "1"]
    assert main(arguments) == 0
    assert "Vis | Limbic" in capsys.readouterr().out
    assert main([*arguments[:3], "cross"]) == 2
    assert "'cross' is of kind interaction; power knows paired: gap" in capsys.readouterr().err
