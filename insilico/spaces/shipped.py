"""Where the folders lie that ship beside the package: in the wheel, or at the repository's root."""

from __future__ import annotations

from pathlib import Path

import insilico
from insilico.errors import InsilicoError


def shipped(folder: str) -> Path:
    """Return the path of ``atlases`` or ``protocols``."""
    package = Path(insilico.__file__).parent
    for root in (package / "_shipped", package.parent):
        if (root / folder).is_dir():
            return root / folder
    raise InsilicoError(
        f"the folder '{folder}' is missing beside {package}; install insilico again"
    )
