"""Null models: exact spins, parcel forms against their definitions, surrogates with a variogram."""

from __future__ import annotations

import numpy as np
import pytest
from made_maps import patched, smooth, voxels

from insilico.errors import ParameterError, RegionError, SpaceError
from insilico.spaces import atlases, fsaverage5
from insilico.spaces.spun import rotation
from insilico.statistics import places, spins
from insilico.statistics.nulls import SPINS, named
from insilico.statistics.places import Places, of_labels, vertices
from insilico.statistics.variogram import Variogram, _Half


@pytest.fixture(scope="module")
def patches() -> Places:
    """Return 60 parcels: the vertices nearest to 30 points of each hemisphere's sphere."""
    return patched(30)


# --- rotations ------------------------------------------------------------------------------------


def test_rotations_are_proper_and_uniform():
    rng = np.random.default_rng(3)
    turns = np.array([rotation(rng) for _ in range(400)])
    np.testing.assert_allclose(
        turns @ turns.swapaxes(1, 2), np.broadcast_to(np.eye(3), (400, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(turns), 1, atol=1e-12)
    assert np.abs(turns.mean(0)).max() < 0.12  # no direction is preferred


def test_the_right_hemisphere_turns_as_the_mirror_of_the_left():
    turns = spins.turns(3, 0)
    point = np.array([0.3, -0.5, 0.8])
    mirrored = (point * [-1, 1, 1]) @ turns["R"]
    np.testing.assert_allclose(mirrored, (point @ turns["L"]) * [-1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("hemi", ["L", "R"])
def test_nearest_vertices_are_exact(monkeypatch, compiled, hemi):
    if compiled:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(spins, "_compiled", lambda: None)
    rng, sphere = np.random.default_rng(0), spins.sphere(hemi)
    assert (spins.nearest(hemi, np.eye(3)) == np.arange(len(sphere))).all()
    turn = rotation(rng)
    found, some = spins.nearest(hemi, turn), rng.integers(0, len(sphere), 300)
    far = ((sphere[None] - (sphere[some] @ turn)[:, None]) ** 2).sum(-1)  # every pair
    assert (found[some] == far.argmin(1)).all()


def test_tables_do_not_depend_on_how_many_are_asked_for():
    many = np.concatenate(list(spins.tables(130, 5)))
    assert many.shape == (130, fsaverage5.N_VERTICES)
    assert many.dtype == np.int16
    assert (next(spins.tables(3, 5)) == many[:3]).all()
    assert not (many[100] == many[0]).all()
    sphere = np.concatenate([spins.sphere("L"), spins.sphere("R")])
    after = spins.spun(sphere[:, 0], many[[129]])[0]
    right = fsaverage5.N_HEMISPHERE
    turns = spins.turns(129, 5)
    np.testing.assert_allclose(after[:right], (sphere[:right] @ turns["L"])[:, 0], atol=0.03)
    np.testing.assert_allclose(after[right:], (sphere[right:] @ turns["R"])[:, 0], atol=0.03)


# --- one signature --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SPINS, "variogram"])
def test_all_nulls_share_one_signature(patches, name):
    null, rng = named(name), np.random.default_rng(0)
    values = rng.standard_normal(len(patches))
    made = null(values, patches, 7, seed=1)
    assert made.shape == (7, len(patches))
    assert np.array_equal(made, null(values, patches, 7, seed=1), equal_nan=True)
    assert np.array_equal(made[:3], null(values, patches, 3, seed=1), equal_nan=True)
    assert not np.array_equal(made, null(values, patches, 7, seed=2), equal_nan=True)
    assert np.isfinite(made).mean() > 0.9


@pytest.mark.parametrize("name", ["spin", "hungarian", "vasa", "baum"])
def test_parcels_keep_their_hemisphere_and_permutations_are_permutations(patches, name):
    number = np.arange(len(patches), dtype=float)
    for row in named(name)(number, patches, 5, seed=0):
        source = row[np.isfinite(row)].astype(int)
        assert (patches.hemi[source] == patches.hemi[np.isfinite(row)]).all()
        if name in ("hungarian", "vasa"):
            assert sorted(source) == list(range(len(patches)))
    assert len(np.unique(row)) < len(patches) or name in ("hungarian", "vasa")


def test_parcel_assignments_equal_their_definitions():
    rng = np.random.default_rng(0)
    far = rng.uniform(size=(12, 12))
    free, order = far.copy(), np.full(12, -1)
    for _ in range(12):  # the row whose nearest free one is farthest, by brute force
        left = [i for i in range(12) if order[i] < 0]
        row = max(left, key=lambda i: free[i].min())
        order[row] = free[row].argmin()
        free[:, order[row]] = np.inf
    assert (named("vasa").assigned(far) == order).all()
    best = named("hungarian").assigned(far)
    cost = np.sqrt(far)
    assert cost[np.arange(12), best].sum() <= cost[np.arange(12), order].sum() + 1e-12
    swaps = [(i, j) for i in range(12) for j in range(i)]
    for i, j in swaps:  # no exchange of two makes it cheaper
        kept = cost[i, best[i]] + cost[j, best[j]]
        assert cost[i, best[j]] + cost[j, best[i]] >= kept - 1e-12


def test_baum_takes_the_mode_and_cornblath_the_mean(patches):
    values = np.random.default_rng(0).standard_normal(len(patches))
    table = next(spins.tables(2, 4))
    labels = spins.spun(patches.labels, table)[1]
    inside = labels[patches.labels == 8]
    inside = inside[inside > 0]  # the wall does not count
    assert named("baum")(values, patches, 2, 4)[1, 7] == values[np.bincount(inside).argmax() - 1]
    mean = np.mean([values[k - 1] for k in inside])
    assert named("cornblath")(values, patches, 2, 4)[1, 7] == pytest.approx(mean)


# --- the medial wall ------------------------------------------------------------------------------


def test_what_stands_in_the_wall_is_never_looked_at():
    wall, rng = fsaverage5.medial_wall(), np.random.default_rng(0)
    values = rng.standard_normal(fsaverage5.N_VERTICES)
    zeros = np.where(wall, 0, values)
    made = named("spin")(zeros, vertices(), 3, 0)
    assert np.array_equal(
        made, named("spin")(np.where(wall, np.nan, values), vertices(), 3, 0), equal_nan=True
    )
    assert (np.isnan(made).sum(1) > wall.sum() * 0.9).all()
    assert not (made == 0).any()  # a zero of the wall would have been turned into cortex


def test_parcels_lie_in_one_hemisphere_and_leave_the_wall_out():
    where = places.parcels("phantom7")
    assert len(where) == 14
    assert (where.labels[fsaverage5.medial_wall()] == 0).all()
    assert [name.rsplit(" ")[-1] for name in where.names] == ["lh", "rh"] * 7
    for k in range(14):
        assert set(fsaverage5.hemisphere()[where.labels == k + 1]) == {where.hemi[k]}
    first = atlases.load("phantom7").labels == 1
    own = (where.labels == 1) | (where.labels == 2)
    assert (own == (first & ~fsaverage5.medial_wall())).all()
    values = np.where(first, 4.0, 1.0)[None]
    values[0, np.flatnonzero(where.labels == 1)[:3]] = np.nan
    assert where.averaged(values)[0, :3].tolist() == [4, 4, 1]


# --- variogram ------------------------------------------------------------------------------------


def test_neighbours_along_the_surface_and_through_the_volume(patches):
    own, index, distance = voxels(40).near("R", 5)
    assert own.tolist() == list(range(40, 80))
    mm = voxels(40).mm[own]
    far = np.sqrt(((mm[:, None] - mm[None]) ** 2).sum(-1))
    np.testing.assert_allclose(distance, np.sort(far, 1)[:, :5], rtol=1e-5)
    assert (index == np.argsort(far, 1)[:, :5]).all()
    own, index, distance = patches.near("L", 8)
    assert (index[:, 0] == np.arange(len(own))).all()
    straight = np.linalg.norm(patches.mm[own][index] - patches.mm[own][:, None], axis=-1)
    assert (distance >= straight - 1e-3).all()  # the surface bends
    assert (distance > straight * 1.05).any()


def test_a_hemispheres_nearest_vertices_in_chunks_equal_a_full_search(monkeypatch):
    half = vertices()
    some = np.zeros(len(half), bool)
    some[np.flatnonzero(half.usable & (half.hemi == "L"))[::20]] = True
    few = Places("vertex", half.hemi, half.mm, some)
    _, index, distance = few.near("L", 40)  # with a limit on distance, in chunks
    monkeypatch.setattr(places, "CHUNK", 5000)  # all at once, without
    full = places._near.__wrapped__(few, "L", 40)
    np.testing.assert_allclose(distance, full[2], rtol=1e-6)
    assert (index == full[1]).mean() > 0.999  # but for ties


def test_surrogates_have_the_variogram_and_not_the_map():
    where, rng = voxels(), np.random.default_rng(2)
    values = smooth(where, rng)
    null = Variogram(knn=120)
    made = null(values, where, 60, 0)
    half = _Half.of(null, where.checked(values), where, "L", 0)
    target = half.variogram(half.values[:, None].astype(np.float32))[:, 0]
    found = half.variogram(made[:, half.own].T.astype(np.float32)).mean(1)
    np.testing.assert_allclose(found[10:], target[10:], rtol=0.5)
    shuffled = np.stack([rng.permutation(half.values) for _ in range(60)], 1).astype(np.float32)
    assert half.variogram(shuffled).mean(1)[0] > 3 * found[0]
    r = [abs(np.corrcoef(row, values)[0, 1]) for row in made]
    assert np.mean(r) < 0.35


def test_surrogates_of_white_noise_vary_as_much_as_it_does():
    """Smoothed values cannot: what the variogram lacks near zero is made up by noise."""
    where = voxels()
    values = np.random.default_rng(5).standard_normal(len(where))
    made = Variogram(knn=60)(values, where, 40, 0)
    assert made.std(1).mean() == pytest.approx(values.std(), rel=0.2)


def test_remapped_surrogates_are_permutations_and_nan_stays_out():
    where, rng = voxels(), np.random.default_rng(3)
    values = smooth(where, rng)
    values[:20] = np.nan
    made = Variogram(knn=60, remap=True)(values, where, 4, 0)
    assert np.isnan(made[:, :20]).all()
    np.testing.assert_allclose(np.sort(made[:, 20:150]), np.tile(np.sort(values[20:150]), (4, 1)))
    values[:140] = np.nan
    with pytest.raises(ParameterError, match="L has 10"):
        Variogram()(values, where, 4, 0)
    values[:150] = np.nan  # a hemisphere without any is left out
    assert np.isfinite(Variogram(knn=60)(values, where, 2, 0)).sum() == 300


# --- what cannot be done --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (np.zeros(7), "shape \\(7,\\)"),
        (np.full(300, np.nan), "0 values and is empty"),
        (np.full(300, 2.0), "300 values and is the same everywhere"),
        (np.r_[np.arange(9.0), np.full(291, np.nan)], "9 values: 10 or more"),
        (np.r_[np.inf, np.arange(299.0)], "infinite at 1"),
    ],
)
def test_maps_that_cannot_be_tested(values, told):
    with pytest.raises(ParameterError, match=told):
        named("variogram")(values, voxels(), 3, 0)


def test_a_null_on_places_that_it_is_not_for(patches):
    with pytest.raises(ParameterError, match="use 'variogram'"):
        named("spin")(np.arange(300.0), voxels(), 3, 0)
    with pytest.raises(ParameterError, match="use 'spin'"):
        named("hungarian")(np.zeros(fsaverage5.N_VERTICES), vertices(), 3, 0)
    with pytest.raises(ParameterError, match="did you mean 'spin'"):
        named("spins")
    with pytest.raises(ParameterError, match="at least 1"):
        named("spin")(np.arange(60.0), patches, 0, 0)
    with pytest.raises(SpaceError, match="20484 are needed"):
        of_labels(np.zeros(5, int), ("a",))
    with pytest.raises(RegionError, match="no region"):
        of_labels(np.zeros(fsaverage5.N_VERTICES, int), ())
