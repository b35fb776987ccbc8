from __future__ import annotations

import gc
import sys
import warnings

import numpy as np
import pytest
import xarray as xr

from insilico.errors import MissingPackage, SchemaError, WeightsError
from insilico.schema import sample
from insilico.scores import KINDS
from insilico.scores import bleu as bleus
from insilico.scores.bleu import Bleu2, Bleu4, all_grams, bleu
from insilico.scores.meteor import Meteor, aligned, meteor, stemmed
from insilico.scores.rouge import Rouge1, RougeL, longest_common
from insilico.scores.tokenising import nltk, sentences, tokenised
from insilico.scores.wordnet import FILES, WordNet

SAID = [
    "a man is riding a wave on a surfboard",
    "two dogs running in the snow",
    "the the the the the the the",
    "a cat sits on the mat",
    "dying flies skies proceeds innings on the mat",
    "a red bus",
]
MEANT = [
    "a man rides a surfboard on a wave in the ocean",
    "two dog runs through snow",
    "the cat is on the mat",
    "on the mat sat a cat",
    "die fly sky proceed inning mat the on",
    "a big red bus parked on the street next to a building",
]


def captions(said, meant, draws=1):
    n = len(said)
    stimuli = sample("stimuli", n).assign(caption=("stimulus", meant))
    made = xr.Dataset(
        {"caption": (("stimulus", "draw"), np.repeat(np.array(said)[:, None], draws, 1))},
        coords={"stimulus": stimuli["stimulus"].values, "draw": range(draws)},
        attrs={"decoder": "none", "seed": 0},
    )
    return made, stimuli


def of(kind, said, meant, **parameters):
    made, stimuli = captions(said, meant)
    return KINDS.build({"kind": kind, **parameters})(made, stimuli)


def cut(text):
    return text.split()


# --- BLEU ---


def counts(said, meant, order):
    return bleus.counts(all_grams(said, order), [all_grams(words, order) for words in meant])


def test_bleu_counts_by_hand():
    # Papineni et al. 2002, section 2.1: seven times "the", two of them clipped
    made = counts(cut(SAID[2]), [cut(MEANT[2]), cut("there is a cat on the mat")], 2)
    assert made.tolist() == [2, 0, 7, 6, 7, 7]
    assert bleu(counts(cut(SAID[2]), [cut(MEANT[2])], 1)) == pytest.approx(2 / 7)


def test_bleu_by_hand():
    said, meant = cut("the cat sat on the mat"), cut("the cat is on the mat today")
    precisions = [5 / 6, 3 / 5, 1 / 4]  # words; the cat, on the, the mat; on the mat
    for order in (1, 2, 3):
        expected = np.prod(precisions[:order]) ** (1 / order) * np.exp(1 - 7 / 6)
        assert bleu(counts(said, [meant], order)) == pytest.approx(expected, abs=1e-12)
    assert bleu(counts(said, [meant], 4)) == 0
    smooth = np.prod([*precisions, 0.1 / 3]) ** 0.25 * np.exp(-1 / 6)
    assert bleu(counts(said, [meant], 4), "epsilon") == pytest.approx(smooth, abs=1e-12)
    plus = np.prod([5 / 6, 4 / 6, 2 / 5, 1 / 4]) ** 0.25 * np.exp(-1 / 6)
    assert bleu(counts(said, [meant], 4), "plus_one") == pytest.approx(plus, abs=1e-12)


def test_of_equally_close_references_the_shorter_counts():
    said = cut("a b c d")
    assert counts(said, [cut("a b c d e"), cut("a b c")], 1)[-1] == 3
    assert bleu(counts(said, [cut("a b c d e"), cut("a b c")], 1)) == 1


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("smoothing", ["none", "epsilon", "plus_one"])
def test_bleu_is_nltks(order, smoothing):
    scores = pytest.importorskip("nltk.translate.bleu_score")
    method = {
        "none": None,
        "epsilon": scores.SmoothingFunction().method1,
        "plus_one": scores.SmoothingFunction().method2,
    }[smoothing]
    weights = (1 / order,) * order
    for said in SAID:
        references = [cut(text) for text in MEANT[:3]]
        own = bleu(counts(cut(said), references, order), smoothing)
        zero = smoothing == "none" and own == 0  # nltk: 1e-231 and a warning
        if not zero:
            theirs = scores.sentence_bleu(references, cut(said), weights, method)
            assert own == pytest.approx(theirs, abs=1e-12)


def test_corpus_bleu_sums_counts():
    scores = pytest.importorskip("nltk.translate.bleu_score")
    score = of("bleu2", SAID, MEANT, form="corpus", words="blanks")
    assert score["value"].dims == ("draw", "metric")
    assert score["metric"].item() == "corpus_bleu2"
    lists = [[cut(text)] for text in MEANT]
    theirs = scores.corpus_bleu(lists, [cut(text) for text in SAID], (0.5, 0.5))
    assert score["value"].item() == pytest.approx(theirs, abs=1e-12)
    sentence = of("bleu2", SAID, MEANT, words="blanks")["value"].mean().item()
    assert abs(sentence - theirs) > 0.01
    shifted = [_quietly(scores.corpus_bleu, lists[k:] + lists[:k]) for k in range(1, 6)]
    assert score["chance"].item() == pytest.approx(np.mean(shifted), abs=1e-12)


def _quietly(corpus_bleu, lists):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of no match at all
        return corpus_bleu(lists, [cut(text) for text in SAID], (0.5, 0.5))


def test_coco_smoothing_is_next_to_none():
    said, meant = cut(SAID[0]), [cut(MEANT[0])]
    made = counts(said, meant, 2)
    assert bleu(made, "coco") == pytest.approx(bleu(made), rel=1e-6)
    assert 0 < bleu(counts(cut(SAID[5]), meant, 4), "coco") < 1e-3


def test_several_references_and_empty_ones():
    made, stimuli = captions(["a cat", "a dog"], ["a cow", "a dog"])
    both = np.array([["a cow", "a cat"], ["a dog", ""]])
    stimuli = stimuli.assign(caption=(("stimulus", "reference"), both))
    assert Bleu2()(made, stimuli)["value"].values.ravel().tolist() == [1, 1]
    none = stimuli.assign(caption=(("stimulus", "reference"), np.array([["a", ""], ["", " "]])))
    with pytest.raises(SchemaError, match="no caption to hold against.*sample-000001"):
        Bleu2()(made, none)


def test_words_are_cut_by_name():
    text = "A man's dog, isn't it? Yes."
    assert tokenised(text, "blanks") == ["a", "man's", "dog,", "isn't", "it?", "yes."]
    assert tokenised(text, "words") == ["a", "man's", "dog", "isn't", "it", "yes"]
    assert tokenised(text, "rouge") == ["a", "man", "s", "dog", "isn", "t", "it", "yes"]
    pytest.importorskip("nltk")
    words = ["a", "man", "'s", "dog", ",", "is", "n't", "it", "?", "yes", "."]
    assert tokenised(text, "ptb") == words
    assert tokenised(text, "ptb_words") == [w for w in words if w not in ",?."]


def test_sentences_end_by_rule():
    assert sentences("A man. He runs! Why? ok") == ["A man.", "He runs!", "Why? ok"]
    assert sentences("Mr. Smith and J. Doe met. They left.") == [
        "Mr. Smith and J. Doe met.",
        "They left.",
    ]
    assert sentences(" ") == []
    pytest.importorskip("nltk")
    assert tokenised("A man. He runs.", "ptb") == ["a", "man", ".", "he", "runs", "."]


def test_the_cut_is_part_of_the_definition():
    loose, strict = (of("bleu1", ["a dog"], ["A dog."], words=how) for how in ("words", "blanks"))
    assert (loose["value"].item(), strict["value"].item()) == (1, 0.5)
    assert "words cut by 'blanks'" in strict["definition"].item()


# --- METEOR ---


def test_meteor_of_the_same_six_words():
    assert meteor(cut(MEANT[2]), cut(MEANT[2])) == pytest.approx(1 - 0.5 / 6**3, abs=1e-12)
    assert meteor(cut("a b"), cut("c d")) == 0 == meteor([], cut("a"))


class NoSynonyms:
    def synsets(self, word):
        return []


def test_meteor_is_nltks():
    oracle = pytest.importorskip("nltk.translate.meteor_score").single_meteor_score
    for said in SAID:
        for meant in MEANT:
            theirs = oracle(cut(meant), cut(said), wordnet=NoSynonyms())
            assert meteor(cut(said), cut(meant)) == pytest.approx(theirs, abs=1e-12)
    theirs = oracle(cut(MEANT[0]), cut(SAID[0]), alpha=0.8, beta=2, gamma=0.3, wordnet=NoSynonyms())
    assert meteor(cut(SAID[0]), cut(MEANT[0]), alpha=0.8, beta=2, gamma=0.3) == pytest.approx(
        theirs
    )


def test_meteor_matches_stems_from_the_end():
    pytest.importorskip("nltk")
    assert stemmed("running") == "run"
    assert aligned(cut("dogs run"), cut("a dog running")) == [(0, 1), (1, 2)]
    assert aligned(cut("a a"), cut("a b a")) == [(0, 0), (1, 2)]
    assert aligned(cut("a"), cut("a b a")) == [(0, 2)]  # greedy, not fewest crossings


LINES = {
    "index.noun": "auto n 1 1 @ 1 0 00000001\ncar n 1 1 @ 1 0 00000001\nchild n 1 0 1 0 00000002\n"
    "kid n 1 0 1 0 00000002\nmotor_vehicle n 1 0 1 0 00000001\n",
    "data.noun": "00000001 06 n 03 car 0 auto 0 motor_vehicle 0 000 | wheels\n"
    "00000002 18 n 02 child 0 kid 0 000 | young\n",
    "noun.exc": "children child\n",
    "index.verb": "jog v 1 0 1 0 00000001\nrun v 1 0 1 0 00000001\n",
    "data.verb": "00000001 38 v 02 run 0 jog 0 000 01 + 02 00 | fast\n",
    "verb.exc": "ran run\n",
    "index.adj": "large a 1 0 1 0 00000001\nbig a 1 0 1 0 00000001\n",
    "data.adj": "00000001 00 a 02 large 0 big(p) 0 000 | size\n",
    "adj.exc": "",
    "index.adv": "",
    "data.adv": "",
    "adv.exc": "",
}


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    """A WordNet of four synsets; every offset is a byte's place, as nltk's reader wants it."""
    folder = tmp_path_factory.mktemp("nltk") / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for name, text in LINES.items():
        offsets = {}
        if name.startswith("data"):
            rows, at = text.splitlines(), 26
            for row in rows:
                offsets[row[:8]] = f"{at:08d}"
                at += len(row) + 1
            LINES[name.replace("data", "index")] = _moved(
                LINES[name.replace("data", "index")], offsets
            )
            text = "  1 a licence of 26 bytes\n" + _moved(text, offsets)
        (folder / name).write_text(text)
    for name in ("index.noun", "index.verb", "index.adj", "index.adv"):
        (folder / name).write_text("  1 a licence of 26 bytes\n" + LINES[name])
    return folder


def _moved(text, offsets):
    for old, new in reversed(offsets.items()):
        text = text.replace(old, new)
    return text


def test_synonyms_are_read_from_wordnets_files(wordnet):
    net = WordNet.of(str(wordnet))
    assert net.synonyms("cars") == {"cars", "car", "auto"}  # motor_vehicle is two words
    assert net.synonyms("children") == {"children", "child", "kid"}
    assert net.synonyms("ran") == {"ran", "run", "jog"}
    assert net.synonyms("larger") == {"larger", "large", "big"}
    assert net.synonyms("sky") == {"sky"}


SENTENCES = [
    ("a big car with children", "a large auto with kid"),
    ("a child jogs", "the kid run to a car"),
    ("autos", "cars"),
    ("the large child ran", "big kid jog"),
]


@pytest.mark.filterwarnings("ignore:The multilingual functions:UserWarning")
def test_meteor_with_wordnet_is_nltks(wordnet, monkeypatch):
    data = pytest.importorskip("nltk.data")
    monkeypatch.setattr(
        data, "path", [str(wordnet.parents[1])]
    )  # nltk reads from known folders alone
    from nltk.corpus.reader import WordNetCorpusReader
    from nltk.translate.meteor_score import single_meteor_score

    lex = "".join(f"{k:02d}\tname{k}\t1\n" for k in range(45))
    (wordnet / "lexnames").write_text(lex)
    (wordnet / "index.sense").write_text("")
    theirs = WordNetCorpusReader(str(wordnet), None)
    net = WordNet.of(str(wordnet))
    for said, meant in SENTENCES:
        expected = single_meteor_score(cut(meant), cut(said), wordnet=theirs)
        own = meteor(cut(said), cut(meant), net.synonyms)
        assert own == pytest.approx(expected, abs=1e-12)
        assert own > meteor(cut(said), cut(meant))
    with warnings.catch_warnings():  # nltk's reader leaves its files open
        warnings.simplefilter("ignore", ResourceWarning)
        del theirs
        gc.collect()


def test_meteor_says_what_it_matched(wordnet):
    pytest.importorskip("nltk")
    said, meant = map(list, zip(*SENTENCES, strict=True))
    bare = of("meteor", said, meant)
    full = of("meteor", said, meant, wordnet=str(wordnet))
    assert bare["metric"].item() == "meteor_exact_stem"
    assert full["metric"].item() == "meteor"
    assert "no WordNet" in bare["definition"].item()
    assert (full["value"] > bare["value"].values).all()
    assert set(Meteor(wordnet=str(wordnet)).digests()) == {"wordnet"}


def test_a_folder_without_wordnet_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"meteor: index.noun is missing in .*wordnet-base"):
        Meteor(wordnet=str(tmp_path)).digests()
    for name in FILES:
        (tmp_path / name).write_text("no such layout\n")
    with pytest.raises(WeightsError, match="cannot be read as WordNet's files"):
        of("meteor", ["a"], ["b"], wordnet=str(tmp_path), words="words")


def test_without_nltk_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk.stem.porter", None)
    with pytest.raises(MissingPackage, match=r"needs nltk: pip install 'insilico\[words\]'"):
        nltk.__wrapped__("stem.porter")


# --- ROUGE ---


def test_rouge_by_hand():
    said, meant = "police killed the gunman", "the gunman police killed"
    assert of("rouge1", [said], [meant])["value"].item() == 1
    assert of("rouge2", [said], [meant])["value"].item() == pytest.approx(2 / 3)
    assert of("rouge_l", [said], [meant])["value"].item() == pytest.approx(2 / 4)
    assert of("rouge1", ["a a b"], ["a b c d"])["value"].item() == pytest.approx(2 * 2 / 7)
    assert of("rouge1", ["!"], ["a"])["value"].item() == 0


def test_longest_common_against_all_subsequences():
    from itertools import combinations

    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(0, 3, 6).tolist(), rng.integers(0, 3, 5).tolist()
        runs = [{c for k in range(len(x) + 1) for c in combinations(x, k)} for x in (a, b)]
        assert longest_common(a, b) == max(map(len, runs[0] & runs[1]))


def test_rouge_stems_if_asked():
    pytest.importorskip("nltk")
    assert of("rouge1", ["dogs running"], ["dog runs"])["value"].item() == 0
    assert of("rouge1", ["dogs running"], ["dog runs"], stem=True)["value"].item() == 1
    assert "Porter" in Rouge1(stem=True).described()[1]
    assert RougeL(stem=True).prepared("the men") == ["the", "men"]  # three letters stay


# --- all ---


@pytest.mark.parametrize("kind", ["bleu1", "bleu4", "meteor", "rouge1", "rouge_l"])
def test_chance_is_the_mismatched_mean_and_pairs_keep_their_places(kind):
    pytest.importorskip("nltk")
    said, meant = SAID[:3], MEANT[:3]
    score = of(kind, said, meant)
    pairs = np.array([[of(kind, [s], [m])["value"].item() for m in meant] for s in said])
    np.testing.assert_allclose(score["value"].values[:, 0, 0], pairs.diagonal(), atol=1e-12)
    apart = pairs[~np.eye(3, dtype=bool)]
    assert score["chance"].item() == pytest.approx(apart.mean(), abs=1e-12)


def test_bleu_of_the_phantoms_captions_does_not_depend_on_the_cut():
    said = ["a small red dog on the left of a beach", "a big blue boat on the right of a road"]
    meant = ["a small blue dog on the left of a road", "a big blue car on the right of a road"]
    blanks, words = (of("bleu1", said, meant, words=how) for how in ("blanks", "words"))
    assert (blanks["value"].values == words["value"].values).all()
    assert blanks["value"].values[0, 0, 0] == pytest.approx(8 / 10)
    assert Bleu4().described()[1].count("'words'") == 1


@pytest.mark.parametrize(
    ("pair", "stem", "values"),
    [  # made with the package rouge_score 0.1.2
        (0, False, [0.7, 0.444444444444, 0.5]),
        (1, False, [0.363636363636, 0.0, 0.363636363636]),
        (0, True, [0.8, 0.555555555556, 0.6]),
        (1, True, [0.727272727273, 0.444444444444, 0.727272727273]),
    ],
)
def test_rouge_is_rouge_scores(pair, stem, values):
    if stem:
        pytest.importorskip("nltk")
    kinds = ("rouge1", "rouge2", "rouge_l")
    own = [of(kind, [SAID[pair]], [MEANT[pair]], stem=stem)["value"].item() for kind in kinds]
    np.testing.assert_allclose(own, values, atol=1e-11)
