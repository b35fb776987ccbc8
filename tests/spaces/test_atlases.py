from __future__ import annotations

import os

import numpy as np
import pytest

from insilico.errors import RegionError
from insilico.spaces import atlases, fsaverage5
from insilico.spaces.regions import mask

NETWORKS = ("Vis", "SomMot", "DorsAttn", "SalVentAttn", "Limbic", "Cont", "Default")


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    monkeypatch.delenv("INSILICO_YEO7", raising=False)
    monkeypatch.setattr(atlases, "cache_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def labels(tmp_path):
    def write(**changed):
        left = np.resize(np.arange(8, dtype=np.int8), 10242)
        arrays = {"left": left, "right": left, "names": np.array(["wall", *NETWORKS])}
        np.savez(tmp_path / "labels.npz", **(arrays | changed))
        return tmp_path / "labels.npz"

    return write


def test_phantom7_covers_the_cortex():
    atlas = atlases.load("phantom7")
    assert atlas.regions == NETWORKS
    assert ((atlas.labels == 0) == fsaverage5.medial_wall()).all()
    assert np.bincount(atlas.labels)[1:].min() > 900


def test_vis_is_occipital_and_sommot_central():
    y = fsaverage5.mesh("pial")[0][:, 1]
    atlas = atlases.load("phantom7")
    assert np.median(y[atlas.mask("Vis")]) < -75
    assert -40 < np.median(y[atlas.mask("SomMot")]) < 0


@pytest.mark.parametrize("spelling", ["Vis", "VIS", "visual", "Visual", "7Networks_1"])
def test_aliases(spelling):
    assert atlases.load("phantom7").region(spelling) == "Vis"


@pytest.mark.parametrize("spelling", ["!Vis", "-Vis", "Vis?", "{Vis}", "Vis!"])
def test_signs_are_never_ignored(spelling):
    with pytest.raises(RegionError, match="unknown region of phantom7"):
        atlases.load("phantom7").region(spelling)


def test_names_with_a_hyphen():
    np.testing.assert_array_equal(
        mask("Default-Mode - lh", atlas="phantom7"), mask("Default & rh", atlas="phantom7")
    )


def test_unknown_names_are_answered(nowhere):
    with pytest.raises(RegionError, match=r"region of phantom7 'Vizual'.*did you mean 'Vis'"):
        mask("Vizual", atlas="phantom7")
    with pytest.raises(
        RegionError, match=r"unknown atlas 'yeo'; one of: areas, .*phantom7, .*did you mean 'yeo7'"
    ):
        atlases.load("yeo")


def test_missing_labels_say_what_to_do(nowhere):
    with pytest.raises(RegionError, match="set INSILICO_YEO7=.*insilico fetch atlases"):
        atlases.load("yeo7")


def test_path_before_environment(nowhere, monkeypatch, labels):
    monkeypatch.setenv("INSILICO_YEO7", str(nowhere / "absent.npz"))
    assert atlases.load("yeo7", labels()).regions == NETWORKS
    with pytest.raises(RegionError, match="no atlas file at .*absent.npz"):
        atlases.load("yeo7")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"left": np.zeros(32492, np.int8)}, "32492 labels in the left hemisphere; .*10242"),
        ({"names": np.array(["wall", *NETWORKS[:-1], "Other"])}, r"no vertex of \['Default'\]"),
    ],
)
def test_wrong_files_are_refused(labels, changed, message):
    with pytest.raises(RegionError, match=message):
        atlases.load("yeo7", labels(**changed))


@pytest.fixture
def published(nowhere, monkeypatch):
    """Let yeo7's files lie at file:// addresses; returns a function that writes them."""
    from nibabel.freesurfer import write_annot

    table = np.array([[k, 10 * k, 3, 0, 0] for k in range(8)])
    names = ["Medial_Wall", *NETWORKS]
    folder = nowhere / "site"
    folder.mkdir()

    def write(shift=0):
        half = (np.arange(10242) + shift) % 8
        for hemi in ("lh", "rh"):
            write_annot(folder / f"{hemi}.annot", half, table, names, fill_ctab=True)

    write()
    urls = {hemi: (folder / f"{hemi}.annot").as_uri() for hemi in ("lh", "rh")}
    about = atlases.describe("yeo7") | {"download": urls}
    monkeypatch.setattr(
        atlases, "describe", lambda name: about if name == "yeo7" else pytest.fail(name)
    )
    yield write
    atlases._load.cache_clear()


def test_fetched_labels_are_kept_and_held_to_their_first_digest(published, nowhere):
    kept = atlases.fetch("yeo7")
    assert kept == nowhere / "lh.yeo7.annot"
    atlas = atlases.load("yeo7")
    np.testing.assert_array_equal(atlas.labels, np.tile(np.arange(10242) % 8, 2))
    assert atlases.fetch("yeo7") == kept
    published(shift=1)  # the site now holds other labels
    with pytest.raises(RegionError, match="not those of first use"):
        atlases.fetch("yeo7")
    np.testing.assert_array_equal(atlases.load("yeo7").labels, atlas.labels)
    kept.write_bytes((nowhere / "site" / "lh.annot").read_bytes())
    with pytest.raises(RegionError, match="not those of first use"):
        atlases.load("yeo7")


def test_environment_before_cache(published, nowhere, monkeypatch, labels):
    atlases.fetch("yeo7")
    with np.load(labels(), allow_pickle=False) as data:
        turned = {name: data[name] for name in ("left", "right", "names")}
    turned["left"] = np.roll(turned["left"], 1)
    monkeypatch.setenv("INSILICO_YEO7", str(labels(**turned)))
    assert atlases.load("yeo7").labels[1] == 0


def test_what_cannot_be_fetched_leaves_nothing(published, nowhere, monkeypatch):
    (nowhere / "site" / "rh.annot").unlink()
    with pytest.raises(RegionError, match="cannot be downloaded from file:.*set INSILICO_YEO7"):
        atlases.fetch("yeo7")
    assert [path.name for path in nowhere.iterdir()] == ["site"]


def test_shipped_atlases_are_not_fetched():
    with pytest.raises(RegionError, match="ships with insilico"):
        atlases.fetch("phantom7")
    with pytest.raises(RegionError, match="or is yours"):
        atlases.fetch("areas")


def test_annot_files_are_read(nowhere):
    from nibabel.freesurfer import write_annot

    numbers = np.resize(np.arange(8), 10242)
    table = np.array([[k, k, k, 0, 0] for k in range(8)])
    names = ["Medial_Wall", *(f"7Networks_{k}" for k in range(1, 8))]
    for hemi in ("lh", "rh"):
        write_annot(nowhere / f"{hemi}.yeo7.annot", numbers, table, names, fill_ctab=True)
    atlas = atlases.load("yeo7")  # found in the cache
    assert (atlas.labels[:10242] == numbers).all()
    (nowhere / "rh.yeo7.annot").write_bytes((nowhere / "rh.yeo7.annot").read_bytes() + b"\0")
    with pytest.raises(RegionError, match="are not those of first use"):
        atlases.load("yeo7")


def test_expressions_obey_set_laws():
    def of(text):
        return mask(text, atlas="phantom7")

    cortex = ~fsaverage5.medial_wall()
    assert (of("~(Vis | Limbic)") == of("~Vis & ~Limbic")).all()
    assert (of("Vis | Limbic & lh") == (of("Vis") | of("Limbic & lh"))).all()
    assert (of("Default - lh") == of("Default & rh")).all()
    assert (of("phantom7:Vis | ~Vis") == cortex).all()
    assert (of("lh | rh") == cortex).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Vis &", "a region is missing at the end"),
        ("(Vis", r"a '\)' is missing"),
        ("Vis & | lh", r"missing before '\|'"),
        ("Vis & ~Vis", "holds no vertex"),
        ("Vis ! lh", "cannot read '! lh'; combine regions with .* 'Default & lh'"),
        ("!Vis", "cannot read '!Vis'"),
        ("-Vis", "cannot read '-Vis'"),
        ("Vis?", "cannot read"),
        ("Default -lh", "cannot read '-lh'"),
        ("Default-lh", r"unknown region of phantom7 'Default-lh'.*'Default & lh'\?"),
        ("Default lh", r"'Default & lh'\?"),
        ("Visual_right", r"'Vis & rh'\?"),
        ("roi:V1", "needs a response with the coordinate 'roi'"),
    ],
)
def test_bad_expressions(text, message):
    with pytest.raises(RegionError, match=message):
        mask(text, atlas="phantom7")


def test_region_without_atlas():
    with pytest.raises(RegionError, match="which atlas does 'Vis' belong to"):
        mask("Vis")


@pytest.mark.skipif("INSILICO_YEO7" not in os.environ, reason="the published labels are not here")
def test_published_yeo7():
    yeo, own = atlases.load("yeo7"), atlases.load("phantom7")
    assert np.bincount(yeo.labels).tolist() == [1744, 2798, 3742, 2166, 2296, 1472, 2403, 3863]
    cortex = (yeo.labels > 0) & ~fsaverage5.medial_wall()
    assert 0.65 < (yeo.labels == own.labels)[cortex].mean() < 0.75
    wall, theirs = fsaverage5.medial_wall(), yeo.labels == 0
    assert (wall & theirs).sum() / (wall | theirs).sum() > 0.8


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("face", "Write atlas: areas, or areas:face; phantom_areas has one too"),
        ("Visual", "Write atlas: yeo7, or yeo7:Visual; phantom7 has one too"),
        ("OFA", "phantom_areas, floc-faces have one too"),
        ("nowhere", "None has a region of that name: areas, eccentricity"),
        ("roi:V1", "needs a response with the coordinate 'roi'.*on fsaverage5 there is areas:V1"),
        ("roi:other", "recordings of NSD carry those families"),
    ],
)
def test_a_region_without_its_atlas_is_answered_with_those_that_have_it(region, words):
    with pytest.raises(RegionError, match=words):
        mask(region)
