"""Stimulation, swaps and interpolation: what nothing must leave, and what is undone."""

from __future__ import annotations

import numpy as np
import pytest
from made_cortex import voxels

from insilico.errors import ParameterError, SpaceError
from insilico.perturbations.ablate import KeepOnly
from insilico.perturbations.stimulate import Stimulate
from insilico.perturbations.swap import Interpolate, Swap
from insilico.spaces import fsaverage5
from insilico.spaces.distances import discs, distance_from
from insilico.spaces.regions import mask

VIS = {"atlas": "phantom7", "region": "Vis"}


def bold(response):
    return response["bold"].values


@pytest.mark.parametrize("mode", ["add", "scale"])
@pytest.mark.parametrize("spread", [0, 8])
def test_a_dose_of_nothing_does_nothing(response, mode, spread):
    same = Stimulate(**VIS, dose=0, mode=mode, spread_mm=spread)(response)
    assert np.array_equal(bold(same), bold(response))


def test_modes_and_units(response, training):
    inside = mask("phantom7:Vis")
    before, known = bold(response)[:, inside], bold(training)[:, inside]

    def after(**more):
        made = bold(Stimulate(**VIS, **more)(response, training))
        assert np.array_equal(made[:, ~inside], bold(response)[:, ~inside])
        return made[:, inside]

    np.testing.assert_allclose(after(dose=2), before + 2, atol=1e-6)
    np.testing.assert_allclose(after(dose=0.5, mode="scale"), 1.5 * before, atol=1e-6)
    np.testing.assert_allclose(after(dose=3, mode="set"), np.full_like(before, 3), atol=1e-6)
    np.testing.assert_allclose(after(dose=2, unit="sd"), before + 2 * known.std(0), atol=1e-5)
    held = after(dose=-1, mode="set", unit="sd")
    np.testing.assert_allclose(held, [known.mean(0) - known.std(0)] * 4, atol=1e-5)


def test_a_spread_falls_off_along_the_cortex(response):
    step = Stimulate(region="phantom7:Vis & lh", dose=1, spread_mm=10)
    gained = (bold(step(response)) - bold(response))[0]
    distance = distance_from(mask("phantom7:Vis & lh"))
    near = np.isfinite(distance) & (distance < 39)
    expected = np.exp(-((distance[near] / 10) ** 2) / 2)
    np.testing.assert_allclose(gained[near], expected, atol=1e-5)
    assert np.allclose(gained[fsaverage5.hemisphere() == "R"], 0)
    assert (gained[fsaverage5.medial_wall()] == 0).all()
    assert step(response).attrs["perturbed"].startswith("stimulate (add 1, spread 10 mm): ")


def test_distances_are_those_of_a_shortest_path():
    import networkx

    centre = int(fsaverage5.cortex()[3000])
    near = next(discs(12.0, np.array([centre])))
    kept = fsaverage5.neighbours()[fsaverage5.cortex()][:, fsaverage5.cortex()]
    graph = networkx.from_scipy_sparse_array(kept)
    where = int(np.searchsorted(fsaverage5.cortex(), centre))
    oracle = networkx.single_source_dijkstra_path_length(graph, where, cutoff=12.0)
    assert set(near) == set(fsaverage5.cortex()[list(oracle)])
    start = np.zeros(fsaverage5.N_VERTICES, bool)
    start[centre] = True
    found = distance_from(start)[near]
    expected = [oracle[int(k)] for k in np.searchsorted(fsaverage5.cortex(), near)]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_stimulated_medial_wall_holds_zero(response):
    same = Stimulate(region="medial wall", dose=5)(response)
    assert np.array_equal(bold(same), bold(response))


def test_voxels_spread_by_their_vertices():
    shown = voxels(3, 1)
    gained = (bold(Stimulate(region="roi:V1", dose=1, spread_mm=30)(shown)) - bold(shown))[0]
    assert np.allclose(gained[:4], 1)
    assert (gained[4:] > 0).any()
    assert (gained[4:] < 1).all()
    with pytest.raises(SpaceError, match="does not know the vertex of each voxel"):
        Stimulate(region="roi:V1", dose=1, spread_mm=3)(shown.drop_vars("vertex"))


def test_swapping_twice_is_nothing(response):
    step = Swap(**VIS, seed=2)
    once, inside = step(response), mask("phantom7:Vis")
    assert not (bold(once)[:, inside] == bold(response)[:, inside]).any()
    assert np.array_equal(bold(once)[:, ~inside], bold(response)[:, ~inside])
    again = step(once.assign_attrs(response.attrs))
    assert np.array_equal(bold(again), bold(response))


def test_partners_are_named(response):
    names = response["stimulus"].values
    one = Swap(**VIS, partner="1-2")(response)
    inside = mask("phantom7:Vis")
    assert np.array_equal(bold(one)[:, inside], bold(response)[[2] * 4][:, inside])
    assert list(one["partner"].values) == ["1-2"] * 4
    some = Swap(**VIS, partner={"1-0": "1-3"})(response)
    assert list(some["partner"].values) == ["1-3", "1-1", "1-2", "1-3"]
    dealt = Swap(**VIS, rule="derangement")(response)["partner"].values
    assert sorted(dealt) == sorted(names)
    assert (dealt != names).all()
    with pytest.raises(ParameterError, match="unknown stimulus '1-9'; one of: 1-0"):
        Swap(**VIS, partner="1-9")(response)
    with pytest.raises(ParameterError, match="3 stimuli cannot be exchanged two by two"):
        Swap(**VIS)(response.isel(stimulus=[0, 1, 2]))


def test_interpolation_goes_from_own_to_partner(response):
    def at(weight, **more):
        return Interpolate(weight=weight, rule="derangement", seed=1, **more)(response)

    assert np.array_equal(bold(at(0.0)), bold(response))
    order = [list(response["stimulus"].values).index(name) for name in at(1.0)["partner"].values]
    np.testing.assert_allclose(bold(at(1.0)), bold(response)[order], atol=1e-6)
    middle = 0.75 * bold(response) + 0.25 * bold(response)[order]
    np.testing.assert_allclose(bold(at(0.25)), middle, atol=1e-6)
    part = bold(at(0.25, **VIS))
    inside = mask("phantom7:Vis")
    np.testing.assert_allclose(part[:, inside], middle[:, inside], atol=1e-6)
    assert np.array_equal(part[:, ~inside], bold(response)[:, ~inside])


def test_a_region_that_speaks_alone(response, training):
    """Reverse masking is keep_only and then the dose; everything else says its mean."""
    inside, cortex = mask("phantom7:Vis"), ~fsaverage5.medial_wall()
    made = Stimulate(**VIS, dose=2, elsewhere="silence")(response, training)
    kept = KeepOnly(**VIS, fill="mean")(response, training)
    np.testing.assert_array_equal(bold(made), bold(Stimulate(**VIS, dose=2)(kept, training)))
    outside = cortex & ~inside
    mean = bold(training)[:, outside].mean(0)
    np.testing.assert_allclose(bold(made)[:, outside], [mean] * 4, atol=1e-5)
    assert "takes information" in made.attrs["lesion"]
    assert "all else silenced" in made.attrs["perturbed"]
    with pytest.raises(ParameterError, match="elsewhere 'keep'"):
        Stimulate(**VIS, dose=2, elsewhere="silence")(response)
