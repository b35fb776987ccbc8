from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_cortex import respond


@pytest.fixture(scope="session")
def response():
    return respond(4, 1)


@pytest.fixture(scope="session")
def training():
    return respond(7, 2)
