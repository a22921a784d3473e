"""A tagged sentence, and the error that names the place where data is wrong."""

from __future__ import annotations

from dataclasses import dataclass


class DataError(ValueError):
    """Data that cannot be used: says the file, the line (where there is one) and what was expected."""

    def __init__(self, path: object, line: int | None, message: str) -> None:
        self.path = str(path)
        self.line = line
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {message}")


@dataclass(frozen=True)
class Sentence:
    """Words and their tags, equally many; `tags` is empty when the text is not tagged."""

    words: tuple[str, ...]
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.tags and len(self.tags) != len(self.words):
            raise ValueError(f"a sentence of {len(self.words)} words cannot have {len(self.tags)} tags")

    def __len__(self) -> int:
        return len(self.words)
