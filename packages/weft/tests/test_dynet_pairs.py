"""DyNet's pairs of `.data` and `.meta`: equal byte by byte to DyNet's, read without running anything, all or nothing.

The files in `dynet_samples` were written by DyNet 2.1.2; the arrays beside them are what it held and computed.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weft as dy
from weft.dynet_pairs import read_pair, read_pair_lazily, write_pair

SAMPLES = Path(__file__).parent / "dynet_samples"


class Scorer:
    """An object of a user's; its spec names a function and a class of Weft."""

    def __init__(self, collection: dy.ParameterCollection, size: int, activation: Any, factory: Any) -> None:
        self.spec = (size, activation, factory)
        self.collection = collection.add_subcollection("scorer")
        self.W = self.collection.add_parameters((size, size))
        self.E = self.collection.add_lookup_parameters((3, size))
        self.lstm = factory(1, size, size, self.collection)

    @classmethod
    def from_spec(cls, spec: Any, collection: dy.ParameterCollection) -> Scorer:
        return cls(collection, *spec)

    def param_collection(self) -> dy.ParameterCollection:
        return self.collection


class Holder:
    """Its spec is whatever it is given."""

    def __init__(self, collection: dy.ParameterCollection, spec: Any) -> None:
        self.spec = spec
        self.collection = collection.add_subcollection("holder")

    @classmethod
    def from_spec(cls, spec: Any, collection: dy.ParameterCollection) -> Holder:
        return cls(collection, spec)

    def param_collection(self) -> dy.ParameterCollection:
        return self.collection


def members(collection: dy.ParameterCollection) -> list[Any]:
    return [*collection.parameters_list(), *collection.lookup_parameters_list()]


def same(found: dy.ParameterCollection, expected: dy.ParameterCollection) -> bool:
    pairs = list(zip(members(found), members(expected), strict=True))
    return all(np.array_equal(a.as_array(), b.as_array()) for a, b in pairs)


def write_meta(base: Path, *pickles: bytes) -> None:
    base.with_suffix(".meta").write_bytes(b"".join(pickles))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A pair of its own to change: that of the samples."""
    for suffix in (".data", ".meta"):
        shutil.copyfile(SAMPLES / f"lstm{suffix}", tmp_path / f"lstm{suffix}")
    return tmp_path / "lstm"


# DyNet's files


def test_the_objects_of_a_sample() -> None:
    model = dy.ParameterCollection()
    E, lstm, W, birnn = read_pair(SAMPLES / "lstm", model)
    assert [type(o) for o in (lstm, birnn)] == [dy.VanillaLSTMBuilder, dy.BiRNNBuilder]
    assert birnn.spec == (1, 3, 4, dy.GRUBuilder, None)
    assert [p.name() for p in (E, W)] == ["/E", "/W"]
    np.testing.assert_array_equal(E.as_array(), np.load(SAMPLES / "lstm.E.npy"))
    np.testing.assert_array_equal(W.as_array(), np.load(SAMPLES / "lstm.W.npy"))
    dy.renew_cg()
    for builder, name in ((lstm.initial_state(), "lstm.out_h.npy"), (birnn, "lstm.birnn_out.npy")):
        found = [h.npvalue() for h in builder.transduce([E[0], E[3], E[1]])]
        np.testing.assert_allclose(found, np.load(SAMPLES / name), atol=1e-6)


def test_a_sample_is_written_as_dynet_wrote_it(tmp_path: Path) -> None:
    write_pair(tmp_path / "again", read_pair(SAMPLES / "lstm", dy.ParameterCollection()))
    for suffix in (".data", ".meta"):
        assert (tmp_path / f"again{suffix}").read_bytes() == (SAMPLES / f"lstm{suffix}").read_bytes()


def test_objects_are_made_when_they_are_asked_for(tmp_path: Path) -> None:
    model = dy.ParameterCollection()
    objects = read_pair_lazily(SAMPLES / "lstm", model)
    assert members(model) == []
    assert next(objects).name() == "/E"
    assert len(members(model)) == 1
    assert [type(o).__name__ for o in objects] == ["VanillaLSTMBuilder", "Parameters", "BiRNNBuilder"]
    with pytest.raises(FileNotFoundError):
        read_pair_lazily(tmp_path / "absent", model)


# Round trips


@pytest.mark.parametrize(
    "make",
    [
        lambda m: dy.SimpleRNNBuilder(2, 3, 4, m),
        lambda m: dy.GRUBuilder(2, 3, 4, m),
        lambda m: dy.VanillaLSTMBuilder(2, 3, 4, m, forget_bias=0.5),
        lambda m: dy.VanillaLSTMBuilder(2, 3, 4, m, ln_lstm=True),
        lambda m: dy.CompactVanillaLSTMBuilder(2, 3, 4, m),
        lambda m: dy.CoupledLSTMBuilder(2, 3, 4, m),
        lambda m: dy.SparseLSTMBuilder(2, 3, 4, m),
        lambda m: dy.SparseLSTMBuilder(1, 3, 4, m, ln_lstm=True),
        lambda m: dy.BiRNNBuilder(2, 3, 4, m, dy.CoupledLSTMBuilder),
        lambda m: Scorer(m, 3, dy.tanh, dy.LSTMBuilder),
    ],
)
def test_builders_and_objects(make: Callable[[dy.ParameterCollection], Any], tmp_path: Path) -> None:
    model, other, third = (dy.ParameterCollection() for _ in range(3))
    model.add_parameters(1)
    saved = [model.add_parameters(2, name="W"), make(model), make(model), model.add_lookup_parameters((2, 3))]
    for p in members(model):
        p.values[...] = np.random.default_rng(7).standard_normal(p.values.shape)
    write_pair(tmp_path / "pair", saved)
    loaded = read_pair(tmp_path / "pair", other, classes=[Scorer])
    for found, expected in zip(loaded, saved, strict=True):
        assert type(found) is type(expected)
        if hasattr(found, "spec"):
            assert found.spec == expected.spec
            assert same(found.param_collection(), expected.param_collection())
        else:
            np.testing.assert_array_equal(found.as_array(), expected.as_array())
    dy.save(tmp_path / "native.safetensors", saved)
    dy.load(tmp_path / "native.safetensors", third, classes=[Scorer])
    assert same(third, other)


def test_gradients_come_along(tmp_path: Path) -> None:
    model, other = dy.ParameterCollection(), dy.ParameterCollection()
    builder = dy.SimpleRNNBuilder(1, 2, 2, model)
    builder.get_parameters()[0][0].gradients[...] = 3
    write_pair(tmp_path / "pair", [builder])
    read_pair(tmp_path / "pair", other)
    assert [p.grad_as_array().any() for p in other.parameters_list()] == [True, False, False]


def test_classes_are_named_as_dynet_names_them(tmp_path: Path) -> None:
    model = dy.ParameterCollection()
    write_pair(tmp_path / "pair", [dy.LSTMBuilder(1, 2, 3, model), Scorer(model, 3, dy.tanh, dy.GRUBuilder)])
    names = []

    class Names(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            names.append((module, name))
            return object

    with open(tmp_path / "pair.meta", "rb") as file:
        for _ in range(2):
            Names(file).load()
    assert names == [
        ("_dynet", "VanillaLSTMBuilder"),
        (Scorer.__module__, "Scorer"),
        ("_dynet", "tanh"),
        ("_dynet", "GRUBuilder"),
    ]


def test_descriptions_are_those_that_pickle_writes(tmp_path: Path) -> None:
    spec = (Holder, [Scorer, Scorer, {"size": (3, 4.5, None, True)}], "text", "text")
    write_pair(tmp_path / "pair", [Holder(dy.ParameterCollection(), spec)])
    assert (tmp_path / "pair.meta").read_bytes() == pickle.dumps((Holder, spec, "/holder/"), 4)


def test_a_class_of_ones_own_replaces_that_of_the_same_name(tmp_path: Path) -> None:
    class GRUBuilder(dy.GRUBuilder):
        pass

    GRUBuilder.__qualname__ = "GRUBuilder"
    write_pair(tmp_path / "pair", [dy.GRUBuilder(1, 2, 3, dy.ParameterCollection())])
    (loaded,) = read_pair(tmp_path / "pair", dy.ParameterCollection(), classes=[GRUBuilder])
    assert type(loaded) is GRUBuilder


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(protocol: int, base: Path) -> None:
    spec = (1, -2.5, True, None, "重", ["x", 70000, 2**40, [], {}], {"k": (2, 3), 4: ()}, 10**30)
    write_meta(base, pickle.dumps((Holder, spec, "/none/"), protocol), pickle.dumps(("Parameters", "/W"), protocol))
    holder, W = read_pair(base, dy.ParameterCollection(), classes=[Holder])
    assert repr(holder.spec) == repr(spec)
    assert W.name() == "/W"


def test_layer_normalisation_lies_beside_the_collection_that_dynet_fills(tmp_path: Path) -> None:
    model, other = dy.ParameterCollection(), dy.ParameterCollection()
    write_pair(tmp_path / "pair", [dy.VanillaLSTMBuilder(1, 2, 3, model, ln_lstm=True)])
    lines = (tmp_path / "pair.data").read_text().splitlines(keepends=True)
    names = [line.split()[1] for line in lines[::2]]
    assert names[:4] == [f"/vanilla-lstm-builder/_{k}" for k in range(3)] + ["/vanilla-lstm-builder-layer-norm/_0"]
    assert len(names) == 9
    # As DyNet writes it.
    (tmp_path / "pair.data").write_text("".join(lines[:6]))
    with pytest.warns(UserWarning, match="lacks the 6 gains and biases of the layer normalisation"):
        read_pair(tmp_path / "pair", other)
    for k, (found, expected) in enumerate(zip(members(other), members(model), strict=True)):
        if k < 3:
            np.testing.assert_array_equal(found.as_array(), expected.as_array())
        else:
            assert (found.as_array() == (k % 2)).all()


# What is not written


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: [dy.FastLSTMBuilder(1, 2, 3, m)], "DyNet cannot make a FastLSTMBuilder from its spec"),
        (lambda m: [m.add_parameters(2, name="W"), dy.ParameterCollection().add_parameters(2, name="W")],
         "two parameters are called /W; DyNet would load one for both"),
        (lambda m: [Holder(m, OrderedDict())], "its spec holds a OrderedDict"),
        (lambda m: [dy.BiRNNBuilder(1, 2, 4, m, lambda *a: dy.GRUBuilder(*a))], "has no name that another program"),
        (lambda m: [m], "ParameterCollection, has no spec"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved(make: Callable[[dy.ParameterCollection], Any], message: str, base: Path) -> None:
    before = [base.with_suffix(suffix).read_bytes() for suffix in (".data", ".meta")]
    with pytest.raises(dy.SaveError, match=message):
        write_pair(base, make(dy.ParameterCollection()))
    assert [base.with_suffix(suffix).read_bytes() for suffix in (".data", ".meta")] == before
    assert sorted(os.listdir(base.parent)) == ["lstm.data", "lstm.meta"]


def test_a_failed_save_leaves_both_files(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    before = [base.with_suffix(suffix).read_bytes() for suffix in (".data", ".meta")]
    with pytest.raises(OSError, match="disk full"):
        write_pair(base, [dy.ParameterCollection().add_parameters(2)])
    assert [base.with_suffix(suffix).read_bytes() for suffix in (".data", ".meta")] == before
    assert sorted(os.listdir(base.parent)) == ["lstm.data", "lstm.meta"]


# What is not read

ran: list[str] = []


class Trap:
    """A pickle of it calls a function; one that is given calls its own methods."""

    def __reduce__(self) -> Any:
        return ran.append, ("called",)


class Stateful:
    def __init__(self) -> None:
        self.x = 1

    def __setstate__(self, state: Any) -> None:
        ran.append("set")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Trap()), "it is not executed"),
        (pickle.dumps((Holder, Trap(), "/x/")), "it is not executed"),
        (pickle.dumps((Holder, Trap(), "/x/"), 0), "it is not executed"),
        (pickle.dumps((Holder, Stateful(), "/x/")), "it is not executed"),
        (pickle.dumps((Holder, {1, 2}, "/x/")), "it is not executed"),
        (b"cos\nsystem\n(S'echo'\ntR.", "it is not executed"),
        (b"(S'echo'\nios\nsystem\n.", "it is not executed"),
        (b"cos\nsystem\n.", "expected .kind, name. or .class, spec, name of a collection., found Reference"),
        (pickle.dumps((os.system, (), "/x/")), "holds an object of .*system; import it and give it"),
        (pickle.dumps(3), "expected .kind, name. or .class, spec, name of a collection., found 3"),
        (pickle.dumps(("Parameters", 3)), "expected .kind, name."),
        (pickle.dumps(("Weights", "/W")), "expected .kind, name."),
        (pickle.dumps(("Parameters", "/V")), "Could not find key /V in the model file"),
        (pickle.dumps(("LookupParameters", "/W")), "Could not find key /W in the model file"),
        (b"\x80\x04c_dynet\nFastNoBuilder\n)X\x03\x00\x00\x00/x/\x87.", "names FastNoBuilder, which this version"),
        (b"\x80\x04c_dynet\nGRUBuilder\n)X\x03\x00\x00\x00/x/\x87.", r"GRUBuilder.from_spec\(\(\), ...\) failed with"),
        (
            b"\x80\x04c_dynet\nGRUBuilder\n(K\x01K\x02K\x03tX\x01\x00\x00\x00/\x87.",
            "expected 0 look-up tables",
        ),
        (
            b"\x80\x04c_dynet\nGRUBuilder\n(K\x01K\x02J\x00\x00\x00\x7ftX\x03\x00\x00\x00/x/\x87.",
            "cannot have the spec .*: the file has 0 numbers of it",
        ),
        (
            b"\x80\x04c_dynet\nGRUBuilder\n(J\x00\x00\x00\x7fK\x02K\x02tX\x03\x00\x00\x00/x/\x87.",
            "cannot have the spec .*: the file has 0 numbers of it",
        ),
        (b"\x80\x04", "expected a pickle at byte 0: EOFError"),
        (b"\x80\x63.", "expected a pickle at byte 0: ValueError"),
        (b"h\x05.", "expected a pickle at byte 0"),
        (b"t.", "expected a pickle at byte 0: IndexError"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", "expected a pickle at byte 0"),
        (b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fx.", "expected a pickle at byte 0"),
        (b"r\xff\xff\xff\x7f.", "expected a pickle at byte 0"),
    ],
)
def test_damaged_and_hostile_descriptions(content: bytes, message: str, base: Path) -> None:
    write_meta(base, content)
    model = dy.ParameterCollection()
    with pytest.raises(dy.ParameterFileError, match=message) as caught:
        read_pair(base, model, classes=[Holder, Stateful])
    assert str(base) in str(caught.value)
    assert ran == []
    assert members(model) == []


def test_a_pair_of_nothing(base: Path) -> None:
    write_pair(base, [])
    assert read_pair(base, dy.ParameterCollection()) == []


def test_nothing_is_loaded_when_the_last_object_does_not_fit(base: Path) -> None:
    content = base.with_suffix(".data").read_text()
    base.with_suffix(".data").write_text(
        content.replace("/birnn/gru-builder_1/_8 {2}", "/birnn/gru-builder_1/_8 {1,2}")
    )
    model = dy.ParameterCollection()
    model.add_parameters(3)
    with pytest.raises(
        dy.ParameterFileError, match=r"lstm\.data:51: /birnn/gru-builder_1/_8: expected dims \{2\}"
    ) as caught:
        read_pair(base, model)
    assert isinstance(caught.value, RuntimeError)
    assert [p.name() for p in members(model)] == ["/_0"]
    assert dy.GRUBuilder(1, 2, 3, model).param_collection().name() == "/gru-builder/"
    assert model.add_parameters(3).name() == "/_1"


def test_missing_files(base: Path) -> None:
    os.remove(base.with_suffix(".data"))
    with pytest.raises(FileNotFoundError, match=r"lstm\.data"):
        read_pair(base, dy.ParameterCollection())
    os.remove(base.with_suffix(".meta"))
    with pytest.raises(FileNotFoundError, match=r"lstm\.meta"):
        read_pair(base, dy.ParameterCollection())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from([".meta", ".data"]),
    place=st.integers(0, 10_000),
    piece=st.one_of(st.binary(max_size=3), st.sampled_from([b"R", b"r", b"\x81", b"b", b"0", b"."])),
    length=st.integers(0, 4),
    cut=st.booleans(),
)
def test_damage_anywhere(suffix: str, place: int, piece: bytes, length: int, cut: bool, base: Path) -> None:
    content = (SAMPLES / f"lstm{suffix}").read_bytes()
    place %= len(content)
    for other in (".meta", ".data"):
        base.with_suffix(other).write_bytes((SAMPLES / f"lstm{other}").read_bytes())
    changed = content[:place] if cut else content[:place] + piece + content[place + length :]
    base.with_suffix(suffix).write_bytes(changed)
    model = dy.ParameterCollection()
    try:
        loaded = read_pair(base, model)
    except dy.ParameterFileError as error:
        assert str(base) in str(error)
        assert members(model) == []
        assert not model._collections
    else:
        assert len(loaded) <= 4
        for p in members(model):
            assert p.shape.parameter in model._decays
