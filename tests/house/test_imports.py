"""The doors, and what the first import costs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pandas", "xarray", "pydantic", "matplotlib")


@pytest.mark.parametrize(
    "code",
    [
        "import insilico",
        "import insilico.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_first_import_is_light(code):
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = json.loads(result.stdout.splitlines()[-1])
    assert not set(HEAVY) & set(loaded)


def test_loading_weights_in_a_script_draws_no_bars():
    script = (
        "from insilico.spaces.meanings import clap_texts\n"
        "from insilico.weights.folders import found\n"
        "print(clap_texts(['a'], found('phantom', 'clap')).shape)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.startswith("(1, ")
    assert result.stderr == ""
