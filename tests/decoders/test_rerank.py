"""Reranking: the combination against an oracle, candidates, CLAP by pieces, and the step."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, set_seed

from insilico.decoders import DESCRIBERS
from insilico.decoders.candidates import FromFile, FromGenerator, FromGrammar
from insilico.decoders.rerank import Rerank, combined, ranks, table
from insilico.decoders.similarity import clip_pairs
from insilico.errors import ParameterError, SchemaError, StimulusError, WeightsError
from insilico.phantom.stimuli import Scenes
from insilico.spaces.meanings import clap_rng, clap_sound, clap_texts, pieces
from insilico.weights.folders import folder

RULES = {
    "caption": ("a {size} red {object} on the left of a beach",),
    "size": ("small", "large"),
    "object": ("dog", "bird", "{machine}"),
    "machine": ("train", "car"),
}
GRAMMAR = {"source": "grammar", "rules": RULES}


@pytest.fixture(scope="module")
def scenes():
    return Scenes(split="unseen", n=3, sounds=True)()


@pytest.fixture(scope="module")
def ranked(scenes):
    rules = {"caption": tuple(str(text) for text in Scenes(split="seen", n=5)()["caption"].values)}
    rules["caption"] += tuple(str(text) for text in scenes["caption"].values)
    return Rerank(candidates={"source": "grammar", "rules": rules})(scenes)


# --- the combination ------------------------------------------------------------------------------


def test_combination_is_the_weighted_sum_with_three_tenths_for_the_sound():
    rng = np.random.default_rng(0)
    clap, clip = rng.uniform(-1, 1, (2, 3, 7))
    for alpha in (0.0, 0.3, 1.0):
        made = combined(clap, clip, alpha)
        for i in range(3):
            for j in range(7):
                assert made[i, j] == pytest.approx(alpha * clap[i, j] + (1 - alpha) * clip[i, j])
    assert Rerank(candidates=GRAMMAR).alpha == 0.3


def test_ranges_make_both_scores_count_alike():
    clap, clip = np.array([[0.1, 0.2, 0.3]]), np.array([[0.9, 0.5, 0.1]])
    made = combined(clap, clip, 0.3, "range")
    assert made == pytest.approx(np.array([[0.7, 0.5, 0.3]]))
    assert combined(np.full((1, 3), 0.4), clip, 0.5, "range")[0] == pytest.approx([0.5, 0.25, 0])


def test_equals_share_the_better_rank():
    assert ranks(np.array([0.2, 0.9, 0.2, -1.0])).tolist() == [2, 1, 2, 4]


# --- candidates -----------------------------------------------------------------------------------


def test_grammar_spells_out_every_sentence_once():
    texts = FromGrammar(rules=RULES).texts()
    assert len(texts) == len(set(texts)) == 8
    assert "a large red car on the left of a beach" in texts
    few = FromGrammar(rules=RULES, n=3, seed=1).texts()
    assert set(few) < set(texts)
    assert few == FromGrammar(rules=RULES, n=3, seed=1).texts()
    assert any(FromGrammar(rules=RULES, n=3, seed=k).texts() != few for k in (2, 3, 4))


def test_file_gives_its_lines_once(tmp_path):
    file = tmp_path / "candidates.txt"
    file.write_text(
        "\ufeffmoonlight and shadow\n\n  soft   piano\r\nmoonlight and shadow\n", "utf-8"
    )
    assert FromFile(path=file).texts() == ["moonlight and shadow", "soft piano"]


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    """Build an untrained GPT-2 over the phantom's words."""
    where = tmp_path_factory.mktemp("writer")
    set_seed(0)
    words = AutoTokenizer.from_pretrained(folder("phantom", "clip"))
    ends = {"bos_token_id": 1, "eos_token_id": words.eos_token_id}
    size = {"vocab_size": len(words), "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    GPT2LMHeadModel(GPT2Config(**size, **ends)).save_pretrained(where)
    words.save_pretrained(where)
    return where


def test_generator_writes_by_seed_and_leaves_the_global_one_alone(writer):
    import torch

    source = FromGenerator(weights=str(writer), prompt="a red dog on", n=4, longest=6)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    texts = source.texts()
    assert torch.equal(torch.get_rng_state(), before)
    assert 1 < len(texts) <= 4
    assert not any(text.startswith("a red dog on") for text in texts)
    assert texts == source.texts()
    assert texts != source.model_copy(update={"seed": 1}).texts()


# --- CLAP -----------------------------------------------------------------------------------------


def test_long_sounds_are_averaged_over_pieces_by_seed(scenes):
    path, one = folder("phantom", "clap"), scenes["sound"].values[0]
    long = np.concatenate([one, scenes["sound"].values[1], np.zeros(500, np.float32)])
    made = clap_sound(long, 16_000, path, 3, clap_rng(0, "a"))
    parts = pieces(long, 16_000, 3, clap_rng(0, "a"))
    each = [clap_sound(part, 16_000, path, 1, clap_rng(9, "z")) for part in parts]
    mean = np.mean(each, axis=0)
    assert made == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert made == pytest.approx(clap_sound(long, 16_000, path, 3, clap_rng(0, "a")))
    assert np.abs(made - clap_sound(long, 16_000, path, 3, clap_rng(1, "a"))).max() > 1e-4


def test_sounds_are_brought_to_claps_rate(scenes):
    from scipy.signal import resample_poly

    path, one = folder("phantom", "clap"), scenes["sound"].values[0]
    fine = clap_sound(resample_poly(one, 3, 1), 48_000, path, 1, clap_rng(0, "a"))
    assert fine @ clap_sound(one, 16_000, path, 1, clap_rng(0, "a")) > 0.98


def test_clap_knows_held_out_scenes_by_their_sound(scenes):
    path = folder("phantom", "clap")
    others = Scenes(split="unseen", n=30, sounds=True)()
    texts = [str(text) for text in others["caption"].values]
    waves = others["sound"].values
    heard = np.stack([clap_sound(wave, 16_000, path, 1, clap_rng(0, "a")) for wave in waves])
    nearest = (heard @ clap_texts(texts, path).T).argmax(1)
    for name in ("object", "background"):
        assert (others[name].values[nearest] == others[name].values).mean() > 0.9


# --- the step -------------------------------------------------------------------------------------


def test_step_sorts_by_the_combined_score_and_keeps_all_of_them(ranked, scenes):
    assert ranked["caption"].dims == ("stimulus", "draw")
    assert ranked["image"].dims[:2] == ("stimulus", "draw")
    assert (np.diff(ranked["combined"].values, axis=1) <= 0).all()
    expected = 0.3 * ranked["clap"] + 0.7 * ranked["clip"]
    assert ranked["combined"].values == pytest.approx(expected.values)
    path = folder("phantom", "clap")
    for k, name in enumerate(scenes["stimulus"].values):
        texts = [str(text) for text in ranked["caption"].values[k]]
        heard = clap_sound(scenes["sound"].values[k], 16_000, path, 8, clap_rng(0, str(name)))
        assert ranked["clap"].values[k] == pytest.approx(clap_texts(texts, path) @ heard, abs=1e-5)
        shown = ranked["image"].values[k]
        alike = clip_pairs(texts, shown, folder("phantom", "clip"))
        assert ranked["clip"].values[k] == pytest.approx(alike, abs=1e-5)


def test_sound_alone_finds_object_and_background(ranked, scenes):
    rows = table(ranked)
    best = rows[rows["clap_rank"] == 1].set_index("stimulus")["caption"]
    for name, caption in zip(scenes["stimulus"].values, scenes["caption"].values, strict=True):
        said, meant = best.loc[[str(name)]].iloc[0].split(), str(caption).split()
        assert (said[3], said[-1]) == (meant[3], meant[-1])


def test_table_has_both_scores_both_ranks_and_the_combined_one(ranked):
    rows = table(ranked)
    columns = ["stimulus", "rank", "caption", "clap", "clip", "combined", "clap_rank", "clip_rank"]
    assert list(rows.columns) == columns
    assert len(rows) == 3 * 8
    for _, group in rows.groupby("stimulus"):
        assert group["rank"].tolist() == list(range(1, 9))
        assert group.sort_values("clap_rank")["clap"].is_monotonic_decreasing
        assert group.sort_values("clip_rank")["clip"].is_monotonic_decreasing
    with pytest.raises(SchemaError, match="no ranking"):
        table(ranked.drop_vars("clap"))


def test_pictures_show_their_text_and_depend_on_the_seed(scenes):
    from insilico.decoders.git import write_captions
    from insilico.decoders.painting import painted
    from insilico.scores.words import same_object

    texts = [str(text) for text in Scenes(split="unseen", n=24)()["caption"].values]
    made = painted(texts)
    said = write_captions(made, folder("phantom", "judge_captioner"))
    assert np.mean([same_object(a, b) for a, b in zip(said, texts, strict=True)]) >= 0.7
    np.testing.assert_allclose(painted(texts[:1]).astype(int), made[:1].astype(int), atol=1)
    assert np.abs(painted(texts[:1], seed=1).astype(int) - made[:1]).max() > 20


def tiny_pipeline():
    """Build an untrained Stable Diffusion of 16 x 16 pixels."""
    import diffusers
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    words = ["<|startoftext|>", "<|endoftext|>", *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"{letter}</w>" for letter in words[2:]]
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "num_attention_heads": 2}
    text = CLIPTextConfig(**size, **ends, vocab_size=len(words), max_position_embeddings=77)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        layers_per_block=1,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    vae = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
    )
    vocabulary = {word: k for k, word in enumerate(words)}
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        unet=unet,
        text_encoder=CLIPTextModel(text),
        tokenizer=CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77),
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def test_a_pipeline_of_diffusers_can_paint(tmp_path):
    from insilico.decoders.painting import painted

    tiny_pipeline().save_pretrained(tmp_path)
    made = painted(["a red dog", "a blue bird"], str(tmp_path))
    assert made.shape == (2, 16, 16, 3)
    assert made.dtype == np.uint8
    assert np.abs(painted(["a blue bird"], str(tmp_path)).astype(int) - made[1:]).max() <= 1
    assert (made[0] != made[1]).any()


# --- bad input ------------------------------------------------------------------------------------


def test_sounds_that_cannot_be_heard_are_named(scenes):
    step = Rerank(candidates={**GRAMMAR, "n": 2})
    for wrong in (0.0, np.nan):
        broken = scenes.assign(sound=scenes["sound"].copy())
        broken["sound"][1] = wrong
        with pytest.raises(SchemaError, match=r"phantom-unseen-000001.*silent or not finite"):
            step(broken)
    with pytest.raises(SchemaError, match="sampling_rate_hz"):
        step(scenes.drop_vars("sound"))


def test_padding_is_not_heard(scenes):
    step = Rerank(candidates={**GRAMMAR, "n": 2})
    one = scenes.isel(stimulus=[0])
    padded = one.pad(sample=(0, 40_000), constant_values=0)
    padded = padded.assign_coords(n_samples=("stimulus", [16_000]))
    xr.testing.assert_allclose(step(one)["clap"], step(padded)["clap"])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"start": ("a",)}, "unknown name in the grammar 'caption'"),
        ({"caption": ("a {thing}",)}, "unknown name in the grammar 'thing'"),
        ({"caption": ("a {caption}",)}, "stands for itself"),
        ({"caption": ("a {",)}, "caption"),
        ({"caption": ("{a}{a}{a}{a}{a}",), "a": tuple("0123456789")}, "more than 10,000"),
    ],
)
def test_grammars_that_spell_nothing_are_refused(rules, message):
    with pytest.raises(ParameterError, match=message):
        FromGrammar(rules=rules).texts()


def test_files_without_candidates_are_refused(tmp_path):
    with pytest.raises(StimulusError, match="cannot be read"):
        FromFile(path=tmp_path / "none.txt").texts()
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(StimulusError, match="no candidates"):
        FromFile(path=tmp_path / "empty.txt").texts()
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(StimulusError, match="UTF-8"):
        FromFile(path=tmp_path / "bytes.txt").texts()
    (tmp_path / "long.txt").write_text("word " * 10_000)
    long = Rerank(candidates={"source": "file", "path": tmp_path / "long.txt"})
    with pytest.raises(SchemaError, match="10000 words"):
        long(Scenes(n=1, sounds=True)())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 1.2}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"chunks": 0}, "chunks"),
        ({"scale": "z"}, "scale"),
        ({"candidates": {"source": "oracle"}}, "oracle"),
        ({"candidates": {"source": "file"}}, "path"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ParameterError, match=message):
        DESCRIBERS.build({"kind": "rerank", "candidates": GRAMMAR, **parameters})


@pytest.mark.parametrize("name", ["clap", "clip", "pictures"])
def test_missing_weights_are_named(name, scenes, tmp_path):
    step = Rerank(candidates={**GRAMMAR, "n": 2}, **{name: str(tmp_path)})
    with pytest.raises(WeightsError, match=f"no weights of {name}"):
        step(scenes)


def test_a_generator_without_weights_is_named(tmp_path):
    with pytest.raises(WeightsError, match="no weights of generator"):
        FromGenerator(weights=str(tmp_path)).texts()
