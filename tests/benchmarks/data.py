"""Data of the shape of the DyNet paper's, from the standard library: one .npz per task in a cache folder.

    python data.py            builds what is missing and prints the figures reached

Three data sets feed five tasks: `lm` (language model), `tagger`, `chars` (the tagger with characters), `tree`
(each forget gate of a node reads its own child, as in the DyNet paper's program) and `nary` (each reads both
children, as in Tai et al., 2015).
"""

from __future__ import annotations

import ast
import hashlib
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import corpus
import numpy as np
import numpy.typing as npt
import parameters

SEED = 20170115
TASKS = ("lm", "tagger", "chars", "tree", "nary")

LM_SENTENCES, LM_LENGTH, LM_VOCABULARY = 6400, 22.0, 7596
TAG_LENGTH, TAG_TYPES, TAGS, CHARACTERS = 23.0, 7417, 5, 153
RARE_COUNT, RARE_SHARE, RARE_LENGTH = 5, 0.34, 6.7
TREES, TREE_LEAVES, TREE_MOST_LEAVES, TREE_WORDS, TREE_LABELS = 8544, 19.0, 52, 18281, 5

Arrays = dict[str, npt.NDArray[Any]]


def cache_folder() -> Path:
    """Where the data of this interpreter lies: another version of what makes it uses another folder."""
    version = ".".join(map(str, (*sys.version_info[:3], np.__version__)))
    makers = (Path(module.__file__ or "") for module in (sys.modules[__name__], corpus, parameters))
    digest = hashlib.sha256(b"".join(maker.read_bytes() for maker in makers)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"weft-benchmarks-{version}-{digest}"


def prepare(folder: Path) -> None:
    """Writes `<task>.npz` (examples) and `<task>-parameters.npz` for every task, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / f"{task}-parameters.npz").exists() for task in TASKS):
        return
    texts = list(corpus.sources())
    modules = [ast.parse(text) for text in texts]
    tagging = tagging_data(modules)
    trees = tree_data(modules)
    data = {"lm": language_data(texts), "tagger": tagging, "chars": tagging, "tree": trees, "nary": trees}
    for task, arrays in data.items():
        _save(folder / f"{task}.npz", arrays)
        _save(folder / f"{task}-parameters.npz", parameters.initial_parameters(task, arrays, SEED))


def _save(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Writes aside and renames, so that an interrupted run leaves no half file to be read."""
    unfinished = path.with_suffix(".part.npz")
    np.savez(unfinished, allow_pickle=False, **dict(arrays))
    unfinished.replace(path)


def language_data(texts: Iterable[str]) -> Arrays:
    """Sentences cut from the token stream; id 0 is <s>, which ends each sentence, id 1 an unknown word."""
    rng = np.random.default_rng(SEED)
    stream = [token for text in texts for token in corpus.tokens(text)]
    lengths = _lengths(rng, LM_SENTENCES, LM_LENGTH, 2, 90)
    starts = rng.choice(len(stream) // 100, size=LM_SENTENCES, replace=False) * 100
    chosen = [stream[start : start + length - 1] for start, length in zip(starts, lengths, strict=True)]
    kept = _by_frequency(word for sentence in chosen for word in sentence)[: LM_VOCABULARY - 2]
    ids = {word: number for number, (word, _) in enumerate(kept, start=2)}
    sentences = [[*(ids.get(word, 1) for word in sentence), 0] for sentence in chosen]
    return {**_flat(sentences, "words"), "vocabulary": np.array(LM_VOCABULARY)}


def tagging_data(modules: Iterable[ast.Module]) -> Arrays:
    """Words of docstrings with a tag each, the characters of each word type between two pads (id 0)."""
    rng = np.random.default_rng(SEED + 1)
    documents = [words for module in modules for words in corpus.docstrings(module)]
    stream = [word for i in rng.permutation(len(documents)) for word in documents[i]]
    words = _thin_frequent(rng, _with_rare_length(rng, stream))
    types = [word for word, _ in _by_frequency(words)]
    ids = {word: number for number, word in enumerate(types)}
    counts = Counter(words)
    letters = [c for c, _ in _by_frequency(c for word in words for c in word)][: CHARACTERS - 2]
    letter_ids = {letter: number for number, letter in enumerate(letters, start=2)}
    lengths = _lengths(rng, int(len(words) / TAG_LENGTH), TAG_LENGTH, 3, 90)
    ends = np.cumsum(lengths)
    sentences = [words[end - length : end] for end, length in zip(ends, lengths, strict=True)]
    spelling = [[0, *(letter_ids.get(c, 1) for c in word), 0] for word in types]
    tags = [[_tag(word) for word in sentence] for sentence in sentences]
    return {
        **_flat([[ids[word] for word in sentence] for sentence in sentences], "words"),
        "tags": _flat(tags, "tags")["tags"],
        **_flat(spelling, "letters"),
        "rare": np.array([counts[word] <= RARE_COUNT for word in types]),
        "vocabulary": np.array(TAG_TYPES),
        "characters": np.array(CHARACTERS),
        "labels": np.array(TAGS),
    }


def tree_data(modules: Iterable[ast.Module]) -> Arrays:
    """Binary trees of statements in post-order; word 0 is unknown, children are numbers in the tree."""
    rng = np.random.default_rng(SEED + 2)
    candidates = [tree for module in modules for tree in corpus.trees(module, TREE_MOST_LEAVES)]
    chosen = _choose_trees(rng, candidates)
    known = _by_frequency(word for tree in chosen for word in tree.words if word is not None)
    ids = {word: number for number, (word, _) in enumerate(known[: TREE_WORDS - 1], start=1)}
    word_ids = [[-1 if word is None else ids.get(word, 0) for word in tree.words] for tree in chosen]
    arrays = _flat(word_ids, "words")
    for side, name in enumerate(("left", "right")):
        children = [[-1 if pair is None else pair[side] for pair in tree.children] for tree in chosen]
        arrays[name] = _flat(children, name)[name]
    arrays["tags"] = _flat([tree.labels for tree in chosen], "tags")["tags"]
    return {**arrays, "vocabulary": np.array(TREE_WORDS), "labels": np.array(TREE_LABELS)}


def _by_frequency(words: Iterable[str]) -> list[tuple[str, int]]:
    return sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))


def _lengths(rng: np.random.Generator, count: int, mean: float, low: int, high: int) -> npt.NDArray[np.int64]:
    """`count` lengths, gamma-distributed like those of sentences, whose sum is `count * mean`."""
    lengths = np.clip(np.rint(rng.gamma(4.5, mean / 4.5, size=count)), low, high).astype(np.int64)
    while (missing := int(count * mean) - int(lengths.sum())) != 0:
        step = 1 if missing > 0 else -1
        changed = rng.choice(count, size=min(abs(missing), count), replace=False)
        lengths[changed] = np.clip(lengths[changed] + step, low, high)
    return lengths


def _with_rare_length(rng: np.random.Generator, stream: Sequence[str]) -> list[str]:
    """The beginning of the stream that has TAG_TYPES types, some long (or short) rare types left out.

    As many are left out as it takes to bring the mean length of rare words to RARE_LENGTH.
    """
    left_out: set[str] = set()
    while True:
        words: list[str] = []
        seen: set[str] = set()
        for word in stream:
            if word not in left_out:
                if word not in seen and len(seen) == TAG_TYPES:
                    break
                seen.add(word)
                words.append(word)
        if len(seen) < TAG_TYPES:
            raise ValueError(f"the standard library has {len(seen)} usable word types, {TAG_TYPES} are needed")
        rare = {word: count for word, count in Counter(words).items() if count <= RARE_COUNT}
        tokens = sum(rare.values())
        excess = sum(len(word) * count for word, count in rare.items()) - RARE_LENGTH * tokens
        if abs(excess) < 0.03 * tokens:
            return words
        beyond = {word: len(word) - RARE_LENGTH for word in sorted(rare)}
        too_far = [word for word, far in beyond.items() if far * excess > 0 and abs(far) > 3]
        few = max(1, int(abs(excess) / 12))
        left_out.update(too_far[i] for i in rng.permutation(len(too_far))[:few])


def _thin_frequent(rng: np.random.Generator, words: Sequence[str]) -> list[str]:
    """The words without some occurrences of frequent types, drawn at random, so that RARE_SHARE are rare."""
    counts = Counter(words)
    rare = sum(count for count in counts.values() if count <= RARE_COUNT)
    surplus = len(words) - round(rare / RARE_SHARE)
    dropped: set[int] = set()
    for position in rng.permutation(len(words)):
        if len(dropped) >= surplus:
            break
        if counts[words[position]] > 2 * RARE_COUNT:
            counts[words[position]] -= 1
            dropped.add(int(position))
    return [word for position, word in enumerate(words) if position not in dropped]


def _tag(word: str) -> int:
    """One of five: punctuation, number, code, capitalised, other."""
    if not (word[0].isalnum() or word[0] == "_"):
        return 0
    if word[0].isdigit():
        return 1
    if "_" in word or word[1:] != word[1:].lower():
        return 2
    return 3 if word[0].isupper() else 4


def _choose_trees(rng: np.random.Generator, candidates: Sequence[corpus.Tree]) -> list[corpus.Tree]:
    """TREES trees of TREE_LEAVES leaves on average, those with the rarest words first: a large vocabulary."""
    counts = Counter(word for tree in candidates for word in tree.words if word is not None)
    by_leaves: dict[int, list[tuple[float, int]]] = {}
    for number, tree in enumerate(candidates):
        novelty = sum(1.0 / counts[word] for word in tree.words if word is not None)
        by_leaves.setdefault(tree.leaves, []).append((novelty, number))
    for group in by_leaves.values():
        group.sort()
    wanted = _lengths(rng, TREES, TREE_LEAVES, 2, TREE_MOST_LEAVES)
    wanted[int(rng.integers(TREES))] = TREE_MOST_LEAVES
    chosen = []
    for leaves in wanted:
        nearest = min((k for k, group in by_leaves.items() if group), key=lambda k: (abs(k - leaves), k))
        chosen.append(candidates[by_leaves[nearest].pop()[1]])
    return chosen


def _flat(sequences: Sequence[Sequence[int]], name: str) -> Arrays:
    """All sequences in one array, and where each begins."""
    starts = np.cumsum([0, *map(len, sequences)])
    return {
        name: np.concatenate([np.asarray(s, dtype=np.int32) for s in sequences]),
        f"{name}_starts": starts,
    }


def figures(folder: Path) -> str:
    """The shape of the data reached, one line per data set."""
    lm, tag, tree = (dict(np.load(folder / f"{task}.npz")) for task in ("lm", "tagger", "tree"))
    rare = tag["rare"][tag["words"]]
    spelled = np.diff(tag["letters_starts"])[tag["words"][rare]] - 2
    nodes = np.diff(tree["words_starts"])
    return "\n".join(
        [
            f"lm: {len(lm['words_starts']) - 1} sentences, "
            f"{np.diff(lm['words_starts']).mean():.2f} tokens each, "
            f"vocabulary {lm['vocabulary']} ({np.unique(lm['words']).size} occur), "
            f"{100 * (lm['words'] == 1).mean():.1f} % unknown",
            f"tagger: {len(tag['words_starts']) - 1} sentences, "
            f"{np.diff(tag['words_starts']).mean():.2f} words each, "
            f"{np.unique(tag['words']).size} of {tag['vocabulary']} word types occur, {tag['labels']} tags, "
            f"{tag['characters']} characters ({np.unique(tag['letters']).size} occur), "
            f"{100 * rare.mean():.1f} % rare words of {spelled.mean():.2f} characters + 2 pads",
            f"tree: {len(nodes)} trees, {nodes.mean():.2f} nodes each, up to {nodes.max()}, "
            f"vocabulary {tree['vocabulary']} ({np.unique(tree['words'][tree['words'] >= 0]).size} occur), "
            f"{tree['labels']} labels, depth {_depths(tree).mean():.1f}",
        ]
    )


def _depths(tree: Arrays) -> npt.NDArray[np.int64]:
    depths = []
    for begin, end in zip(tree["words_starts"][:-1], tree["words_starts"][1:], strict=True):
        level: list[int] = []
        for left, right in zip(tree["left"][begin:end], tree["right"][begin:end], strict=True):
            level.append(0 if left < 0 else 1 + max(level[left], level[right]))
        depths.append(level[-1])
    return np.array(depths)


if __name__ == "__main__":
    prepare(cache_folder())
    print(cache_folder())
    print(figures(cache_folder()))
