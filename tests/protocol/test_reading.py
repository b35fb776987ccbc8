"""Every mistake in a protocol gets its file, line and key, what was met, what is allowed."""

from __future__ import annotations

import re

import pytest

from insilico.errors import ProtocolError
from insilico.protocol.document import parse
from insilico.protocol.expand import rows
from insilico.protocol.read import complete, find, lines, presets, problems, read

GOOD = """\
title: Where synthetic fMRI falls short, network by network
preset: phantom                 # or nsd-subj01
seed: 7
stimuli: {split: test, n: 20}
conditions:
  measured: {source: recording}
  intact:   {}
  silenced: {perturb: {kind: ablate, atlas: yeo7, region: each, fill: mean}}
  matched:  {perturb: {kind: ablate, atlas: yeo7, region: each, fill: mean, control: patch, n: 2}}
scores: [pixcorr, ssim, clip_cosine, clip_two_way, bleu1]
statistics:
  accuracy: {kind: encoding_accuracy, by: yeo7, ceiling: noise, null: spin, n: 1000}
  gap:
    {kind: paired, of: silenced, against: intact, control: matched, over: stimulus, correct: max}
figures: [network_gap, lesion_effects, reconstruction_grid, surface_gap]
"""


pytestmark = pytest.mark.usefixtures("no_weights_needed")


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "p.yaml"
        path.write_text(text)
        return path

    return write


def test_the_designs_example_is_valid(write):
    protocol = read(write(GOOD)).protocol
    assert protocol.stimuli == {"kind": "phantom", "split": "test", "n": 20}
    assert protocol.statistics["accuracy"]["null"] == "spin"
    names = [row.name for row in rows(protocol)]
    assert len(names) == 1 + 1 + 7 + 14
    assert names[:4] == ["measured", "intact", "silenced/Vis", "silenced/SomMot"]
    assert names[9:11] == ["matched/Vis/0", "matched/Vis/1"]


def test_the_shipped_protocol_is_the_designs_example(write):
    shipped, example = read("yeo7_gap").protocol, read(write(GOOD)).protocol
    gap = dict(shipped.statistics["gap"])
    assert gap.pop("reference") == "measured"  # more than the design asks for
    statistics = shipped.statistics | {"gap": gap}
    assert shipped.model_copy(update={"statistics": statistics}) == example


MISTAKES = {
    "unknown key": (
        ("seed: 7", "sead: 7"),
        r"p.yaml:3:sead: unknown key 'sead'; one of: title, .*\(did you mean 'seed'\?\)",
    ),
    "unknown key of a condition": (
        ("{source: recording}", "{sorce: recording}"),
        r"p.yaml:6:conditions.measured.sorce: unknown key 'sorce'; one of: source, .*'source'\?\)",
    ),
    "unknown key of a step": (
        ("fill: mean}", "fil: mean}"),
        r"p.yaml:8:conditions.silenced.perturb.fil: unknown key 'fil'; one of: region, .*'fill'\?",
    ),
    "wrong type": (
        ("n: 20", "n: many"),
        r"p.yaml:4:stimuli.n: met 'many'; allowed: a valid integer",
    ),
    "wrong type of a section": (
        ("stimuli: {split: test, n: 20}", "stimuli: 3"),
        r"p.yaml:4:stimuli: met 3; allowed: a mapping in { }",
    ),
    "value out of a list": (
        ("fill: mean}", "fill: maen}"),
        r"p.yaml:8:conditions.silenced.perturb.fill: unknown value 'maen'; "
        r"one of: mean, zero, noise, resample, conditional \(did you mean 'mean'\?\)",
    ),
    "unknown source": (
        ("recording}", "recordings}"),
        r"p.yaml:6:conditions.measured.source: unknown value 'recordings'; one of: encoder, rec",
    ),
    "unknown kind": (
        ("silenced: {perturb: {kind: ablate", "silenced: {perturb: {kind: abalte"),
        r"p.yaml:8:conditions.silenced.perturb.kind: unknown kind of perturb 'abalte'; "
        r"one of: ablate, keep_only, .* \(did you mean 'ablate'\?\)",
    ),
    "unknown region": (
        ("region: each, fill: mean}", "region: Visaul, fill: mean}"),
        r"p.yaml:8:conditions.silenced.perturb.region: unknown region of phantom7 'Visaul'; "
        r"one of: Vis, SomMot, .*\(did you mean 'Vis'\?\)",
    ),
    "unknown region in an expression": (
        ("region: each, fill: mean}", "region: 'Vis & (lh | Dfault)'}"),
        r"p.yaml:8:conditions.silenced.perturb.region: unknown region of phantom7 'Dfault'; .*"
        r"'Default'\?",
    ),
    "unknown atlas": (
        ("atlas: yeo7, region: each, fill: mean}", "atlas: yeo8, region: each}"),
        r"p.yaml:8:conditions.silenced.perturb.atlas: unknown atlas 'yeo8'; one of: .*'yeo7'\?",
    ),
    "an expression that cannot be read": (
        ("region: each, fill: mean}", "region: 'Vis & & lh'}"),
        r"p.yaml:8:conditions.silenced.perturb.region: 'Vis & & lh': a region is missing before",
    ),
    "a sign that is none": (
        ("region: each, fill: mean}", "region: '!Vis'}"),
        r"p.yaml:8:conditions.silenced.perturb.region: '!Vis': cannot read '!Vis'; combine",
    ),
    "no region": (
        ("region: each, fill: mean}", "region: []}"),
        r"p.yaml:8:conditions.silenced.perturb.region: the list \[\] names no region",
    ),
    "a region twice": (
        ("region: each, fill: mean}", "region: [Vis, Visual]}"),
        r"p.yaml:8:conditions.silenced.perturb.region: .* names a region twice",
    ),
    "scores that are no list": (
        ("scores: [pixcorr, ssim, clip_cosine, clip_two_way, bleu1]", "scores: pixcorr"),
        r"p.yaml:10:scores: met 'pixcorr'; allowed: a list in \[ \]",
    ),
    "an expression of no vertex": (
        ("region: each, fill: mean}", "region: 'Vis & lh & ~Vis'}"),
        r"p.yaml:8:conditions.silenced.perturb.region: .*holds no vertex",
    ),
    "a list where a kind is wanted": (
        ("scores: [pixcorr,", "scores: [{kind: [a]},"),
        r"p.yaml:10:scores.0.kind: unknown score '\['a'\]'; one of: ",
    ),
    "a list where a preset is wanted": (
        ("preset: phantom ", "preset: [1] "),
        r"p.yaml:2:preset: unknown preset '\[1\]'; one of: .*phantom",
    ),
    "a list where a condition is wanted": (
        ("of: silenced", "of: [silenced]"),
        r"p.yaml:14:statistics.gap.of: met \['silenced'\]; allowed: ",
    ),
    "a seed in quotes": (("seed: 7", "seed: '7'"), r"p.yaml:3:seed: met '7'; allowed: "),
    "one stimulus": (
        ("n: 20", "n: 1"),
        r"p.yaml:13:statistics.gap: it compares conditions over stimuli, and there is one: set stimuli.n",
    ),
    "too many stimuli": (("n: 20", "n: 1000000"), r"p.yaml:4:stimuli.n: met 1000000; allowed: "),
    "unknown option of a figure": (
        ("[network_gap,", "[{kind: network_gap, foo: 1},"),
        r"p.yaml:15:figures.0.foo: unknown key 'foo'; one of: ",
    ),
    "unknown reference": (
        ("control: matched,", "control: matched, reference: mesured,"),
        r"p.yaml:14:statistics.gap.reference: unknown condition 'mesured'; .*'measured'\?",
    ),
    "each without an atlas": (
        ("atlas: yeo7, region: each, fill: mean}", "region: each}"),
        r"p.yaml:8:conditions.silenced.perturb.region: 'each' of which atlas\? Add atlas: ",
    ),
    "unknown preset": (
        ("preset: phantom ", "preset: fantom "),
        r"p.yaml:2:preset: unknown preset 'fantom'; one of: .*phantom \(did you mean 'phantom'\?\)",
    ),
    "repeated key": (
        ("seed: 7", "seed: 7\nseed: 8"),
        r"p.yaml:4:seed: this key is repeated; it stands in line 3 already: keep one of them",
    ),
    "unknown score": (
        ("ssim,", "sim,"),
        r"p.yaml:10:scores.1.kind: unknown score 'sim'; one of: .*\(did you mean 'ssim'\?\)",
    ),
    "unknown figure": (
        ("[network_gap,", "[netwrok_gap,"),
        r"p.yaml:15:figures.0: unknown figure 'netwrok_gap'; one of: .*'network_gap'\?",
    ),
    "unknown condition in a statistic": (
        ("against: intact", "against: intakt"),
        r"p.yaml:14:statistics.gap.against: unknown condition 'intakt'; "
        r"one of: measured, intact, silenced, matched \(did you mean 'intact'\?\)",
    ),
    "figure without its statistic": (
        (
            "kind: encoding_accuracy, by: yeo7, ceiling: noise, null: spin, n: 1000",
            "kind: paired, of: silenced, against: intact",
        ),
        r"p.yaml:15:figures.0: network_gap draws a statistic of kind encoding_accuracy",
    ),
    "too few pairs": (
        ("seed: 7", "seed: 7\nadapter: {pairs: 1}"),
        r"p.yaml:4:adapter.pairs: met 1; allowed: a whole number of pairs, at least 2",
    ),
    "count without control": (
        ("fill: mean}", "fill: mean, n: 2}"),
        r"p.yaml:8:conditions.silenced.perturb.n: counts controls, or masks; add control: patch",
    ),
    "no condition": (
        (GOOD[GOOD.index("conditions:") : GOOD.index("scores:")], "conditions: {}\n"),
        r"p.yaml:\d+:scores: they are of conditions, and there are none: add conditions",
    ),
    "python tag": (
        ("seed: 7", "seed: !!python/object/apply:os.getpid []"),
        r"p.yaml:3: the tag .*os.getpid.* is not allowed: write plain values",
    ),
    "alias": (
        ("{split: test, n: 20}", "&a {split: *a}"),
        r"p.yaml:4:stimuli.split: anchors \(&\) and aliases \(\*\) are not allowed",
    ),
    "broken YAML": (("seed: 7", "seed: [7"), r"p.yaml:\d+: not YAML: "),
    "missing files of a step": (
        ("stimuli: {split: test, n: 20}", "stimuli: {kind: images, path: /nowhere/x.png}"),
        r"p.yaml:4:stimuli: /nowhere/x.png: no such file or folder",
    ),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_its_place(change, message, write):
    old, new = change
    assert GOOD.count(old) >= 1
    with pytest.raises(ProtocolError) as caught:
        read(write(GOOD.replace(old, new, 1)))
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.yaml:1: a protocol is 'key: value' lines; met nothing"),
        ("- a\n", "p.yaml:1: a protocol is 'key: value' lines; met list"),
        ("title: x\n", "p.yaml:1: 'stimuli' is missing; give it a value"),
    ],
)
def test_what_is_no_protocol(text, message, write):
    with pytest.raises(ProtocolError, match=re.escape(message)):
        read(write(text))


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(ProtocolError, match=r"yeo7_gop.yaml: no such file; .*mean 'yeo7_gap'\?"):
        read(tmp_path / "yeo7_gop.yaml")
    with pytest.raises(ProtocolError, match="is a directory"):
        read(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"title: \xff\xfe")
    with pytest.raises(ProtocolError, match="not a text file in UTF-8"):
        read(tmp_path / "latin.yaml")


def test_shipped_protocols_are_found_by_name():
    assert find("yeo7_gap") == find("yeo7_gap.yaml") != find("protocols/yeo7_gap.yaml").parent


def test_several_mistakes_are_counted_and_all_listed(write):
    path = write(GOOD.replace("ssim", "sim").replace("intact,", "intakt,"))
    with pytest.raises(ProtocolError, match=r"scores.1.kind.*\(and 1 more: insilico check "):
        read(path)
    document = complete(path)
    found = lines(problems(document), document)
    assert [line.split(":")[1] for line in found] == ["10", "14"]


def test_a_mistake_in_a_preset_names_the_preset(tmp_path, write):
    preset = (
        presets()["phantom"].read_text().replace("kind: mary_nano", "kind: mary_nano, sbject: x")
    )
    (tmp_path / "mine.yaml").write_text(preset)
    line = 1 + preset[: preset.index("encoder:")].count("\n")
    with pytest.raises(
        ProtocolError, match=rf"mine.yaml:{line}:encoder.sbject: unknown key 'sbject'"
    ):
        read(write(GOOD.replace("preset: phantom ", "preset: mine.yaml ")))


# --- --set ----------------------------------------------------------------------------------------


def test_set_changes_and_keeps_yaml_types(write):
    changes = {"seed": "8", "stimuli.n": "6", "adapter.alpha": "1e3", "title": "no"}
    protocol = read(write(GOOD), changes).protocol
    assert (protocol.seed, protocol.stimuli["n"], protocol.title) == (8, 6, "no")
    assert protocol.adapter == {"kind": "ridge", "pairs": 2000, "alpha": 1000.0}


def test_another_kind_drops_the_parameters_of_the_first(write):
    protocol = read(write(GOOD), {"adapter": "{kind: pca, pairs: 500}"}).protocol
    assert protocol.adapter == {"kind": "pca", "pairs": 500}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stimuli.n", "x", r"^--set stimuli.n: met 'x'; allowed: a valid integer"),
        ("seed.a", "1", r"^--set seed.a: 'seed' holds 7, no keys; set it whole: --set 'seed={"),
        (
            "scores.0",
            "ssim",
            r"holds \['pixcorr', .*a list; set it whole: --set 'scores=\[ssim\]'$",
        ),
        (
            "adapter.pairs",
            "10000000",
            r"^--set adapter.pairs: of 'training', met 10000000; allowed",
        ),
        ("conditions.intact", "x", r"intact: met 'x'; allowed: a mapping in { }$"),
        ("conditions.1x", "{}", r"allowed: a name that begins with a letter: letters, digits"),
        ("statistics.a/b", "{}", r"allowed: a name that begins with a letter: letters, digits"),
        ("figures", "[{of: gap}]", r"'kind' is missing \(write {kind: lesion_effects, of: gap}\)"),
        ("figures", "[{gap: 1}]", r":figures.0: 'kind' is missing; one of: network"),
        ("a..b", "1", r"^--set a..b: a key looks like stimuli.n"),
        ("seed", "[1", r"^--set seed: '\[1' is not a YAML value"),
        ("sceed", "1", r"^--set sceed: unknown key 'sceed'; .*did you mean 'seed'"),
    ],
)
def test_set_names_its_own_mistakes(key, value, message, write):
    with pytest.raises(ProtocolError, match=message):
        read(write(GOOD), {key: value})


def test_words_of_yaml_are_keys_here():
    document = parse("null: 1\nno: 2\n12: 3\n", "x.yaml")
    assert document.data == {"null": 1, "no": 2, "12": 3}
    assert document.where(("no",)) == "x.yaml:2:no"
