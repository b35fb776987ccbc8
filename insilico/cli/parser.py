"""What the command line takes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from insilico.cli import commands, gallery, weights
from insilico.cli.doctor import doctor
from insilico.cli.power import power
from insilico.cli.validate import validate

PRECISIONS = ("fp32", "fp16", "bf16")
USAGE = """\
examples:
  insilico run protocols/yeo7_gap.yaml --out gap     lesions, network by network
  insilico run yeo7_gap --set stimuli.n=6            a shipped protocol, changed
  insilico check my_protocol.yaml                    is it right? which jobs would run?
  insilico list atlases                              names to use in protocols
  insilico draw gap                                  its figures again, nothing computed
  insilico power gap --effect -0.02                  how many stimuli does that effect need?
  insilico validate --only spin                      does a test hold its error rate?
  insilico translate photo.jpg                       a photograph through the chain
  insilico translate "a red car on a road" --to image sound
  insilico train encoder mine.yaml --out mine        an encoder of your own responses
  insilico doctor --nsd /data/nsd                    which published data are here and usable
  insilico phantom export nsd                        the phantom, written as NSD's files
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser; a parsed line has its function as `command`."""
    parser = argparse.ArgumentParser(
        prog="insilico",
        description="Experiments on a simulated brain.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--version", action=_Version, help="show the version and exit")
    into = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_run(into)
    _add_check(into)
    _add_list(into)
    _add_translate(into)
    _add_draw(into)
    _add_power(into)
    _add_validate(into)
    gallery.add(_command(into, "index", gallery.index, "embed a gallery for the decoder nearest"))
    _add_fetch(into)
    _add_train(into)
    _add_weights(into)
    _add_phantom(into)
    _add_doctor(into)
    return parser


class _Version(argparse.Action):
    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import insilico

        parser.exit(0, f"insilico {insilico.__version__}\n")


def _command(
    into: Any, name: str, command: Callable[[argparse.Namespace], int], about: str
) -> argparse.ArgumentParser:
    parser = into.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    # Also after the command; SUPPRESS keeps what was said before it.
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="traceback")
    return parser


def _add_run(into: Any) -> None:
    parser = _command(into, "run", commands.run, "run a protocol: nouns, tables, figures")
    parser.add_argument("file", help="a protocol, or the name of a shipped one")
    _add_set(parser)
    parser.add_argument("--out", type=Path, help="output folder (runs/<protocol>-<key>)")
    _add_overwrite(parser)
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="processes (1)")
    _add_how(parser)


def _add_check(into: Any) -> None:
    parser = _command(into, "check", commands.check, "check a protocol and say what would run")
    parser.add_argument("file")
    _add_set(parser)
    parser.add_argument("--store", type=Path, help="folder of stored datasets")


def _add_list(into: Any) -> None:
    from insilico.listing import WHAT

    parser = _command(into, "list", commands.names, "list what protocols can name")
    parser.add_argument("what", nargs="?", choices=WHAT, help="all of it by default")


def _add_translate(into: Any) -> None:
    about = "send a photograph, a sentence, a recording or a film through the chain"
    parser = _command(into, "translate", commands.translate, about)
    parser.add_argument("what", metavar="FILE-OR-TEXT", help="a file, or words in quotes")
    forms = ("image", "text", "sound")
    parser.add_argument("--to", nargs="+", choices=forms, default=list(forms), help="all of them")
    parser.add_argument("--text", action="store_true", help="these are words, not a file's name")
    parser.add_argument("--out", type=Path, default=Path("translation"), help="output folder")
    _add_overwrite(parser)
    parser.add_argument("--preset", default="phantom")
    parser.add_argument("--seed", type=int, default=0, help="of decoder and sound")
    _add_set(parser)
    _add_how(parser)


def _add_draw(into: Any) -> None:
    about = "draw a run's figures again; nothing is computed"
    parser = _command(into, "draw", commands.draw, about)
    parser.add_argument("run", type=Path, help="output folder of a run")
    parser.add_argument("figure", nargs="?", help="all of the run's by default")
    parser.add_argument("--out", type=Path, help="folder to write to (the run's own)")


def _add_power(into: Any) -> None:
    about = "say how many stimuli a paired effect needs, from a pilot run"
    parser = _command(into, "power", power, about)
    parser.add_argument("run", type=Path, help="output folder of the pilot run")
    parser.add_argument("--statistic", metavar="NAME", help="of kind paired (the first)")
    parser.add_argument("--metric", help="all by default")
    parser.add_argument("--contrast", help="such as a region; all by default")
    effect = "smallest effect worth finding, in the score's units (the pilot's own effects)"
    parser.add_argument("--effect", type=float, help=effect)
    parser.add_argument("--power", type=float, default=0.8, help="wanted (0.8)")
    parser.add_argument("--alpha", type=float, default=0.05, help="of the test (0.05)")
    parser.add_argument("--most", type=_count, default=500, help="stimuli to simulate (500)")
    parser.add_argument("--seed", type=int, default=0)


def _add_validate(into: Any) -> None:
    about = "count the errors of every test and interval on known truth; 1 if one is off"
    parser = _command(into, "validate", validate, about)
    parser.add_argument("--full", action="store_true", help="over all vertices: an hour or more")
    names = "checks, by name or its first word (all)"
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help=names)
    parser.add_argument("--n", type=_count, help="experiments of each check (its own number)")
    cores = os.cpu_count() or 1
    parser.add_argument("--jobs", type=_count, default=cores, metavar="N", help="processes (cores)")
    parser.add_argument("--seed", type=int, default=0)
    where = "page (.md) or batches (.csv); what its .csv holds is not done again"
    parser.add_argument("--out", type=Path, metavar="FILE", help=where)
    about = "do everything again, whatever the batches hold"
    parser.add_argument("--overwrite", action="store_true", help=about)


def _add_fetch(into: Any) -> None:
    parser = _command(into, "fetch", commands.fetch, "download published atlases into the cache")
    parser.add_argument("what", choices=("atlases",))
    parser.add_argument("names", nargs="*", help="all published ones by default")


def _add_train(into: Any) -> None:
    parser = _command(
        into, "train", commands.train, "train an encoder; killed, it goes on where it was"
    )
    parser.add_argument("what", choices=("encoder",))
    parser.add_argument("file", help="a training file, or 'phantom' for the shipped encoder's")
    parser.add_argument("--out", type=Path, default=Path("encoder"), help="folder of the weights")
    _add_overwrite(parser)
    parser.add_argument("--cache", type=Path, help="of the phantom's training set (user cache)")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")


def _add_phantom(into: Any) -> None:
    about = "train the phantom's networks, or check them against its gates"
    phantom = _command(into, "phantom", commands.phantom_check, about)
    actions = phantom.add_subparsers(title="actions", required=True, metavar="ACTION")
    train = _command(actions, "train", commands.phantom_train, "train the phantom's networks again")
    train.add_argument("networks", nargs="*", metavar="NETWORK", help="all by default")
    train.add_argument("--folder", type=Path, help="of the weights (those shipped)")
    train.add_argument("--cache", type=Path, help="of pictures and checkpoints (user cache)")
    train.add_argument("--device", default="cpu", help="torch device (cpu)")
    train.add_argument("--seed", type=int)
    check = _command(actions, "check", commands.phantom_check, "print the gates; 1 if one fails")
    check.add_argument("--folder", type=Path, help="of the weights (those shipped)")
    check.add_argument("--n", type=_count, default=300, help="scenes of held-out combinations")
    check.add_argument("--out", type=Path, help="CSV file to write the gates to")
    check.add_argument("--device", default="cpu", help="torch device (cpu)")
    about = "write a subject in the layout of a published dataset"
    export = _command(actions, "export", commands.phantom_export, about)
    export.add_argument("folder", type=Path, metavar="DIR", help="a new folder")
    export.add_argument("--layout", choices=("nsd",), default="nsd")
    about = "1 (the individual, default) to 8"
    export.add_argument("--subjects", type=int, nargs="+", default=[1], metavar="N", help=about)
    export.add_argument("--test", type=_count, default=40, help="test scenes (40)")
    export.add_argument("--train", type=_count, default=200, help="training scenes (200)")
    export.add_argument("--seed", type=int, default=0, help="of the cohort")


def _add_doctor(into: Any) -> None:
    about = "say which published data and weights are here and usable"
    parser = _command(into, "doctor", doctor, about)
    parser.add_argument("--nsd", type=Path, metavar="ROOT", help="NSD's folder (INSILICO_NSD)")
    where = "folder of published networks, and of MindEye2's data files (INSILICO_WEIGHTS)"
    parser.add_argument("--weights", type=Path, metavar="ROOT", help=where)


def _add_weights(into: Any) -> None:
    about = "which published weights are here, whole and unchanged"
    group = _command(into, "weights", weights.names, about)
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    listed = _command(actions, "list", weights.names, "list the published files and their state")
    about = "only what this NSD subject takes, with totals and the address of each missing file"
    listed.add_argument("--subject", type=_count, metavar="N", help=about)
    about = "read all that is here, tell what is missing; 1 if one is damaged or was changed"
    check = _command(actions, "check", weights.check, about)
    for action in (listed, check):
        about = "weights folder (INSILICO_WEIGHTS, or the user's cache)"
        action.add_argument("folder", nargs="?", type=Path, help=about)
    about = "record a file's digest anew, after you replaced it; can be repeated"
    check.add_argument("--accept", action="append", default=[], metavar="FILE", help=about)
    _command(actions, "where", weights.where, "say where weights are looked for")
    _add_plan(actions)
    _add_measure(actions)


def _add_plan(into: Any) -> None:
    about = "say what stays in memory, what comes and goes, and the batches, at published sizes"
    parser = _command(into, "plan", weights.plan, about)
    parser.add_argument("--memory", default="16GB", metavar="SIZE", help="such as 24GB (16GB)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp16", help="(fp16)")
    parser.add_argument("--tiled", action="store_true", help="autoencoders decode tile by tile")
    parser.add_argument("--beams", type=_count, default=1, metavar="N", help="of captions (1)")
    parser.add_argument("--batch", type=_count, metavar="N", help="items that go together")
    parser.add_argument("--device", default="cuda", help="kind of device planned for (cuda)")


def _add_measure(into: Any) -> None:
    about = "time and memory of every network with random weights: the authors' setting and ours"
    parser = _command(into, "measure", weights.measure, about)
    parser.add_argument("--size", choices=("full", "small"), help="full on a GPU, else small")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    about = "of our setting (fp16; fp32 on a CPU)"
    parser.add_argument("--precision", choices=PRECISIONS, help=about)
    parser.add_argument("--memory", default="40GB", metavar="SIZE", help="to plan for (40GB)")
    parser.add_argument("--n", type=_count, default=8, help="items (8)")
    parser.add_argument("--compile", action="store_true", help="ours compiled, as on a GPU always")
    parser.add_argument("--only", nargs="+", default=[], metavar="STAGE", help="such as unclip")


def _add_overwrite(parser: argparse.ArgumentParser) -> None:
    about = "let the outputs take the place of what --out holds"
    parser.add_argument("--overwrite", action="store_true", help=about)


def _add_set(parser: argparse.ArgumentParser) -> None:
    about = "change a value, such as seed=8 or stimuli.n=6; can be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=about)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="folder of stored datasets (user cache)")
    parser.add_argument("--device", default="cpu", help="torch device (cpu)")
    about = "items that go through a network together (each step's own choice)"
    parser.add_argument("--batch", type=_count, metavar="N", help=about)
    parser.add_argument("--compile", action="store_true", help="torch.compile what is called often")
    about = "what networks may take of the device, such as 24GB (all of it)"
    parser.add_argument("--memory", metavar="SIZE", help=about)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"met '{text}'; allowed: 1 or more")
    return int(text)
