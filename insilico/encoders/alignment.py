"""One grid of rows for all streams: which tokens and frames each row hears, reads and sees.

Row `k` stands at `k` repetition times and covers the two of them around it, from ``(k - 1) TR`` to
``(k + 1) TR``, as far as there is a stimulus. So the first row sees the onset and the last one the
end, and an image of one second at a TR of one second has two rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from insilico.spaces.timeline import NEARLY


def overlap(spans: Tensor, rows: int, tr_s: float) -> Tensor:
    """Return for how long every row covers every token.

    Parameters
    ----------
    spans : (n, tokens, 2)
        Start and stop of each token in seconds; padding has equal ones.
    rows : int
    tr_s : float

    Returns
    -------
    (n, rows, tokens), seconds
    """
    middle = torch.arange(rows, device=spans.device, dtype=spans.dtype)[:, None] * tr_s
    start, stop = spans[:, None, :, 0], spans[:, None, :, 1]
    shared = torch.minimum(stop, middle + tr_s) - torch.maximum(start, middle - tr_s)
    return torch.where(shared > NEARLY, shared, 0)


def align(features: Tensor, spans: Tensor, rows: int, tr_s: float) -> tuple[Tensor, Tensor]:
    """Bring features of tokens to the grid of rows: means over what each row covers.

    Parameters
    ----------
    features : (n, tokens, k)
    spans : (n, tokens, 2)
        Start and stop of each token in seconds.
    rows : int
    tr_s : float

    Returns
    -------
    aligned : (n, rows, k)
        Zero where a row covers no token.
    present : bool, (n, rows)
        Whether a row covers any.
    """
    shared = overlap(spans, rows, tr_s).to(features.dtype)
    total = shared.sum(-1, keepdim=True)
    weights = shared / total.clamp_min(NEARLY)
    return weights @ features, total[..., 0] > 0


def even_spans(tokens: int, start_s: float, stop_s: float) -> Tensor:
    """Return the spans of tokens that divide a piece evenly, (tokens, 2) in seconds."""
    edges = torch.linspace(start_s, stop_s, tokens + 1)
    return torch.stack([edges[:-1], edges[1:]], -1)


def clip_frames(film: int, rate_hz: float, rows: Tensor, tr_s: float, frames: int) -> Tensor:
    """Return which frame of a film every frame of the rows' clips shows.

    Parameters
    ----------
    film : int
        Frames of the film.
    rate_hz : float
        Frames a second.
    rows : int64, (rows,)
        Numbers of the rows.
    tr_s : float
    frames : int
        Frames of a clip, which spans two TR.

    Returns
    -------
    int64, (rows, frames)
        `film` stands for grey, before and after the film.
    """
    within = (torch.arange(frames, dtype=torch.float64) + 0.5) / frames * 2 - 1
    times = (rows[:, None].double() + within) * tr_s
    at = torch.floor(times * rate_hz + NEARLY).long()
    return torch.where((at < 0) | (at >= film), film, at)
