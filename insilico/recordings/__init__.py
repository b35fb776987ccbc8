"""Measured responses: stimuli -> response."""

from __future__ import annotations

from insilico.step import Registry

KINDS = Registry("recordings", {"phantom": "insilico.phantom.recording:PhantomRecording"})
