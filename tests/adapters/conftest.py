from __future__ import annotations

import pytest
from made_pairs import pair as made_pair


@pytest.fixture
def pair():
    return made_pair()
