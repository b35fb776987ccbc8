"""Half precision where it is safe, compilation on request, and numbers that are none.

Under fp16 and bf16 matrix products and convolutions run in half precision by torch's autocast, as
in the authors' run; sums, norms, softmax and every autoencoder stay in fp32.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, TypeVar

import torch
from torch import nn

from insilico.errors import SchemaError, listed
from insilico.step import compiling, device

Precision = Literal["fp32", "fp16", "bf16"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
Network = TypeVar("Network", bound=nn.Module)


def stored_in(network: Network, precision: Precision) -> Network:
    """Keep the weights of matrix products in half precision, and return the network.

    Autocast would round them at every call: the results are the same bits, in half the memory.
    """
    for module in network.modules():
        if isinstance(module, PRODUCTS):
            module.to(DTYPES[precision])
    return network


def products_in(precision: Precision) -> AbstractContextManager[object]:
    """Compute matrix products in this precision inside the context."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(device()).type, dtype=DTYPES[precision])


def in_full() -> AbstractContextManager[object]:
    """Compute in the precision of the weights inside the context: for autoencoders."""
    return torch.autocast(torch.device(device()).type, enabled=False)


def compiled(network: Network) -> Network:
    """Return the network compiled, where `insilico.step.computing` asks for it."""
    if compiling():
        network.compile()
    return network


def require_finite(
    values: torch.Tensor, items: Sequence[object], what: str, precision: Precision = "fp32"
) -> None:
    """Raise if an item (first axis) has values that are not finite.

    Parameters
    ----------
    values : (n, ...)
    items : sequence of n
        What the items are called.
    what : str
        What the values are, and of what.
    precision : str
        In which they were computed.

    Raises
    ------
    SchemaError
    """
    bad = ~values.flatten(1).isfinite().all(1).cpu()
    if bad.any():
        named = listed([item for item, wrong in zip(items, bad, strict=True) if wrong], 3)
        fix = (
            "look for NaN or huge values in the response and in the weights"
            if precision == "fp32"
            else f"it was computed in {precision}, which may overflow: set precision: fp32"
        )
        raise SchemaError(f"NaN or infinite {what} in {named}; {fix}")
