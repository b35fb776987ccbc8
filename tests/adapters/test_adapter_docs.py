"""The script of docs/adapters.md for arrays of one's own runs, and prints what stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import insilico as isi
from insilico.errors import ParameterError

PAGE = Path(__file__).parents[2] / "docs" / "adapters.md"


def test_arrays_of_ones_own_from_fit_to_accuracy(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(block[1], names)
    assert capsys.readouterr().out == block[2]
    accuracy, fitted = names["accuracy"], names["fitted"]
    assert accuracy.attrs["median_r"] == np.median(names["r"])
    assert accuracy.attrs["median_noise_ceiling"] == np.median(names["ceiling"])
    assert accuracy["covered"].values.all()
    assert all(np.isnan(accuracy[name].values).all() for name in ("ci_low", "p", "p_corrected"))
    assert "adapter_note" not in fitted.attrs  # no alpha at the edge of the grid


def test_what_a_kind_does_not_know_is_answered(pair):
    source, target, new, _ = pair
    with pytest.raises(ParameterError, match=r"'ridges'.*did you mean 'ridge'"):
        isi.fit_adapter("ridges", source, target)
    with pytest.raises(ParameterError, match=r"ridge: unknown parameter 'alfa'"):
        isi.fit_adapter("ridge", source, target, alfa=3)
    with pytest.raises(ParameterError, match="got ndarray: what fit_adapter or load_adapter"):
        isi.adapt(new, np.zeros(3))
    with pytest.raises(ParameterError, match="unknown kind of adapter 'None'; one of: pca, ridge"):
        isi.adapt(new, target)
    fitted = isi.fit_adapter("ridge", source, target, alpha=1.0)
    with pytest.raises(ParameterError, match="seen: allow"):
        isi.adapt(source, fitted)
    assert isi.adapt(source, fitted, seen="allow").sizes["voxel"] == target.sizes["voxel"]
