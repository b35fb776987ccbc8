"""A protocol -> jobs: every dataset that a run needs, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from insilico.errors import ProtocolError
from insilico.job import Job
from insilico.perturbations.leverage import Leverage
from insilico.protocol import patterns
from insilico.protocol.branches import Branch, Plan
from insilico.protocol.document import merge
from insilico.protocol.draws import Drawn
from insilico.protocol.expand import Row, rows
from insilico.protocol.expand import statistic as meant_by
from insilico.protocol.first import First
from insilico.protocol.half import Half
from insilico.protocol.inputs import INPUTS, JOBS, meant
from insilico.protocol.join import Join, Subjects
from insilico.protocol.model import CHAIN, ONWARD, Protocol, Spec
from insilico.protocol.own import calibrated
from insilico.protocol.regions import bound
from insilico.protocol.resolved import resolved
from insilico.protocol.shown import captioned
from insilico.protocol.steps import build, called, takes
from insilico.protocol.told import asked, fields, told
from insilico.protocol.told import shown as name_of
from insilico.schema import canonical
from insilico.step import Step

SEEDED = ("decoder", *ONWARD)
REFIT = "the adapter is fitted again on pairs with the same perturbation"


def plan(protocol: Protocol) -> Plan:
    """Return the jobs of a checked protocol."""
    return Planner(protocol).plan()


class Planner:
    """Builds jobs, and each step's digests once.

    Parameters
    ----------
    protocol : Protocol
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._digests: dict[str, dict[str, str]] = {}
        self._steps: dict[str, Step] = {}
        self.rows = rows(protocol)

    # --- steps ---

    def step(self, section: str, spec: Spec, *, seeded: bool = False) -> Step:
        """Return the step of a spec; seeded ones take the protocol's seed unless they name one."""
        spec, _ = bound(spec, self.protocol.bindings) if section == "adapter" else (spec, [])
        name = canonical([section, spec, seeded])
        if name not in self._steps:
            seed = self.protocol.seed if seeded else None
            self._steps[name] = build(section, spec, seed)
        return self._steps[name]

    def job(
        self, name: str, step: Step, *inputs: Job, method: str = "__call__", note: str = ""
    ) -> Job:
        """Return a job of a step."""
        about = f"{type(step).__qualname__}{canonical(step.identity())}"
        if about not in self._digests:
            self._digests[about] = step.digests()
        return Job(name, step, inputs, method, note, self._digests[about])

    # --- the chain ---

    def stimuli(self, spec: Spec) -> Job:
        """Return the job of what is shown."""
        return self.job(f"stimuli {told(spec)}", self.step("stimuli", spec))

    def training(self, adapter: Spec) -> Job:
        """Return the job of the stimuli of an adapter's pairs, or of all that they are drawn of."""
        training, n = self.protocol.training or {}, adapter["pairs"]
        if "draw" in adapter:
            return self.stimuli(training)
        if "n" in fields(training):
            return self.stimuli({**training, "n": n})
        return self.job(f"{told(training)} {n}", First(n=n), self.stimuli(training))

    def encoded(self, encoder: Spec, stimuli: Job) -> Job:
        """Return the job of synthetic responses on fsaverage5."""
        step = self.step("encoder", encoder)
        fitted = [patterns.learned(self, encoder)] if hasattr(step, "fit") else []
        return self.job(f"encode {name_of(stimuli)}", step, stimuli, *fitted)

    def recorded(self, recording: Spec, stimuli: Job, space: str, repeats: str) -> Job:
        """Return the job of measured responses."""
        step = self.step("recording", {**recording, "space": space, "repeats": repeats})
        return self.job(f"record {space} {name_of(stimuli)}", step, stimuli)

    def fitted(self, chain: Mapping[str, Spec], perturbed: Row | None = None) -> Job:
        """Return the job of an adapter's fit on synthetic and measured pairs, or of a saved one.

        With the row of a perturbation, the synthetic side of the pairs is perturbed alike.
        """
        adapter = chain["adapter"]
        step = self.step("adapter", adapter)
        if not getattr(step, "learns", True):
            return self.job("load adapter", step, method="load")
        name = f"fit {adapter['kind']}"
        source, target = self.pairs(chain, "voxels")
        if perturbed is not None:
            name, source = f"{name} {perturbed.name}", self.perturbed(perturbed, source)
        if half := adapter.get("half"):
            name = f"{name} half {half}"
            source, target = (
                self.job(f"{job.name} {half}", Half.of(half), job) for job in (source, target)
            )
        return self.job(name, step, source, target, method="fit")

    def pairs(self, chain: Mapping[str, Spec], space: str) -> list[Job]:
        """Return the jobs of the synthetic and the measured responses that an adapter learns."""
        adapter = chain["adapter"]
        shown, encoder = self.training(adapter), adapter.get("encoder") or chain["encoder"]
        source = self.encoded(encoder, shown)
        target = self.recorded(chain["recording"], shown, space, "mean")
        n, draw = adapter["pairs"], adapter.get("draw")
        if draw is None or n == len(shown.step.ids() or ()):
            return [source, target]  # all of them: draws do not differ
        step, name = Drawn(n=n, seed=draw), f"draw {n} of {name_of(shown)}"
        return [self.job(name, step, one) for one in (source, target)]

    def background(self, chain: Mapping[str, Spec], source: str) -> list[Job]:
        """Return the job of responses to training stimuli, for fills that are means."""
        if "pairs" not in chain.get("adapter", {}):
            return []
        shown = self.training(chain["adapter"])
        if source == "recording":
            return [self.recorded(chain["recording"], shown, "voxels", "mean")]
        return [self.encoded(chain["adapter"].get("encoder") or chain["encoder"], shown)]

    def perturbed(self, row: Row, response: Job) -> Job:
        """Return the job of a response after the row's perturbation, if it has one."""
        if row.perturb is None:
            return response
        step = self.step("perturb", row.perturb, seeded=True)
        beside = self.beside(row.perturb, row.chain, row.source)
        note = "; ".join(row.notes)
        name = f"perturb {row.name}"
        return self.job(name, step, response, *beside, note=note)

    def beside(self, perturb: Spec, chain: Mapping[str, Spec], source: str) -> list[Job]:
        """Return the jobs of what a perturbation takes beside the response."""
        found = self.background(chain, source)
        if perturb.get("control") == "leverage":
            if not found or source == "recording":
                raise ProtocolError(
                    "control 'leverage' is matched in an adapter fitted on pairs: perturb a "
                    "synthetic response in a chain that has one"
                )
            found.append(self.job("leverage", Leverage(), self.fitted(chain)))
        return found

    def decoded(self, row: Row, response: Job, shown: Job) -> Job:
        """Return the job of reconstructions from responses in voxels, and of what follows."""
        step = patterns.decoder(self, row.chain)
        given = [
            shown if what == "stimuli" else patterns.beside(self, what, row.chain)
            for what in takes(step)[1:]
        ]
        made = self.job(f"decode {row.name}", step, response, *given)
        for section in ONWARD:
            if section in row.chain:
                step = self.step(section, row.chain[section], seeded=True)
                made = self.job(f"{section} {row.name}", step, made)
        return made

    # --- a condition ---

    def branch(self, row: Row) -> Branch:
        """Return the jobs of one condition."""
        shown = self.stimuli(row.chain["stimuli"])
        if row.source == patterns.SOURCE:
            return patterns.branch(self, row, shown)
        if row.source == "recording":
            voxels, response = self._measured(row, shown)
        else:
            response = self.perturbed(row, self.encoded(row.chain["encoder"], shown))
            voxels = self.adapted(row, response)
        made = self.decoded(row, voxels, shown)
        return Branch(row, shown, response, made, self._scores(row, made, shown, response))

    def _measured(self, row: Row, shown: Job) -> tuple[Job, Job | None]:
        recording = row.chain["recording"]
        voxels = self.perturbed(row, self.recorded(recording, shown, "voxels", "keep"))
        if row.perturb is not None or "fsaverage5" not in self._spaces(recording):
            return voxels, None
        return voxels, self.recorded(recording, shown, "fsaverage5", "mean")

    def _spaces(self, recording: Spec) -> tuple[str, ...]:
        step: Any = self.step("recording", recording)
        return step.spaces()

    def adapted(self, row: Row, response: Job) -> Job:
        """Return the job of a condition's response in the decoder's voxels."""
        if "adapter" not in row.chain:
            return response
        return self.adapted_by(row.chain, row.name, response, row if row.refit else None)

    def _scores(self, row: Row, made: Job, shown: Job, response: Job | None) -> tuple[Job, ...]:
        found = []
        for spec in self.protocol.scores:
            spec = {"kind": spec} if isinstance(spec, str) else spec
            step = self.step("scores", spec)
            known = {"reconstruction": made, "stimuli": shown, "perturbed": response}
            inputs = [known.get(what) or self._scored(what, row, shown) for what in takes(step)]
            found.append(self.job(f"score {called(step)} {row.name}", step, *inputs))
        return tuple(found)

    def _scored(self, what: str, row: Row, shown: Job) -> Job:
        """Return the job of what a score is called with besides pictures and stimuli."""
        if what == "measured":
            return self.recorded(row.chain["recording"], shown, "voxels", "keep")
        if what == "captioned":
            return captioned(self, row.chain["captioner"], shown)
        raise TypeError(
            f"a score cannot be given '{what}': reconstruction, stimuli, perturbed, measured or "
            "captioned"
        )

    # --- over conditions ---

    def joined(
        self, branches: tuple[Branch, ...], note: str, name: str = "join scores"
    ) -> Job | None:
        """Return the job of all scores in one dataset."""
        scores = [score for branch in branches for score in branch.scores]
        if not scores:
            return None
        step = Join.of(branch.row for branch in branches)
        return self.job(name, step, *scores, note=note)

    def statistic(
        self, name: str, score: Job | None, branches: tuple[Branch, ...]
    ) -> tuple[Job, list[str]]:
        """Return the job of an estimate, and which atlas stands for which in it."""
        spec, notes = meant_by(self.protocol, name)
        step = self.step("statistics", spec, seeded=True)
        inputs: list[Job] = []
        for what in takes(step):
            if what in JOBS:
                inputs += JOBS[what](self, spec, branches)
            elif what in self.protocol.statistics and what not in INPUTS:
                inputs.append(self.statistic(what, score, branches)[0])
            else:
                inputs.append(self._input(what, spec, score))
        return self.job(f"statistics {name}", step, *inputs, note="; ".join(notes)), notes

    def _input(self, what: str, spec: Spec, score: Job | None) -> Job:
        if what == "scores" and score is not None:
            return score
        stimuli = self.stimuli(asked(self.protocol, spec))
        made = self._of_chain(what) or self._of_stimuli(meant(what, spec), spec, stimuli)
        if made is None:
            raise TypeError(f"a statistic cannot be given '{what}'")
        return made

    def _of_stimuli(self, what: str, spec: Spec, stimuli: Job) -> Job | None:
        """Return the job of responses to a statistic's stimuli."""
        recording, encoder = self.protocol.recording or {}, self.protocol.encoder or {}
        own = merge({"it": encoder}, {"it": spec.get("encoder") or {}})["it"]
        if what == "prediction":
            return self.encoded(own, stimuli)
        if what == "calibrated":
            return calibrated(self, self.encoded(encoder, stimuli))
        if what == "adapted":
            return self.adapted_by(self.chain(), name_of(stimuli), self.encoded(own, stimuli))
        if what in ("measured", "voxels"):
            space = "fsaverage5" if what == "measured" else "voxels"
            return self.recorded(recording, stimuli, space, "keep")
        if what == "subjects":
            each = [{**recording, "subject": subject} for subject in spec["subjects"]]
            found = [self.recorded(one, stimuli, "fsaverage5", "mean") for one in each]
            return self.job("join subjects", Subjects(), *found)
        return None

    def _of_chain(self, what: str) -> Job | None:
        """Return the job of something fitted, whatever a statistic shows."""
        if what == "adapter":
            return self.fitted(self.chain())
        if what == "training":
            return self.background(self.chain(), "encoder")[0]
        if what == "entry":
            step = self.step("decoder", self.protocol.decoder or {}, seeded=True)
            fitted = self.fitted(self.chain())
            return self.job("entry of the decoder", step, fitted, method="entry_of")
        return None

    def chain(self) -> dict[str, Spec]:
        """Return the sections of the chain that no condition has changed."""
        return {s: spec for s in CHAIN if (spec := getattr(self.protocol, s)) is not None}

    def adapted_by(
        self, chain: Mapping[str, Spec], name: str, response: Job, refit: Row | None = None
    ) -> Job:
        """Return the job of a response in the decoder's voxels."""
        step = self.step("adapter", chain["adapter"])
        notes = bound(chain["adapter"], self.protocol.bindings)[1] + [REFIT] * bool(refit)
        fitted = self.fitted(chain, refit)
        return self.job(f"adapt {name}", step, response, fitted, note="; ".join(notes))

    # --- all ---

    def plan(self) -> Plan:
        """Return all jobs."""
        branches = tuple(self.branch(row) for row in self.rows)
        notes = [note for branch in branches for note in branch.row.notes]
        score = self.joined(branches, "; ".join(dict.fromkeys(notes)))
        statistics = {}
        for name in self.protocol.statistics:
            statistics[name], more = self.statistic(name, score, branches)
            notes += more
        note = "; ".join(dict.fromkeys(notes))
        shown = self.stimuli(self.protocol.stimuli)
        whole = resolved(self.protocol, self.step)
        return Plan(self.protocol, shown, branches, score, statistics, note, whole)
