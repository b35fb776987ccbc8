"""A photograph, a sentence, a recording and a film through the chain, with the shipped networks."""

from __future__ import annotations

import json
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image, ImageSequence
from ruamel.yaml import YAML
from scipy.io import wavfile

import insilico as isi
from insilico import cli
from insilico.errors import ParameterError, StimulusError
from insilico.phantom.stimuli import Scenes
from insilico.run.store import read_entry
from insilico.schema import canonical
from insilico.stimuli.images import read_picture
from insilico.translate.told import Familiarity, loudness, summary
from insilico.translate.written import _decoded

SENTENCE = "a large green boat on the middle of a road"
ALWAYS = {"response.nc", "translation.yaml", "translation.pdf", "translation.png", "summary.txt"}
DECODED = {"image.png", "caption.txt", "sound.wav"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    preset = folder / "small.yaml"
    shipped = isi.load_chain("phantom").protocol
    sections = ("stimuli", "training", "recording", "encoder", "adapter", "decoder", "bindings")
    kept = {name: getattr(shipped, name) for name in sections}
    kept["adapter"] = {**kept["adapter"], "pairs": 300}
    preset.write_text("".join(f"{name}: {canonical(spec)}\n" for name, spec in kept.items()))
    return folder


@pytest.fixture(scope="module")
def scene():
    return Scenes(split="unseen", n=1, sounds=True)()


def translate(store, path, out, *more):
    arguments = ["translate", str(path), "--out", str(out), "--preset", str(store / "small.yaml")]
    return cli.main([*arguments, "--store", str(store), *more])


def translated(store, what, out, **options):
    options = {"preset": str(store / "small.yaml"), "store": store, **options}
    return isi.translate(what, out=out, **options)


def yaml(out):
    return YAML(typ="safe").load(out / "translation.yaml")


def files(out):
    """Return the files of a folder, each as its manifest says, with their digests."""
    listed = json.loads((out / "manifest.json").read_text())["files"]
    assert {path.name for path in out.iterdir()} == {*listed, "manifest.json"}
    return listed


def photograph(width, height, mode="RGB"):
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize(
    ("name", "width", "height", "mode"),
    [
        ("photo.jpg", 800, 600, "RGB"),
        ("huge.jpg", 6000, 4000, "RGB"),
        ("tiny.png", 2, 3, "RGB"),
    ],
)
def test_any_picture_gives_a_picture_and_a_caption(
    store, tmp_path, capsys, name, width, height, mode
):
    photograph(width, height, mode).save(tmp_path / name)
    assert translate(store, tmp_path / name, tmp_path / "out", "--to", "image", "text") == 0
    said = capsys.readouterr().out
    caption = (tmp_path / "out" / "caption.txt").read_text().strip()
    assert f'caption: "{caption}"' in said
    assert len(caption.split()) > 3
    assert "simulated" in said
    with Image.open(tmp_path / "out" / "image.png") as made:
        assert made.size == (64, 64)


def test_the_phantom_s_own_scene_is_near_and_a_photograph_far(store, tmp_path, capsys):
    scene = Scenes(split="unseen", n=1)()["image"].values[0]
    Image.fromarray(scene).save(tmp_path / "scene.png")
    translate(store, tmp_path / "scene.png", tmp_path / "scene")
    assert "within the" in capsys.readouterr().out
    Image.new("RGB", (300, 200), (128, 128, 128)).save(tmp_path / "grey.png")
    translate(store, tmp_path / "grey.png", tmp_path / "grey")
    assert "another world than" in capsys.readouterr().out


def test_a_second_translation_leaves_nothing_of_the_first(store, tmp_path, capsys):
    for name in ("a", "b"):
        photograph(80, 80).save(tmp_path / f"{name}.png")
    assert translate(store, tmp_path / "a.png", tmp_path / "out", "--to", "image", "text") == 0
    assert translate(store, tmp_path / "b.png", tmp_path / "out", "--to", "text") == 2
    assert "holds another run; name another folder" in capsys.readouterr().err
    more = ("--to", "text", "--overwrite")
    assert translate(store, tmp_path / "b.png", tmp_path / "out", *more) == 0
    assert not (tmp_path / "out" / "image.png").exists()
    assert set(files(tmp_path / "out")) == {*ALWAYS, "seen.png", "caption.txt"}


@pytest.fixture(scope="module")
def sentence(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("sentence")
    return out, translated(store, SENTENCE, out)


def test_a_sentence_gives_a_picture_a_caption_and_a_sound(store, sentence):
    out, result = sentence
    assert set(files(out)) == ALWAYS | DECODED | {"read.txt"}
    assert (out / "read.txt").read_text() == SENTENCE + "\n"
    assert result.caption == (out / "caption.txt").read_text().strip()
    assert "boat" in result.caption
    rate, wave = wavfile.read(out / "sound.wav")
    assert rate == 16_000
    assert len(wave) == rate
    assert "within the small's world" in result.summary
    assert "simulated; not a person's brain" in result.summary
    assert "made from the caption alone" in result.summary


def test_files_hold_what_the_chain_makes_step_by_step(store, sentence):
    out, result = sentence
    chain = isi.load_chain(str(store / "small.yaml"), store=store, set={"sound.kind": "audioldm2"})
    response = chain.encode(chain.stimuli(kind="captions", text=[SENTENCE]))
    np.testing.assert_array_equal(read_entry(out / "response.nc")["bold"], response["bold"])
    made = chain.decode(response).isel(stimulus=0, draw=0)
    with Image.open(out / "image.png") as image:
        np.testing.assert_array_equal(np.asarray(image), made["image"])
    wave = made["sound"].values
    np.testing.assert_array_equal(wavfile.read(out / "sound.wav")[1], wave * loudness(wave))
    assert made["caption"] == result.caption


@pytest.mark.parametrize("peak", [0.0, 0.4, 1.0, 1.25])
def test_a_decoded_sound_is_made_softer_only_above_full_scale(peak):
    wave = np.linspace(-peak, peak / 2, 160, dtype=np.float32)
    made = xr.Dataset(
        {"sound": (("stimulus", "draw", "sample"), wave[None, None])},
        attrs={"sampling_rate_hz": 16_000},
    )
    _, written = wavfile.read(
        BytesIO(_decoded(made.isel(stimulus=0, draw=0), ["sound"])["sound.wav"])
    )
    np.testing.assert_allclose(written, wave / max(peak, 1), rtol=1e-6)
    said = summary({"path": "a"}, "phantom", xr.Dataset(), made, ["sound"], Familiarity())
    assert ("made softer, × 0.8, so that its peak is 1" in said) == (peak > 1)


def test_what_was_run_is_written_down(store, sentence):
    said = yaml(sentence[0])
    assert said["preset"] == str(store / "small.yaml")
    assert (said["seed"], said["to"]) == (0, ["image", "text", "sound"])
    chain = isi.load_chain("phantom", set={"sound.kind": "audioldm2"})
    assert said["digests"] == chain.digests()
    assert set(said["digests"]) == {"encoder", "decoder", "sound"}
    assert said["chain"]["stimuli"] == {"kind": "captions", "text": [SENTENCE]}
    assert said["chain"]["adapter"]["pairs"] == 300
    assert said["chain"]["sound"]["prompt"] == "ambient sound of {caption}"
    assert said["found"]["caption"] == sentence[1].caption
    assert said["found"]["distance_from_training"] == round(sentence[1].distance, 3)


def test_capitals_punctuation_and_a_text_file_change_nothing(store, sentence, tmp_path):
    (tmp_path / "a.txt").write_text("A large, green boat\non the middle of a road!\n")
    result = translated(store, tmp_path / "a.txt", tmp_path / "out")
    made, before = files(tmp_path / "out"), files(sentence[0])
    same = {"image.png", "caption.txt", "sound.wav"}
    assert {name: made[name] for name in same} == {name: before[name] for name in same}
    assert result.unknown == ()


def test_the_same_again_is_the_same_to_the_byte(store, sentence, tmp_path):
    translated(store, SENTENCE, tmp_path)
    assert files(tmp_path) == files(sentence[0])


def test_another_seed_gives_another_picture_of_the_same_response(store, sentence, tmp_path):
    translated(store, SENTENCE, tmp_path, to=["image"], seed=5, set={"encoder.rows": "mean"})
    made, before = files(tmp_path), files(sentence[0])
    assert made["response.nc"] == before["response.nc"]
    assert made["image.png"] != before["image.png"]
    assert set(made) == {*ALWAYS, "read.txt", "image.png"}
    assert (yaml(tmp_path)["seed"], yaml(tmp_path)["set"]) == (5, {"encoder.rows": "mean"})


def test_words_that_the_encoder_does_not_know_are_named(store, tmp_path, capsys):
    words = "A zebra, a boat and $5 或 a zebra"
    assert translate(store, words, tmp_path / "out", "--to", "text") == 0
    said = capsys.readouterr().out
    assert "does not know: zebra, and, 5, 或; it knows a, apple, beach, bird," in said
    assert "another world than the small's" in said
    assert yaml(tmp_path / "out")["found"]["unknown_words"] == ["zebra", "and", "5", "或"]


def test_characters_that_the_tokenizer_leaves_out_are_unknown_words(store, tmp_path, capsys):
    assert translate(store, "a ☃ red 😀 dog", tmp_path / "out", "--to", "text") == 0
    assert "does not know: ☃, 😀; it knows a, apple," in capsys.readouterr().out
    assert yaml(tmp_path / "out")["found"]["unknown_words"] == ["☃", "😀"]


def test_a_recording_is_heard_at_16_khz(store, scene, tmp_path):
    wave = scene["sound"].values[0]
    wavfile.write(tmp_path / "a.wav", 48_000, np.stack([np.repeat(wave, 3)] * 2, 1))
    wavfile.write(tmp_path / "b.wav", 16_000, wave)
    result = translated(store, tmp_path / "b.wav", tmp_path / "b", to="sound")
    assert set(files(tmp_path / "b")) == {*ALWAYS, "heard.wav", "sound.wav"}
    np.testing.assert_array_equal(wavfile.read(tmp_path / "b" / "heard.wav")[1], wave)
    assert "within the small's world" in result.summary
    translated(store, tmp_path / "a.wav", tmp_path / "a", to="sound")
    rate, heard = wavfile.read(tmp_path / "a" / "heard.wav")
    assert (rate, heard.shape) == (16_000, wave.shape)
    assert np.corrcoef(heard, wave)[0, 1] > 0.9


@pytest.mark.parametrize("what", ["silence", "noise"])
def test_silence_and_noise_are_sounds_of_another_world(store, tmp_path, what):
    wave = np.random.default_rng(0).standard_normal(32_000) * (what == "noise") * 0.1
    wavfile.write(tmp_path / "a.wav", 16_000, wave.astype(np.float32))
    result = translated(store, tmp_path / "a.wav", tmp_path / "out", to=["text"])
    assert result.distance > 5
    assert "distance from the sounds" in result.summary
    assert "another world" in result.summary


def test_two_minutes_of_a_longer_recording_are_heard_and_that_is_said(store, tmp_path):
    wavfile.write(tmp_path / "a.wav", 8000, np.ones(125 * 8000, np.int16))
    with pytest.warns(UserWarning, match="longer than 120 s and cut"):
        result = translated(store, tmp_path / "a.wav", tmp_path / "out", to=["text"])
    assert "shown: 1 of 1 were longer than 120 s and cut to that" in result.summary
    assert len(wavfile.read(tmp_path / "out" / "heard.wav")[1]) == 120 * 16_000


def test_a_film_is_seen_frame_by_frame(store, scene, tmp_path):
    from insilico.spaces.presented import write_film

    frames = [np.roll(scene["image"].values[0], 8 * k, 1) for k in range(3)]
    write_film(tmp_path / "a.mkv", frames, 1.0)
    result = translated(store, tmp_path / "a.mkv", tmp_path / "out", to=["image"])
    assert set(files(tmp_path / "out")) == {*ALWAYS, "seen.png", "image.png"}
    with Image.open(tmp_path / "out" / "seen.png") as seen:
        shown = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(seen)]
    np.testing.assert_array_equal(shown, frames)
    assert "these weights were never taught films" in result.summary
    assert "these weights were never taught films" in yaml(tmp_path / "out")["found"]["note"]


def test_ten_thousand_words_are_read(store, tmp_path):
    translated(store, "dog on a " * 3333 + "dog", tmp_path, to=["text"])
    assert len((tmp_path / "read.txt").read_text().split()) == 10_000
    assert read_entry(tmp_path / "response.nc").attrs["rows_averaged"] == 3001
    assert "(10,000 words)" in (tmp_path / "summary.txt").read_text()


def test_an_output_can_be_the_next_input(store, scene, tmp_path):
    Image.fromarray(scene["image"].values[0]).save(tmp_path / "a.png")
    out = tmp_path / "out"
    translated(store, tmp_path / "a.png", out, to=["image"])
    first = read_picture(out / "image.png", 64)
    translated(store, out / "image.png", out, to=["image"], overwrite=True)
    np.testing.assert_array_equal(read_picture(out / "seen.png", 64), first)
    files(out)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("", "the text: an empty caption"),
        ("☃ 😀", 'no word in "☃ 😀" that these weights can read'),
        ("boat.png", "boat.png: no such file; if these are words to read, say so with --text"),
        ("FOLDER", "is a folder"),
        ("FOLDER/empty.wav", "empty.wav: a sound of zero length"),
        ("FOLDER/cut.png", "cut.png: truncated, damaged or unreadable"),
        ("FOLDER/a.yaml", "a.yaml: not a picture, a sound, a film or a text"),
        ("FOLDER/blank.txt", "blank.txt: an empty caption"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_leaves_nothing(
    store, tmp_path, capsys, what, message
):
    photograph(80, 80).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:-20])
    wavfile.write(tmp_path / "empty.wav", 16_000, np.zeros(0, np.int16))
    (tmp_path / "a.yaml").write_text("a: 1\n")
    (tmp_path / "blank.txt").write_text("\n")
    out = tmp_path / "out"
    assert translate(store, what.replace("FOLDER", str(tmp_path)), out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not out.exists()


def test_words_that_look_like_a_path_are_read_when_that_is_said(store, tmp_path):
    assert translate(store, "boat.png", tmp_path / "out", "--text", "--to", "text") == 0
    assert (tmp_path / "out" / "read.txt").read_text() == "boat.png\n"


def test_a_form_that_the_chain_does_not_make_is_refused(store, tmp_path):
    with pytest.raises(ParameterError, match="unknown form 'smell'; one of: image, text, sound"):
        translated(store, "a dog", tmp_path, to=["smell"])
    with pytest.raises(ParameterError, match="to what"):
        translated(store, "a dog", tmp_path, to=[])
    with pytest.raises(ParameterError, match=r"makes no text; it makes image"):
        translated(store, "a dog", tmp_path, to=["text"], set={"decoder.captions": "none"})
    weights = Path(isi.__file__).parent / "phantom" / "weights"
    with pytest.raises(ParameterError, match="makes no sound; say which network does: --set"):
        translated(store, "a dog", tmp_path / "out", set={"decoder.weights": str(weights)})
    assert not (tmp_path / "out").exists()
    with pytest.raises(StimulusError):
        translated(store, "a/dog", tmp_path / "out")


def test_a_caption_takes_seconds_and_a_minute_of_sound_as_well(store):
    chain = isi.load_chain(str(store / "small.yaml"), store=store)

    def through(**what):
        start = time.process_time()
        response = chain.encode(chain.stimuli(**what))
        encoded = time.process_time()
        chain.decode(response)
        return encoded - start, time.process_time() - encoded

    through(kind="captions", text=["a dog"])  # loads the networks
    assert sum(through(kind="captions", text=[SENTENCE])) < 5
    wave = 0.1 * np.random.default_rng(0).standard_normal(60 * 16_000)
    wavfile.write(store / "minute.wav", 16_000, wave.astype(np.float32))
    assert through(kind="sounds", path=str(store / "minute.wav"))[0] < 10
