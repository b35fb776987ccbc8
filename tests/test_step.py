from __future__ import annotations

import importlib
from typing import ClassVar

import numpy as np
import pytest

from insilico import step
from insilico.errors import ParameterError
from insilico.step import (
    Registry,
    Step,
    batches,
    compiling,
    computing,
    device,
    generator,
    in_bytes,
    memory,
    one_by_one,
)


class Scale(Step):
    kind: ClassVar[str] = "scale"
    factor: float = 2.0


REGISTRY = Registry("toys", {"scale": f"{__name__}:Scale"})


def test_build_from_yaml_shapes():
    assert REGISTRY.build("scale") == Scale(factor=2.0)
    assert REGISTRY.build({"kind": "scale", "factor": 3}) == Scale(factor=3.0)


class Point:
    """An entry point of another package."""

    name, value = "double", f"{__name__}:Scale"


@pytest.fixture
def asked(monkeypatch):
    """Let every room have one more kind, and return the groups that were asked for."""
    groups = []
    monkeypatch.setattr("insilico.step.entry_points", lambda group: groups.append(group) or [Point])
    step._offered.cache_clear()
    yield groups
    step._offered.cache_clear()


def test_other_packages_extend_a_room_by_entry_points(asked):
    assert list(REGISTRY) == ["double", "scale"]
    assert REGISTRY.build({"kind": "double", "factor": 4}) == Scale(factor=4.0)
    assert asked == ["insilico.toys"]  # what is installed is read once


@pytest.mark.parametrize("room", ["encoders", "figures", "scores", "statistics", "stimuli"])
@pytest.mark.usefixtures("asked")
def test_every_room_is_a_registry(room):
    kinds = importlib.import_module(f"insilico.{room}").KINDS
    assert kinds["double"].__qualname__ == "Scale"
    assert kinds.room == room


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"factor": "x"}, r"^scale\.factor: met 'x'; allowed: a valid number"),
        ({"facter": 2, "facto": 1}, r"unknown parameter 'facter'.*; scale: unknown parameter 'fac"),
    ],
)
def test_a_step_called_in_python_explains_what_is_wrong(parameters, message):
    with pytest.raises(ParameterError, match=message) as info:
        Scale(**parameters)
    assert "pydantic" not in str(info.value)


def test_a_real_step_called_in_python_explains_what_is_wrong():
    from insilico.decoders.rerank import Rerank

    with pytest.raises(ParameterError) as info:
        Rerank(alpha=2, scale="rank")
    assert str(info.value) == (
        "rerank.candidates: is missing; give it a value; "
        "rerank.alpha: met 2; allowed: less than or equal to 1; "
        "rerank.scale: unknown value 'rank'; one of: cosine, range (did you mean 'range'?)"
    )


def test_identity_holds_defaults():
    assert Scale().identity() == {"kind": "scale", "version": 1, "factor": 2.0}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scael", r"unknown toys kind 'scael'; one of: scale \(did you mean 'scale'\?\)"),
        ({"kind": "scale", "facter": 1}, r"unknown parameter 'facter'; .*did you mean 'factor'"),
        ({"kind": "scale", "factor": "x"}, "scale.factor: met 'x'; allowed: a valid number"),
        ({"factor": 1}, "'kind' is missing; one of: scale"),
    ],
)
def test_build_names_the_mistake(spec, message):
    with pytest.raises(ParameterError, match=message):
        REGISTRY.build(spec)


def test_step_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Scale().factor = 3.0


def test_generator_depends_on_its_names_alone():
    first = generator(7, "decode", "a").standard_normal(3)
    generator(7, "decode", "b").standard_normal(3)
    assert np.array_equal(first, generator(7, "decode", "a").standard_normal(3))
    assert not np.array_equal(first, generator(8, "decode", "a").standard_normal(3))


def test_computing_sets_and_restores():
    heard = []
    with computing(device="meta", progress=lambda *news: heard.append(news)):
        assert device() == "meta"
        assert list(batches(range(5), 2, "encode")) == [[0, 1], [2, 3], [4]]
    assert device() == "cpu"
    assert heard == [("encode", 2, 5), ("encode", 4, 5), ("encode", 5, 5)]


def test_how_is_set_around_and_ends_with_it():
    assert [len(part) for part in batches(range(5), 2, "x")] == [2, 2, 1]
    with computing(batch=4, compile=True, device="meta"):
        assert [len(part) for part in batches(range(5), 2, "x")] == [4, 1]
        with computing(batch=1):
            assert [len(part) for part in batches(range(2), 2, "x")] == [1, 1]
            assert compiling()
            assert device() == "meta"
    assert [len(part) for part in batches(range(5), 5, "x")] == [5]
    assert not compiling()
    with pytest.raises(ParameterError, match="batch must be 1 or more, got 0"), computing(batch=0):
        pass


@pytest.mark.parametrize(
    ("said", "bytes_"),
    [
        ("24GB", 24e9),
        ("16 GiB", 2**34),
        ("1.5g", 1.5e9),
        ("800MB", 8e8),
        (4096, 4096),
        ("3kib", 3072),
    ],
)
def test_memory_is_read_with_its_unit(said, bytes_):
    assert in_bytes(said) == bytes_
    with computing(memory=said):
        assert memory() == bytes_
    assert memory() is None


@pytest.mark.parametrize("said", ["much", "-3GB", "0GB", "GB", "24 bananas", "1e9", 0, ""])
def test_what_is_no_memory_is_told(said):
    with pytest.raises(ParameterError, match="write it with a unit"), computing(memory=said):
        pass


def test_what_fits_limits_a_batch_and_what_goes_one_by_one_stays_alone():
    heard = []
    with computing(batch=4, progress=lambda *news: heard.append(news)):
        assert [len(part) for part in batches(range(5), 9, "x", 3)] == [3, 2]
        assert list(one_by_one("ab", "y")) == ["a", "b"]
    assert heard == [("x", 3, 5), ("x", 5, 5), ("y", 1, 2), ("y", 2, 2)]
