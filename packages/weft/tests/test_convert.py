"""`weft convert`: DyNet's formats and safetensors into each other, and damaged files refused in one line."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import weft as dy
from weft import cli
from weft.convert import convert
from weft.dynet_pairs import read_pair
from weft_core.files import save_arrays

SAMPLES = Path(__file__).parent / "dynet_samples"


def read(path: Path) -> bytes:
    return path.read_bytes()


def test_a_text_model_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    native, text = tmp_path / "model.safetensors", tmp_path / "model.txt"
    assert cli.main(["convert", str(SAMPLES / "model.txt"), str(native)]) == 0
    assert capsys.readouterr().out == f"wrote {native}: 8 parameters and 3 look-up tables, 69 numbers\n"
    assert cli.main(["convert", str(native), str(text)]) == 0
    assert capsys.readouterr().out == f"wrote {text}: 8 parameters and 3 look-up tables, 69 numbers\n"
    assert read(text) == read(SAMPLES / "model.txt")


def test_arrays_of_a_converted_model(tmp_path: Path) -> None:
    convert(SAMPLES / "model.txt", tmp_path / "model.safetensors")
    arrays = dy.read_parameters(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(arrays["ten"], np.load(SAMPLES / "model.ten.npy"))
    np.testing.assert_array_equal(arrays["emb3"], np.load(SAMPLES / "model.emb3.npy"))
    objects = dy.load(tmp_path / "model.safetensors", dy.ParameterCollection())
    assert [(type(p).__name__, p.name(), p.shape()) for p in objects[-3:]] == [
        ("LookupParameters", "/emb", (5, 3)),
        ("LookupParameters", "/emb3", (3, 2, 2)),
        ("LookupParameters", "/enc/inner/lut", (2, 2)),
    ]


def test_gradients_are_left_out(tmp_path: Path) -> None:
    convert(SAMPLES / "model_grad.txt", tmp_path / "model.txt")
    assert read(tmp_path / "model.txt") == read(SAMPLES / "model.txt")


def test_a_pair_keeps_its_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    native, pair = tmp_path / "lstm.safetensors", tmp_path / "pair"
    assert cli.main(["convert", str(SAMPLES / "lstm"), str(native)]) == 0
    counts = "25 parameters and 1 look-up table, 176 numbers; 2 objects with a spec"
    assert capsys.readouterr().out == f"wrote {native}: {counts}\n"
    model, expected = dy.ParameterCollection(), dy.ParameterCollection()
    objects = dy.load(native, model)
    assert [type(o).__name__ for o in objects] == [type(o).__name__ for o in read_pair(SAMPLES / "lstm", expected)]
    for found, wanted in zip(model.parameters_list(), expected.parameters_list(), strict=True):
        np.testing.assert_array_equal(found.as_array(), wanted.as_array())
    assert cli.main(["convert", "--pair", str(native), str(pair)]) == 0
    assert capsys.readouterr().out == f"wrote {pair}.data and {pair}.meta: {counts}\n"
    for suffix in (".data", ".meta"):
        assert read(pair.with_suffix(suffix)) == read(SAMPLES / f"lstm{suffix}")


@pytest.mark.parametrize("old", ["lstm", "lstm.meta", "lstm.data"])
def test_the_parameters_of_a_pair_as_text(old: str, tmp_path: Path) -> None:
    convert(SAMPLES / old, tmp_path / "model")
    assert read(tmp_path / "model") == read(SAMPLES / "lstm.data")


def test_parameters_saved_by_name(tmp_path: Path) -> None:
    model = dy.ParameterCollection()
    model.add_parameters((2, 3), name="W")
    model.add_subcollection("enc").add_lookup_parameters((4, 3, 2), name="E")
    dy.save_parameters(tmp_path / "a.safetensors", model)
    convert(tmp_path / "a.safetensors", tmp_path / "model")
    model.save(tmp_path / "expected")
    assert read(tmp_path / "model") == read(tmp_path / "expected")


def test_classes_that_are_not_there_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("my_code")
    module.Model = type("Model", (), {"__module__": "my_code"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_code", module)
    (tmp_path / "old.meta").write_bytes(pickle.dumps((module.Model, (2, "x", [module.Model]), "/m/"), 4))
    monkeypatch.delitem(sys.modules, "my_code")
    (tmp_path / "old.data").write_text("#Parameter# /m/_0 {1} 17 ZERO_GRAD\n+2.00000000e+00 \n")
    convert(tmp_path / "old", tmp_path / "new.safetensors")
    convert(tmp_path / "new.safetensors", tmp_path / "again", pair=True)
    assert read(tmp_path / "again.data") == read(tmp_path / "old.data")
    assert read(tmp_path / "again.meta") == read(tmp_path / "old.meta")
    with pytest.raises(dy.ParameterFileError, match=r"holds an object of my_code\.Model"):
        dy.load(tmp_path / "new.safetensors", dy.ParameterCollection())


def test_a_file_may_be_converted_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "model"
    shutil.copyfile(SAMPLES / "model_grad.txt", path)
    convert(path, path)
    assert read(path) == read(SAMPLES / "model.txt")


# What is refused


def damaged(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Files that are refused: their path and what is said of them."""
    text, native, trainer = tmp_path / "text", tmp_path / "native.safetensors", tmp_path / "trainer.safetensors"
    text.write_text("#Parameter# /w {2} 33 ZERO_GRAD\n1 2\n#Parameter# /v {2} 33 ZERO_GRAD\n1\n")
    native.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{")
    save_arrays(trainer, {"m": np.ones(2, np.float32)}, {"trainer": "AdamTrainer"})
    for name in ("pair", "more"):
        shutil.copyfile(SAMPLES / "lstm.meta", tmp_path / f"{name}.meta")
        shutil.copyfile(SAMPLES / "lstm.data", tmp_path / f"{name}.data")
    (tmp_path / "pair.meta").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    with open(tmp_path / "more.data", "a") as file:
        file.write("#Parameter# /w {1} 17 ZERO_GRAD\n1\n")
    return {
        "text": (text, f"{text}:4: /v: expected 2 values for dims {{2}}, found 1"),
        "native": (native, f"{native} is truncated"),
        "trainer": (trainer, f"{trainer} does not tell what its arrays are"),
        "pair": (tmp_path / "pair", f"{tmp_path / 'pair.meta'}: object 0: the instruction b'R' of this pickle"),
        "more": (tmp_path / "more", f"{tmp_path / 'more.data'}:53: /w: expected a record of one object"),
    }


@pytest.mark.parametrize("case", ["text", "native", "trainer", "pair", "more"])
@pytest.mark.parametrize("new", ["new.safetensors", "new.txt"])
def test_damaged_files_are_exit_code_1(case: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, message = damaged(tmp_path)[case]
    (tmp_path / new).write_bytes(b"former")
    before = sorted(os.listdir(tmp_path))
    assert cli.main(["convert", str(path), str(tmp_path / new)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"weft: {message}")
    assert shown.err.count("\n") == 1
    assert read(tmp_path / new) == b"former"
    assert sorted(os.listdir(tmp_path)) == before


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["convert", str(tmp_path / "absent"), str(tmp_path / "new")]) == 2
    expected = f"weft: {tmp_path / 'absent'}: there is no such file, and no pair absent.data and absent.meta\n"
    assert capsys.readouterr().err == expected
    assert os.listdir(tmp_path) == []


def test_what_the_new_format_cannot_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = dy.FastLSTMBuilder(1, 2, 3, dy.ParameterCollection())
    dy.save(tmp_path / "fast.safetensors", [fast])
    assert cli.main(["convert", "--pair", str(tmp_path / "fast.safetensors"), str(tmp_path / "new")]) == 2
    assert "DyNet cannot make a FastLSTMBuilder from its spec" in capsys.readouterr().err
    assert cli.main(["convert", "--pair", str(SAMPLES / "lstm"), str(tmp_path / "new.safetensors")]) == 2
    assert "a pair has a base name without ending" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["fast.safetensors"]
