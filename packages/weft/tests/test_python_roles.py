"""Roles of names: each row is a stretch of code and what its names are, in order."""

import keyword
import sysconfig
import tokenize
from pathlib import Path

import pytest

from weft.tagger.python_roles import NEWLINE, OTHER_TAGS, ROLES, tagged_lines
from weft.tagger.stdlib_corpus import DEV_MODULES, TRAIN_MODULES


def roles(source: str) -> list[str]:
    return [f"{token.word}:{token.tag}" for line in tagged_lines(source) for token in line if token.tag in ROLES]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n", "x:global"),
        ("def f(a, *b, c=None, **d): return a, d\n",
         "f:function a:parameter b:parameter c:parameter d:parameter a:parameter d:parameter"),
        ("def f():\n    x = 1\n    return x\n", "f:function x:local x:local"),
        ("def f(a):\n    x = a\n    def g(): return x, a\n",
         "f:function a:parameter x:local a:parameter g:function x:closure a:closure"),
        ("n = 0\ndef f():\n    global n\n    n += 1\n", "n:global f:function n:global n:global"),
        ("def f():\n    n = 0\n    def g():\n        nonlocal n\n        n = 1\n",
         "f:function n:local g:function n:closure n:closure"),
        ("class A(Exception):\n    size = 2\n    def m(self): return size, self.size\n",
         "A:class Exception:exception size:field m:method self:parameter size:global "
         "self:parameter size:attribute"),
        ("import os.path as p, sys\np.join(sys.argv)\n",
         "os:module path:module p:module sys:module p:module join:method sys:module argv:attribute"),
        ("from a.b import (c as d,\n    e)\nd(e=len)\n",
         "a:module b:module c:import d:import e:import d:import e:argument len:builtin"),
        ("def f(x):\n    return [y for y in x if (z := y)] + [z]\n",
         "f:function x:parameter y:local y:local x:parameter z:local y:local z:local"),
        ("try:\n    f()\nexcept (OSError, E) as error:\n    print(error)\n",
         "f:global OSError:exception E:global error:global print:builtin error:global"),
        ("g = lambda k: k + g\n", "g:global k:parameter k:parameter g:global"),
        ("@d.e(f=1)\nasync def h(a: int = b) -> c: await a\n",
         "d:global e:method f:argument h:function a:parameter int:builtin b:global c:global a:parameter"),
        ("é = 'ü'; b = é.x\n", "é:global b:global é:global x:attribute"),
        ("s = f'{a!r} {f(b)}' + c\n", "s:global c:global"),
        ("match = 1\nmatch match:\n    case [first, *rest]: pass\n",
         "match:global match:global first:global rest:global"),
        ("class A:\n    class B: pass\n    f: B\n", "A:class B:class f:field B:class"),
    ],
)  # fmt: skip
def test_roles(source: str, expected: str) -> None:
    assert roles(source) == expected.split()


def test_tokens_that_are_no_names() -> None:
    (line,) = tagged_lines("if 'a long string' != 12345678901:  # why\n    pass\n")[:1]
    assert [(token.word, token.tag) for token in line] == [
        ("if", "keyword"),
        ("'alongst", "string"),
        ("!=", "operator"),
        ("12345678", "number"),
        (":", "operator"),
        (NEWLINE, "newline"),
    ]


def test_an_f_string_is_one_token_in_every_version() -> None:
    (line,) = tagged_lines("print(f'''{a:{b}} {'c'}\n text''', rb'x')\n")
    assert [token.word for token in line] == ["print", "(", "f'''...", ",", "rb'x'", ")", NEWLINE]


def test_positions_count_bytes_as_ast_does() -> None:
    (line,) = tagged_lines("é = ü\n")
    assert [(token.line, token.column) for token in line][:3] == [(1, 0), (1, 3), (1, 5)]


@pytest.mark.parametrize("module", TRAIN_MODULES + DEV_MODULES)
def test_every_name_of_the_corpus_has_a_role(module: str) -> None:
    stem = Path(sysconfig.get_path("stdlib")).joinpath(*module.split("."))
    path = next(path for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py") if path.exists())
    with tokenize.open(path) as file:
        tokens = [token for line in tagged_lines(file.read()) for token in line]
    assert {token.tag for token in tokens} <= {*ROLES, *OTHER_TAGS}
    without = {token.word for token in tokens if token.tag == "keyword" and not keyword.iskeyword(token.word)}
    assert without <= set(keyword.softkwlist)


def test_source_that_does_not_parse() -> None:
    with pytest.raises(SyntaxError):
        tagged_lines("def f(:\n")
