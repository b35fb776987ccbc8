"""Stimuli in, responses on fsaverage5 out.

A response has 20,484 vertices; the medial wall is exactly zero.
"""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry("encoders", {"mary_nano": "insilico.encoders.mary_nano:MaryNano"})
