"""Bytes of networks and of what they compute, counted without computing: on the meta device."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def bytes_of(network: nn.Module) -> int:
    """Return the bytes of parameters and buffers, those that are shared once."""
    held = {id(value): value for value in (*network.parameters(), *network.buffers())}
    return sum(value.nbytes for value in held.values())


def parameters_of(network: nn.Module) -> int:
    """Return the number of parameters, those that are shared once."""
    return sum(value.numel() for value in network.parameters())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside the context and still live.

    Works on the meta device, where tensors have sizes and no content, and on any other.

    Parameters
    ----------
    apart : iterable of Tensor
        Tensors that are not counted, such as the weights.
    """

    def __init__(self, apart: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = {_storage(value): 0 for value in apart}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), named: Any = None
    ) -> Any:
        made = function(*args, **(named or {}))
        for value in tree_leaves(made):
            if isinstance(value, torch.Tensor):
                self._begin(value)
        return made

    def _begin(self, value: torch.Tensor) -> None:
        key, storage = _storage(value), value.untyped_storage()
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._end, key)

    def _end(self, key: int) -> None:
        self.now -= self._known.pop(key, 0)


def _storage(value: torch.Tensor) -> int:
    return value.untyped_storage()._cdata


class FusedAttention(TorchFunctionMode):
    """Attention that writes its result alone, as torch's fused kernels do on a GPU."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), named: Any = None
    ) -> Any:
        named = dict(named or {})
        if function is not nn.functional.scaled_dot_product_attention:
            return function(*args, **named)
        query, _, value = (*args, *(named.pop(k) for k in ("query", "key", "value")[len(args) :]))[
            :3
        ]
        return query.new_empty(*query.shape[:-1], value.shape[-1])


def activations(network: nn.Module, call: Callable[[int], object]) -> tuple[int, int]:
    """Return the peak of what a call makes, beside the weights, as a line through one and two.

    Parameters
    ----------
    network : Module
        On the meta device, in fp32: half precision needs less, since sums and norms stay in fp32.
    call : function
        Of a number of items; makes its own inputs, which count too.

    Returns
    -------
    fixed, item : int
        Bytes whatever the batch, and for each item.
    """
    one, two = (_peak(network, call, n) for n in (1, 2))
    item = max(0, two - one)
    return max(0, one - item), item


def _peak(network: nn.Module, call: Callable[[int], object], n: int) -> int:
    live = LiveBytes((*network.parameters(), *network.buffers()))
    with torch.no_grad(), torch.device("meta"), FusedAttention(), live:
        call(n)
    return live.peak
