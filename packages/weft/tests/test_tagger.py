"""The tagger with the engine: it learns, is saved whole, and bad model files are refused with a sentence."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import weft as dy
from weft.tagger import files
from weft.tagger.files import load_tagger, save_tagger
from weft.tagger.model import Tagger, TaggerSettings
from weft.tagger.sentence import DataError, Sentence
from weft.tagger.stdlib_corpus import Corpus
from weft.tagger.train import TrainingSettings, tag_all, train_tagger
from weft.tagger.vocabulary import Vocabulary

SMALL = TaggerSettings(word=8, character=4, hidden=8, scorer=6, rare=1, dropout=0.0)
# The tag of `x` is told by the word before it, and the tags of rare words by their last letter.
TRAIN = tuple(
    Sentence(words, tags)
    for words, tags in [(("a", "x", f"w{n}s"), ("A", "AX", "S")) for n in range(20)]
    + [(("b", "x", f"w{n}t"), ("B", "BX", "T")) for n in range(20)]
)
DEV = (Sentence(("a", "x", "zzs"), ("A", "AX", "S")), Sentence(("b", "x", "zzt"), ("B", "BX", "T")))


@pytest.fixture
def tagger() -> Tagger:
    dy.init(seed=7)
    return Tagger(Vocabulary.of(TRAIN, SMALL.rare), SMALL)


def test_the_first_loss_is_near_that_of_a_guess(tagger: Tagger) -> None:
    loss = tagger.loss(TRAIN[:4])
    assert loss.value() == pytest.approx(math.log(len(tagger.vocabulary.tags)), rel=0.5)


def test_the_loss_of_several_sentences_is_the_mean_over_their_words(tagger: Tagger) -> None:
    one, other = (tagger.loss([sentence]).value() for sentence in DEV)
    assert tagger.loss(DEV).value() == pytest.approx((one + other) / 2, rel=1e-5)


def test_tags_do_not_depend_on_the_sentences_beside(tagger: Tagger) -> None:
    together = tagger.tag(DEV)
    assert together == [tagger.tag([sentence])[0] for sentence in DEV]
    assert [len(tags) for tags in together] == [3, 3]


def test_it_learns_context_and_spelling(tmp_path: Path) -> None:
    dy.init(seed=7)
    lines: list[str] = []
    settings = TrainingSettings(epochs=25, batch=8, learning_rate=0.02)
    corpus = Corpus(TRAIN, DEV)
    training = train_tagger(corpus, tmp_path / "model", settings, SMALL, bar=False, report=lines.append)
    assert training.baseline < 1.0
    assert training.best is not None
    assert training.best.score == 1.0
    assert training.fit.epochs[-1].loss < 0.2 * training.fit.epochs[0].loss
    assert len(lines) == 25
    assert tag_all(load_tagger(tmp_path / "model"), DEV) == [list(sentence.tags) for sentence in DEV]


def test_saved_and_loaded_is_the_same(tagger: Tagger, tmp_path: Path) -> None:
    save_tagger(tagger, tmp_path)
    loaded = load_tagger(tmp_path)
    assert loaded.vocabulary == tagger.vocabulary
    assert loaded.settings == tagger.settings
    np.testing.assert_array_equal(loaded.loss(DEV).value(), tagger.loss(DEV).value())


def test_saving_again_leaves_two_files(tagger: Tagger, tmp_path: Path) -> None:
    save_tagger(tagger, tmp_path)
    first = {path.name for path in tmp_path.iterdir()}
    trainer = dy.AdamTrainer(tagger.collection, 0.01)
    tagger.loss(TRAIN).backward()
    trainer.update()
    save_tagger(tagger, tmp_path)
    second = {path.name for path in tmp_path.iterdir()}
    assert len(first) == len(second) == 2
    assert first & second == {"model.json"}


def test_a_failed_save_leaves_the_former_model(tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tagger(tagger, tmp_path)
    before = tagger.loss(DEV).value()

    def full_disk(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "_replace", full_disk)
    trainer = dy.AdamTrainer(tagger.collection, 0.1)
    tagger.loss(TRAIN).backward()
    trainer.update()
    with pytest.raises(OSError, match="No space"):
        save_tagger(tagger, tmp_path)
    assert load_tagger(tmp_path).loss(DEV).value() == before


def test_a_foreign_model_json_is_not_overwritten(tagger: Tagger, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"format": "another"}')
    with pytest.raises(DataError, match='expected a description with "format": "weft-tagger"'):
        save_tagger(tagger, tmp_path)
    assert (tmp_path / "model.json").read_text() == '{"format": "another"}'


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected the model\.json of a tagger"):
        load_tagger(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected version 1 of the format, found 2"),
        ({"weights": "../model-0123456789ab.safetensors"}, 'expected "weights" to be like'),
        ({"weights": "model-0123456789ab.safetensors"}, "there is no such file"),
        ({"sha256": "0"}, "expected the weights whose SHA-256"),
        ({"settings": {}}, "expected the settings"),
        ({"settings": None}, "expected a mapping under 'settings'"),
        ({"vocabulary": {}}, "expected a list of strings under 'words'"),
    ],
)
def test_bad_descriptions(tagger: Tagger, tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = save_tagger(tagger, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    with pytest.raises(DataError, match=message) as caught:
        load_tagger(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"word": 7}, "must be even"),
        ({"hidden": 0}, "'hidden' must be a whole number of at least 1"),
        ({"layers": 1.5}, "'layers' must be a whole number"),
        ({"rare": -1}, "'rare' must be"),
        ({"dropout": 1.0}, "'dropout' must be at least 0 and below 1"),
    ],
)
def test_bad_settings(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TaggerSettings(**settings)  # type: ignore[arg-type]
