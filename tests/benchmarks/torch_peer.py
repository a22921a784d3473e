"""One run of one task in PyTorch: `torch_peer.py --data FOLDER --task tagger --mode packed --batch 64`.

Modes, from the most dynamic to the most prepared by hand: `cell` (one LSTM step at a time), `sequence`
(`nn.LSTM` over a sentence or a word's characters; the language model's sentences are padded into one),
`packed` (`nn.LSTM` over all sentences of a group as one packed sequence); on trees `node` (one node at a
time) and `levels` (all nodes of one height of all trees together).
"""

from __future__ import annotations

from typing import Any, cast

import measure
import numpy as np
import torch
import torch.nn.functional as F
from examples import Example, load
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch_program import TorchProgram

MODES = ("sequence", "cell", "packed", "node", "levels")
SOFTMAX_ROWS = 512
IGNORED = -100  # the target of padding, as cross_entropy knows it


class LanguageModel(TorchProgram):
    """Sentences padded to the longest of the group, stepped through by `cell`, by nn.LSTM otherwise."""

    def create(self) -> None:
        self.rnn = self.lstm("lstm")
        self.output = self.parameter("output")
        self.bias = self.parameter("output_bias")

    def prepared(self, group: list[Example]) -> Any:
        longest = max(len(example.words) for example in group)
        inputs = np.zeros((longest, len(group)), np.int64)
        targets = np.full((longest, len(group)), IGNORED, np.int64)
        for column, example in enumerate(group):
            inputs[1 : len(example.words), column] = example.words[:-1]
            targets[: len(example.words), column] = example.words
        return torch.from_numpy(inputs), torch.from_numpy(targets)

    def loss(self, prepared: Any) -> Tensor:
        inputs, targets = prepared
        hidden = self.rnn.outputs(self.rows(inputs, self.embedding))
        # Step by step, or in blocks small enough for the allocator to reuse their memory: twice as fast.
        rows = len(targets[0]) if self.mode == "cell" else SOFTMAX_ROWS
        outputs, expected = torch.split(hidden.flatten(0, 1), rows), torch.split(targets.flatten(), rows)
        losses = []
        for h, target in zip(outputs, expected, strict=True):
            logits = F.linear(h, self.output, self.bias)
            losses.append(F.cross_entropy(logits, target, reduction="sum", ignore_index=IGNORED))
        return torch.stack(losses).sum()


class Tagger(TorchProgram):
    """The tagger, sentence by sentence or packed; with characters where the data has spellings."""

    def create(self) -> None:
        self.rnn = self.lstm("forward", "backward")
        self.hidden = self.parameter("hidden")
        self.output = self.parameter("output")
        if self.data.spelling:
            self.characters = self.table("characters")
            self.speller = self.lstm("character_forward", "character_backward")

    def scores(self, contexts: Tensor) -> Tensor:
        return F.linear(F.linear(contexts, self.hidden).tanh(), self.output)

    def loss(self, prepared: Any) -> Tensor:
        losses = []
        for example in prepared:
            contexts = self.rnn.outputs(self.words(example.words).unsqueeze(1)).squeeze(1)
            losses.append(F.cross_entropy(self.scores(contexts), torch.tensor(example.tags), reduction="sum"))
        return torch.stack(losses).sum()

    def words(self, words: list[int]) -> Tensor:
        spelling = self.data.spelling
        if not spelling:
            return self.rows(words, self.embedding)
        known = self.embedding
        return torch.cat([self.spelled(spelling[w]) if w in spelling else self.rows([w], known) for w in words])

    def spelled(self, letters: list[int]) -> Tensor:
        return self.speller.ends(self.rows(letters, self.characters).unsqueeze(1))


class PackedTagger(Tagger):
    """All sentences of a group in one packed sequence, all rare words of the group in another."""

    def prepared(self, group: list[Example]) -> Any:
        group = sorted(group, key=lambda example: -len(example.words))
        words, sizes = _packed([example.words for example in group])
        tags, _ = _packed([example.tags for example in group])
        spelling = self.data.spelling
        if not spelling:
            return words, sizes, tags, None
        spelled = [spelling.get(word, []) for word in words.tolist()]
        frequent = [i for i, letters in enumerate(spelled) if not letters]
        rare = sorted((i for i, letters in enumerate(spelled) if letters), key=lambda i: -len(spelled[i]))
        packed = _packed([spelled[i] for i in rare]) if rare else None
        order = torch.empty(len(words), dtype=torch.int64)
        order[torch.tensor(frequent + rare)] = torch.arange(len(words))
        return words[frequent], sizes, tags, (packed, order)

    def loss(self, prepared: Any) -> Tensor:
        words, sizes, tags, spelled = prepared
        x = self.rows(words, self.embedding)
        if spelled is not None:
            letters, order = spelled
            if letters is not None:
                packed = PackedSequence(self.rows(letters[0], self.characters), letters[1])
                x = torch.cat([x, self.speller.ends(packed)])
            x = x.index_select(0, order)
        return F.cross_entropy(self.scores(self.contexts(x, sizes)), tags, reduction="sum")

    def contexts(self, x: Tensor, sizes: Tensor) -> Tensor:
        """Packed {words, I} to {words, 2 H}."""
        return cast(Tensor, self.rnn.layer(PackedSequence(x, sizes))[0].data)


def _packed(sequences: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Sequences, longest first, as packed data (all first items, all second items, ...) and step sizes."""
    lengths = np.array([len(sequence) for sequence in sequences])
    sizes = (lengths[None, :] > np.arange(lengths[0])[:, None]).sum(axis=1)
    data = [sequence[step] for step, size in enumerate(sizes.tolist()) for sequence in sequences[:size]]
    return torch.tensor(data), torch.from_numpy(sizes)


class Tree(TorchProgram):
    """The tree classifier node by node."""

    def create(self) -> None:
        self.leaf_weight = self.parameter("leaf")
        names = ("inner", "forget_left", "forget_right")
        if self.data.task == "nary":  # one product, as all gates read the same
            array = np.concatenate([self.data.parameters[name] for name in names])
            self.weights.append(nn.Parameter(torch.from_numpy(array)))
            self.inner_weights = [self.weights[-1]]
        else:
            self.inner_weights = [self.parameter(name) for name in names]
        self.bias = self.parameter("bias")
        self.forget_bias = self.parameter("forget_bias", shift=1.0)
        self.output = self.parameter("output")
        self.size = self.forget_bias.shape[0]

    def leaves(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """{n, words} to h and c of {n, H}."""
        gates = F.linear(words, self.leaf_weight, self.bias)
        i, o = gates[:, : 2 * self.size].sigmoid().chunk(2, dim=1)
        c = i * gates[:, 2 * self.size :].tanh()
        return o * c.tanh(), c

    def inner(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """{n, 2 H} of each child, h beside c, to h and c of {n, H}."""
        (h1, c1), (h2, c2) = left.chunk(2, dim=1), right.chunk(2, dim=1)
        h = torch.cat([h1, h2], dim=1)
        if len(self.inner_weights) == 1:
            bias = torch.cat([self.bias, self.forget_bias, self.forget_bias])
            i, o, u, f1, f2 = F.linear(h, self.inner_weights[0], bias).chunk(5, dim=1)
        else:
            i, o, u = F.linear(h, self.inner_weights[0], self.bias).chunk(3, dim=1)
            f1 = F.linear(h1, self.inner_weights[1], self.forget_bias)
            f2 = F.linear(h2, self.inner_weights[2], self.forget_bias)
        c = i.sigmoid() * u.tanh() + f1.sigmoid() * c1 + f2.sigmoid() * c2
        return o.sigmoid() * c.tanh(), c

    def loss(self, prepared: Any) -> Tensor:
        losses = []
        for example in prepared:
            states: list[Tensor] = []
            for word, left, right, label in zip(*_columns(example), strict=True):
                if left < 0:
                    h, c = self.leaves(self.rows([word], self.embedding))
                else:
                    h, c = self.inner(states[left], states[right])
                states.append(torch.cat([h, c], dim=1))
                scores = F.linear(h, self.output)
                losses.append(F.cross_entropy(scores, torch.tensor([label]), reduction="sum"))
        return torch.stack(losses).sum()


class LevelTree(Tree):
    """All nodes of one height together; a pool holds the states that still wait for their parent."""

    def prepared(self, group: list[Example]) -> Any:
        """Words of leaves; per height the rows of left, right and kept in the pool; labels in that order."""
        words: list[int] = []
        labels: list[int] = []
        heights: list[int] = []
        parents: list[int] = []
        levels: list[list[tuple[int, int, int]]] = []
        for example in group:
            base = len(heights)
            for node, (word, left, right, label) in enumerate(zip(*_columns(example), strict=True), start=base):
                labels.append(label)
                parents.append(-1)
                if left < 0:
                    words.append(word)
                    heights.append(0)
                    continue
                left, right = left + base, right + base
                height = 1 + max(heights[left], heights[right])
                heights.append(height)
                parents[left] = parents[right] = node
                if len(levels) < height:
                    levels.append([])
                levels[height - 1].append((node, left, right))
        pool = [node for node, height in enumerate(heights) if height == 0]
        order = list(pool)
        steps = []
        for level in levels:
            row = {node: number for number, node in enumerate(pool)}
            consumed = {child for _, left, right in level for child in (left, right)}
            kept = [node for node in pool if node not in consumed and parents[node] >= 0]
            wanted = [left for _, left, _ in level] + [right for _, _, right in level] + kept
            steps.append((torch.tensor([row[node] for node in wanted]), len(level), len(kept)))
            pool = kept + [node for node, _, _ in level]
            order += [node for node, _, _ in level]
        return torch.tensor(words), steps, torch.tensor([labels[node] for node in order])

    def loss(self, prepared: Any) -> Tensor:
        words, steps, labels = prepared
        h, c = self.leaves(self.rows(words, self.embedding))
        pool, outputs = torch.cat([h, c], dim=1), [h]
        for rows, new, kept in steps:
            left, right, waiting = torch.split(pool.index_select(0, rows), [new, new, kept])
            h, c = self.inner(left, right)
            outputs.append(h)
            pool = torch.cat([waiting, torch.cat([h, c], dim=1)])
        return F.cross_entropy(F.linear(torch.cat(outputs), self.output), labels, reduction="sum")


def _columns(example: Example) -> tuple[list[int], list[int], list[int], list[int]]:
    return example.words, example.left, example.right, example.tags


def program(task: str, mode: str) -> type[TorchProgram]:
    """The program class of a task in a mode."""
    known: dict[str, type[TorchProgram]] = {"cell": Tagger, "sequence": Tagger, "packed": PackedTagger}
    if task == "lm":
        known = {"cell": LanguageModel, "sequence": LanguageModel}
    elif task in ("tree", "nary"):
        known = {"node": Tree, "levels": LevelTree}
    if mode not in known:
        raise SystemExit(f"mode {mode} does not exist for task {task}, only {', '.join(known)}")
    return known[mode]


def main() -> None:
    chosen = measure.settings(MODES)
    torch.set_num_threads(1)
    data = load(chosen.data, chosen.task)
    instance = program(chosen.task, chosen.mode)(data, chosen.mode, chosen.update == "sparse")
    measure.run("torch", instance, data, chosen)


if __name__ == "__main__":
    main()
