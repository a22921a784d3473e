"""The corpus of the standard library: the same each time, split by module, and honest to measure on."""

from pathlib import Path

import pytest

from weft.tagger.accuracy import MostFrequentTag, accuracy
from weft.tagger.python_roles import ROLES
from weft.tagger.sentence import DataError, Sentence
from weft.tagger.stdlib_corpus import (
    DEV_MODULES,
    TRAIN_MODULES,
    WINDOW,
    Corpus,
    load_stdlib_corpus,
    python_sentences,
    read_python,
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_stdlib_corpus()


def test_deterministic(corpus: Corpus) -> None:
    assert load_stdlib_corpus() == corpus


def test_no_module_is_in_both_parts() -> None:
    assert not set(TRAIN_MODULES) & set(DEV_MODULES)


def test_parts_share_no_sentence_with_a_function(corpus: Corpus) -> None:
    def definitions(sentences: tuple[Sentence, ...]) -> set[tuple[str, ...]]:
        return {one.words for one in sentences if "def" in one.words and len(one) > WINDOW // 2}

    assert definitions(corpus.train)
    assert not definitions(corpus.train) & definitions(corpus.dev)


def test_sizes(corpus: Corpus) -> None:
    assert 60_000 < sum(map(len, corpus.train)) < 100_000
    assert 8_000 < sum(map(len, corpus.dev)) < 14_000
    assert max(map(len, corpus.train)) <= WINDOW
    assert {tag for sentence in corpus.train for tag in sentence.tags} >= set(ROLES)


def test_the_baseline_leaves_room(corpus: Corpus) -> None:
    baseline = MostFrequentTag(corpus.train, corpus.counted_tags)
    score = accuracy(corpus.dev, baseline.tag(corpus.dev), corpus.counted_tags)
    assert 0.45 < score < 0.70


def test_windows_keep_lines_whole_and_end_with_a_top_level_statement() -> None:
    short = python_sentences("def f(a):\n    return a\nx = 1\n", window=20)
    assert [" ".join(sentence.words) for sentence in short] == [
        "def f ( a ) : <newline> return a <newline>",
        "x = 1 <newline>",
    ]
    narrow = python_sentences("def f(a):\n    return a\n", window=8)
    assert [len(sentence) for sentence in narrow] == [7, 3]
    split = python_sentences("x = [1, 2, 3]\n", window=4)
    assert [len(sentence) for sentence in split] == [4, 4, 2]


def test_absent_modules_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "cmd.py").write_text("x = 1\n")
    (tmp_path / "gzip").mkdir()
    (tmp_path / "gzip" / "__init__.py").write_text("y = 2\n")
    found = load_stdlib_corpus(tmp_path)
    assert [one.words[0] for one in (*found.train, *found.dev)] == ["x", "y"]


def test_no_module_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected the source of at least one of argparse"):
        load_stdlib_corpus(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\ndef f(:\n", r"code\.py:2: expected Python source"),
        (b"# coding: utf-8\nx = '\xff'\n", r"code\.py.*: expected Python source"),
        (b"# coding: nonsense\n", r"code\.py.*: expected Python source"),
        (b"# nothing\n", r"code\.py: expected at least one statement"),
    ],
)
def test_files_that_are_not_python(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "code.py"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_python(path)


def test_baseline_and_accuracy() -> None:
    train = [Sentence(("a", "a", "b", "c", "d"), ("X", "Y", "Y", "Y", "Z")), Sentence(("a",), ("Y",))]
    baseline = MostFrequentTag(train)
    assert baseline.tag([Sentence(("a", "d", "unseen"))]) == [["Y", "Z", "Y"]]
    gold = [Sentence(("a", "b", "c", "d"), ("X", "X", "Y", "Z"))]
    assert accuracy(gold, [["X", "Y", "Y", "Y"]]) == 0.5
    assert accuracy(gold, [["X", "Y", "Y", "Y"]], frozenset({"X", "Y"})) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="no tokens"):
        accuracy(gold, [["X", "Y", "Y", "Y"]], frozenset({"Q"}))
