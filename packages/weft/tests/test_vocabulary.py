"""Which words have vectors, how others are spelled, and the way to JSON and back."""

import json

import pytest

from weft.tagger.sentence import Sentence
from weft.tagger.vocabulary import UNKNOWN_CHARACTER, WORD_BOUNDARY, Vocabulary

TRAIN = [Sentence(("the", "the", "cat", "cap"), ("D", "D", "N", "N")), Sentence(("the",), ("D",))]


def test_rare_words_are_spelled() -> None:
    vocabulary = Vocabulary.of(TRAIN, rare=2)
    assert vocabulary.words == ("the",)
    assert vocabulary.tags == ("D", "N")
    assert vocabulary.word_row("the") == 0
    assert vocabulary.word_row("cat") is None
    # Only `a` and `c` are in two rare words: `t` and `p` train the vector of unknown characters.
    assert vocabulary.characters == ("a", "c")
    assert vocabulary.spelling("cat") == [WORD_BOUNDARY, 3, 2, UNKNOWN_CHARACTER, WORD_BOUNDARY]
    assert vocabulary.character_count == 4


def test_a_word_seen_exactly_so_often_is_rare() -> None:
    assert Vocabulary.of(TRAIN, rare=3).words == ()


def test_none_rare() -> None:
    assert Vocabulary.of(TRAIN, rare=0).words == ("cap", "cat", "the")


def test_order_of_sentences_does_not_matter() -> None:
    assert Vocabulary.of(TRAIN, 1) == Vocabulary.of(TRAIN[::-1], 1)


def test_unknown_tag_says_so() -> None:
    with pytest.raises(KeyError, match="tag 'V' is not one of the 2 tags of training"):
        Vocabulary.of(TRAIN, 1).tag_row("V")


def test_no_tags() -> None:
    with pytest.raises(ValueError, match="none of these has a tag"):
        Vocabulary.of([Sentence(("a",))], 1)


def test_record_and_back() -> None:
    vocabulary = Vocabulary.of(TRAIN, 1)
    assert Vocabulary.from_record(json.loads(json.dumps(vocabulary.to_record()))) == vocabulary


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "list of strings under 'words'"),
        ({"words": [1], "characters": [], "tags": ["X"]}, "list of strings under 'words'"),
        ({"words": ["a", "a"], "characters": [], "tags": ["X"]}, "no entry twice under 'words'"),
        ({"words": [], "characters": [], "tags": []}, "at least one entry under 'tags'"),
    ],
)
def test_bad_records(record: dict[str, list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_record(record)
