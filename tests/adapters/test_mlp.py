from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from made_pairs import response

import insilico as isi
from insilico import adapters
from insilico.adapters.mlp import MLP, Bottleneck
from insilico.adapters.network import VertexNetwork
from insilico.course import Course
from insilico.errors import ParameterError, StoreError
from insilico.step import computing

TINY = {"hidden": (16,), "epochs": 8, "lr": 1e-2, "batch": 16}


@pytest.mark.parametrize(
    ("step", "parameters", "millions"), [(MLP, 78_376_300, 78.4), (Bottleneck, 18_555_756, 18.6)]
)
def test_sizes_at_full_size(step, parameters, millions):
    with torch.device("meta"):
        network = VertexNetwork(20484, 15724, step().hidden, step().dropout)
    count = sum(value.numel() for value in network.parameters())
    assert count == parameters
    assert round(count / 1e6, 1) == millions
    assert f"{parameters:,}" in VertexNetwork.__doc__


def test_published_settings_are_the_defaults():
    step = adapters.KINDS.build("mlp")
    assert (step.hidden, step.dropout, step.epochs) == ((2048, 2048), 0.1, 300)
    assert (step.lr, step.weight_decay) == (1e-4, 0)
    assert Bottleneck().weight_decay > 0
    kinds = [type(part).__name__ for part in VertexNetwork(4, 3, (5, 5), 0.1).layers]
    assert kinds == ["Linear", "LayerNorm", "GELU", "Dropout"] * 2 + ["Linear"]


def test_learning_rate_is_a_half_cosine(tmp_path: Path):
    weight = torch.nn.Parameter(torch.zeros(1))
    plain = torch.optim.Adam([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(plain, T_max=40)
    course = Course({}, [], 40, tmp_path / "c", 0, decay=None)
    for step in range(40):
        course.step = step
        assert course.rate() == pytest.approx(schedule.get_last_lr()[0], abs=1e-6)
        plain.step()
        schedule.step()


@pytest.mark.parametrize("step", [MLP, Bottleneck])
def test_it_learns(pair, step):
    source, target, new, truth = pair
    learned = step(**(TINY | {"epochs": 60, "dropout": 0.0}))
    adapted = learned(new, learned.fit(source, target))
    assert np.corrcoef(adapted["bold"].values.ravel(), truth.ravel())[0, 1] > 0.6


def test_held_out_stimuli_are_named_and_do_not_depend_on_order(pair):
    source, target = pair[:2]
    fitted = MLP(**TINY).fit(source, target)
    turned = MLP(**TINY).fit(source.isel(stimulus=slice(None, None, -1)), target)
    held = set(fitted["stimulus"].values[fitted["held_out"].values])
    assert len(held) == 7
    assert held == set(turned["stimulus"].values[turned["held_out"].values])
    learned = source["bold"].values[~fitted["held_out"].values]
    np.testing.assert_allclose(fitted["source_mean"], learned.mean(0), atol=1e-6)
    np.testing.assert_allclose(fitted["source_scale"], learned.std(0), rtol=1e-4, atol=1e-6)


def test_dropout_is_on_while_it_learns_and_off_after(pair):
    source, target, new, _ = pair
    with_dropout = MLP(**(TINY | {"dropout": 0.5}))
    fits = [step.fit(source, target) for step in (with_dropout, MLP(**(TINY | {"dropout": 0})))]
    first = "layers.0.weight"
    assert np.abs(fits[0][first].values - fits[1][first].values).max() > 1e-4
    xr.testing.assert_identical(with_dropout(new, fits[0]), with_dropout(new, fits[0]))


class Killed(Exception):
    pass


def fitted_with(scratch: Path, pair, stop_after: int = 10**9, **more: object) -> xr.Dataset:
    """Fit, and fall over after so many reports."""
    heard: list[int] = []

    def listen(what: str, done: int, total: int) -> None:
        heard.append(done)
        if len(heard) > stop_after:
            raise Killed

    with computing(scratch=scratch, progress=listen):
        fitted = MLP(**(TINY | more)).fit(*pair[:2])
    return fitted.assign_attrs(last=heard[-1], total=int(more.get("epochs", TINY["epochs"])))


def test_a_killed_training_goes_on_to_the_same_end(pair, tmp_path: Path):
    whole = fitted_with(tmp_path / "whole", pair)
    with pytest.raises(Killed):
        fitted_with(tmp_path / "killed", pair, stop_after=5)
    assert (tmp_path / "killed" / "checkpoint.pt").exists()
    xr.testing.assert_identical(fitted_with(tmp_path / "killed", pair), whole)


def test_every_epoch_is_told_and_kept(pair):
    heard: list[tuple[str, int, int]] = []
    with computing(progress=lambda *told: heard.append(told)):
        fitted = MLP(**TINY).fit(*pair[:2])
    assert heard[0] == ("fit mlp", 0, 8)
    assert [(done, total) for _, done, total in heard[1:]] == [(k, 8) for k in range(1, 9)]
    held = fitted["held_out_error"].values
    assert [what for what, _, _ in heard[1:]] == [f"fit mlp, error held out {e:.4f}" for e in held]
    assert held[-1] < held[0]
    assert fitted["training_error"].values[-1] < fitted["training_error"].values[0]


def test_a_folder_from_python_goes_on_where_it_was_killed(pair, tmp_path: Path):
    parameters = TINY | {"patience": None}
    whole = isi.fit_adapter("mlp", *pair[:2], **parameters)

    def kill(what: str, done: int, total: int) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed), computing(progress=kill):
        isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path, **parameters)
    heard: list[int] = []
    with computing(progress=lambda _, done, __: heard.append(done)):
        again = isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path, **parameters)
    assert heard[0] == 3  # the epoch that was told when it fell over was not yet kept
    xr.testing.assert_identical(again, whole)
    other = isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path, **(parameters | {"seed": 1}))
    assert np.abs(other["layers.0.weight"] - whole["layers.0.weight"]).max() > 1e-3
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_that_is_no_checkpoint_is_refused(pair, tmp_path: Path):
    isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path / "a", **TINY)
    (kept,) = (tmp_path / "a").glob("*/checkpoint.pt")
    kept.write_bytes(kept.read_bytes()[:300])
    with pytest.raises(StoreError, match="checkpoint.pt: damaged, .* delete it to begin anew"):
        isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path / "a", **TINY)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file: cannot be written"):
        isi.fit_adapter("mlp", *pair[:2], checkpoint=tmp_path / "file", **TINY)
    with pytest.raises(ParameterError, match="ridge is not trained in epochs"):
        isi.fit_adapter("ridge", *pair[:2], checkpoint=tmp_path)


def test_training_ends_early_and_keeps_the_best(pair, tmp_path: Path):
    source, target = pair[:2]
    noise = np.random.default_rng(8).standard_normal(target["bold"].shape)
    noisy = target.assign(bold=target["bold"].copy(data=noise.astype(np.float32)))
    more = {"epochs": 200, "patience": 2, "dropout": 0.0}
    fitted = fitted_with(tmp_path / "a", (source, noisy), **more)
    assert fitted.attrs["last"] < fitted.attrs["total"] / 4
    shorter = {**more, "epochs": 200, "patience": 1}
    best = fitted_with(tmp_path / "b", (source, noisy), **shorter)
    assert best.attrs["last"] <= fitted.attrs["last"]


def test_constant_voxels_keep_their_constant(pair):
    source, target, new, _ = pair
    target["bold"].values[..., 3] = 2.5
    fitted = MLP(**TINY).fit(source, target)
    adapted = MLP(**TINY)(new, fitted)
    assert (adapted["bold"].values[:, 3] == 2.5).all()
    assert "1 of 12 voxels" in adapted.attrs["note"]


def test_too_few_pairs_are_refused(pair):
    two = {"stimulus": slice(0, 2)}
    with pytest.raises(ParameterError, match="of 2 pairs 1 are held out"):
        MLP(**TINY).fit(pair[0].isel(two), pair[1].isel(two))


def test_seed_decides(pair):
    one, two = (MLP(**TINY, seed=seed).fit(*pair[:2]) for seed in (0, 0))
    xr.testing.assert_identical(one, two)
    other = MLP(**TINY, seed=1).fit(*pair[:2])
    assert np.abs(one["layers.0.weight"] - other["layers.0.weight"]).max() > 1e-3


def test_rows_beyond_a_batch(pair):
    source, target, _, _ = pair
    step = MLP(**TINY)
    fitted = step.fit(source, target)
    many = response(np.random.default_rng(0).standard_normal((300, 60)), "vertex", 400)
    whole = step(many, fitted)["bold"].values
    np.testing.assert_allclose(
        whole[290:], step(many.isel(stimulus=slice(290, None)), fitted)["bold"], atol=1e-5
    )
