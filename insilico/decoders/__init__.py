"""Decoders: response@voxels -> reconstruction."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry("decoders", {"mindeye2": "insilico.decoders.mindeye2.step:MindEye2"})
