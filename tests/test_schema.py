from __future__ import annotations

import numpy as np
import pytest

from insilico import schema
from insilico.errors import ParameterError, SchemaError, SpaceError


@pytest.mark.parametrize("noun", schema.NOUNS)
def test_sample_is_valid_and_deterministic(noun):
    first, second = schema.sample(noun, n=3, seed=5), schema.sample(noun, n=3, seed=5)
    assert schema.digest(first) == schema.digest(second)
    assert schema.digest(first) != schema.digest(schema.sample(noun, n=3, seed=6))


@pytest.mark.parametrize("noun", schema.NOUNS)
def test_digest_survives_a_file(noun, tmp_path):
    dataset = schema.sample(noun)
    dataset.to_netcdf(tmp_path / "noun.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "noun.nc", engine="h5netcdf") as again:
        assert schema.digest(again) == schema.digest(dataset)


def test_unknown_noun_is_answered():
    with pytest.raises(ParameterError, match="did you mean 'response'"):
        schema.check(schema.sample("score"), "responses")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda ds: ds.drop_vars("bold"), "variable bold missing"),
        (lambda ds: ds.drop_vars("hemi"), "coordinate hemi missing"),
        (lambda ds: ds.drop_attrs(), "attribute space, units"),
        (lambda ds: ds.assign(bold=ds["bold"].astype(np.float64)), "must be float32"),
        (lambda ds: ds.transpose("voxel", "stimulus"), r"must end in \(stimulus, voxel\)"),
        (lambda ds: ds.drop_vars("stimulus"), "no labels"),
        (lambda ds: ds.assign_coords(stimulus=["a", "a", "b", "c"]), "ids repeat: a"),
    ],
)
def test_response_door_says_what_is_wrong(spoil, message):
    with pytest.raises(SchemaError, match=message):
        schema.check(spoil(schema.sample("response")), "response")


def test_all_that_a_response_lacks_is_said_at_once():
    bare = schema.sample("response").drop_vars(["hemi", "x"]).drop_attrs()
    with pytest.raises(SchemaError) as error:
        schema.check(bare.assign(bold=bare["bold"].astype(np.float64)), "response")
    for words in ("hemi, x missing", "space, units", "must be float32", "from_array"):
        assert words in str(error.value), words


def test_a_voxel_may_lack_a_side_and_a_vertex_may_not():
    response = schema.sample("response")
    unknown = response.assign_coords(hemi=("voxel", [schema.UNKNOWN] * 8))
    schema.check(unknown, "response")
    with pytest.raises(SchemaError, match="hemi must be 'L' or 'R' for every vertex"):
        schema.check(unknown.rename(voxel="vertex"), "response")


def test_nan_names_its_stimulus():
    response = schema.sample("response")
    response["bold"][2, 3] = np.nan
    with pytest.raises(SchemaError, match="stimuli sample-000002$"):
        schema.check(response, "response")


def test_space_mismatch_raises():
    with pytest.raises(SpaceError, match="fsaverage5 is needed; this one lies in sample"):
        schema.check(schema.sample("response"), "response", space="fsaverage5")


def test_array_is_refused():
    with pytest.raises(SchemaError, match="got ndarray"):
        schema.check(np.zeros((3, 4)), "response")


def in_rows():
    labels = {"timeline": ("row", ["a", "a", "b", "b"]), "time": ("row", [0.0, 1.0, 0.0, 1.0])}
    response = schema.sample("response", n=4).drop_vars("stimulus").rename(stimulus="row")
    return response.assign_coords(labels)


def test_rows_of_timelines_only_where_they_are_welcome():
    assert schema.check(in_rows(), "response", rows=True).sizes["row"] == 4
    with pytest.raises(SchemaError, match="average the rows"):
        schema.check(in_rows(), "response")
    with pytest.raises(SchemaError, match="timeline"):
        schema.check(in_rows().drop_vars("timeline"), "response", rows=True)
    spoiled = in_rows()
    spoiled["bold"][2, 0] = np.nan
    with pytest.raises(SchemaError, match="NaN or infinite bold in stimuli b"):
        schema.check(spoiled, "response", rows=True)
