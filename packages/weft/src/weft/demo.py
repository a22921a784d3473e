"""`weft demo`: learn what the names in Python code are, from the library of this very interpreter."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import weft as dy

from .tagger.model import TaggerSettings
from .tagger.python_roles import ROLES, tagged_lines
from .tagger.stdlib_corpus import load_stdlib_corpus
from .tagger.train import TrainingSettings, train_tagger

SNIPPET = """\
import json
from pathlib import Path

class Inventory:
    unit = "pieces"

    def __init__(self, path, strict=False):
        self.path = Path(path)
        self.strict = strict

    def load(self, encoding="utf-8"):
        text = self.path.read_text(encoding=encoding)
        entries = json.loads(text)
        if self.strict and not isinstance(entries, dict):
            raise ValueError(text)
        return sorted(entries, key=len)
"""


def run_demo(
    folder: Path | None,
    settings: TrainingSettings,
    backend: str | None = None,
    threads: int | None = None,
    *,
    bar: bool = True,
    say: Callable[[str], None] = print,
) -> int:
    """Train, save, load in a new process, tag a snippet, show it; return the exit code of the command."""
    corpus = load_stdlib_corpus()
    counted = sum(tag in ROLES for sentence in corpus.train for tag in sentence.tags)
    say(
        f"Training on the source of Python {sys.version.split()[0]}'s standard library: "
        f"{sum(map(len, corpus.train)):,} tokens, {counted:,} of them names;\n"
        f"measured on the names of {sum(map(len, corpus.dev)):,} tokens of other modules. "
        f"Roles: {', '.join(ROLES)}."
    )
    target = folder if folder is not None else Path(tempfile.mkdtemp(prefix="weft-demo-")) / "tagger"
    dy.init(backend=backend, seed=settings.seed, threads=threads)
    training = train_tagger(corpus, target, settings, TaggerSettings(), bar=bar, report=say)
    best = training.best
    if best is None:
        say("Stopped before the first epoch was measured: no model was saved.")
        return 130
    if training.fit.interrupted:
        say("Stopped; the best model so far is kept.")
    if training.fit.out_of_time:
        say(f"The {settings.time_limit:.0f} s meant for training are over.")
    say(
        f"Best: {best.score:.2%} of the names right, {100 * (best.score - training.baseline):+.1f} points "
        f"from the {training.baseline:.2%} of each word's most frequent tag. The model is in {target}"
    )
    if training.fit.interrupted:
        return 130
    return _show_snippet(target, backend, say)


def _show_snippet(model: Path, backend: str | None, say: Callable[[str], None]) -> int:
    snippet = model / "snippet.py"
    snippet.write_text(SNIPPET, encoding="utf-8")
    command = [sys.executable, "-m", "weft", "tag", str(model), str(snippet)]
    command += ["--backend", backend] if backend is not None else []
    answer = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    if answer.returncode != 0:
        say(f"The new process that loads the model ended with exit code {answer.returncode}:\n{answer.stderr}")
        return 1
    tags = [line.split("\t")[1] for line in answer.stdout.splitlines() if line]
    say("\nA new process loaded the model and read this (names with their roles; ! marks a wrong one):\n")
    say(render(SNIPPET, tags))
    return 0


def render(source: str, tags: list[str]) -> str:
    """Each line of the source and, under it, its names with the roles in `tags`; `!got (right)` if wrong."""
    shown: list[str] = []
    lines = source.splitlines()
    names = right = 0
    given = iter(tags)
    for tokens in tagged_lines(source):
        first, *rest = lines[tokens[0].line - 1 : tokens[-1].line]
        shown += [f"    {line}" for line in (first, *rest)]
        margin = first[: len(first) - len(first.lstrip())]
        roles = []
        for token in tokens:
            tag = next(given)
            if token.tag in ROLES:
                names += 1
                right += tag == token.tag
                roles.append(f"{token.word}:{tag}" if tag == token.tag else f"{token.word}:!{tag} ({token.tag})")
        if roles:
            shown.append(f"    {margin}  # {', '.join(roles)}")
    return "\n".join([*shown, "", f"{right} of {names} names right."])
