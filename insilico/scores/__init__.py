"""Scores: reconstruction against stimuli -> one value per stimulus, draw and metric.

Every item's value is stored; means are made later. Ties in an identification get half credit.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "scores",
    {
        "pixcorr": "insilico.scores.pixels:PixCorr",
        "ssim": "insilico.scores.pixels:Ssim",
        "clip_cosine": "insilico.scores.embeddings:ClipCosine",
        "clip_two_way": "insilico.scores.embeddings:ClipTwoWay",
        "clip_top1": "insilico.scores.embeddings:ClipTop1",
        "bleu1": "insilico.scores.words:Bleu1",
        "caption_exact": "insilico.scores.words:CaptionExact",
        "caption_object": "insilico.scores.words:CaptionObject",
        "sound_object": "insilico.phantom.hearing:SoundObject",
    },
)
