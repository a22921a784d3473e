"""The command line: exit codes, one-line errors, lazy imports, and the way from files to tags."""

import subprocess
import sys
from pathlib import Path

import pytest

from weft import cli
from weft.demo import SNIPPET, render
from weft.tagger.python_roles import tagged_lines

TRAIN = "the\tD\ncat\tN\nsleeps\tV\n\nthe\tD\ndog\tN\nruns\tV\n\n" * 10
DEV = "the\tD\ndog\tN\nsleeps\tV\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["train"], "required: MODEL"),
        (["train", "tagger", "--dev", "x"], "required: --train"),
        (["demo", "--epochs", "0"], "expected a whole number of at least 1"),
        (["demo", "--epochs", "two"], "expected a whole number of at least 0, not 'two'"),
        (["demo", "--seconds", "nan"], "expected a number above 0, not 'nan'"),
        (["demo", "--learning-rate", "-1"], "expected a number above 0"),
        (["weave"], "invalid choice: 'weave'"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_bad_data_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.tsv"
    bad.write_text("a\tX\nb\n")
    assert cli.main(["train", "tagger", "--train", str(bad), "--dev", str(bad)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"weft: {bad}:2: expected word<TAB>tag")
    assert error.count("\n") == 1


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.txt"
    assert cli.main(["tag", str(tmp_path), str(absent)]) == 2
    assert capsys.readouterr().err == f"weft: {absent}: No such file or directory\n"


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("weft.tagger.conll.read_words", interrupt)
    assert cli.main(["tag", str(tmp_path), str(tmp_path / "a.txt")]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_command_line_loads_nothing_of_the_tagger() -> None:
    code = "import sys, weft.cli; print([name for name in sys.modules if name.startswith('weft.tagger')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_render_marks_wrong_roles() -> None:
    right = [token.tag for line in tagged_lines(SNIPPET) for token in line]
    assert "!" not in render(SNIPPET, right).replace("!=", "")
    wrong = ["local" if tag == "module" else tag for tag in right]
    assert "json:!local (module)" in render(SNIPPET, wrong)


GRAPH_PROGRAM = """\
import numpy as np
import weft as dy
from weft_core.operation import Operation
from weft_core.signature import Signature


class Twice(Operation):
    name = "twice_of_the_command_line"

    def infer(self, operands, attributes):
        return Signature(self, operands, attributes, operands)

    def forward(self, call, x):
        return (2 * x,)


dy.init(backend="numba")
dy.renew_cg()
x = dy.inputVector([1.0, 2.0])
print(dy.esum([dy.tanh(x), Twice().record([x])]).npvalue())
"""


def test_info_of_the_graph_of_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "program.py"
    program.write_text(GRAPH_PROGRAM)
    assert cli.main(["info", "--graph", str(program)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (twice,) = [line for line in lines if "<twice_of" in line]
    (tanh,) = [line for line in lines if "<tanh" in line]
    assert twice.endswith("on the host")
    assert not tanh.endswith("on the host")
    assert lines[-1].startswith("1 steps have no kernel")


def test_info_of_a_program_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--graph", str(tmp_path / "absent.py")]) == cli.EXIT_BAD_DATA
    assert "absent.py" in capsys.readouterr().err


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    shown = capsys.readouterr().out
    assert "numpy" in shown
    assert "available" in shown
    assert "cores this process may use" in shown


def test_train_then_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("train", TRAIN), ("dev", DEV), ("text", "the\ndog\n\nthe\ncat\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    model = tmp_path / "model"
    command = ["train", "tagger", "--train", str(tmp_path / "train"), "--dev", str(tmp_path / "dev")]
    assert cli.main([*command, "--out", str(model), "--epochs", "6", "--learning-rate", "0.02", "--quiet"]) == 0
    assert f"is in {model}" in capsys.readouterr().out
    assert cli.main(["tag", str(model), str(tmp_path / "text")]) == 0
    assert capsys.readouterr().out == "the\tD\ndog\tN\n\nthe\tD\ncat\tN\n\n"


def test_an_unknown_backend_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.tsv"
    data.write_text(DEV)
    asked = ["train", "tagger", "--train", str(data), "--dev", str(data), "--out", str(tmp_path), "--backend", "loom"]
    assert cli.main(asked) == 2
    error = capsys.readouterr().err
    assert error.startswith("weft: there is no backend 'loom'; found: ") and error.count("\n") == 1
