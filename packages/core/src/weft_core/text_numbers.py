"""Lines of numbers: float32 as text with nine digits, which give every one of them back, and text as float32.

A finite number takes 16 bytes, `+1.00000001e-01` and a blank. Text of this form is read column by column; any other
decimal spelling, `nan` and `inf` are read number by number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .store import Floats

# Bytes of a finite number with the blank after it, and of `+inf ` or `+nan `.
FINITE_BYTES, OTHER_BYTES = 16, 5
# Numbers that are formatted at a time, and bytes that are parsed at a time: whole numbers of the form above.
CHUNK_NUMBERS = 4096
CHUNK_BYTES = FINITE_BYTES << 12
# What a message quotes of a word.
QUOTED = 60

_PLAIN = b"0123456789+-.eE \t\v\f\r\n"
_NAMED = re.compile(rb"[+-]?(inf|infinity|nan)", re.IGNORECASE)

# Columns of `+1.00000001e-01 `.
_SIGN, _EXPONENT_SIGN = 0, 12
_DIGITS, _MARKS = [1, *range(3, 11), 13, 14], [2, 11, 15]
# Digits of the mantissa behind the point.
_FRACTION = 8
# Powers of ten that are exact in float64: so one multiplication or division of a whole number rounds correctly.
_POWERS = 10.0 ** np.arange(23)


def text_size(numbers: Floats) -> int:
    """Bytes of the line of these numbers."""
    others = len(numbers) - np.count_nonzero(np.isfinite(numbers))
    return int(FINITE_BYTES * len(numbers) - (FINITE_BYTES - OTHER_BYTES) * others + 1)


def text_of(numbers: Floats) -> Iterator[bytes]:
    """A line of numbers, each like C's `%+.8e` and followed by a blank, piece by piece."""
    for start in range(0, len(numbers), CHUNK_NUMBERS):
        chunk = numbers[start : start + CHUNK_NUMBERS].tolist()
        if all(map(math.isfinite, chunk)):
            text = "%+.8e " * len(chunk) % tuple(chunk)
        else:
            text = "".join(f"{'-' if math.copysign(1, x) < 0 else '+'}{abs(x):.8e} " for x in chunk)
        yield text.encode()
    yield b"\n"


def numbers_of(line: bytes) -> Floats:
    """The numbers of a line; raises ValueError, with the word, for one that is no number of float32."""
    parts = [np.zeros(0, np.float32)]
    start = 0
    while start < len(line):
        stop = line.find(b" ", start + CHUNK_BYTES - 1) + 1 or len(line)
        parts.append(_narrowed(line[start:stop]))
        start = stop
    return np.concatenate(parts)


def _narrowed(text: bytes) -> Floats:
    """The numbers of a piece of text."""
    words = []
    wide = _by_columns(text)
    if wide is None:
        words = text.split()
        wide = _one_by_one(text, words)
    with np.errstate(over="ignore"):
        numbers = wide.astype(np.float32)
    # Digits that stand for more than the greatest float32, or float64.
    for k in np.flatnonzero(np.isinf(numbers)):
        word = words[k] if words else text[FINITE_BYTES * k : FINITE_BYTES * (k + 1)]
        if not _NAMED.fullmatch(word):
            raise ValueError(f"expected a number of float32, found {quoted(word)}, which is beyond its range")
    return numbers


def _by_columns(text: bytes) -> NDArray[np.float64] | None:
    """Numbers that all have the form of those written here; None for other text."""
    count = len(text) // FINITE_BYTES
    if text[count * FINITE_BYTES :] not in (b"", b"\n"):
        return None
    cells = np.frombuffer(text, np.uint8, count * FINITE_BYTES).reshape(count, FINITE_BYTES)
    columns = np.ascontiguousarray(cells.T)
    digits = columns[_DIGITS] - ord("0")
    negative, shrinks = columns[_SIGN] == ord("-"), columns[_EXPONENT_SIGN] == ord("-")
    if (
        (digits > 9).any()
        or (columns[_MARKS] != np.array([list(b".e ")], np.uint8).T).any()
        or not (negative | (columns[_SIGN] == ord("+"))).all()
        or not (shrinks | (columns[_EXPONENT_SIGN] == ord("+"))).all()
    ):
        return None
    whole = np.zeros(count, np.int32)
    for digit in digits[:-2]:
        whole *= 10
        whole += digit
    exponents = 10 * digits[-2].astype(np.int16) + digits[-1]
    shifts = np.where(shrinks, -exponents, exponents) - _FRACTION
    powers = _POWERS.take(np.abs(shifts), mode="clip")
    numbers: NDArray[np.float64] = np.where(shifts < 0, whole / powers, whole * powers)
    np.negative(numbers, out=numbers, where=negative)
    for k in np.flatnonzero(np.abs(shifts) >= len(_POWERS)):
        numbers[k] = float(text[FINITE_BYTES * k : FINITE_BYTES * (k + 1)])
    return numbers


def _one_by_one(text: bytes, words: list[bytes]) -> NDArray[np.float64]:
    """Numbers in any decimal spelling."""
    if text.translate(None, _PLAIN):
        # float() knows more spellings than those of the format.
        for word in words:
            if word.translate(None, _PLAIN) and not _NAMED.fullmatch(word):
                raise ValueError(f"expected a number, found {quoted(word)}")
    try:
        return np.fromiter(map(float, words), np.float64, len(words))
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise ValueError(f"expected a number, found {quoted(wrong)}") from None


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def quoted(text: bytes) -> str:
    """The beginning of a text, as a message shows it."""
    shown = text.rstrip(b"\r\n")
    return repr(shown[:QUOTED].decode(errors="replace") + ("..." if len(shown) > QUOTED else ""))
