"""A tagger in a folder: `model.json` (vocabulary, settings, name and digest of weights) and weights.

Saving writes the weights under a name of their own and then replaces `model.json` in one rename. So at every
moment, also after a crash or a full disk, `model.json` names a whole model: the former or the new one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import weft as dy

from .model import Tagger, TaggerSettings
from .sentence import DataError
from .vocabulary import Vocabulary

DESCRIPTION = "model.json"
FORMAT = "weft-tagger"
VERSION = 1
_WEIGHTS_NAME = re.compile(r"model-[0-9a-f]{12}\.safetensors\Z")


def save_tagger(tagger: Tagger, folder: Path, report: dict[str, Any] | None = None) -> Path:
    """Write the tagger into `folder` (made when absent), replacing the tagger there; return its `model.json`.

    `report` (what JSON can hold) is kept beside the model for readers. Raises DataError when the folder's
    `model.json` is something else, OSError when it cannot be written; the former model then stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = folder / DESCRIPTION
    former = _weights_of(description)
    aside = folder / f"model-new-{os.getpid()}.safetensors"
    try:
        dy.save_parameters(aside, tagger.collection)
        digest = _digest(aside)
        weights = folder / f"model-{digest[:12]}.safetensors"
        os.replace(aside, weights)
    finally:
        aside.unlink(missing_ok=True)
    record = {
        "format": FORMAT,
        "version": VERSION,
        "weights": weights.name,
        "sha256": digest,
        "settings": tagger.settings.to_record(),
        "vocabulary": tagger.vocabulary.to_record(),
        "report": report or {},
    }
    _replace(description, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    if former is not None and former != weights.name:
        (folder / former).unlink(missing_ok=True)
    return description


def load_tagger(path: Path) -> Tagger:
    """The tagger in a folder (or of its `model.json`); DataError says which file and what was expected."""
    description = path / DESCRIPTION if path.is_dir() else path
    record = _read(description)
    weights = _weights_path(description, record)
    if not weights.is_file():
        raise DataError(weights, None, f"expected the weights that {description.name} names, but there is no such file")
    if _digest(weights) != record.get("sha256"):
        raise DataError(weights, None, f"expected the weights whose SHA-256 is in {description.name}; these are others")
    try:
        settings = TaggerSettings.from_record(_mapping(record, "settings"))
        vocabulary = Vocabulary.from_record(_mapping(record, "vocabulary"))
    except ValueError as error:
        raise DataError(description, None, str(error)) from error
    tagger = Tagger(vocabulary, settings)
    dy.load_parameters(weights, tagger.collection)
    return tagger


def _read(description: Path) -> dict[str, Any]:
    if not description.is_file():
        raise DataError(description, None, "expected the model.json of a tagger, but there is no such file")
    try:
        record = json.loads(description.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(description, error.lineno, f"expected JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise DataError(description, None, f"expected UTF-8 text ({error.reason})") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(description, None, f'expected a description with "format": "{FORMAT}"')
    if record.get("version") != VERSION:
        raise DataError(description, None, f"expected version {VERSION} of the format, found {record.get('version')!r}")
    return record


def _weights_path(description: Path, record: dict[str, Any]) -> Path:
    name = record.get("weights")
    # A plain name of our own making: a description must not lead out of its folder.
    if not isinstance(name, str) or not _WEIGHTS_NAME.match(name):
        raise DataError(
            description, None, f'expected "weights" to be like "model-0123456789ab.safetensors", not {name!r}'
        )
    return description.with_name(name)


def _mapping(record: dict[str, Any], name: str) -> dict[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"expected a mapping under {name!r}")
    return value


def _weights_of(description: Path) -> str | None:
    """Name of the weights that the present description names, None when there is no description yet."""
    return _weights_path(description, _read(description)).name if description.exists() else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.new-{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    if os.name == "posix":
        # The rename itself is on disk only once the folder is.
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
