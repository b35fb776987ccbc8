"""Networks that are loaded, by name: held until others need their memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Container, Hashable
from functools import wraps
from typing import Any, TypeVar

Loaded = TypeVar("Loaded")
_held: dict[str, dict[Hashable, Any]] = {}


def held(name: str, key: Hashable, load: Callable[[], Any], most: int = 1) -> Any:
    """Return what was loaded under a name and key, else load it.

    Parameters
    ----------
    name : str
        Such as ``"unclip"``; what `let_go` knows it by.
    key : hashable
        All that the loaded thing depends on.
    load : function
    most : int
        Keys of one name that are held together.
    """
    room = _held.setdefault(name, {})
    if key not in room:
        while len(room) >= most:
            del room[next(iter(room))]
        room[key] = load()
    return room[key]


def kept(name: str, most: int = 1) -> Callable[[Callable[..., Loaded]], Callable[..., Loaded]]:
    """Hold under a name what a function loads, by its arguments; they must be hashable."""

    def around(load: Callable[..., Loaded]) -> Callable[..., Loaded]:
        @wraps(load)
        def loaded(*given: Hashable) -> Loaded:
            return held(name, (load.__qualname__, *given), lambda: load(*given), most)

        return loaded

    return around


def let_go(but: Container[str] = ()) -> None:
    """Let go of all that is held, but for some names."""
    leaving = [name for name in _held if name not in but and _held[name]]
    for name in leaving:
        del _held[name]
    if leaving:
        _swept()


def _swept() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def names() -> list[str]:
    """Return the names of what is held."""
    return [name for name, room in _held.items() if room]
