"""The role of every name in a Python source, from its syntax tree, aligned to its tokens.

The scoping rules are those of the language reference ("Execution model: naming and binding"):
a name belongs to the innermost scope that binds it, class bodies are not seen from functions
inside them, `global` and `nonlocal` redirect, a comprehension has targets of its own.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

ROLES = (
    "parameter",  # a function's parameter, where declared and where used in that function
    "local",  # any other variable of the function or comprehension
    "closure",  # a parameter or variable of an enclosing function
    "global",  # a variable of the module
    "field",  # a variable bound in a class body
    "function",  # a name bound by `def` outside a class body
    "method",  # `def` in a class body, and any attribute that is called
    "attribute",  # any other attribute
    "class",  # a name bound by `class`
    "exception",  # a built-in exception class
    "builtin",  # any other built-in
    "module",  # a name bound by `import`, and module names in import statements
    "import",  # a name bound by `from ... import`
    "argument",  # the name in `call(name=value)`
)
OTHER_TAGS = ("keyword", "operator", "string", "number", "newline")
NEWLINE = "<newline>"
LITERAL_LENGTH = 8

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


@dataclass(frozen=True)
class Token:
    """One token: form, tag, and place (line from 1, column from 0 in UTF-8 bytes, as in `ast`)."""

    word: str
    tag: str
    line: int
    column: int


@dataclass
class _Scope:
    kind: str
    parent: _Scope | None
    bindings: dict[str, str] = field(default_factory=dict)

    def bind(self, name: str, role: str) -> None:
        self.bindings.setdefault(name, role)

    def resolve(self, name: str) -> str:
        scope: _Scope | None = self
        left_a_function = False
        while scope is not None:
            role = scope.bindings.get(name)
            visible = scope is self or scope.kind != "class"
            if role == "<global>":
                while scope.parent is not None:
                    scope = scope.parent
                continue
            if role is not None and role != "<nonlocal>" and visible:
                return "closure" if left_a_function and role in ("parameter", "local") else role
            left_a_function = left_a_function or scope.kind == "function"
            scope = scope.parent
        return _builtin_role(name)


def _builtin_role(name: str) -> str:
    value = getattr(builtins, name, None)
    if isinstance(value, type) and issubclass(value, BaseException):
        return "exception"
    # `__name__` and its like are attributes of `builtins` too, but a module has its own.
    return "builtin" if hasattr(builtins, name) and not name.startswith("__") else "global"


def _bind_all(nodes: Iterable[ast.AST], scope: _Scope) -> None:
    """Bind what these statements bind in `scope`, without entering the scopes inside them."""
    variable = {"module": "global", "class": "field"}.get(scope.kind, "local")
    for node in nodes:
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            role = "class" if isinstance(node, ast.ClassDef) else "method" if scope.kind == "class" else "function"
            scope.bind(node.name, role)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, _COMPREHENSIONS):
            # Its targets are its own, but `:=` inside it binds here.
            for inner in ast.walk(node):
                if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name):
                    scope.bind(inner.target.id, variable)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                scope.bind(alias.asname or alias.name.partition(".")[0], "module")
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                scope.bind(alias.asname or alias.name, "import")
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            for name in node.names:
                # The statement rules the whole scope, whatever was bound before it.
                if scope.kind != "module":
                    scope.bindings[name] = "<global>" if isinstance(node, ast.Global) else "<nonlocal>"
                    if isinstance(node, ast.Global):
                        _module_of(scope).bind(name, "global")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            scope.bind(node.id, variable)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            scope.bind(node.name, variable)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            scope.bind(node.rest, variable)
        _bind_all(ast.iter_child_nodes(node), scope)


def _module_of(scope: _Scope) -> _Scope:
    while scope.parent is not None:
        scope = scope.parent
    return scope


class _Labeller(ast.NodeVisitor):
    """Walks the tree with the scope at hand and writes roles beside token positions."""

    def __init__(self, tree: ast.Module, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.at = {(token.line, token.column): i for i, token in enumerate(tokens)}
        self.roles: dict[int, str] = {}
        self.scope = _Scope("module", None)
        _bind_all(tree.body, self.scope)
        self.generic_visit(tree)

    def label(self, line: int, column: int, name: str, role: str) -> None:
        index = self.at.get((line, column))
        if index is not None and self.tokens[index].word == name:
            self.roles[index] = role

    def following(self, line: int, column: int) -> Iterator[int]:
        """Indices of the tokens of the statement from this position on."""
        index = self.at.get((line, column), len(self.tokens))
        while index < len(self.tokens) and self.tokens[index].word != NEWLINE:
            yield index
            index += 1

    def label_first(self, line: int, column: int, name: str, role: str) -> None:
        for index in self.following(line, column):
            if self.tokens[index].word == name:
                self.roles[index] = role
                return

    def visit_in(self, scope: _Scope, nodes: Iterable[ast.AST]) -> None:
        outer, self.scope = self.scope, scope
        for node in nodes:
            self.visit(node)
        self.scope = outer

    def visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        inner = _Scope("function", self.scope)
        arguments = node.args
        declared = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        declared += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        for one in declared:
            inner.bind(one.arg, "parameter")
            self.label(one.lineno, one.col_offset, one.arg, "parameter")
            if one.annotation is not None:
                self.visit(one.annotation)
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.visit(default)
        body: list[ast.AST] = [node.body] if isinstance(node, ast.Lambda) else list(node.body)
        _bind_all(body, inner)
        self.visit_in(inner, body)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        role = "method" if self.scope.kind == "class" else "function"
        self.label_first(node.lineno, node.col_offset, node.name, role)
        for part in [*node.decorator_list, *([node.returns] if node.returns else [])]:
            self.visit(part)
        self.visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.label_first(node.lineno, node.col_offset, node.name, "class")
        for part in [*node.decorator_list, *node.bases, *node.keywords]:
            self.visit(part)
        inner = _Scope("class", self.scope)
        _bind_all(node.body, inner)
        self.visit_in(inner, node.body)

    def visit_comprehension_scope(self, node: ast.AST) -> None:
        inner = _Scope("comprehension", self.scope)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.comprehension):
                _bind_all([child.target], inner)
        self.visit_in(inner, ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_comprehension_scope

    def visit_Name(self, node: ast.Name) -> None:
        self.label(node.lineno, node.col_offset, node.id, self.scope.resolve(node.id))

    def visit_attribute(self, node: ast.Attribute, role: str) -> None:
        if node.end_lineno is not None and node.end_col_offset is not None:
            self.label(node.end_lineno, node.end_col_offset - len(node.attr.encode()), node.attr, role)
        self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit_attribute(node, "attribute")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute):
            self.visit_attribute(node.func, "method")
        else:
            self.visit(node.func)
        for part in [*node.args, *node.keywords]:
            self.visit(part)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg is not None:
            self.label(node.lineno, node.col_offset, node.arg, "argument")
        self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        for index in self.following(node.lineno, node.col_offset):
            self.roles.setdefault(index, "module")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        role = "module"
        for index in self.following(node.lineno, node.col_offset):
            if self.tokens[index].word == "import":
                role = "import"
            self.roles.setdefault(index, role)

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        for index in self.following(node.lineno, node.col_offset):
            self.roles.setdefault(index, self.scope.resolve(self.tokens[index].word))

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self.visit_Global(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            last = node.type if node.type is not None else node
            after_as = False
            for index in self.following(last.lineno, last.col_offset):
                if after_as:
                    self.roles[index] = self.scope.resolve(node.name)
                    break
                after_as = self.tokens[index].word == "as"
        self.generic_visit(node)

    def visit_capture(self, node: ast.MatchAs | ast.MatchStar) -> None:
        if node.name:
            column = node.end_col_offset - len(node.name.encode())
            self.label(node.end_lineno, column, node.name, self.scope.resolve(node.name))
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_capture

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """An f-string is one token here; positions inside it differ between versions of Python."""


def _literal(text: str) -> str:
    return "".join(text.split())[:LITERAL_LENGTH]


def _tokens(source: str) -> Iterator[Token]:
    """Tokens without roles: names that are no keywords carry the tag "name"."""
    depth = 0
    source_lines = source.split("\n")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = tokenize.tok_name[token.type]
        line, column = token.start
        if column and not source_lines[line - 1].isascii():
            column = len(source_lines[line - 1][:column].encode())
        # From Python 3.12 on an f-string is many tokens; here it is one, as it was before.
        if kind.endswith("STRING_START"):
            depth += 1
            if depth == 1:
                yield Token(_literal(token.string + "..."), "string", line, column)
        elif kind.endswith("STRING_END"):
            depth -= 1
        elif depth or token.type in _LAYOUT:
            continue
        elif token.type == tokenize.NAME:
            yield Token(token.string, "keyword" if keyword.iskeyword(token.string) else "name", line, column)
        elif token.type == tokenize.STRING:
            prefix = token.string[: len(token.string) - len(token.string.lstrip("fFrRbBuU"))]
            quote = token.string[len(prefix) :]
            quote = quote[:3] if quote[:3] in ('"""', "'''") else quote[:1]
            formatted = "f" in prefix.lower()
            yield Token(_literal(prefix + quote + "..." if formatted else token.string), "string", line, column)
        elif token.type == tokenize.NUMBER:
            yield Token(_literal(token.string), "number", line, column)
        elif token.type == tokenize.NEWLINE:
            yield Token(NEWLINE, "newline", line, column)
        else:
            yield Token(token.string, "operator", line, column)


def tagged_lines(source: str) -> list[list[Token]]:
    """Logical lines of a Python source as tagged tokens: names by role, other tokens by kind.

    Comments and indentation are dropped, literals cut to 8 characters, f-strings are one token; a
    soft keyword used as one is a "keyword". Raises SyntaxError when the source does not parse.
    """
    tree = ast.parse(source)
    tokens = list(_tokens(source))
    roles = _Labeller(tree, tokens).roles
    lines: list[list[Token]] = [[]]
    for index, token in enumerate(tokens):
        if token.tag == "name":
            token = Token(token.word, roles.get(index, "keyword"), token.line, token.column)
        lines[-1].append(token)
        if token.word == NEWLINE:
            lines.append([])
    return [line for line in lines if line]
