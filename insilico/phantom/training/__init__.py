"""Training of the phantom's networks, in the order in which they need each other.

Each entry is the import string of a function ``train(folder, *, cache, seed, device, steps)``:
`folder` holds the weights of all networks (one subfolder each), `cache` the rendered training set
and the checkpoints from which an interrupted training goes on.
"""

from __future__ import annotations

NETWORKS: dict[str, str] = {
    "clip": "insilico.phantom.training.clip:train",
    "autoencoder": "insilico.phantom.training.autoencoder:train",
    "captioner": "insilico.phantom.training.captioner:train",
    "unclip": "insilico.phantom.training.unclip:train",
    "judge_clip": "insilico.phantom.training.clip:train_judge",
    "judge_captioner": "insilico.phantom.training.captioner:train_judge",
    "decoder": "insilico.phantom.training.autoencoder:refine_decoder",
    "mary_nano": "insilico.phantom.training.mary_nano:train",
    "mindeye2": "insilico.phantom.training.mindeye2:train",
    "clap": "insilico.phantom.training.clap:train",
    "sound_autoencoder": "insilico.phantom.training.sound:train_autoencoder",
    "audioldm2": "insilico.phantom.training.audioldm2:train",
    "text_prior": "insilico.phantom.training.text_prior:train",
    "judge_convnet": "insilico.phantom.training.judge_convnet:train",
}
