"""Graphs as text."""

from pathlib import Path

import numpy as np
import pytest

import weft_core as w
from weft_core.printing import graph_text


@pytest.fixture
def loss() -> w.Expression:
    w.renew_cg()
    m = w.ParameterCollection()
    weights = m.parameters_from_numpy(np.ones((2, 3)), name="W")
    table = m.lookup_parameters_from_numpy(np.ones((4, 3)), name="E")
    h = w.tanh(weights * table[1])
    # The collection must live as long as the graph is printed.
    loss = w.squared_norm(h)
    test_model.append(m)
    return loss


test_model: list[w.ParameterCollection] = []


def test_every_node_and_edge_is_written(loss: w.Expression, capsys: pytest.CaptureFixture[str]) -> None:
    w.print_text_graphviz()
    text = capsys.readouterr().err
    assert text == graph_text(w.cg())
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == "digraph G {" and lines[-1] == "}"
    labels = [line for line in lines if "label" in line]
    assert 'N0 [label="v0 = parameters({3,4}) /E"];' in lines
    assert any(line.endswith('= parameters({2,3}) /W"];') for line in labels)
    tanh = next(line for line in labels if "tanh(" in line)
    number, read = tanh.split()[0], tanh.partition("tanh(v")[2].partition(")")[0]
    assert f"N{read} -> {number};" in lines
    assert sum("->" in line for line in lines) == 6


def test_a_parameter_that_is_an_operand_is_a_node() -> None:
    w.renew_cg()
    model = w.ParameterCollection()
    w.tanh(model.add_parameters(3, name="b"))
    text = graph_text(w.cg())
    assert 'N0 [label="v0 = parameters({3}) /b"];' in text and "N0 -> N1;" in text and "v1 = tanh(v0)" in text


def test_print_graphviz_names_and_leaves_out(loss: w.Expression, capsys: pytest.CaptureFixture[str]) -> None:
    w.print_graphviz(compact=True, expression_names={loss: "loss"})
    text = capsys.readouterr().out
    assert "rankdir=BT" in text and 'label="loss\\n{1}"' in text and "parameters" not in text
    w.print_graphviz(show_dims=False, lookup_names={"/E": "words"})
    text = capsys.readouterr().out
    assert "words" in text and "\\n{" not in text


def test_dump_writes_values_and_gradients_of_all_nodes(loss: w.Expression, tmp_path: Path) -> None:
    path = tmp_path / "graph.txt"
    loss.backward()
    w.dump_cg(path)
    text = path.read_text()
    assert text.count("Node ") == len(text.split("Value ")) - 1
    assert f"Value {{1}}: \n[{loss.value():.6f}]" in text
    assert "Gradient {1}: \n[1.]" in text
    w.dump_cg(str(path), show_gradients=False, nan_check_only=True)
    text = path.read_text()
    assert "Gradient" not in text and "invalid" not in text and "Value {1}: valid" in text


def test_dump_computes_what_has_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    w.renew_cg()
    w.inputTensor(np.zeros((2, 2, 2, 2)), batched=True) + 1.5
    w.log(w.scalarInput(-1.0))
    w.dump_cg(nan_check_only=True)
    out = capsys.readouterr().out
    assert "Gradient {2,2,2}x2: (not computed)" in out
    assert out.count("Value") == 4 and out.count(" invalid") == 1
