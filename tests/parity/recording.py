"""Results of DyNet as small files: numbers as float32, which is what DyNet computes in, everything else as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RECORDED = Path(__file__).resolve().parent / "recorded"


def save(path: Path, results: Mapping[str, NDArray[Any]]) -> None:
    """Write results to one compressed file, numbers behind each other."""
    floats = {key: array for key, array in results.items() if array.dtype.kind == "f"}
    index = {
        "floats": [[key, list(array.shape)] for key, array in floats.items()],
        "exact": {key: array.tolist() for key, array in results.items() if key not in floats},
    }
    # Bytes of equal rank next to each other compress better.
    numbers = np.concatenate([array.ravel() for array in floats.values()] or [np.zeros(0)]).astype("<f4")
    planes = numbers.view(np.uint8).reshape(-1, 4).T
    np.savez_compressed(path, index=np.frombuffer(json.dumps(index).encode(), np.uint8), numbers=planes)


def load(path: Path) -> dict[str, NDArray[Any]]:
    """The results of a file that `save` wrote."""
    with np.load(path) as file:
        index = json.loads(file["index"].tobytes())
        numbers = np.ascontiguousarray(file["numbers"].T).view("<f4").ravel().astype(np.float64)
    results, place = {}, 0
    for key, shape in index["floats"]:
        size = int(np.prod(shape))
        results[key] = numbers[place : place + size].reshape(shape)
        place += size
    results.update((key, np.array(value)) for key, value in index["exact"].items())
    return results


def save_files(path: Path, folder: Path) -> None:
    """Write the bytes of all files of a folder to one file."""
    np.savez_compressed(path, **{file.name: np.frombuffer(file.read_bytes(), np.uint8) for file in folder.iterdir()})


def unpack_files(path: Path, folder: Path) -> None:
    """The files of `save_files` in a folder."""
    with np.load(path) as packed:
        for name in packed.files:
            (folder / name).write_bytes(packed[name].tobytes())
