"""The entry ridge, trained again for what an adapter gives; everything behind it stays as it is.

Adapted responses are not measured betas: they are smoother, and carry the adapter's own errors.
From pairs of both, the entry learns to give for an adapted response what the published entry gives
for the measured one. It stands in this room because it needs the decoder's own entry layer; what it
is given are responses in voxels, whichever adapter made them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from insilico.decoders.mindeye2.betas import betas_of
from insilico.errors import ParameterError, SchemaError, StoreError, WeightsError, listed
from insilico.schema import check, short_digest

PENALTIES = tuple(float(value) for value in np.logspace(-4, 4, 17))
"""Tried, in units of the mean eigenvalue of the Gram matrix."""
WEIGHT, BIAS = "ridge.linears.0.weight", "ridge.linears.0.bias"


def solved(entry: nn.Linear, adapted: Tensor, measured: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return weight and bias of the entry for adapted responses, and the penalty.

    Minimises ``||entry(measured) - W adapted - b||^2 + alpha ||W - W_published||^2``: the more
    penalty, the nearer to the published entry. alpha is the one with the least exact leave-one-out
    error, over all outputs.

    Parameters
    ----------
    entry : Linear, voxels to hidden
    adapted, measured : float32, (n, voxels)
        Responses to the same stimuli.
    """
    x, weight = adapted.double(), entry.weight.double()
    mean = x.mean(0)
    missing = (measured.double() - x) @ weight.T
    shift = missing.mean(0)
    x, missing = x - mean, missing - shift
    gram = x @ x.T
    values, vectors = torch.linalg.eigh(gram + 2 * gram.trace() / len(gram))
    values, vectors = values[:-1].clamp_min(0), vectors[:, :-1]  # the intercept is free
    rotated = vectors.T @ missing
    penalties = [share * float(values.mean()) for share in PENALTIES]
    errors = [_left_out(vectors, values, rotated, alpha) for alpha in penalties]
    alpha = penalties[int(np.argmin(errors))]
    change = (x.T @ (vectors @ (rotated / (values + alpha)[:, None]))).T
    bias = entry.bias.double() + shift - change @ mean
    return (weight + change).float(), bias.float(), alpha


def _left_out(vectors: Tensor, values: Tensor, rotated: Tensor, alpha: float) -> float:
    shrinkage = 1 / (values + alpha)
    residual = vectors @ (shrinkage[:, None] * rotated)
    return float(((residual / (vectors**2 @ shrinkage)[:, None]) ** 2).mean())


def trained(
    linear: nn.Linear, adapted: xr.Dataset, measured: xr.Dataset, file: str | Path, weights: str
) -> Path:
    """Train an entry on responses in voxels to the same stimuli, and write it.

    Parameters
    ----------
    linear : Linear, voxels to hidden
        The published entry.
    adapted, measured : response
    file : path
    weights : str
        Digest of the weights that the entry belongs to.
    """
    given, true = (
        betas_of(check(one, "response"), linear.in_features).mean(0) for one in (adapted, measured)
    )
    order = [str(name) for name in adapted["stimulus"].values]
    if order != [str(name) for name in measured["stimulus"].values]:
        raise SchemaError("entry: adapted and measured responses are of other stimuli")
    check_pairs(given, true)
    pairs = (torch.from_numpy(part).to(linear.weight.device) for part in (given, true))
    weight, bias, alpha = solved(linear, *pairs)
    about: dict[str, object] = {"weights": weights, "stimuli": order, "alpha": alpha}
    about["adapter"] = str(adapted.attrs.get("adapter", "none"))
    return save_entry(file, weight, bias, about)


def save_entry(file: str | Path, weight: Tensor, bias: Tensor, about: dict[str, object]) -> Path:
    """Write an entry as safetensors, with what it belongs to in the header."""
    from safetensors.torch import save_file

    file = Path(file).expanduser()
    if file.suffix != ".safetensors":
        raise ParameterError(f"entry: {file.name}: name a file that ends in .safetensors")
    part = file.with_name(f".{file.name}.part")
    tensors = {WEIGHT: weight.cpu().contiguous(), BIAS: bias.cpu().contiguous()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, part, metadata={"entry": json.dumps(about)})
        part.chmod(0o644)
        part.replace(file)
    except OSError as error:
        raise StoreError(f"{file} cannot be written ({error}); name another file") from error
    finally:
        part.unlink(missing_ok=True)
    return file


def read_entry(file: str | Path) -> tuple[Tensor, Tensor, dict]:
    """Read an entry that `save_entry` wrote: weight, bias, what it belongs to.

    Raises
    ------
    WeightsError
        If there is none, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(file).expanduser()
    if not path.is_file():
        raise WeightsError(f"entry: no file {path}; write one with chain.train_entry(file)")
    try:
        with safe_open(path, "pt") as opened:
            about = json.loads((opened.metadata() or {})["entry"])
            return opened.get_tensor(WEIGHT), opened.get_tensor(BIAS), about
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise WeightsError(f"entry: {path} is not what train_entry wrote ({error})") from error


def entry_digest(file: str | Path) -> str:
    """Return a digest of an entry's file; raise if it is none."""
    read_entry(file)
    return short_digest(Path(file).expanduser().read_bytes())


def stand_in(linear: nn.Linear, file: str | Path, weights: str) -> nn.Linear:
    """Return an entry that stands in for a model's own.

    Parameters
    ----------
    linear : Linear, voxels to hidden
        The model's own entry.
    file : path
    weights : str
        Digest of the model's weights; the entry must have been trained for these.
    """
    weight, bias, about = read_entry(file)
    if about["weights"] != weights or weight.shape != linear.weight.shape:
        raise WeightsError(
            f"entry: {file} was trained for other weights of MindEye2, "
            f"{tuple(weight.shape)} against {tuple(linear.weight.shape)}; train it for these"
        )
    made = nn.Linear(linear.in_features, linear.out_features).to(linear.weight)
    made.load_state_dict({"weight": weight, "bias": bias})
    return made


def refuse_seen(file: str | Path, stimuli: Sequence[object]) -> None:
    """Raise if a stimulus was used to train the entry."""
    seen = sorted(set(map(str, stimuli)) & set(read_entry(file)[2]["stimuli"]))
    if seen:
        raise ParameterError(
            f"the entry of {file} was trained on {len(seen)} of these stimuli "
            f"({listed(seen, 3)}); its result for them would flatter: decode others"
        )


def check_pairs(adapted: np.ndarray, measured: np.ndarray) -> None:
    """Raise unless there are enough pairs that vary."""
    if len(adapted) < 10:
        raise SchemaError(f"entry: 10 pairs or more are needed; there are {len(adapted)}")
    if adapted.shape != measured.shape:
        raise SchemaError(f"entry: adapted {adapted.shape} and measured {measured.shape} differ")
    if not np.ptp(adapted, axis=0).any():
        raise SchemaError("entry: the adapted responses are the same for all stimuli")
