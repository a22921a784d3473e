"""Text for the benchmarks: the running interpreter's standard library, read as tokens, prose and trees."""

from __future__ import annotations

import ast
import os
import re
import sysconfig
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "lib2to3", "__pycache__"}
_WORD = re.compile(r"\w+|[^\w\s]")
_TEXT_TOKENS = {tokenize.NAME, tokenize.NUMBER, tokenize.OP, tokenize.STRING}


@dataclass(frozen=True)
class Tree:
    """A binary tree in post-order: `children[i]` is None for a leaf, `words[i]` is None for an inner node."""

    children: list[tuple[int, int] | None]
    words: list[str | None]
    labels: list[int]

    @property
    def leaves(self) -> int:
        return (len(self.labels) + 1) // 2


def sources() -> Iterator[str]:
    """The source text of every standard library module, in the order of the paths."""
    for folder, folders, files in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        for name in sorted(files):
            if name.endswith(".py"):
                with tokenize.open(os.path.join(folder, name)) as file:
                    yield file.read()


def tokens(source: str) -> list[str]:
    """Names, operators, numbers and strings of one module, in reading order."""
    lines = iter(source.splitlines(keepends=True))
    return [t.string for t in tokenize.generate_tokens(lambda: next(lines, "")) if t.type in _TEXT_TOKENS]


def docstrings(module: ast.Module) -> Iterator[list[str]]:
    """The words and punctuation marks of every docstring of one module."""
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            words = _WORD.findall(ast.get_docstring(node) or "")
            if words:
                yield words


def trees(module: ast.Module, most_leaves: int) -> Iterator[Tree]:
    """Every statement of one module with 2 to `most_leaves` leaves, as a binary tree (see `_grow`)."""
    for node in ast.walk(module):
        if isinstance(node, ast.stmt):
            tree = Tree([], [], [])
            if _grow(node, tree, 2 * most_leaves - 1) and tree.leaves >= 2:
                yield tree


def _grow(node: ast.AST, tree: Tree, most_nodes: int) -> bool:
    """Appends the nodes below `node` in post-order; False when nothing is there or the tree is too large.

    Leaves are identifiers, constants and operators. A node of one child is its child, a node of many folds
    them to the right, as sentences of English do.
    """
    label, roots = _label(node), []
    for part in _parts(node):
        if isinstance(part, str):
            _append(tree, None, part, label)
        elif not _grow(part, tree, most_nodes):
            if len(tree.labels) > most_nodes:
                return False
            continue
        roots.append(len(tree.labels) - 1)
    if not roots:
        return False
    # In post-order the folded nodes follow all children, so the right fold starts at the last two.
    right = roots.pop()
    while roots:
        _append(tree, (roots.pop(), right), None, label)
        right = len(tree.labels) - 1
    return len(tree.labels) <= most_nodes


def _append(tree: Tree, children: tuple[int, int] | None, word: str | None, label: int) -> None:
    tree.children.append(children)
    tree.words.append(word)
    tree.labels.append(label)


def _parts(node: ast.AST) -> Iterator[ast.AST | str]:
    if isinstance(node, ast.Constant):
        yield repr(node.value)[:40]
        return
    if isinstance(node, (ast.operator, ast.unaryop, ast.cmpop, ast.boolop)):
        yield type(node).__name__
        return
    for _, value in ast.iter_fields(node):
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, (ast.AST, str)):
                yield part


def _label(node: ast.AST) -> int:
    """One of five: statement, call, name or attribute, constant, other expression."""
    if isinstance(node, ast.stmt):
        return 0
    if isinstance(node, ast.Call):
        return 1
    if isinstance(node, (ast.Name, ast.Attribute, ast.arg, ast.arguments)):
        return 2
    return 3 if isinstance(node, ast.Constant) else 4
