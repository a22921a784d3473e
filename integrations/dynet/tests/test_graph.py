"""The one graph object, its versions and its nodes by number."""

import numpy as np
import pytest

import weft


def test_one_object_counts_its_versions(dy):
    graph, version = dy.cg(), dy.cg_version()
    assert isinstance(graph, dy.ComputationGraph)
    assert dy.renew_cg() is graph
    assert graph.renew() is graph
    assert graph.version() == dy.cg_version() == version + 2
    with pytest.raises(RuntimeError, match="renew_cg"):
        dy.ComputationGraph()


def test_versions_count_on_after_a_new_seed(dy):
    version = dy.cg_version()
    dy.reset_random_seed(0)
    dy.renew_cg()
    assert dy.cg_version() == version + 1


def test_arguments_of_renew_cg(dy):
    dy.renew_cg(False, False, False)
    assert weft.cg().autobatch is False
    dy.renew_cg(autobatching=True)
    assert weft.cg().autobatch is True
    dy.renew_cg(immediate_compute=True, check_validity=True)
    with pytest.raises(RuntimeError, match="NaN or Inf detected"):
        dy.log(dy.scalarInput(-1)).value()


def test_nodes_have_the_numbers_of_the_printed_graph(dy, capsys):
    m = dy.ParameterCollection()
    W = m.add_parameters((2, 2), init=dy.IdentityInitializer())
    x = dy.inputVector([3, 4])
    loss = dy.sum_elems(W * x)
    graph = dy.cg()
    graph.print_graphviz()
    text = capsys.readouterr().err
    assert [line.split()[0] for line in text.splitlines() if "label" in line] == ["N0", "N1", "N2", "N3"]
    assert graph.forward_vec(0) == graph.inc_forward_vec(0) == [3, 4]
    assert graph.inc_forward_vec(1) == [1, 0, 0, 1]
    assert graph.forward_scalar(3) == graph.inc_forward_scalar(3) == 7
    assert graph.forward(2) is graph.inc_forward(2) is None
    graph.backward(3)
    np.testing.assert_allclose(W.grad_as_array(), [[3, 4], [3, 4]])
    assert loss.gradient() == [1]
    with pytest.raises(ValueError, match="no node 4"):
        graph.inc_forward(4)


def test_forward_computes_anew(dy):
    x = dy.inputVector([1, 1])
    W = dy.ParameterCollection().add_parameters((1, 2), init=1)
    (W * x).value()
    W.set_value([[2, 2]])
    assert dy.cg().inc_forward_scalar(2) == 2
    assert dy.cg().forward_scalar(2) == 4


def test_checkpoint_and_revert(dy):
    x = dy.scalarInput(1)
    dy.cg().checkpoint()
    y = dy.tanh(x)
    dy.cg().revert()
    with pytest.raises(RuntimeError):
        y.value()
    assert x.value() == 1


def test_dump(dy, tmp_path):
    dy.tanh(dy.scalarInput(0)).value()
    dy.cg().dump(str(tmp_path / "graph.txt").encode(), True, False)
    text = (tmp_path / "graph.txt").read_text(encoding="utf-8")
    assert "tanh" in text
    assert "Value" in text
    assert "Gradient" not in text


def test_inputs_of_the_graph(dy):
    assert dy.cg().inputMatrixLiteral([1, 2, 3, 4], (2, 2)).npvalue().tolist() == [[1, 3], [2, 4]]
    assert dy.cg().inputMatrixLiteral([1, 2, 3, 4], (2,), 2).dim() == ((2,), 2)
    sparse = dy.cg().inputSparseTensor([0, 3], [5, 6], (2, 2), defval=-1)
    assert sparse.npvalue().tolist() == [[5, -1], [-1, 6]]
    assert dy.cg().inputSparseTensor([3], [5], (2,), 2).npvalue().tolist() == [[0, 0], [0, 5]]
    with pytest.raises(ValueError, match="2 values for 1 places"):
        dy.cg().inputSparseTensor([0], [5, 6], (2, 2))
    with pytest.raises(IndexError, match="outside of 0 to 3"):
        dy.cg().inputSparseTensor([4], [5], (2, 2))
