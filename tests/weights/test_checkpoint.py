"""Reading checkpoints: what the hub holds is read, what is dangerous or damaged is refused."""

from __future__ import annotations

import collections
import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from authors_layout import DeepSpeedLeftover, write_last
from safetensors.torch import load_file, save_file

from insilico.errors import WeightsError
from insilico.weights.checkpoint import read
from insilico.weights.unpickling import Refused, Stub, load
from insilico.weights.writing import write_tensors

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1, 2])}
FORMATS = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def same(found, expected=None):
    expected = STATE if expected is None else expected
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


class Touching:
    """A class whose methods would be run by a plain unpickler."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __setstate__(self, state: dict) -> None:
        state["path"].touch()


@pytest.mark.parametrize("how", FORMATS)
def test_training_files_are_read_with_all_that_stands_in_them(tmp_path, how):
    leftover = [DeepSpeedLeftover(), Touching(tmp_path / "run"), collections.Counter("aab")]
    write_last(tmp_path / "last.pth", STATE, leftover, **FORMATS[how])
    made = read(tmp_path / "last.pth")
    same(made.tensors)
    assert not (tmp_path / "run").exists()
    assert made.about == {
        "epoch": 149, "train_losses": [0.5, 0.25], "test_losses": [1.5, 0.75],
    }  # fmt: skip
    assert all(type(value) is float for value in made.about["train_losses"])


class Calls:
    def __init__(self, function, *given):
        self.call = (function, given)

    def __reduce__(self):
        return self.call


def harmful(mark: Path):
    return {
        "system": Calls(os.system, f"touch {mark}"),
        "eval": Calls(eval, f"open({str(mark)!r}, 'w')"),
        "exec": Calls(exec, f"open({str(mark)!r}, 'w')"),
        "getattr": Calls(getattr, "text", "encode"),
        "open": Calls(io.open, str(mark), "w"),
        "touch": Calls(Path.touch, mark),
    }


@pytest.mark.parametrize("how", [*FORMATS, "pickle"])
@pytest.mark.parametrize("what", ["system", "eval", "exec", "getattr", "open", "touch"])
def test_code_in_a_pickle_is_refused_and_not_run(tmp_path, what, how):
    mark, path = tmp_path / "it_ran", tmp_path / "evil.pth"
    content = {"model_state_dict": STATE, "extra": harmful(mark)[what]}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    else:
        torch.save(content, path, **FORMATS[how])
    with pytest.raises(WeightsError, match="a pickle with code in it .* nothing of it was run"):
        read(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(harmful(mark)["touch"]))  # the payload is live
    assert mark.exists()


def test_torch_functions_that_run_code_become_stubs(tmp_path):
    mark = tmp_path / "it_ran"
    state = io.BytesIO(pickle.dumps(Calls(torch.hub.load, "repo", str(mark))))
    assert isinstance(load(state), Stub)
    with pytest.raises(Refused, match="encode"):
        load(io.BytesIO(b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R."))


def test_a_file_cannot_change_the_functions_that_rebuild_tensors():
    from torch._utils import _rebuild_tensor_v2

    program = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x04\x00\x00\x00evilK\x01s\x86b."
    load(io.BytesIO(program))
    assert not hasattr(_rebuild_tensor_v2, "evil")


@pytest.mark.parametrize("share", [0.1, 0.6, 0.99])
@pytest.mark.parametrize("how", [*FORMATS, "safetensors"])
def test_files_cut_off_are_told(tmp_path, how, share):
    path = tmp_path / ("cut.safetensors" if how == "safetensors" else "cut.pth")
    if how == "safetensors":
        save_file(STATE, path)
    else:
        write_last(path, {f"{k}": torch.rand(50, 50) for k in range(4)}, **FORMATS[how])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=r"cut\.\w+ is cut off.* download it again"):
        read(path)


def scripted() -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)), buffer)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"", "is empty"),
        (lambda: b"<html>Access denied</html>", "not a file that torch.save wrote"),
        (lambda: b"version https://git-lfs.github.com/spec/v1", "a Git-LFS pointer, not the file"),
        (zipped, "another kind of zip file"),
        (scripted, "a TorchScript program"),
        (lambda: pickle.dumps({"lrs": [1.0]}), "a bare pickle"),
    ],
    ids=["empty", "page", "pointer", "zip", "script", "pickle"],
)
def test_other_files_are_told(tmp_path, content, message):
    path = tmp_path / "file.pth"
    path.write_bytes(content())
    with pytest.raises(WeightsError, match=message):
        read(path)
    with pytest.raises(WeightsError, match="no file"):
        read(tmp_path / "none.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list"),
        ({"epoch": 3}, "holds no tensors; its entries are epoch"),
        ({"state_dict": {**STATE, "b": "text"}}, "not tensors: b"),
    ],
)
def test_files_without_weights_are_told(tmp_path, content, message):
    torch.save(content, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=message):
        read(tmp_path / "file.pth")


def test_wrappers_and_holders_are_taken_off(tmp_path):
    wrapped = {f"module._orig_mod.{key}": value for key, value in STATE.items()}
    averaged = {key: value + 1 for key, value in STATE.items()}
    contents = [
        STATE,
        {"state_dict": STATE},
        {"model_state_dict": wrapped, "state_dict": averaged},
        {"module": STATE, "optimizer": DeepSpeedLeftover()},
        {"state_dict": STATE, "ema_state_dict": averaged},
    ]
    for content in contents:
        torch.save(content, tmp_path / "file.pth")
        same(read(tmp_path / "file.pth").tensors)
    same(read(tmp_path / "file.pth", ema=True).tensors, averaged)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_half_precision_is_widened_on_request(tmp_path, suffix):
    state = {"w": torch.rand(3).half(), "count": torch.tensor([7])}
    path = tmp_path / f"file.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    same(read(path).tensors, state)
    wide = read(path, dtype=torch.float32).tensors
    same(wide, {"w": state["w"].float(), "count": state["count"]})
    assert wide["w"].dtype == torch.float32


def anonymous() -> int:
    """Return the memory of this process that no file backs, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(text.partition("RssAnon:")[2].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_large_files_are_mapped_not_copied(tmp_path):
    size = 64 * 2**20
    write_last(tmp_path / "last.pth", {"w": torch.ones(size // 4)}, np.float64(1))
    before = anonymous()
    made = read(tmp_path / "last.pth")
    assert made.tensors["w"].sum() == size // 4
    assert anonymous() - before < size // 4


class Sampled(dict):
    """Notes the memory in use whenever a tensor is taken."""

    def values(self):
        self.memory = []
        for value in super().values():
            yield value
            self.memory.append(anonymous())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_large_files_are_written_one_tensor_at_a_time(tmp_path):
    size = 16 * 2**20
    write_last(tmp_path / "last.pth", {str(k): torch.full((2, size // 8), k) for k in range(6)})
    turned = {key: value.mT for key, value in read(tmp_path / "last.pth").tensors.items()}
    before, given = anonymous(), Sampled(turned)
    write_tensors(tmp_path / "model.safetensors", given)
    assert max(given.memory) - before < 3 * size
    same(load_file(tmp_path / "model.safetensors"), turned)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.bool])
def test_every_type_survives_writing(tmp_path, dtype):
    whole = torch.arange(12.0).reshape(3, 4).to(dtype)
    state = {"whole": whole, "view": whole[:, 1:3], "scalar": whole[1, 1], "none": whole[:0]}
    write_tensors(tmp_path / "model.safetensors", state)
    same(load_file(tmp_path / "model.safetensors"), state)
    with pytest.raises(WeightsError, match="safetensors cannot hold"):
        write_tensors(tmp_path / "other.safetensors", {"c": torch.zeros(1, dtype=torch.cfloat)})
