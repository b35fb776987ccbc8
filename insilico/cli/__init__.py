"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from insilico.cli.parser import parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 done, 2 an error that can be mended, 130 ^C."""
    arguments = parser().parse_args(argv)
    warnings.formatwarning = _warned
    from insilico.errors import InsilicoError

    try:
        return arguments.command(arguments)
    except KeyboardInterrupt:
        print("stopped; what was done is kept: run it again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InsilicoError as error:
        return _failed(arguments, str(error))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return _failed(arguments, f"no space left on the disk: {error.filename or error}")


def _warned(message: Warning | str, *_: Any, **__: Any) -> str:
    return f"warning: {' '.join(str(message).split())}\n"


def _failed(arguments: argparse.Namespace, message: str) -> int:
    if arguments.debug:
        raise
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
