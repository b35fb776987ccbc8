from __future__ import annotations

import sys
from pathlib import Path

import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from toy_world import calls, install

import insilico as isi
from insilico.errors import ParameterError, ProtocolError, SchemaError
from insilico.run.portable import portable


@pytest.fixture
def study(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return install(monkeypatch, tmp_path)


@pytest.fixture
def chain(study, tmp_path):
    return isi.load_chain(str(tmp_path / "toy.yaml"), seed=7)


def test_a_study_in_python_equals_the_protocol(study, chain):
    stimuli = chain.stimuli(split="test", n=5)
    response = chain.encode(stimuli)
    lesioned = chain.perturb(response, kind="toy", atlas="yeo7", region="Visual")
    reconstruction = chain.decode(lesioned)
    score = isi.score(reconstruction, stimuli, ["brightness"])
    stored = isi.run(study)
    same = {"condition": "silenced/Vis"}
    pairs = {"response": lesioned, "reconstruction": reconstruction, "score": score}
    for noun, made in pairs.items():
        theirs = stored.open(noun).sel(same, drop=True)
        for name in made.data_vars:
            xr.testing.assert_equal(
                portable(made)[name].reset_coords(drop=True), theirs[name].reset_coords(drop=True)
            )
    xr.testing.assert_equal(portable(stimuli), stored.open("stimuli"))


def test_a_decoder_without_an_entry_to_train_is_refused(chain):
    with pytest.raises(ParameterError, match="'toy' has no entry to train; mindeye2 has"):
        chain.train_entry("entry.safetensors")


def test_measured_responses_are_decoded_as_in_the_protocol(study, chain):
    made = chain.decode(chain.record(chain.stimuli(n=5)))
    stored = isi.run(study).open("reconstruction").sel(condition="measured")
    xr.testing.assert_equal(made["image"].variable, stored["image"].variable)


def test_the_adapter_is_fitted_once_and_shared_with_runs(study, chain, tmp_path):
    for n in (3, 4):
        chain.decode(chain.encode(chain.stimuli(n=n)))
    isi.run(study)
    assert calls(tmp_path).count("Adapter.fit") == 1


def test_every_result_says_which_atlas_stands_for_which(chain):
    response = chain.encode(chain.stimuli(n=3))
    assert "note" not in response.attrs
    lesioned = chain.perturb(response, kind="toy", atlas="yeo7", region="Vis")
    made = chain.decode(lesioned)
    score = isi.score(made, chain.stimuli(n=3), "brightness")
    for result in (lesioned, made, score):
        assert result.attrs["note"] == "phantom7 in place of yeo7"


def test_a_picture_is_no_response(chain):
    made = chain.decode(chain.encode(chain.stimuli(n=3)))
    named = "a response or map is over vertex or voxel; met"
    with pytest.raises(SchemaError, match=f"{named} stimulus, draw, y_pixel, x_pixel, rgb$"):
        chain.ablate(made, atlas="yeo7", region="Vis")


def test_figures_are_not_drawn_into_a_file(study, tmp_path):
    isi.run(study, out=tmp_path / "out")
    (tmp_path / "table.csv").write_text("mine")
    with pytest.raises(ParameterError, match=r"table\.csv is a file; name a folder"):
        isi.draw(tmp_path / "out", out=tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "mine"
    with pytest.raises(ParameterError, match=r"new\.png is a file; name a folder"):
        isi.draw(tmp_path / "out", out=tmp_path / "new.png")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda c, r: c.ablate(r, atlas="yeo7", region="Visaul"),
            "unknown region of phantom7 'Visaul'",
        ),
        (lambda c, r: c.ablate(r, atlas="yeo9", region="Vis"), "unknown atlas 'yeo9'"),
        (lambda c, r: c.ablate(r, atlas="yeo7", regoin="Vis"), "unknown key 'regoin'.*'region'"),
        (lambda c, r: c.perturb(r, kind="abl"), "unknown kind of perturb 'abl'"),
        (lambda c, r: isi.score(r, r, ["pixcor"]), "unknown score 'pixcor'.*'pixcorr'"),
        (
            lambda c, r: isi.score(r, r, [{"kind": "distance"}, {"kind": "cosine"}]),
            "distance: 'features' is missing; give it a value\ncosine: 'features' is missing",
        ),
        (lambda c, r: isi.score(r, r, [{"kind": "n_way", "n": 0}]), "n_way.n: met 0; allowed"),
        (lambda c, r: isi.score(r, r, "mindeye2"), r"written \{protocol: mindeye2\}"),
        (lambda c, r: c.decode(r, drawz=3), "'drawz'.*did you mean 'draws'"),
        (lambda c, r: isi.load_chain("fantom"), "unknown preset 'fantom'.*'phantom'"),
        (lambda c, r: isi.run("x.yaml", jobs=0), "jobs is 0; allowed: 1 or more"),
        (lambda c, r: isi.load_chain("phantom", set=["a=1"]), r"set is \['a=1'\]; allowed: a map"),
        (lambda c, r: isi.run("study.yaml", set=["a=1"]), r"set is \['a=1'\]; allowed: a mapping"),
    ],
)
def test_mistakes_are_named(call, message, chain):
    response = chain.encode(chain.stimuli(n=3))
    with pytest.raises((ProtocolError, ParameterError), match=message):
        call(chain, response)


def test_all_that_scores_lack_is_told_at_once_and_what_they_do_not(tmp_path):
    stimuli, made = isi.sample("stimuli"), isi.sample("reconstruction")
    asked = {"protocol": "mindeye2", "weights": str(tmp_path)}
    with pytest.raises(ProtocolError) as told:
        isi.score(made, stimuli, [asked, "clip_cosin", "brain_correlation"])
    said = str(told.value).splitlines()
    files = ["alexnet", "inception", "clip-vit-large-patch14/", "efficientnet_b1-", "swav_800ep"]
    for name in files:
        assert sum(name in line for line in said[:-1]) >= 1, name
    assert any("unknown score 'clip_cosin'" in line for line in said)
    assert any("brain_correlation" in line for line in said)
    assert said[-1].startswith("what could be computed: [")
    could = [{"kind": kind, "protocol": "mindeye2"} for kind in ("pixcorr", "ssim")]
    assert str(could) in said[-1]
    assert isi.score(made, stimuli, could).sizes["metric"] == 2


def test_public_names_are_lazy_and_complete():
    import insilico.run.store  # noqa: F401  (the room of the same name as the function)

    assert callable(isi.run)
    shown = {name for name in dir(isi) if not name.startswith("__")}
    assert shown == set(isi.__all__)
    for name in isi.__all__:
        assert callable(getattr(isi, name))
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        isi.rum  # noqa: B018


def test_foreign_responses_are_decoded_with_an_adapter_fitted_on_another_encoder(tmp_path):
    """The responses of a file to four scenes, decoded as those of the encoder itself."""
    from insilico.encoders.mary_nano import MaryNano
    from insilico.phantom.stimuli import Scenes

    response = MaryNano()(Scenes(split="unseen", n=4)())
    isi.write_response(response, tmp_path / "four.func.gii")
    text = f"""
preset: phantom
stimuli: {{split: unseen, n: 4}}
adapter: {{pairs: 60, encoder: {{kind: mary_nano}}}}
conditions:
  own: {{}}
  foreign: {{encoder: {{kind: precomputed, file: {tmp_path / "four.func.gii"}}}}}
scores: [pixcorr]
"""
    (tmp_path / "p.yaml").write_text(text)
    results = isi.run(tmp_path / "p.yaml", out=tmp_path / "out", store=tmp_path / "store")
    assert results.failures == ()
    made = results.open("reconstruction")["image"]
    xr.testing.assert_equal(
        made.sel(condition="own", drop=True), made.sel(condition="foreign", drop=True)
    )
    (tmp_path / "p.yaml").write_text(text.replace("kind: mary_nano", "kind: mary_nan"))
    with pytest.raises(ProtocolError, match=r"adapter.encoder.kind: unknown kind of encoder"):
        isi.run(tmp_path / "p.yaml")


def test_ablate_without_a_chain():
    import numpy as np

    from insilico.spaces import atlases, fsaverage5

    bold = np.random.default_rng(0).uniform(1, 2, (2, fsaverage5.N_VERTICES)).astype(np.float32)
    attrs = {"units": "z", "subject": "x", "hemodynamic_offset_s": 0.0, "source": "test"}
    response = fsaverage5.response(bold, ["a", "b"], **attrs)
    lesioned = isi.ablate(response, atlas="phantom7", region="Visual", fill="zero")
    vis = atlases.load("phantom7").mask("Vis") & ~fsaverage5.medial_wall()
    assert not lesioned["bold"].values[:, vis].any()
    assert lesioned["bold"].values[:, ~vis & ~fsaverage5.medial_wall()].all()
    for wrong in ({"region": "!Vis"}, {"region": ["Vis", "Default"]}, {"region": "each"}):
        with pytest.raises((ParameterError, ProtocolError)):
            isi.ablate(response, atlas="phantom7", fill="zero", **wrong)
    with pytest.raises(ParameterError, match="control_index"):
        isi.ablate(response, atlas="phantom7", region="Vis", fill="zero", control="patch", n=2)
    spared = isi.ablate(response, atlas="phantom7", region="~Visual", fill="zero")
    assert spared["bold"].values[:, vis].all()
    assert not spared["bold"].values[:, ~vis].any()
