"""Objects in one file: what is saved, that loading makes the same anew or changes nothing, and what is refused."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weft_core as dy
from weft_core.collection import ParameterCollection
from weft_core.errors import StaleExpression
from weft_core.expression import Expression
from weft_core.files import ParameterFileError, load_arrays, load_parameters, save_arrays, save_parameters
from weft_core.objects import SaveError
from weft_core.parameters import Parameters


class Scorer:
    """An object of a user's: a matrix, a table in a subcollection, and another scorer inside."""

    def __init__(self, collection: ParameterCollection, size: int, activation: Any = None, inner: bool = False) -> None:
        self.spec: Any = (size, activation, inner)
        self.collection = collection.add_subcollection("scorer")
        self.W = self.collection.add_parameters((size, 2))
        self.E = self.collection.add_subcollection().add_lookup_parameters((3, size, 2), name="E")
        self.inner = Scorer(self.collection, size) if inner else None

    @classmethod
    def from_spec(cls, spec: Any, collection: ParameterCollection) -> Scorer:
        return cls(collection, *spec)

    def param_collection(self) -> ParameterCollection:
        return self.collection


class Holder(Scorer):
    """Its spec is whatever it is given; it has no parameters."""

    def __init__(self, collection: ParameterCollection, spec: Any = None) -> None:
        self.spec = spec
        self.collection = collection.add_subcollection("holder")

    @classmethod
    def from_spec(cls, spec: Any, collection: ParameterCollection) -> Holder:
        return cls(collection, spec)


def members(collection: ParameterCollection) -> list[Any]:
    return [*collection.parameters_list(), *collection.lookup_parameters_list()]


def same(found: ParameterCollection, expected: ParameterCollection) -> bool:
    pairs = list(zip(members(found), members(expected), strict=True))
    return all(np.array_equal(a.as_array(), b.as_array()) for a, b in pairs)


def state(collection: ParameterCollection) -> Any:
    """All that a failed load must leave alone."""
    store = collection.store
    return (
        [(p.name(), p.as_array().tolist()) for p in members(collection)],
        (len(store.dense), len(store.tables), store.used, dict(collection._names), dict(collection._collections)),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "objects.safetensors"


def metadata_of(path: Path) -> Any:
    return json.loads(load_arrays(path)[1]["objects"])


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    """The file with another list of objects."""
    arrays, metadata = load_arrays(path)
    listing = json.loads(metadata["objects"])
    changed = change(listing)
    metadata["objects"] = changed if isinstance(changed, str) else json.dumps(changed or listing)
    save_arrays(path, arrays, metadata)


# Round trips


def test_parameters_tables_and_objects(path: Path) -> None:
    model = ParameterCollection()
    saved = [
        model.add_lookup_parameters((4, 3, 2), name="E"),
        Scorer(model, 3, inner=True),
        model.add_subcollection("enc").add_parameters((2, 3), name="W"),
        model.add_parameters(()),
    ]
    dy.save(path, saved)
    other = ParameterCollection()
    other.add_subcollection("scorer")
    E, scorer, W, number = dy.load(path, other, classes=[Scorer])
    assert [p.name() for p in (E, W, number)] == ["/E", "/enc/W", "/_0"]
    assert scorer.collection.name() == "/scorer_1/"
    assert scorer.spec == (3, None, True)
    assert same(other, model)
    assert number.shape() == ()
    dy.save(path, [E, scorer, W, number])
    third = ParameterCollection()
    assert [type(o) for o in dy.load(path, third, classes=[Scorer])] == [type(o) for o in saved]
    assert same(third, model)


def test_the_file_shows_the_arrays_under_their_names(path: Path) -> None:
    model = ParameterCollection()
    scorer, W = Scorer(model, 3), model.add_parameters((2, 3), name="W")
    dy.save(path, [scorer, W])
    arrays, metadata = load_arrays(path)
    assert list(arrays) == ["scorer/_0", "scorer/_0/E", "W"]
    assert arrays["scorer/_0/E"].shape == (3, 3, 2)
    np.testing.assert_array_equal(arrays["W"], W.as_array())
    assert metadata["format"] == "weft"
    assert metadata_of(path)["objects"][0]["class"] == {"name": "Scorer", "module": Scorer.__module__}


def test_a_file_of_objects_fills_a_model_by_name(path: Path) -> None:
    model, other = ParameterCollection(), ParameterCollection()
    dy.save(path, [Scorer(model, 3), model.add_parameters((2, 3), name="W")])
    Scorer(other, 3)
    other.add_parameters((2, 3), name="W")
    load_parameters(path, other)
    assert same(other, model)


def test_a_file_of_parameters_is_a_list_of_them(path: Path) -> None:
    model, other = ParameterCollection(), ParameterCollection()
    Scorer(model, 3)
    save_parameters(path, model)
    loaded = dy.load(path, other)
    assert [(type(p).__name__, p.name()) for p in loaded] == [
        ("Parameters", "/scorer/_0"),
        ("LookupParameters", "/scorer/_0/E"),
    ]
    assert same(other, model)


def test_equal_names_of_two_models(path: Path) -> None:
    saved = [ParameterCollection().add_parameters(2, init=value, name="W") for value in (1, 2, 3)]
    dy.save(path, saved)
    loaded = dy.load(path, ParameterCollection())
    assert [(p.name(), p.as_array()[0]) for p in loaded] == [("/W", 1), ("/W", 2), ("/W", 3)]


def test_two_parameters_of_one_name_are_not_saved_by_name(path: Path) -> None:
    model = ParameterCollection()
    dy.save(path, [model.add_parameters(2, name="W")])
    dy.load(path, model)
    with pytest.raises(ValueError, match="two parameters called /W"):
        save_parameters(path.with_name("other"), model)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        (),
        [],
        {},
        (1, -2.5, True, "text", "重", None),
        ((1, (2,)), [3, (4, [5])], {"a": {"b": (6,)}}),
        {1: "x", (2, 3): "y", None: "z", "tuple": "w"},
        (float("inf"), float("-inf")),
        {"name": "Scorer"},
        10**30,
        (Holder, [Scorer]),
        load_parameters,
    ],
)
def test_specs(spec: Any, path: Path) -> None:
    dy.save(path, [Holder(ParameterCollection(), spec)])
    (loaded,) = dy.load(path, ParameterCollection(), classes=[Holder, Scorer, load_parameters])
    assert loaded.spec == spec
    assert repr(loaded.spec) == repr(spec)


def test_a_spec_of_numpy_numbers_becomes_pythons(path: Path) -> None:
    dy.save(path, [Holder(ParameterCollection(), (np.int64(3), np.float32(0.5), np.bool_(True), np.str_("x")))])
    (loaded,) = dy.load(path, ParameterCollection(), classes=[Holder])
    assert repr(loaded.spec) == "(3, 0.5, True, 'x')"


def test_nan_in_a_spec(path: Path) -> None:
    dy.save(path, [Holder(ParameterCollection(), float("nan"))])
    (loaded,) = dy.load(path, ParameterCollection(), classes=[Holder])
    assert loaded.spec != loaded.spec


def test_objects_are_made_when_they_are_asked_for(path: Path) -> None:
    model, other = ParameterCollection(), ParameterCollection()
    dy.save(path, [model.add_parameters(2), Scorer(model, 3), model.add_parameters(2)])
    objects = dy.load_generator(path, other, [Scorer])
    assert members(other) == []
    assert isinstance(next(objects), Parameters)
    assert len(members(other)) == 1
    assert isinstance(next(objects), Scorer)
    next(objects)
    assert same(other, model)
    with pytest.raises(StopIteration):
        next(objects)


def test_a_damaged_file_is_found_before_the_first_object_is_asked_for(path: Path) -> None:
    path.write_bytes(b"nothing")
    with pytest.raises(ParameterFileError):
        dy.load_generator(path, ParameterCollection())


# What is not saved


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m.add_parameters(2), "save takes a list of objects, got Parameters"),
        (lambda m: m.add_lookup_parameters((2, 3)), "save takes a list of objects, got LookupParameters"),
        (lambda m: 3, "save takes a list of objects, got int"),
        (lambda m: [m], "object 0, ParameterCollection, has no spec and no from_spec and no param_collection"),
        (lambda m: ["W"], "object 0, str, has no spec"),
        (lambda m: [dy.scalarInput(1)], "has no spec"),
        (lambda m: [Holder(m, {1, 2})], "object 0, Holder: its spec holds a set; a spec holds numbers"),
        (lambda m: [Holder(m, (1, [OrderedDict()]))], "its spec holds a OrderedDict"),
        (lambda m: [Holder(m, m)], "its spec holds a ParameterCollection"),
        (lambda m: [Holder(m, np.zeros(2))], "its spec holds a ndarray"),
        (lambda m: [Holder(m, lambda x: x)], "has no name that another program could look up"),
        (lambda m: 2 * [m.add_parameters(2)], "/_0 belongs to object 0, Parameters, and to object 1, Parameters"),
        (lambda m: [s := Scorer(m, 3), s.W], "/scorer/_0 belongs to object 0, Scorer, and to object 1, Parameters"),
    ],
)
def test_what_cannot_be_saved(make: Callable[[ParameterCollection], Any], message: str, path: Path) -> None:
    path.write_bytes(b"former")
    with pytest.raises(SaveError, match=message) as caught:
        dy.save(path, make(ParameterCollection()))
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)
    assert path.read_bytes() == b"former"


def test_a_param_collection_must_be_one(path: Path) -> None:
    holder = Holder(ParameterCollection())
    holder.collection = None  # type: ignore[assignment]
    with pytest.raises(SaveError, match=r"param_collection\(\) must give a ParameterCollection, not None"):
        dy.save(path, [holder])


# Loading all or nothing


def saved_with_two_scorers(path: Path) -> ParameterCollection:
    model = ParameterCollection()
    dy.save(
        path,
        [model.add_parameters(2, name="W"), Scorer(model, 3), model.add_lookup_parameters((2, 3)), Scorer(model, 2)],
    )
    return model


@pytest.mark.parametrize(
    ("classes", "change", "message"),
    [
        ([], None, r"holds an object of .*Scorer; import it and give it: load\(\.\.\., classes=\[Scorer\]\)"),
        ([Holder], None, "import it and give it"),
        ([Scorer], lambda c: c["objects"][3].update(spec={"tuple": [5, None, False]}),
         r"/scorer_1/_0 has dims \(2, 2\) in the file, \(5, 2\) in the object"),
        ([Scorer], lambda c: c["objects"][3].update(spec={"tuple": [10**9, None, False]}),
         "failed with ShapeError: 2000000000 numbers for one more parameter, far more than the file has"),
        ([Scorer], lambda c: c["objects"][3].update(spec={"tuple": []}),
         r"from_spec\(\(\), \.\.\.\) failed with TypeError"),
        ([Scorer], lambda c: c["objects"][3].update(spec={"tuple": [2, None, True]}), "does not fit.*the file lacks"),
        ([Scorer], lambda c: c["objects"][3].update({"class": {"name": "NoBuilder"}}), "names NoBuilder, which this"),
        ([Scorer], lambda c: c["objects"][3]["parameters"].update(x=c["objects"][3]["parameters"].pop("_0")),
         "the file lacks '_0'; the object lacks 'x'"),
        ([Scorer, load_parameters], lambda c: c["objects"][3].update({"class": {"name": "load_parameters"}}),
         "has no from_spec"),
    ],
)  # fmt: skip
def test_a_failed_load_leaves_the_collection_as_it_was(
    classes: list[Any], change: Callable[[Any], None] | None, message: str, path: Path
) -> None:
    saved_with_two_scorers(path)
    if change is not None:
        rewrite(path, change)
    root = ParameterCollection()
    kept = Scorer(root, 2)
    part = root.add_subcollection("part")
    part.add_parameters(3)
    before = state(root), state(part)
    with pytest.raises(ParameterFileError, match=message) as caught:
        dy.load(path, part, classes)
    assert str(caught.value).startswith(str(path))
    assert (state(root), state(part)) == before
    assert not root.store.values[root.store.used :].any()
    new = part.add_parameters(2)
    assert new.name() == "/part/_1"
    assert not new.gradients.any()
    dy.renew_cg()
    assert (kept.W * new).npvalue().shape == (2,)


def test_expressions_of_what_was_taken_back_are_stale(path: Path) -> None:
    taken: list[Expression] = []

    class Failing(Holder):
        @classmethod
        def from_spec(cls, spec: Any, collection: ParameterCollection) -> Holder:
            taken.extend([collection.add_parameters(2), collection.add_lookup_parameters((2, 3))])
            raise RuntimeError("no more")

    model = ParameterCollection()
    dy.save(path, [Holder(model)])
    Failing.__qualname__ = "Holder"
    with pytest.raises(ParameterFileError, match="failed with RuntimeError: no more"):
        dy.load(path, model, classes=[Failing])
    model.add_parameters(2)
    for expression in taken:
        with pytest.raises(StaleExpression):
            expression.npvalue()


def test_new_parameters_need_a_collection(path: Path) -> None:
    saved_with_two_scorers(path)
    with pytest.raises(TypeError, match="new parameters need a ParameterCollection, got list"):
        dy.load(path, [Scorer])  # type: ignore[arg-type]


def test_two_classes_of_one_name(path: Path) -> None:
    saved_with_two_scorers(path)
    other = type("Scorer", (), {})
    other.__qualname__ = "Scorer"
    with pytest.raises(ValueError, match="two members called Scorer"):
        dy.load(path, ParameterCollection(), classes=[Scorer, other])
    with pytest.raises(TypeError, match="classes= takes classes, got 3"):
        dy.load(path, ParameterCollection(), classes=[3])


# Damaged lists


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: "{", "the list of objects: expected JSON"),
        (lambda c: "[" * 100_000, "the list of objects: expected JSON"),
        (lambda c: "3", "the list of objects: expected"),
        (lambda c: {"version": 1}, "the list of objects: expected"),
        (lambda c: {**c, "version": 2}, "version 2 of the format; this version of Weft reads version 1"),
        (lambda c: c["objects"].append(3), "object 4: expected a parameter or an object, found 3"),
        (lambda c: c["objects"][0].update(type="Weights"), "object 0: expected a parameter or an object"),
        (lambda c: c["objects"][0].update(array="X"), "object 0: the file has no array 'X'"),
        (lambda c: c["objects"][0].update(array=["W"]), "object 0: expected a parameter"),
        (
            lambda c: c["objects"].append(c["objects"][0]),
            "object 4: the file has no array 'W', or another object has it",
        ),
        (lambda c: {**c, "objects": c["objects"][1:]}, "no object has the arrays 'W'"),
        (lambda c: c["objects"][1].pop("spec") and None, "object 1: expected a parameter or an object"),
        (lambda c: c["objects"][1].update(spec={"tuple": 3}), "object 1: the spec holds {'tuple': 3}"),
        (lambda c: c["objects"][1].update(spec={"dict": [[[1], 2]]}), "object 1: a dict of the spec has a key"),
        (lambda c: c["objects"][1].update(spec={"dict": [[1]]}), "object 1: the spec holds"),
        (lambda c: c["objects"][1].update(spec={"float": "x"}), "object 1: the spec holds"),
        (
            lambda c: json.dumps(c).replace('"spec": {', '"spec": ' + "[" * 900 + "]" * 900 + ', "x": {', 1),
            "nested too deeply|expected JSON|failed with",
        ),
        (lambda c: c["objects"][1].update({"class": {"tuple": []}}), "object 1: expected a parameter or an object"),
    ],
)
def test_damaged_lists(change: Callable[[Any], Any], message: str, path: Path) -> None:
    saved_with_two_scorers(path)
    rewrite(path, change)
    model = ParameterCollection()
    with pytest.raises(ParameterFileError, match=message.replace("{'", r"\{'")) as caught:
        dy.load(path, model, classes=[Scorer])
    assert str(path) in str(caught.value)
    assert members(model) == []


@pytest.mark.parametrize(
    ("arrays", "metadata", "message"),
    [
        ({"x": np.ones(2, np.float32)}, {}, "does not tell what its arrays are"),
        ({"x": np.ones(2, np.float32)}, {"format": "pt"}, "does not tell what its arrays are"),
        ({"x": np.ones(2, np.float32)}, {"format": "weft", "version": "0"}, "does not tell what its arrays are"),
        ({"x": np.ones(2)}, {"format": "weft", "lookup_parameters": "[]"}, r"x is float64 \(2,\); expected float32"),
        ({"x": np.ones((0, 2), np.float32)}, {"format": "weft", "lookup_parameters": "[]"}, "without empty axes"),
        ({"x": np.ones(2, np.float32)}, {"format": "weft", "lookup_parameters": "{"}, "must be a list of names"),
    ],
)
def test_files_that_hold_something_else(
    arrays: dict[str, np.ndarray], metadata: dict[str, str], message: str, path: Path
) -> None:
    save_arrays(path, arrays, metadata)
    with pytest.raises(ParameterFileError, match=message):
        dy.load(path, ParameterCollection())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 100_000), piece=st.binary(max_size=3), length=st.integers(0, 6), cut=st.booleans())
def test_damage_anywhere(place: int, piece: bytes, length: int, cut: bool, path: Path) -> None:
    expected = saved_with_two_scorers(path)
    content = path.read_bytes()
    place %= len(content)
    path.write_bytes(content[:place] if cut else content[:place] + piece + content[place + length :])
    model = ParameterCollection()
    try:
        loaded = dy.load(path, model, classes=[Scorer])
    except ParameterFileError as error:
        assert str(path) in str(error)
        assert members(model) == []
    else:
        # Damage to names, numbers or spaces is not seen; the objects are whole.
        assert len(loaded) == 4
        assert [p.shape() for p in members(model)] == [p.shape() for p in members(expected)]
