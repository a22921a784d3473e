"""DyNet's text format: files equal byte by byte to those of DyNet 2.1.2, what is read, and what is refused.

The files in `dynet_samples` were written by DyNet; the arrays beside them are what it held.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import weft_core as dy
from weft_core import text_numbers
from weft_core.collection import ParameterCollection
from weft_core.parameters import StoredParameter
from weft_core.store import parameter_arrays
from weft_core.text_format import Record, TextFormatError, read_records, write_records
from weft_core.text_model import record_of
from weft_core.text_numbers import numbers_of, text_of, text_size

SAMPLES = Path(__file__).parent / "dynet_samples"
# Of each sample, what the model has as attributes of the parameters: name in the file, name of the array.
ARRAYS = {
    "/vec": "vec", "/mat": "mat", "/ten": "ten", "/_0": "anon", "/enc/w": "enc.w", "/enc/w_1": "enc.w2",
    "/enc/inner/_0": "enc.inner._0", "/enc_1/_0": "enc_1._0", "/emb": "emb", "/emb3": "emb3",
    "/enc/inner/lut": "enc.inner.lut",
}  # fmt: skip


def sample_model() -> ParameterCollection:
    """The collection that the samples are of, with other values."""
    model = ParameterCollection()
    model.add_parameters(4, name="vec")
    model.add_parameters((2, 3), name="mat")
    model.add_parameters((2, 3, 2), name="ten")
    model.add_parameters(4)
    model.add_lookup_parameters((5, 3), name="emb")
    model.add_lookup_parameters((3, 2, 2), name="emb3")
    encoder = model.add_subcollection("enc")
    encoder.add_parameters((2, 2), name="w")
    encoder.add_parameters(2, name="w")
    inner = encoder.add_subcollection("inner")
    inner.add_parameters(3)
    inner.add_lookup_parameters((2, 2), name="lut")
    model.add_subcollection("enc").add_parameters((1, 3))
    return model


def members(model: ParameterCollection) -> dict[str, StoredParameter]:
    return {p.name(): p for p in (*model.parameters_list(), *model.lookup_parameters_list())}


def contents(model: ParameterCollection) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {name: (p.as_array(), p.grad_as_array()) for name, p in members(model).items()}


def equal(found: dict[str, tuple[np.ndarray, ...]], expected: dict[str, tuple[np.ndarray, ...]]) -> bool:
    return found.keys() == expected.keys() and all(
        all(np.array_equal(a, b, equal_nan=True) for a, b in zip(found[name], expected[name])) for name in found
    )


def array(name: str) -> np.ndarray:
    return np.load(SAMPLES / name)


# Samples


def test_names_of_the_sample_model() -> None:
    assert members(sample_model()).keys() == ARRAYS.keys()


@pytest.mark.parametrize("name", ["model.txt", "model_key.txt", "model_grad.txt", "partial.txt"])
def test_records_of_a_sample_are_written_as_dynet_wrote_them(name: str, tmp_path: Path) -> None:
    write_records(tmp_path / "copy", read_records(SAMPLES / name))
    assert (tmp_path / "copy").read_bytes() == (SAMPLES / name).read_bytes()


@pytest.mark.parametrize(("name", "key"), [("model.txt", ""), ("model_key.txt", "/exp1"), ("model_key.txt", "/exp1/")])
def test_a_sample_fills_the_model_that_writes_it_again(name: str, key: str, tmp_path: Path) -> None:
    model = sample_model()
    model.populate(SAMPLES / name, key)
    for parameter in members(model).values():
        np.testing.assert_array_equal(parameter.as_array(), array(f"model.{ARRAYS[parameter.name()]}.npy"))
        assert not parameter.gradients.any()
    model.save(tmp_path / "again", key)
    assert (tmp_path / "again").read_bytes() == (SAMPLES / name).read_bytes()


def test_gradients_of_a_sample(tmp_path: Path) -> None:
    model = sample_model()
    for parameter in members(model).values():
        parameter.gradients.fill(7)
    model.populate(SAMPLES / "model_grad.txt")
    for name, parameter in members(model).items():
        path = SAMPLES / f"model_grad.{ARRAYS[name]}.grad.npy"
        expected = np.load(path) if path.exists() else np.zeros(parameter.values.shape)
        np.testing.assert_array_equal(parameter.grad_as_array(), expected)
    model.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (SAMPLES / "model_grad.txt").read_bytes()


def test_single_parameters_of_a_sample(tmp_path: Path) -> None:
    path = SAMPLES / "partial.txt"
    model = ParameterCollection()
    vec, emb = model.load_param(path, "/vec"), model.load_lookup_param(path, "/X")
    renamed = model.load_param(path, "/renamed/b")
    assert [p.name() for p in (vec, emb, renamed)] == ["/vec", "/X", "/renamed/b"]
    np.testing.assert_array_equal(vec.as_array(), array("model.vec.npy"))
    np.testing.assert_array_equal(vec.grad_as_array(), array("model_grad.vec.grad.npy"))
    np.testing.assert_array_equal(emb.as_array(), array("model.emb.npy"))
    np.testing.assert_array_equal(emb.grad_as_array(), array("model_grad.emb.grad.npy"))
    np.testing.assert_array_equal(renamed.as_array(), array("model.enc.inner._0.npy"))
    emb.save(tmp_path / "single", "/X")
    vec.write_to_textfile(tmp_path / "single", append=True)
    renamed.save(tmp_path / "single", append=True)
    assert (tmp_path / "single").read_bytes() == path.read_bytes()


# Names, order, keys


def test_a_subcollection_below_another_name(tmp_path: Path) -> None:
    model = sample_model()
    encoder = model.add_subcollection("part")
    encoder.add_subcollection("inner").add_parameters(1, name="w", init=2)
    encoder.add_lookup_parameters((2, 1), name="E", init=3)
    for key, names in {
        "": ["/part/inner/w", "/part/E"],
        "/k": ["/k/inner/w", "/k/E"],
        "/k/l/": ["/k/l/inner/w", "/k/l/E"],
    }.items():
        encoder.write_to_textfile(tmp_path / "part", key)
        assert [record.name for record in read_records(tmp_path / "part")] == names


def test_records_are_matched_by_order_not_by_name(tmp_path: Path) -> None:
    model, other = ParameterCollection(), ParameterCollection()
    for value in (1, 2):
        model.add_parameters(2, init=value, name="w")
        model.add_lookup_parameters((3, 2), init=10 * value, name="E")
    tables = [other.add_lookup_parameters((3, 2)) for _ in range(2)]
    weights = [other.add_parameters(2) for _ in range(2)]
    model.save(tmp_path / "model")
    other.populate_from_textfile(tmp_path / "model")
    assert [p.as_array()[0] for p in weights] == [1, 2]
    assert [table.as_array()[0, 0] for table in tables] == [10, 20]


def test_a_key_chooses_records(tmp_path: Path) -> None:
    path, model = tmp_path / "model", ParameterCollection()
    w = model.add_parameters(2, init=1)
    model.save(path, "/a")
    w.set_value([2, 2])
    model.save(path, "/ab", append=True)
    model.populate(path, "/a")
    assert w.as_array().tolist() == [1, 1]
    model.populate(path, "/ab")
    assert w.as_array().tolist() == [2, 2]
    with pytest.raises(TextFormatError, match=r"expected 1 parameters.*found 0.*/_0 is missing"):
        model.populate(path, "/abc")


def test_loaded_parameters_keep_their_names_and_count(tmp_path: Path) -> None:
    path, model = tmp_path / "model", ParameterCollection()
    w = model.add_parameters(2, init=5)
    w.save(path)
    loaded = model.load_param(path, "/_0")
    assert loaded.name() == "/_0"
    assert loaded is not w
    assert loaded.as_array().tolist() == [5, 5]
    assert model.add_parameters(2).name() == "/_2"
    assert [p.name() for p in model.parameters_list()] == ["/_0", "/_0", "/_2"]


def test_a_parameter_is_filled_by_name(tmp_path: Path) -> None:
    path, model = tmp_path / "model", sample_model()
    model.save(path)
    mat, emb3 = members(model)["/mat"], members(model)["/emb3"]
    expected = mat.as_array(), emb3.as_array()
    mat.zero()
    emb3.zero()
    mat.populate(path, "/mat")
    emb3.populate_from_textfile(path, "/emb3")
    np.testing.assert_array_equal(mat.as_array(), expected[0])
    np.testing.assert_array_equal(emb3.as_array(), expected[1])


@pytest.mark.parametrize("key", ["k", "/", "/a b", "/a#b"])
def test_bad_names_for_a_collection(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save: a name"):
        sample_model().save(tmp_path / "model", key)
    assert not (tmp_path / "model").exists()


def test_bad_names_for_a_parameter(tmp_path: Path) -> None:
    w = ParameterCollection().add_parameters(2)
    with pytest.raises(ValueError, match="no blank and no '#', got 'a b'"):
        w.save(tmp_path / "model", "a b")
    with pytest.raises(ValueError, match="the key must not be empty"):
        w.populate(tmp_path / "model")
    with pytest.raises(ValueError, match="the key must not be empty"):
        ParameterCollection().load_param(tmp_path / "model", "")


@pytest.mark.parametrize("name", ["two words", "ü-重", "{2} 3"])
def test_names_that_are_read_back(name: str, tmp_path: Path) -> None:
    model = ParameterCollection()
    model.add_parameters(2, init=3, name=name)
    model.save(tmp_path / "model")
    assert ParameterCollection().load_param(tmp_path / "model", f"/{name}").as_array().tolist() == [3, 3]


@pytest.mark.parametrize("name", ["a\nb", "a {2} 3", "blank ", "return\r", "n" * 70_000])
def test_names_that_could_not_be_read_back_are_refused(name: str, tmp_path: Path) -> None:
    model = ParameterCollection()
    model.add_parameters(2, name=name)
    with pytest.raises(ValueError, match="cannot be read back from a text model file"):
        model.save(tmp_path / "model")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dims", [(), (1,), (1, 1), (3, 1), (2, 1, 3), (1, 2, 1, 2, 1, 2, 1)])
def test_dims_of_parameters(dims: tuple[int, ...], tmp_path: Path) -> None:
    model = ParameterCollection()
    w = model.add_parameters(dims)
    model.save(tmp_path / "model")
    loaded = ParameterCollection().load_param(tmp_path / "model", "/_0")
    assert loaded.shape() == dims
    np.testing.assert_array_equal(loaded.as_array(), w.as_array())


@pytest.mark.parametrize("dims", [(3,), (1, 1), (4, 2), (2, 3, 4), (2, 1, 3, 2)])
def test_dims_of_tables(dims: tuple[int, ...], tmp_path: Path) -> None:
    model = ParameterCollection()
    table = model.add_lookup_parameters(dims)
    if len(dims) == 1:
        table = model.lookup_parameters_from_numpy(np.arange(3.0))
    table.save(tmp_path / "model", "k")
    loaded = ParameterCollection().load_lookup_param(tmp_path / "model", "k")
    assert loaded.shape() == table.shape()
    np.testing.assert_array_equal(loaded.as_array(), table.as_array())


# Gradients


def test_gradients_of_batched_look_ups_are_written(tmp_path: Path) -> None:
    model = ParameterCollection()
    table = model.add_lookup_parameters((4, 2), name="E")
    dy.renew_cg()
    dy.sum_batches(dy.sum_elems(table.batch([1, 3, 1]))).backward()
    model.save(tmp_path / "model")
    (record,) = read_records(tmp_path / "model")
    assert record.gradients is not None
    assert record.gradients.reshape(4, 2).tolist() == [[0, 0], [2, 2], [0, 0], [1, 1]]


def test_gradients_that_were_read_are_those_of_the_next_update(tmp_path: Path) -> None:
    model, other = ParameterCollection(), ParameterCollection()
    made = [(m.add_parameters(2, init=1), m.add_lookup_parameters((4, 2), init=1)) for m in (model, other)]
    dy.renew_cg()
    (w, table), (other_w, other_table) = made
    (dy.sum_elems(table[2]) + dy.sum_elems(w)).backward()
    model.save(tmp_path / "model")
    other_table.gradients[0] = 5
    other_table._slot.touch([0])
    other.populate(tmp_path / "model")
    assert other_w.grad_as_array().tolist() == [1, 1]
    assert other_table.grad_as_array().tolist() == [[0, 0], [0, 0], [1, 1], [0, 0]]
    assert other_table._slot.touched[: other_table._slot.meta[0]].tolist() == [2]


# What the reader takes

W = "#Parameter# /w {2,2} 65 ZERO_GRAD\n"


@pytest.mark.parametrize(
    "text",
    [
        W + "+1.00000000e+00 -2.00000000e+00 +3.00000000e+00 +4.00000000e+00 \n",
        W + "1 -2 3 4\n",
        W + "  1.0\t-2.  3e0 .4E+1   \n",
        W.replace("65", "9") + "1 -2 3 4",
        W + "+1.00000000e+00 -2.00000000e+00 +3.00000000e+00 +4.00000000e+00",
        (W + "1 -2 3 4\n").replace("\n", "\r\n"),
        W.replace("65", "3") + "1 -2 3 4\n",
        W.replace("ZERO_GRAD", "ZERO_GRAD and more") + "1 -2 3 4\n",
        W.replace("{2,2}", "{2,2X1}") + "1 -2 3 4\n",
        W.replace(" ", "  \t") + "1 -2 3 4\n",
        W.replace(" ZERO_GRAD", "") + "1 -2 3 4\n0 0 0 0\n",
        W.replace("ZERO", "OTHER") + "1 -2 3 4\n0 0 0 0\n",
    ],
)
def test_spellings_that_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(text.encode())
    model = ParameterCollection()
    w = model.add_parameters((2, 2))
    w.gradients.fill(3)
    model.populate(tmp_path / "model")
    assert w.as_array().tolist() == [[1, 3], [-2, 4]]
    assert not w.gradients.any()


def test_a_header_without_a_flag_has_a_gradient(tmp_path: Path) -> None:
    (tmp_path / "model").write_text(W.replace(" ZERO_GRAD", "") + "1 -2 3 4\n5 6 7 8\n")
    w = ParameterCollection().load_param(tmp_path / "model", "/w")
    assert w.grad_as_array().tolist() == [[5, 7], [6, 8]]


@pytest.mark.parametrize("text", ["+nan -inf inf -nan", "nan -Infinity +INF NaN"])
def test_numbers_that_are_not_finite(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").write_text(W + text + "\n")
    w = ParameterCollection().load_param(tmp_path / "model", "/w")
    np.testing.assert_array_equal(w.values.ravel(order="F"), [np.nan, -np.inf, np.inf, np.nan])


def test_other_records_need_no_right_byte_count(tmp_path: Path) -> None:
    other = "#LookupParameter# /E {2,2} 1 ZERO_GRAD\n1 2 3 4\n"
    (tmp_path / "model").write_text(other + W + "1 2 3 4\n")
    assert ParameterCollection().load_param(tmp_path / "model", "/w").as_array().tolist() == [[1, 3], [2, 4]]


# What the reader refuses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 1 parameters.* found 0, the record for /w is missing"),
        ("\n", ":1: expected the header of a record like '#Parameter# /W {2,3} 97 ZERO_GRAD', found ''"),
        (W + "1 2 3\n", ":2: /w: expected 4 values for dims {2,2}, found 3"),
        (W + "1 2 3 4 5\n", ":2: /w: expected 4 values for dims {2,2}, found 5"),
        (W + "1 2\n3 4\n", ":2: /w: expected 4 values for dims {2,2}, found 2"),
        (W + "\n", ":2: /w: expected 4 values for dims {2,2}, found 0"),
        (W, ":2: /w: expected a line of 4 values, found the end of the file: it is truncated"),
        (W.replace("ZERO", "FULL") + "1 2 3 4\n", ":3: /w: expected a line of 4 gradients, found the end of the file"),
        (W.replace("ZERO", "FULL") + "1 2 3 4\n1 2\n", ":3: /w: expected 4 gradients for dims {2,2}, found 2"),
        (W.replace("ZERO", "FULL") + "1 2 3 4\n" + W, ":3: /w: expected a line of 4 gradients, found another header"),
        (W + "1 2 3 four\n", ":2: /w: expected a number, found 'four'"),
        (W + "1 2 3 1_0\n", ":2: /w: expected a number, found '1_0'"),
        (W + "1 2 3 1.0.0\n", ":2: /w: expected a number, found '1.0.0'"),
        (W + "1 2 3 1e39\n", ":2: /w: expected a number of float32, found '1e39', which is beyond its range"),
        (W + "1 2 3 1e999\n", ":2: /w: expected a number of float32, found '1e999', which is beyond its range"),
        (W + "+1.00000000e+00 +1.00000000e+00 +1.00000000e+00 +1.0000", ":2: /w: expected 65 bytes of numbers, found"),
        (W + "1 2 3 4\n\n", ":3: expected the header of a record"),
        (W + "1 2 3 4\n" + W + "1 2 3 4\n", ":3: /w: expected 1 parameters, as many as the collection / has"),
        (W.replace("{2,2}", "{4}") + "1 2 3 4\n", ":1: /w: expected dims {2,2}, those of /w; found {4}"),
        (W.replace("{2,2}", "{2,2,1}") + "1 2 3 4\n", ":1: /w: expected dims {2,2}, those of /w; found {2,2,1}"),
        (W.replace("{2,2}", "{2,2X3}") + "1 2 3 4\n", ":1: /w: expected at most 7 dims of at least 1, no batch"),
        (W.replace("{2,2}", "{2,0}") + "\n", ":1: /w: expected at most 7 dims of at least 1, no batch"),
        (W.replace("{2,2}", "{1,1,1,1,1,1,1,1}") + "1\n", ":1: /w: expected at most 7 dims of at least 1, no batch"),
        (W.replace("{2,2}", "{2,-2}") + "1 2 3 4\n", ":1: expected the header of a record"),
        (W.replace("{2,2}", "{99999999999}") + "1\n", ":1: expected the header of a record"),
        (W.replace("{2,2}", "2,2") + "1 2 3 4\n", ":1: expected the header of a record"),
        (W.replace("65", "many") + "1 2 3 4\n", ":1: expected the header of a record"),
        (W.replace("Parameter", "Weights") + "1 2 3 4\n", ":1: /w: expected a record of Parameter or LookupParameter"),
        (W.replace("Parameter", "LookupParameter") + "1 2 3 4\n", ":1: /w: expected 0 look-up tables"),
        (W.replace("Parameter", "LookupParameter").replace("{2,2}", "{}") + "1\n", "for a table its rows; found '{}'"),
        (W.replace("/w", "/\udcff") + "1 2 3 4\n", ":1: expected a name in UTF-8"),
        ("1 2 3 4\n", ":1: expected the header of a record like .*, found '1 2 3 4'"),
        ("x" * 100_000 + "\n", ":1: expected the header of a record like .*, found 'x{60}\\.\\.\\.'"),
    ],
)
def test_damaged_files(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(text.encode(errors="surrogateescape"))
    model = ParameterCollection()
    w = model.add_parameters((2, 2), name="w", init=7)
    w.gradients.fill(2)
    escaped = message.replace("{2,", r"\{2,").replace("{4", r"\{4").replace("'{}'", r"'\{\}'")
    with pytest.raises(TextFormatError, match=escaped) as caught:
        model.populate(path)
    assert str(caught.value).startswith(str(path))
    assert isinstance(caught.value, RuntimeError)
    assert (w.values == 7).all() and (w.gradients == 2).all()


def test_a_model_is_never_half_filled(tmp_path: Path) -> None:
    path = tmp_path / "model"
    lines = (SAMPLES / "model_grad.txt").read_bytes().splitlines(keepends=True)
    for kept in range(len(lines)):
        model = sample_model()
        before = contents(model)
        path.write_bytes(b"".join(lines[:kept]))
        with pytest.raises(TextFormatError, match="expected"):
            model.populate(path)
        assert equal(contents(model), before)


def test_records_that_are_not_there(tmp_path: Path) -> None:
    model = sample_model()
    w, table = members(model)["/mat"], members(model)["/emb"]
    for fail, message in [
        (lambda: model.load_param(SAMPLES / "model.txt", "/emb"), "Could not find key /emb in the model file: there is "
         "no parameter of this name, only '/vec', .* and 6 more"),
        (lambda: model.load_lookup_param(SAMPLES / "model.txt", "/vec"), "there is no look-up table of this name"),
        (lambda: w.populate(SAMPLES / "model.txt", "/mat/"), "Could not find key /mat/"),
        (lambda: w.populate(SAMPLES / "model.txt", "/ten"), r"model\.txt:5: /ten: expected dims \{2,3\}, those of "
         r"/mat; found \{2,3,2\}"),
        (lambda: table.populate(SAMPLES / "model.txt", "/emb3"), r"expected dims \{3,5\}"),
        (lambda: model.populate(tmp_path / "absent"), "Could not read model from .*absent"),
        (lambda: model.load_param(tmp_path / "absent", "/w"), "Could not read model from .*absent"),
    ]:  # fmt: skip
        before, count = contents(model), len(model.parameters_list())
        with pytest.raises(RuntimeError, match=message):
            fail()
        assert equal(contents(model), before)
        assert len(model.parameters_list()) == count


def test_an_absent_file_is_also_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sample_model().populate(tmp_path / "absent")


def test_two_records_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    model = sample_model()
    w = members(model)["/vec"]
    w.save(tmp_path / "model")
    w.save(tmp_path / "model", append=True)
    with pytest.raises(TextFormatError, match=r"model:3: /vec: expected one parameter .*, on lines 1 and 3"):
        w.populate(tmp_path / "model", "/vec")


# Writing


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, model = tmp_path / "model", sample_model()
    model.save(path)
    before = path.read_bytes()

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    for append in (False, True):
        with pytest.raises(OSError, match="disk full"):
            model.save(path, "/other", append=append)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["model"]


def test_appending_keeps_what_is_there_and_ends_its_last_line(tmp_path: Path) -> None:
    path, model = tmp_path / "model", ParameterCollection()
    w = model.add_parameters(2, init=1, name="w")
    w.save(path, append=True)
    first = path.read_bytes()
    path.write_bytes(first[:-1])
    w.save(path, "again", append=True)
    assert path.read_bytes() == first + first.replace(b"/w", b"again")


def test_an_unwritable_file(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        sample_model().save(tmp_path / "no" / "folder")


def test_the_byte_count_is_that_of_the_lines(tmp_path: Path) -> None:
    values = np.array([1, np.nan, -np.inf, -0.0], np.float32)
    write_records(tmp_path / "model", [Record(False, "/w", (4,), values, values[::-1].copy())])
    header, *lines = (tmp_path / "model").read_bytes().splitlines(keepends=True)
    assert int(header.split()[3]) == len(b"".join(lines))
    assert lines[0] == b"+1.00000000e+00 +nan -inf -0.00000000e+00 \n"


# Numbers


def test_every_float32_is_read_back() -> None:
    bits = np.random.default_rng(3).integers(0, 2**32, 50_000).astype(np.uint32)
    numbers = bits.view(np.float32)
    numbers = numbers[np.isfinite(numbers)]
    line = b"".join(text_of(numbers))
    assert text_numbers._by_columns(line[: text_numbers.CHUNK_BYTES]) is not None
    np.testing.assert_array_equal(numbers_of(line).view(np.uint32), numbers.view(np.uint32))
    assert text_size(numbers) == len(line)


@given(st.lists(st.floats(width=32), max_size=20))
def test_numbers_round_trip(values: list[float]) -> None:
    numbers = np.array(values, np.float32)
    line = b"".join(text_of(numbers))
    np.testing.assert_array_equal(numbers_of(line), numbers)
    np.testing.assert_array_equal(np.signbit(numbers_of(line)), np.signbit(numbers))
    assert text_size(numbers) == len(line)


@given(st.lists(st.tuples(st.integers(0, 10**9 - 1), st.integers(-99, 29), st.booleans()), max_size=20))
def test_columns_are_read_as_one_by_one(parts: list[tuple[int, int, bool]]) -> None:
    line = "".join(f"{'-+'[p]}{m // 10**8}.{m % 10**8:08d}e{e:+03d} " for m, e, p in parts).encode()
    found = text_numbers._by_columns(line)
    assert found is not None
    assert found.tolist() == [float(word) for word in line.split()]


@pytest.mark.parametrize("place", range(16))
@pytest.mark.parametrize("character", ["x", ".", "+", "/", ":"])
def test_every_column_is_checked(place: int, character: str) -> None:
    line = "-1.23456789e-10 "
    if line[place] != character and not (character == "+" and line[place] == "-"):
        assert text_numbers._by_columns(f"{line}{line[:place]}{character}{line[place + 1 :]}".encode()) is None


@given(st.text("+-.e0123456789 ", min_size=16, max_size=32))
@example("+1.00000000e+0 +1.00000000e+00 ")
@example("1.000000000e+00 +1.00000000e+00 ")
def test_text_of_another_form_is_not_read_by_columns(text: str) -> None:
    try:
        expected: Any = [float(word) for word in text.split()]
    except ValueError:
        expected = None
    found = text_numbers._by_columns(text.encode())
    assert found is None or found.tolist() == expected


def test_long_lines_are_read_in_pieces(tmp_path: Path) -> None:
    numbers = np.random.default_rng(4).standard_normal(20_000).astype(np.float32)
    line = " ".join(map(repr, numbers.tolist())).encode()
    assert len(line) > 3 * text_numbers.CHUNK_BYTES
    np.testing.assert_array_equal(numbers_of(line), numbers)
    np.testing.assert_array_equal(numbers_of(b"".join(text_of(numbers))), numbers)


# Damage of any kind

Damage = Callable[[bytes], bytes]
PLACE = st.integers(0, 10_000)


def damages() -> st.SearchStrategy[Damage]:
    """Cut, overwrite, insert, take out, repeat."""

    def cut(place: int) -> Damage:
        return lambda text: text[: place % (len(text) + 1)]

    def put(place: int, piece: bytes, length: int) -> Damage:
        return lambda text: text[: place % (len(text) + 1)] + piece + text[place % (len(text) + 1) + length :]

    def repeat(place: int, count: int) -> Damage:
        def apply(text: bytes) -> bytes:
            lines = text.splitlines(keepends=True)
            first = place % (len(lines) or 1)
            return b"".join(lines[: first + count] + lines[first:])

        return apply

    pieces = st.one_of(
        st.binary(max_size=4),
        st.sampled_from(
            [b" ", b"\n", b"\r", b"{", b"}", b"#", b"0", b"9" * 30, b"e", b"X2", b"nan ", b"1e99 ", b"\xff"]
        ),
    )
    return st.one_of(
        st.builds(cut, PLACE), st.builds(put, PLACE, pieces, st.integers(0, 20)), st.builds(repeat, PLACE, PLACE)
    )


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    name=st.sampled_from(["model.txt", "model_grad.txt", "model_key.txt"]),
    damage=st.lists(damages(), min_size=1, max_size=3),
)
def test_a_damaged_file_fills_the_whole_model_or_nothing(name: str, damage: list[Damage], tmp_path: Path) -> None:
    path = tmp_path / "damaged"
    text = (SAMPLES / name).read_bytes()
    for change in damage:
        text = change(text)
    path.write_bytes(text)
    model = sample_model()
    for parameter in members(model).values():
        parameter.gradients.fill(9)
    before = contents(model)
    try:
        model.populate(path)
    except TextFormatError as error:
        assert str(error).startswith(str(path))
        assert equal(contents(model), before)
    else:
        records = sorted(read_records(path), key=lambda record: record.is_table)
        for parameter, record in zip(members(model).values(), records, strict=True):
            filled = record_of(parameter)
            np.testing.assert_array_equal(filled.values, record.values)
            gradients = np.zeros(len(record.values)) if record.gradients is None else record.gradients
            np.testing.assert_array_equal(parameter_arrays(parameter.shape.parameter)[1], gradients)
