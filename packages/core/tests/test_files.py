"""Parameter files: what is written, what is refused, and that nothing is lost when writing or reading
fails.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft_core
from weft_core import files
from weft_core.collection import ParameterCollection
from weft_core.files import (
    ParameterFileError,
    load_arrays,
    load_parameters,
    read_parameters,
    save_arrays,
    save_parameters,
)


def make_model(shift: float = 0.0) -> ParameterCollection:
    """Parameters of several dims, a look-up table with matrices as rows, a subcollection."""
    model = ParameterCollection()
    model.parameters_from_numpy(shift + np.arange(6.0).reshape(2, 3), name="W")
    model.parameters_from_numpy(shift + np.float32(0.1) * np.arange(3), name="b")
    encoder = model.add_subcollection("encoder")
    encoder.lookup_parameters_from_numpy(shift + np.arange(24.0).reshape(4, 3, 2), name="E")
    encoder.parameters_from_numpy(np.array(shift), name="")
    return model


NAMES = ["W", "b", "encoder/_0", "encoder/E"]
# What the file of the model says of itself.
FACTS = {"format": "weft", "version": weft_core.__version__, "lookup_parameters": '["encoder/E"]'}


def contents(model: ParameterCollection) -> dict[str, np.ndarray]:
    return {name: p.as_array() for name, p in files.named_parameters(model).items()}


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[k], expected[k]) for k in expected)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def write(path: Path, header: Any, data: bytes = b"") -> None:
    """A file with this header: text, or what JSON turns into text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


# Round trips


def test_round_trip(path: Path) -> None:
    model, other = make_model(), make_model(shift=50)
    save_parameters(path, model, {"epoch": "3"})
    assert not same(contents(other), contents(model))
    metadata = load_parameters(path, other)
    assert same(contents(other), contents(model))
    assert metadata == {**FACTS, "epoch": "3"}


def test_names_and_logical_arrays(path: Path) -> None:
    model = make_model()
    save_parameters(path, model)
    arrays = read_parameters(path)
    assert list(arrays) == NAMES
    assert same(arrays, contents(model))
    assert {a.dtype for a in arrays.values()} == {np.dtype(np.float32)}
    arrays["W"][0, 0] = 5


def test_a_subcollection_is_saved_alone(path: Path) -> None:
    model = ParameterCollection()
    model.add_parameters(3)
    sub = model.add_subcollection("sub")
    w = sub.add_parameters(2, init=1.0, name="w")
    save_parameters(path, sub)
    w.zero()
    load_parameters(path, sub)
    np.testing.assert_array_equal(w.as_array(), [1, 1])
    assert list(read_parameters(path)) == ["sub/w"]


def test_gradients_and_flags_stay_on_load(path: Path) -> None:
    model = make_model()
    save_parameters(path, model)
    w = model.parameters_list()[0]
    w.gradients.fill(3)
    w.set_updated(False)
    load_parameters(path, model)
    assert (w.grad_as_array() == 3).all()
    assert not w.is_updated()


def test_an_empty_collection(path: Path) -> None:
    save_parameters(path, ParameterCollection())
    assert read_parameters(path) == {}
    load_parameters(path, ParameterCollection())


@pytest.mark.parametrize("dtype", sorted(files.DTYPES))
def test_arrays_of_every_dtype(path: Path, dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(files.DTYPES[dtype])
    save_arrays(path, {"x": array, "empty": array[:0], "scalar": array[0, 1]})
    arrays, metadata = load_arrays(path)
    assert metadata == {}
    assert arrays["x"].dtype == array.dtype
    np.testing.assert_array_equal(arrays["x"], array)
    assert arrays["empty"].shape == (0, 3)
    assert arrays["scalar"].shape == ()
    assert arrays["scalar"] == array[0, 1]


def test_memory_order_and_byte_order_do_not_matter(path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    layouts = {"f": np.asfortranarray(array), "big": array.astype(">f8"), "cut": array[::2, ::-1]}
    save_arrays(path, layouts)
    assert same(load_arrays(path)[0], layouts)


def test_arrays_are_aligned_to_their_elements(path: Path) -> None:
    save_arrays(path, {"byte": np.ones(3, np.uint8), "half": np.ones(1, np.float16), "wide": np.ones(2)})
    with open(path, "rb") as file:
        header = files.read_header(file, path)
        assert file.tell() % 8 == 0
    assert [e.name for e in header.entries] == ["wide", "half", "byte"]
    assert all(e.start % e.dtype.itemsize == 0 for e in header.entries)


def test_names_and_metadata_in_any_script(path: Path) -> None:
    save_arrays(path, {"Gewicht ü/重み": np.ones(1)}, {"Ünï": "コード"})
    arrays, metadata = load_arrays(path)
    assert list(arrays) == ["Gewicht ü/重み"]
    assert metadata == {"Ünï": "コード"}


# Other readers and writers


def test_the_safetensors_library_reads_what_weft_writes(path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="checks files against the safetensors library")
    from safetensors import safe_open

    model = make_model()
    save_parameters(path, model, {"note": "für später"})
    assert same(library.load_file(path), contents(model))
    with safe_open(path, "np") as file:
        assert file.metadata() == {**FACTS, "note": "für später"}
    mixed = {
        "d": np.ones((2, 2)),
        "i": np.arange(3),
        "b": np.array([True, False, True]),
        "z": np.zeros((0, 2)),
    }
    save_arrays(path, mixed)
    assert same(library.load_file(path), mixed)


def test_weft_reads_what_the_safetensors_library_writes(path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="checks files against the safetensors library")
    model, other = make_model(), make_model(shift=9)
    arrays = {name: np.array(a, np.float32, order="C") for name, a in contents(model).items()}
    library.save_file(arrays, path, metadata={"from": "library"})
    assert load_parameters(path, other) == {"from": "library"}
    assert same(contents(other), contents(model))
    mixed = {"d": np.ones((2, 2)), "i": np.arange(3, dtype=np.int16), "b": np.array([True, False, True])}
    library.save_file(mixed, path)
    assert same(read_parameters(path), mixed)


# Crash safety of saving


class Full(OSError):
    """The disk is full."""


def fail(*_: Any, **__: Any) -> Any:
    raise Full("no space left on device")


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failing_save_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    save_parameters(path, make_model())
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        with pytest.raises(Full):
            save_parameters(path, make_model(shift=1))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    save_parameters(path, make_model(shift=1))
    assert path.read_bytes() != before


@pytest.mark.parametrize("writes", [0, 1, 2, 4])
def test_a_write_that_fails_half_way_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    save_parameters(path, make_model())
    before = path.read_bytes()
    done: list[int] = []

    class Filling:
        """A file on a disk with room for some writes."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def __enter__(self) -> Filling:
            return self

        def __exit__(self, *error: object) -> None:
            self.file.close()

        def write(self, data: Any) -> int:
            if len(done) == writes:
                raise Full("no space left on device")
            done.append(len(data))
            return int(self.file.write(data))

    monkeypatch.setattr(files, "open", lambda *a: Filling(open(*a)), raising=False)  # noqa: SIM115
    with pytest.raises(Full):
        save_parameters(path, make_model(shift=1))
    monkeypatch.undo()
    assert len(done) == writes
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_failing_first_save_leaves_no_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(Full):
        save_parameters(path, make_model())
    assert os.listdir(path.parent) == []


def test_the_new_file_is_on_the_disk_before_it_gets_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    sync, replace = os.fsync, os.replace

    def record_sync(handle: int) -> None:
        events.append("fsync")
        sync(handle)

    def record_replace(source: Path, target: Path) -> None:
        events.append("replace")
        # The bytes are complete, and in the same directory.
        assert Path(source).parent == Path(target).parent
        assert list(read_parameters(source)) == NAMES
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    save_parameters(path, make_model())
    assert events[:2] == ["fsync", "replace"]
    if os.name == "posix":
        assert events == ["fsync", "replace", "fsync"]


def test_a_link_stays_a_link_and_permissions_stay(path: Path, tmp_path: Path) -> None:
    if os.name != "posix":
        pytest.skip("permissions and links as POSIX has them")
    folder = tmp_path / "real"
    folder.mkdir()
    real = folder / "weights"
    save_parameters(real, make_model())
    real.chmod(0o640)
    path.symlink_to(real)
    save_parameters(path, make_model(shift=2))
    assert path.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert same(read_parameters(real), contents(make_model(shift=2)))


def test_errors_of_the_system_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        save_parameters(tmp_path / "absent" / "model", make_model())
    with pytest.raises(FileNotFoundError):
        load_parameters(tmp_path / "absent", make_model())
    with pytest.raises(OSError):
        save_parameters(tmp_path, make_model())
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_saved(path: Path) -> None:
    with pytest.raises(ValueError, match=r"'x' of dtype object.*known dtypes: F64"):
        save_arrays(path, {"x": np.array([None])})
    with pytest.raises(ValueError, match="__metadata__"):
        save_arrays(path, {"__metadata__": np.ones(1)})
    with pytest.raises(TypeError, match="maps str to str"):
        save_arrays(path, {}, {"epoch": 3})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match=r"\['format'\] itself"):
        save_parameters(path, make_model(), {"format": "mine"})
    assert not path.exists()


# Files that do not fit, or are damaged


def refused(path: Path, match: str) -> None:
    """Loading raises, with the file's name, and leaves the model as it was."""
    model = make_model(shift=7)
    before = contents(model)
    with pytest.raises(ParameterFileError, match=match) as raised:
        load_parameters(path, model)
    assert str(path) in str(raised.value)
    assert isinstance(raised.value, ValueError)
    assert same(contents(model), before)


def change_one(arrays: dict[str, Any], name: str, array: np.ndarray) -> None:
    arrays[name] = array


MISMATCHES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda a: a.pop("b"), "the file lacks 'b'"),
    (lambda a: a.pop("encoder/E"), "the file lacks 'encoder/E'"),
    (lambda a: change_one(a, "c", np.ones(1)), "the model lacks 'c'"),
    (lambda a: change_one(a, "c", a.pop("b")), "lacks 'b'; the model lacks 'c'"),
    (lambda a: [change_one(a, f"x{k}", np.ones(1)) for k in range(9)], "'x4' and 4 more"),
    (
        lambda a: change_one(a, "W", np.ones((3, 2), np.float32)),
        r"W has shape \(3, 2\) in the file, \(2, 3\)",
    ),
    (lambda a: change_one(a, "encoder/_0", np.ones(1, np.float32)), r"encoder/_0 has shape \(1,\)"),
    (lambda a: change_one(a, "encoder/E", np.ones((3, 2, 4), np.float32)), r"\(4, 3, 2\) in the model"),
    (lambda a: change_one(a, "W", np.ones((2, 3))), "W has dtype float64 in the file"),
    (lambda a: change_one(a, "W", np.ones((2, 3), np.float16)), "parameters are float32"),
]


@pytest.mark.parametrize(("change", "match"), MISMATCHES)
def test_files_of_another_model(path: Path, change: Callable[[dict[str, Any]], Any], match: str) -> None:
    arrays = {name: a.astype(np.float32) for name, a in contents(make_model()).items()}
    change(arrays)
    save_arrays(path, arrays)
    refused(path, match)


def test_every_truncation_is_noticed(path: Path) -> None:
    save_parameters(path, make_model())
    whole = path.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    assert 8 < start < len(whole)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        kind = "starts with 8" if length < 8 else "announces a header" if length < start else "the arrays need"
        with pytest.raises(ParameterFileError, match=f"truncated.*{kind}"):
            read_parameters(path)
    for length in (0, 7, 8, start - 1, start, start + 1, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "truncated")


def test_a_file_that_shrinks_while_it_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_parameters(path, make_model())
    check = files.check_match

    def shrink(*arguments: Any) -> None:
        check(*arguments)
        os.truncate(path, path.stat().st_size - 4)

    monkeypatch.setattr(files, "check_match", shrink)
    # Small files are in the reader's buffer after the header: make it read anew.
    monkeypatch.setattr(files, "open", lambda name, mode: open(name, mode, buffering=16), raising=False)  # noqa: SIM115
    refused(path, "the file changed while it was read")


def test_bytes_after_the_end(path: Path) -> None:
    save_parameters(path, make_model())
    with open(path, "ab") as file:
        file.write(b"xyz")
    refused(path, "3 bytes follow the last array")


def entry(**changes: Any) -> dict[str, Any]:
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


DAMAGES: list[tuple[Any, str]] = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff\xfe{}", "not JSON"),
    (b"[" * 50000, "not JSON"),
    (b"[]", "its header is a list"),
    (b'{"x":{},"x":{}}', "a name occurs twice"),
    ({"__metadata__": 3}, "must map names to text"),
    ({"__metadata__": {"a": 1}}, "must map names to text"),
    ({"x": 3}, "needs dtype, shape and data_offsets"),
    ({"x": {"dtype": "F32", "shape": [2]}}, "needs dtype, shape and data_offsets"),
    (entry(more=1), "needs dtype, shape and data_offsets"),
    (entry(dtype="BF16"), "has dtype 'BF16'; this reader knows F64"),
    (entry(dtype=["F32"]), r"has dtype \['F32'\]"),
    (entry(shape=2), "has shape 2"),
    (entry(shape=[-2]), r"has shape \[-2\]"),
    (entry(shape=[2.0]), r"has shape \[2.0\]"),
    (entry(shape=[True, 2]), r"has shape \[True, 2\]"),
    (entry(data_offsets=[0, 8, 8]), r"place \[0, 8, 8\]"),
    (entry(data_offsets=[8, 0]), "needs 8 bytes"),
    (entry(shape=[3]), "needs 12 bytes"),
    (entry(shape=[2**62, 2**62]), "needs "),
    (entry(data_offsets=[4, 12]), "starts at byte 4 of the data, expected 0"),
    ({**entry(), "y": entry()["x"]}, "'y' starts at byte 0 of the data, expected 8"),
    ({**entry(), "y": {"dtype": "U8", "shape": [1], "data_offsets": [9, 10]}}, "starts at byte 9"),
    (entry(shape=[0] + [2**62] * 3, data_offsets=[0, 0]) | {"y": entry()["x"]}, "is no array"),
    (entry(shape=[1] * 70 + [2]), "is no array"),
    ({}, "8 bytes follow the last array"),
]


@pytest.mark.parametrize(("header", "match"), DAMAGES)
def test_damaged_headers(path: Path, header: Any, match: str) -> None:
    write(path, header, bytes(8))
    with pytest.raises(ParameterFileError, match=match) as raised:
        read_parameters(path)
    assert str(path) in str(raised.value)


def test_the_undamaged_header_is_read(path: Path) -> None:
    write(path, entry(), np.array([3, 4], "<f4").tobytes())
    np.testing.assert_array_equal(read_parameters(path)["x"], [3, 4])


def test_other_kinds_of_files(path: Path) -> None:
    path.write_bytes(b"\x80\x04\x95" + b"pickle" * 40)
    refused(path, "not a safetensors file: it begins with a header length of")
    path.write_text("#Parameter# /_0 {3} 30 ZERO_GRAD\n1 2 3\n")
    refused(path, "not a safetensors file")


def test_every_flipped_byte_of_the_header_is_noticed_or_harmless(path: Path) -> None:
    """Whatever a header says: an array comes back, or a ParameterFileError; never another exception."""
    save_arrays(path, {"x": np.arange(4, dtype=np.float32), "y": np.ones((2, 2))}, {"m": "n"})
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    noticed = 0
    for place in range(start):
        for byte in b'\x00\xff"}9':
            path.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
            try:
                read_parameters(path)
            except ParameterFileError:
                noticed += 1
    assert noticed > start
