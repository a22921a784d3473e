"""Pairs of files: those of the release are read and written, classes come from the program alone."""

import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

RELEASED = Path(__file__).resolve().parent / "data" / "released"


def names(collection):
    return [p.name() for p in [*collection.parameters_list(), *collection.lookup_parameters_list()]]


def test_a_pair_of_the_release(dy, tmp_path):
    m = dy.ParameterCollection()
    E, bidirectional, W, sparse = dy.load(str(RELEASED), m)
    assert [type(made) for made in (E, bidirectional, W, sparse)] == [
        dy.LookupParameters,
        dy.BiRNNBuilder,
        dy.Parameters,
        dy.SparseLSTMBuilder,
    ]
    assert type(bidirectional.builder_layers[0][1]) is dy.GRUBuilder
    assert sparse.spec == (1, 4, 2, False, 0.5)
    outputs = sparse.initial_state().transduce(bidirectional.transduce([E[i] for i in range(3)]))
    # What the program that saved them printed.
    expected = [[-0.02664675, 0.02536182], [-0.04458478, 0.0421271], [-0.06046184, 0.05640779]]
    np.testing.assert_allclose(dy.npvalues([W * h for h in outputs]), expected, rtol=0, atol=1e-7)

    again = str(tmp_path / "again")
    dy.save(again, (made for made in [E, bidirectional, W, sparse]))
    for suffix in (".data", ".meta"):
        assert Path(again + suffix).read_bytes() == Path(f"{RELEASED}{suffix}").read_bytes()


def test_a_generator_makes_objects_one_by_one(dy):
    m = dy.ParameterCollection()
    objects = dy.load_generator(str(RELEASED), m)
    assert names(m) == []
    assert next(objects).name() == "/E"
    assert names(m) == ["/E"]
    assert [type(made).__name__ for made in objects] == ["BiRNNBuilder", "Parameters", "SparseLSTMBuilder"]


def test_a_missing_file(dy):
    with pytest.raises(FileNotFoundError):
        dy.load("nowhere", dy.ParameterCollection())


def test_what_has_no_spec_is_refused(dy, tmp_path):
    m = dy.ParameterCollection()
    with pytest.raises(TypeError, match="spec"):
        dy.save(str(tmp_path / "pair"), [m])
    with pytest.raises(TypeError, match="FastLSTMBuilder"):
        dy.save(str(tmp_path / "pair"), [dy.FastLSTMBuilder(1, 2, 3, m)])
    assert os.listdir(tmp_path) == []


@pytest.fixture
def perceptrons(dy, monkeypatch):
    """A module of the program's own."""
    module = ModuleType("perceptrons")

    class Perceptron:
        def __init__(self, spec, collection):
            self.spec = spec
            self.collection = collection.add_subcollection("perceptron")
            self.W = self.collection.add_parameters((spec["out"], 2))

        def param_collection(self):
            return self.collection

        @staticmethod
        def from_spec(spec, collection):
            return Perceptron(spec, collection)

    class Half:
        from_spec = None

    for kind in (Perceptron, Half):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    module.system = os.system
    module.instance = Perceptron({"out": 1}, dy.ParameterCollection())
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_classes_of_the_program(dy, perceptrons, tmp_path):
    first = perceptrons.Perceptron({"out": 3, "builder": dy.LSTMBuilder}, dy.ParameterCollection())
    dy.save(str(tmp_path / "pair"), [first])
    m = dy.ParameterCollection()
    [second] = dy.load(str(tmp_path / "pair"), m)
    assert type(second) is perceptrons.Perceptron
    assert second.spec == {"out": 3, "builder": dy.LSTMBuilder}
    np.testing.assert_array_equal(second.W.as_array(), first.W.as_array())


def test_a_class_of_a_module_that_is_not_imported_is_refused(dy, perceptrons, tmp_path, monkeypatch):
    dy.save(str(tmp_path / "pair"), [perceptrons.Perceptron({"out": 3}, dy.ParameterCollection())])
    monkeypatch.delitem(sys.modules, "perceptrons")
    # A module of this name could be imported; the file alone does not import it.
    (tmp_path / "perceptrons.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    m = dy.ParameterCollection()
    with pytest.raises(ValueError, match=r"object of perceptrons\.Perceptron; import it"):
        dy.load(str(tmp_path / "pair"), m)
    assert "perceptrons" not in sys.modules


@pytest.mark.parametrize(
    "pickled", ["(cperceptrons\n{}\n}}V/x/\nt.", "(cperceptrons\nPerceptron\n(cperceptrons\n{}\nlV/x/\nt."]
)
@pytest.mark.parametrize("name", ["Half", "system", "Missing", "instance", "Perceptron.__init__"])
def test_other_members_of_imported_modules_are_refused(dy, perceptrons, tmp_path, name, pickled):
    (tmp_path / "pair.meta").write_bytes(pickled.format(name).encode())
    (tmp_path / "pair.data").write_bytes(b"")
    with pytest.raises(ValueError, match=f"object of perceptrons.{name}; import it"):
        dy.load(str(tmp_path / "pair"), dy.ParameterCollection())


def test_builders_of_the_package_are_found_by_name_alone(dy, tmp_path):
    source = Path(f"{RELEASED}.meta").read_bytes()
    (tmp_path / "pair.meta").write_bytes(source.replace(b"\x8c\x11SparseLSTMBuilder", b"\x8c\x11cg_version_______"))
    (tmp_path / "pair.data").write_bytes(Path(f"{RELEASED}.data").read_bytes())
    m = dy.ParameterCollection()
    with pytest.raises(ValueError, match="cg_version"):
        dy.load(str(tmp_path / "pair"), m)
    assert names(m) == []
    assert m.parameter_count() == 0
