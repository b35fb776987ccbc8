"""Scores: reconstruction against stimuli -> one value per stimulus, draw and metric.

Every item's value is stored; means are made later. Ties in an identification get half credit.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry(
    "scores",
    {
        "pixcorr": "insilico.scores.pixels:PixCorr",
        "to_partner": "insilico.scores.partner:ToPartner",
        "ssim": "insilico.scores.pixels:Ssim",
        "two_way": "insilico.scores.embeddings:TwoWay",
        "n_way": "insilico.scores.embeddings:NWay",
        "distance": "insilico.scores.embeddings:Distance",
        "cosine": "insilico.scores.embeddings:Cosine",
        "fid": "insilico.scores.sets:Fid",
        "kid": "insilico.scores.sets:Kid",
        "clip_cosine": "insilico.scores.embeddings:ClipCosine",
        "clip_two_way": "insilico.scores.embeddings:ClipTwoWay",
        "clip_top1": "insilico.scores.embeddings:ClipTop1",
        "bleu1": "insilico.scores.bleu:Bleu1",
        "bleu2": "insilico.scores.bleu:Bleu2",
        "bleu3": "insilico.scores.bleu:Bleu3",
        "bleu4": "insilico.scores.bleu:Bleu4",
        "meteor": "insilico.scores.meteor:Meteor",
        "rouge1": "insilico.scores.rouge:Rouge1",
        "rouge2": "insilico.scores.rouge:Rouge2",
        "rouge_l": "insilico.scores.rouge:RougeL",
        "sentence_cosine": "insilico.scores.meaning:SentenceCosine",
        "clip_text_cosine": "insilico.scores.meaning:ClipTextCosine",
        "phantom_text_cosine": "insilico.scores.meaning:PhantomTextCosine",
        "caption_pairings": "insilico.scores.pairings:CaptionPairings",
        "caption_exact": "insilico.scores.words:CaptionExact",
        "caption_object": "insilico.scores.words:CaptionObject",
        "caption_names": "insilico.scores.naming:CaptionNames",
        "clap_score": "insilico.scores.sounds:ClapScore",
        "phantom_clap": "insilico.scores.sounds:PhantomClap",
        "retrieval_image_from_brain": "insilico.scores.retrieval:ImageFromBrain",
        "retrieval_brain_from_image": "insilico.scores.retrieval:BrainFromImage",
        "brain_correlation": "insilico.scores.brain:BrainCorrelation",
        "sound_object": "insilico.phantom.hearing:SoundObject",
    },
)
