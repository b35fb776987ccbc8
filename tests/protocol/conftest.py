from __future__ import annotations

import pytest


@pytest.fixture
def no_weights_needed(monkeypatch):
    """Let steps be built where their weights are not."""
    from insilico.decoders.mindeye2.step import MindEye2
    from insilico.encoders.mary_nano import MaryNano
    from insilico.protocol.steps import kinds
    from insilico.step import Step

    for step in (MindEye2, MaryNano, *(kinds("scores")[name] for name in kinds("scores"))):
        monkeypatch.setattr(step, "digests", Step.digests)
