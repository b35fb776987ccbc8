"""A law: whatever happened to a file, it is read or refused by its name, and nothing else."""

from __future__ import annotations

import random

import pytest
from test_films import film, tone
from test_images import halves
from test_sounds import written

from insilico.errors import StimulusError
from insilico.stimuli.films import Films
from insilico.stimuli.images import Images
from insilico.stimuli.sounds import Sounds

MAKERS = {
    **dict.fromkeys(("png", "jpg", "gif", "webp", "tiff", "bmp"), lambda p: halves(60, 60).save(p)),
    **dict.fromkeys(("wav", "flac", "ogg", "mp3"), lambda p: written(p, tone(0.5))),
    **dict.fromkeys(("mp4", "mkv", "avi", "webm"), lambda p: film(p, sound=None)),
}


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Cut a file short, or change some of its bytes, most of them near its head."""
    if rng.random() < 0.3:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.choice([1, 3, 20, 200])):
        changed[rng.randrange(min(len(changed), rng.choice([64, 400, 10**9])))] = rng.randrange(256)
    return bytes(changed)


@pytest.mark.parametrize("suffix", MAKERS)
def test_damaged_files_are_read_or_refused_by_name(tmp_path, suffix):
    path, rng = tmp_path / f"a.{suffix}", random.Random(suffix)
    MAKERS[suffix](path)
    content, complaints = path.read_bytes(), list[str]()
    kind = Sounds if suffix in ("wav", "flac", "ogg", "mp3") else Images
    kind = Films if suffix in ("mp4", "mkv", "avi", "webm") else kind
    for _ in range(40):
        path.write_bytes(damaged(content, rng))
        try:
            kind.tried(path)
        except StimulusError as error:
            complaints.append(str(error))
    assert len(complaints) > 5
    assert all(f"a.{suffix}: " in complaint for complaint in complaints)


def test_names_in_other_letters_do_not_hurt(tmp_path):
    path = film(tmp_path / "a.mp4")
    content = path.read_bytes()
    assert b"isomiso2" in content
    path.write_bytes(content.replace(b"isomiso2", b"isomis\xac2"))
    assert Films.tried(path).lasts_s == pytest.approx(3)
