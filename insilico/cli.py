"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

USAGE = """\
examples:
  insilico run protocols/yeo7_gap.yaml --out gap     lesions, network by network
  insilico run yeo7_gap --set stimuli.n=6            a shipped protocol, changed
  insilico check my_protocol.yaml                    is it right? which jobs would run?
  insilico list atlases                              names to use in protocols
  insilico translate photo.jpg --to image text       a photograph through the chain
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0 done, 2 an error that can be mended, 130 ^C."""
    arguments = _parser().parse_args(argv)
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # they would run through our lines
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


def _failed(arguments: argparse.Namespace, message: str) -> int:
    if arguments.debug:
        raise
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


# --- arguments ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="insilico",
        description="Experiments on a simulated brain.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(commands)
    _add_check(commands)
    _add_list(commands)
    _add_translate(commands)
    _add_fetch(commands)
    _add_phantom(commands)
    return parser


class _Version(argparse.Action):
    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import insilico

        parser.exit(0, f"insilico {insilico.__version__}\n")


def _command(
    commands: Any, name: str, command: Callable[[argparse.Namespace], int], about: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    # Also after the command; SUPPRESS keeps what was said before it.
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="traceback")
    return parser


def _add_run(commands: Any) -> None:
    parser = _command(commands, "run", _run, "run a protocol and write nouns, tables and figures")
    parser.add_argument("file", help="a protocol, or the name of a shipped one")
    _add_set(parser)
    parser.add_argument("--out", type=Path, help="output folder (runs/<protocol>-<key>)")
    _add_overwrite(parser)
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="processes (1)")
    _add_how(parser)


def _add_check(commands: Any) -> None:
    parser = _command(commands, "check", _check, "check a protocol and say what would run")
    parser.add_argument("file")
    _add_set(parser)
    parser.add_argument("--store", type=Path, help="folder of stored datasets")


def _add_list(commands: Any) -> None:
    from insilico.listing import WHAT

    parser = _command(commands, "list", _list, "list what protocols can name")
    parser.add_argument("what", nargs="?", choices=WHAT, help="all of it by default")


def _add_translate(commands: Any) -> None:
    parser = _command(commands, "translate", _translate, "send a photograph through the chain")
    parser.add_argument("file", type=Path)
    parser.add_argument("--to", nargs="+", choices=("image", "text"), default=["image", "text"])
    parser.add_argument("--out", type=Path, default=Path("translation"), help="output folder")
    _add_overwrite(parser)
    parser.add_argument("--preset", default="phantom")
    parser.add_argument("--seed", type=int, default=0, help="of the decoder")
    _add_how(parser)


def _add_fetch(commands: Any) -> None:
    parser = _command(commands, "fetch", _fetch, "download published atlases into the cache")
    parser.add_argument("what", choices=("atlases",))
    parser.add_argument("names", nargs="*", help="all published ones by default")


def _add_phantom(commands: Any) -> None:
    about = "train the phantom's networks, or check them against its gates"
    phantom = _command(commands, "phantom", _phantom_check, about)
    actions = phantom.add_subparsers(title="actions", required=True, metavar="ACTION")
    train = _command(actions, "train", _phantom_train, "train the phantom's networks again")
    train.add_argument("networks", nargs="*", metavar="NETWORK", help="all by default")
    train.add_argument("--folder", type=Path, help="of the weights (those shipped)")
    train.add_argument("--cache", type=Path, help="of pictures and checkpoints (user cache)")
    train.add_argument("--device", default="cpu", help="torch device (cpu)")
    train.add_argument("--seed", type=int)
    check = _command(actions, "check", _phantom_check, "print the gates; 1 if one is missed")
    check.add_argument("--folder", type=Path, help="of the weights (those shipped)")
    check.add_argument("--n", type=_count, default=300, help="scenes of held-out combinations")
    check.add_argument("--out", type=Path, help="CSV file to write the gates to")
    check.add_argument("--device", default="cpu", help="torch device (cpu)")


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    about = "let the outputs take the place of what --out holds"
    parser.add_argument("--overwrite", action="store_true", help=about)


def _add_set(parser: argparse.ArgumentParser) -> None:
    about = "change a value, such as seed=8 or stimuli.n=6; can be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=about)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="folder of stored datasets (user cache)")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"met '{text}'; allowed: 1 or more")
    return int(text)


def _changes(pairs: list[str]) -> dict[str, str]:
    from insilico.errors import ParameterError

    changes = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ParameterError(f"--set {pair}: write it as key=value, such as --set seed=8")
        changes[key.strip()] = value
    return changes


# --- commands -------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    _check_device(arguments.device)
    from insilico.report.experiment import run
    from insilico.run.progress import watcher

    with watcher() as watch:
        results = run(
            arguments.file,
            set=_changes(arguments.set),
            out=arguments.out,
            overwrite=arguments.overwrite,
            store=arguments.store,
            jobs=arguments.jobs,
            device=arguments.device,
            watch=watch,
        )
    print(results.summary)
    done = f"{len(results.computed)} jobs computed" if results.computed else "nothing to compute"
    print(f"{done}; results in {results.folder}")
    return 2 if _told(results.failures, arguments.debug) else 0


def _told(failures: Sequence[Any], debug: bool) -> bool:
    """Write each cause of failure once, and return whether there was any."""
    for job, message, trace in dict.fromkeys((f.job, f.message, f.trace) for f in failures):
        print(f"error: {job}: {' '.join(message.split())}", file=sys.stderr)
        if debug:
            print(trace, file=sys.stderr)
    return bool(failures)


def _check(arguments: argparse.Namespace) -> int:
    from insilico.protocol.plan import plan
    from insilico.protocol.read import mistakes, read
    from insilico.report.experiment import missing

    changes = _changes(arguments.set)
    wrong = mistakes(arguments.file, changes)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        return 2
    work = plan(read(arguments.file, changes).protocol)
    waiting = missing(work, arguments.store)
    print(f"{arguments.file}: right")
    print(f"  {work.protocol.title}")
    print(f"  {len(work.branches)} conditions, {len(work.statistics)} statistics")
    print(f"  {len(waiting)} jobs to compute")
    if work.note:
        print(f"  note: {work.note}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from insilico.listing import listing

    print(listing(arguments.what))
    return 0


def _translate(arguments: argparse.Namespace) -> int:
    _check_device(arguments.device)
    from insilico.translate import translate

    result = translate(
        arguments.file,
        arguments.to,
        arguments.out,
        overwrite=arguments.overwrite,
        preset=arguments.preset,
        seed=arguments.seed,
        store=arguments.store,
        device=arguments.device,
    )
    print(f"{result.summary}results in {result.folder}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from insilico.spaces import atlases

    published = [n for n in atlases.names() if atlases.describe(n)["kind"] == "published"]
    for name in arguments.names or published:
        print(f"{name}: {atlases.fetch(name)}")
    return 0


def _phantom_train(arguments: argparse.Namespace) -> int:
    _check_device(arguments.device)
    from insilico.phantom.training import NETWORKS

    for name in _known(arguments.networks, NETWORKS):
        print(f"training {name}", file=sys.stderr, flush=True)
        seed = {} if arguments.seed is None else {"seed": arguments.seed}
        folder = arguments.folder or _shipped_weights()
        cache = arguments.cache or _training_cache()
        _named(NETWORKS[name])(folder, cache=cache, device=arguments.device, **seed)
    return 0


def _phantom_check(arguments: argparse.Namespace) -> int:
    _check_device(arguments.device)
    from insilico.phantom.check import check
    from insilico.phantom.shares import as_csv, written
    from insilico.run.progress import watcher
    from insilico.run.store import write_bytes

    weights = "phantom" if arguments.folder is None else str(arguments.folder)
    with watcher() as watch:
        watch.begin(4)
        rows = check(arguments.n, weights, device=arguments.device, watch=watch)
    print(written(rows))
    if arguments.out is not None:
        write_bytes(as_csv(rows).encode(), arguments.out)
    return int(any(row.failed for row in rows))


def _known(names: list[str], allowed: dict[str, str]) -> list[str]:
    from insilico.errors import ParameterError, not_one_of

    for name in names:
        if name not in allowed:
            raise ParameterError(not_one_of("network", name, allowed))
    return [name for name in allowed if name in names or not names]


def _named(address: str) -> Callable[..., Any]:
    import importlib

    module, _, name = address.partition(":")
    return getattr(importlib.import_module(module), name)


def _shipped_weights() -> Path:
    from importlib.resources import files

    return Path(str(files("insilico.phantom"))) / "weights"


def _training_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("insilico") / "training"


def _check_device(name: str) -> None:
    """Raise unless torch knows the device and has it."""
    if name == "cpu":
        return
    import torch

    from insilico.errors import ParameterError

    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name.partition(":")[0] not in there:
        raise ParameterError(f"device '{name}' is not here; there are: {', '.join(there)}")


if __name__ == "__main__":
    sys.exit(main())
