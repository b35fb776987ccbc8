"""Captions: greedy and beam search against exhaustive oracles, and the step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from transformers import BertTokenizer, CLIPImageProcessorPil, GitConfig, GitForCausalLM

from insilico.decoders import CAPTIONERS
from insilico.decoders.git import Git, caption_tokens, write_captions
from insilico.errors import ParameterError, SchemaError, WeightsError
from insilico.phantom.scenes import draw_scene, render
from insilico.schema import sample
from insilico.step import computing
from insilico.weights.folders import folder

WORDS = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "red", "dog", "sky"]


@pytest.fixture(scope="module")
def pictures():
    return np.stack([render(draw_scene(0, "unseen", k)) for k in range(6)])


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Build an untrained GIT in the published layout, whose tokenizer is BERT's."""
    torch.manual_seed(11)
    where = tmp_path_factory.mktemp("git")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    sizes |= {"num_hidden_layers": 1}
    vision = sizes | {"image_size": 16, "patch_size": 8}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    words = {"vocab_size": len(WORDS), "max_position_embeddings": 7, "initializer_range": 0.8}
    model = GitForCausalLM(GitConfig(vision_config=vision, **sizes, **ends, **words)).eval()
    with torch.no_grad():
        model.output.weight.normal_(0, 1.5)
    model.save_pretrained(where)
    BertTokenizer(vocab={word: k for k, word in enumerate(WORDS)}).save_pretrained(where)
    CLIPImageProcessorPil(
        size={"height": 16, "width": 16}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(where)
    return where


def likeliest(where, picture, longest: int) -> tuple[int, ...]:
    """Return the caption of the highest mean log-probability of its words, of all there are."""
    model = GitForCausalLM.from_pretrained(where).eval()
    pixels = CLIPImageProcessorPil.from_pretrained(where)([picture], return_tensors="pt")
    scores = {}
    for n in range(1, longest + 1):
        said = torch.tensor([sequence for sequence in every_caption(longest) if len(sequence) == n])
        given = torch.cat([torch.ones(len(said), 1, dtype=torch.long), said], dim=1)
        shown = pixels["pixel_values"].expand(len(said), -1, -1, -1)
        with torch.no_grad():
            logits = model(input_ids=given, pixel_values=shown).logits[:, -n - 1 : -1]
        each = logits.log_softmax(-1).gather(2, said[..., None])[..., 0].mean(1)
        scores |= {tuple(s): float(v) for s, v in zip(said.tolist(), each, strict=True)}
    return max(scores, key=scores.__getitem__)


def spelled(sequence) -> str:
    return " ".join(WORDS[k] for k in sequence if k > 3)


def every_caption(longest: int):
    """Yield all sequences that end with [SEP], or at the longest length."""
    others = [k for k in range(len(WORDS)) if k != 2]
    for n in range(longest):
        yield from ((*start, 2) for start in itertools.product(others, repeat=n))
    yield from itertools.product(others, repeat=longest)


def test_greedy_takes_the_likeliest_word_each_time(pictures):
    """The loop that a caption was before there were beams, written out."""
    where = folder("phantom", "captioner")
    model = GitForCausalLM.from_pretrained(where).float().eval()
    pixels = CLIPImageProcessorPil.from_pretrained(where)(list(pictures), return_tensors="pt")
    said = torch.full((len(pictures), 1), 1)
    for _ in range(12):
        with torch.no_grad():
            logits = model(input_ids=said, pixel_values=pixels["pixel_values"]).logits[:, -1]
        said = torch.cat([said, logits.argmax(-1, keepdim=True)], dim=1)
    from insilico.phantom.training.vocabulary import spelled as words_of

    expected = [words_of(row[1:]) for row in said]
    assert write_captions(pictures, where) == expected
    assert write_captions(pictures, where, most=4) == expected
    with computing(batch=2):
        assert write_captions(pictures, where) == expected


def test_wide_beams_find_the_likeliest_caption_of_all_and_greedy_does_not(tiny, pictures):
    assert len(list(every_caption(2))) == 43
    wide = write_captions(pictures, tiny, beams=40, longest=2)
    assert wide == [spelled(likeliest(tiny, picture, 2)) for picture in pictures]
    assert wide != write_captions(pictures, tiny, longest=2)


def test_captions_stop_at_the_separator_of_bert(tiny, pictures):
    model = GitForCausalLM.from_pretrained(tiny).eval()
    with torch.no_grad():
        model.output.bias[2] = 100.0
    stopped = tiny.parent / "stopped"
    model.save_pretrained(stopped)
    BertTokenizer.from_pretrained(tiny).save_pretrained(stopped)
    CLIPImageProcessorPil.from_pretrained(tiny).save_pretrained(stopped)
    assert write_captions(pictures[:2], stopped) == ["", ""]
    assert all(len(text.split()) <= 2 for text in write_captions(pictures, tiny, longest=2))


def test_step_captions_every_draw_and_keeps_the_rest(pictures):
    images = np.stack([pictures[:3], pictures[3:]], axis=1)  # 3 stimuli, 2 draws
    before = sample("reconstruction", 3).isel(draw=[0, 0]).assign_coords(draw=[0, 1])
    before["image"] = (before["image"].dims, images)
    made = CAPTIONERS.build("git")(before)
    flat = write_captions(pictures, folder("phantom", "captioner"))
    assert made["caption"].values.T.ravel().tolist() == flat
    assert np.array_equal(made["image"], before["image"])
    assert made.attrs["captioner_beams"] == 1
    again = Git(beams=3)(before)
    assert again.attrs["captioner_beams"] == 3


def test_pictures_are_needed():
    words = sample("reconstruction").drop_vars("image").assign(caption=(("stimulus",), ["a"] * 4))
    with pytest.raises(SchemaError, match="decode pictures first"):
        Git()(words)


@pytest.mark.parametrize("parameters", [{"beams": 0}, {"longest": 0}, {"beams": 1000}])
def test_parameters_are_checked(parameters):
    with pytest.raises(ParameterError, match=next(iter(parameters))):
        CAPTIONERS.build({"kind": "git", **parameters})


def test_missing_and_damaged_weights_are_named(tmp_path, tiny):
    with pytest.raises(WeightsError, match="no weights of captioner"):
        Git(weights=str(tmp_path))(sample("reconstruction"))
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny, broken)
    (broken / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(WeightsError, match="cannot be loaded as GIT"):
        Git(weights=str(broken))(sample("reconstruction"))


@pytest.mark.parametrize("beams", [1, 3])
def test_tokens_of_a_picture_are_captioned_like_the_picture(tiny, pictures, beams):
    """The vision tower's own output, handed over, says what the tower would have said."""
    model = GitForCausalLM.from_pretrained(tiny).eval()
    pixels = CLIPImageProcessorPil.from_pretrained(tiny)(list(pictures), return_tensors="pt")
    with torch.no_grad():
        seen = model.git.image_encoder(pixels["pixel_values"]).last_hidden_state
    assert caption_tokens(seen, tiny, beams) == write_captions(pictures, tiny, beams=beams)
    flipped = caption_tokens(seen.flip(0), tiny, beams)
    assert flipped == write_captions(pictures[::-1], tiny, beams=beams)
    assert write_captions(pictures, tiny) == write_captions(pictures, tiny)  # the tower is back


def test_tokens_of_another_width_are_told(tiny):
    with pytest.raises(WeightsError, match="sees tokens of 16 channels, the converter makes 8"):
        caption_tokens(torch.zeros(1, 5, 8), tiny)
