"""Reading tagged files: both formats, and errors that name file and line."""

from pathlib import Path

import pytest

from weft.tagger.conll import read_tagged, read_words
from weft.tagger.sentence import DataError, Sentence


def row(number: str, form: str, tag: str) -> str:
    return "\t".join([number, form, "_", tag, *["_"] * 6])


CONLLU = "\n".join(
    [
        "# sent_id = 1",
        "# text = vámonos al mar",
        row("1-2", "vámonos", "_"),
        row("1", "vamos", "VERB"),
        row("2", "nos", "PRON"),
        row("2.1", "sido", "AUX"),
        row("3", "#", "SYM"),
        "",
        "",
        row("1", "mar azul", "NOUN"),
        "",
    ]
)
EXPECTED = [Sentence(("vamos", "nos", "#"), ("VERB", "PRON", "SYM")), Sentence(("mar azul",), ("NOUN",))]


@pytest.mark.parametrize("text", [CONLLU, CONLLU.replace("\n", "\r\n"), "\ufeff" + CONLLU, CONLLU.rstrip("\n")])
def test_conllu(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.conllu"
    path.write_bytes(text.encode())
    assert read_tagged(path) == EXPECTED
    assert read_words(path) == [Sentence(one.words) for one in EXPECTED]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_word_and_tag(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(end.join([b"the\tDET", b"#\tSYM", b"", b"", b"end\tNOUN"]))
    assert read_tagged(path) == [Sentence(("the", "#"), ("DET", "SYM")), Sentence(("end",), ("NOUN",))]


def test_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("#tag\nthe\n\nend\n", encoding="utf-8")
    assert read_words(path) == [Sentence(("#tag", "the")), Sentence(("end",))]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"", None, "expected at least one word"),
        (b"\n \n", None, "expected at least one word"),
        (b"# only a comment\n", None, "expected at least one word"),
        (b"a\tX\nb\xffc\tX\n", 2, "expected UTF-8 text, found byte 0xff"),
        (b"word\n", 1, "expected CoNLL-U (10 tab-separated columns) or word<TAB>tag, found 1 column"),
        (b"a\tb\tc\n", 1, "found 3 columns"),
        (b"a\tX\nb\n", 2, "expected word<TAB>tag as in the lines before, found 1 column"),
        (b"a\tX\n\tX\n", 2, "expected a word, found an empty column"),
        (b"a\tX\nb\t\n", 2, "expected a tag (second column) for the word 'b'"),
        (row("1", "a", "_").encode(), 1, "expected UPOS (fourth column) for the word 'a'"),
        (row("x", "a", "X").encode(), 1, "expected a word number (1), a range (1-2) or an empty node (1.1)"),
        ((row("1", "a", "X") + "\n2\tb\n").encode(), 2, "expected 10 tab-separated columns"),
    ],
)
def test_errors_name_file_and_line(tmp_path: Path, content: bytes, line: int | None, message: str) -> None:
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_tagged(path)
    place = f"{path}: " if line is None else f"{path}:{line}: "
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)
    assert caught.value.line == line
