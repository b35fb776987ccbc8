"""A planted double dissociation is found, an unplanted one is not."""

from __future__ import annotations

import numpy as np
import pytest
from made_scores import scores

from insilico.errors import ParameterError, SchemaError
from insilico.statistics import KINDS
from insilico.statistics.interaction import Interaction

METRICS = ("pixels", "meaning")


def made(losses, n=20, noise=0.3, seed=0, scale=(1.0, 40.0)):
    """Return scores of lesions of V1 and FFA; losses (region, metric) in standard units."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n, 2, 2))
    rows = {("intact", ""): base * scale}
    for k, region in enumerate(("V1", "FFA")):
        own = np.asarray(losses[k]) + noise * rng.standard_normal((n, 1, 2))
        rows[("silenced", region)] = (base - own) * scale
    return scores(rows, METRICS)


STEP = Interaction(
    of="silenced", against="intact", regions=["V1", "FFA"], scores=list(METRICS), n=999
)


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (((1, 0), (0, 1)), "double"),
        (((1, 0.4), (0.4, 1)), "double"),
        (((1, 0), (0.3, 0)), "single"),  # the second region costs the second score nothing more
        (((1, 1), (0.2, 0.2)), "none"),  # a stronger lesion, not a dissociation
        (((0, 1), (1, 0)), "none"),  # the other way round than was said
        (((0, 0), (0, 0)), "none"),
    ],
)
def test_verdicts(losses, verdict):
    found = STEP(made(losses))
    assert found.attrs["dissociation"] == verdict


def test_interaction_is_the_sum_of_both_simple_effects_whatever_the_units():
    found = STEP(made(((1, 0), (0, 1))))
    effect = found["effect"]
    assert effect[0].item() == pytest.approx(effect[1:3].sum().item())
    assert effect[1].item() == pytest.approx((effect[3] - effect[5]).item())
    assert effect[2].item() == pytest.approx((effect[6] - effect[4]).item())
    other = STEP(made(((1, 0), (0, 1)), scale=(7.0, 0.01)))
    np.testing.assert_allclose(other["effect"], effect)
    np.testing.assert_array_equal(other["p"], found["p"])
    assert found["contrast"].values[:2].tolist() == ["interaction", "V1 > FFA: pixels"]


def test_losses_are_in_standard_deviations_over_all_conditions():
    given = made(((1, 0.2), (0.1, 2)))
    value = given["value"].mean("draw").values  # (condition, stimulus, metric)
    loss = (value[0] - value[1:]).mean(1) / value.std((0, 1))
    np.testing.assert_allclose(STEP(given)["effect"][3:], loss.ravel())


def test_sides_may_hold_several():
    given = made(((1, 0), (0, 1)))
    step = KINDS.build(
        {
            "kind": "interaction",
            "of": "silenced",
            "against": "intact",
            "regions": {"early": ["V1"], "ventral": "FFA"},
            "scores": {"low": ["pixels"], "high": ["meaning"]},
        }
    )
    assert step(given).attrs["dissociation"] == "double"
    both = step.model_copy(update={"scores": {"low": METRICS, "high": METRICS}})
    assert both(given).attrs["dissociation"] == "none"


def test_unplanted_dissociations_are_rare():
    """Equal, strong lesions: the verdict needs three tests, of which none is more than nominal."""
    quick = STEP.model_copy(update={"n": 199})
    found = [quick(made(((1, 1), (1, 1)), n=12, seed=seed)) for seed in range(40)]
    assert sum(one["p"].values[0] <= 0.05 for one in found) <= 7  # 2 are expected
    assert sum(one.attrs["dissociation"] == "double" for one in found) <= 1


def test_all_tied_and_mistakes():
    tied = STEP(made(((0, 0), (0, 0)), noise=0.0))
    assert tied["p"].values.tolist() == [1.0] * 7
    assert tied.attrs["dissociation"] == "none"
    given = made(((1, 0), (0, 1)))
    with pytest.raises(ParameterError, match="unknown region of 'silenced' 'V2'"):
        STEP.model_copy(update={"regions": {"V1": ("V1",), "V2": ("V2",)}})(given)
    with pytest.raises(ParameterError, match="unknown metric 'pixel'.*did you mean 'pixels'"):
        STEP.model_copy(update={"scores": {"a": ("pixel",), "b": ("meaning",)}})(given)
    with pytest.raises(SchemaError, match="at least two stimuli"):
        STEP(given.isel(stimulus=[0]))
    with pytest.raises(ParameterError, match="two different ones are compared, such as .V1, F"):
        KINDS.build(
            {
                "kind": "interaction",
                "of": "a",
                "against": "b",
                "regions": ["V1"],
                "scores": ["x", "y"],
            }
        )


def test_one_score_twice_is_answered_with_scores():
    spec = {"of": "a", "against": "b", "regions": ["V1", "FFA"], "scores": ["pixcorr", "pixcorr"]}
    with pytest.raises(ParameterError, match="two different ones.*such as .pixcorr, clip_cosine"):
        KINDS.build({"kind": "interaction", **spec})
