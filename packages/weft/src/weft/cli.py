"""The command `weft`. What a command needs is imported when it runs, so that help and info are quick."""

from __future__ import annotations

import argparse
import io
import math
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path

from weft_core.errors import BackendError

DEMO_SECONDS = 90.0
EXIT_MALFORMED = 1
EXIT_BAD_DATA = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0: all went well, 2: wrong usage or bad data (one line on stderr), 130: Ctrl-C.

    1: a file that should be converted is damaged.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        print("weft: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) has left; Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"weft: {what}", file=sys.stderr)
        return EXIT_BAD_DATA
    except (ValueError, FloatingPointError, BackendError) as error:
        print(f"weft: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_DATA


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weft", description="Dynamic neural networks in plain Python.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="train a tagger of Python code on the standard library and show it")
    demo.add_argument("--out", type=Path, metavar="DIR", help="folder for the model (default: a new temporary one)")
    _add_training(demo, epochs=10, seconds=DEMO_SECONDS)
    demo.set_defaults(command=_demo)

    train = commands.add_parser("train", help="train a model on your files")
    models = train.add_subparsers(required=True, metavar="MODEL")
    tagger = models.add_parser("tagger", help="a tagger of words, from CoNLL-U or word<TAB>tag files")
    tagger.add_argument("--train", type=Path, required=True, metavar="FILE", help="sentences to learn from")
    tagger.add_argument("--dev", type=Path, required=True, metavar="FILE", help="sentences to choose the best model by")
    tagger.add_argument(
        "--out", type=Path, default=Path("tagger"), metavar="DIR", help="folder for the model (%(default)s)"
    )
    tagger.add_argument(
        "--rare",
        type=_count,
        default=5,
        metavar="N",
        help="spell words seen at most N times in training (%(default)s)",
    )
    _add_training(tagger, epochs=20, seconds=math.inf)
    tagger.set_defaults(command=_train_tagger)

    tag = commands.add_parser("tag", help="tag a file, printing word<TAB>tag")
    tag.add_argument("model", type=Path, metavar="MODEL", help="folder of a trained tagger")
    tag.add_argument("file", type=Path, metavar="FILE", help="CoNLL-U, one word a line, or Python source (.py)")
    _add_engine(tag)
    tag.set_defaults(command=_tag)

    convert = commands.add_parser("convert", help="turn a model file into another format, DyNet's or safetensors")
    convert.add_argument("old", metavar="OLD", help="text model, safetensors file, or base name of .data and .meta")
    convert.add_argument("new", metavar="NEW", help="with the ending .safetensors such a file, else a text model")
    convert.add_argument(
        "--pair", action="store_true", help="NEW is a base name: write NEW.data and NEW.meta for DyNet"
    )
    convert.set_defaults(command=_convert)

    info = commands.add_parser("info", help="versions, backends and threads of this installation")
    info.add_argument(
        "--graph",
        type=Path,
        metavar="PROGRAM",
        help="run this Python program and show what the last plan of its last graph ran together",
    )
    info.set_defaults(command=_info)
    return parser


def _add_training(parser: argparse.ArgumentParser, epochs: int, seconds: float) -> None:
    parser.add_argument(
        "--epochs",
        type=_positive_count,
        default=epochs,
        metavar="N",
        help="passes over the data (%(default)s)",
    )
    parser.add_argument(
        "--batch", type=_positive_count, default=16, metavar="N", help="sentences an update (%(default)s)"
    )
    parser.add_argument("--learning-rate", type=_positive, default=0.003, metavar="X", help="of Adam (%(default)s)")
    parser.add_argument(
        "--seconds", type=_positive, default=seconds, metavar="S", help="time for training (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=_count, default=1, metavar="N", help="of shuffling and initial values (%(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_engine(parser)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", metavar="NAME", help="one of those in `weft info` (default: the best available)")
    parser.add_argument(
        "--threads", type=_positive_count, metavar="N", help="threads of the backend (default: its own)"
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, not {text!r}")
    return int(text)


def _positive_count(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("expected a whole number of at least 1, not '0'")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number > 0:
        raise argparse.ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return number


def _demo(options: argparse.Namespace) -> int:
    from .demo import run_demo
    from .tagger.train import TrainingSettings

    settings = TrainingSettings(options.epochs, options.batch, options.learning_rate, options.seed, options.seconds)
    return run_demo(options.out, settings, options.backend, options.threads, bar=_bar(options))


def _train_tagger(options: argparse.Namespace) -> int:
    from .tagger.conll import read_tagged
    from .tagger.stdlib_corpus import Corpus

    # Files are read before the engine is touched: an error in them shows at once.
    corpus = Corpus(tuple(read_tagged(options.train)), tuple(read_tagged(options.dev)))

    import weft as dy

    from .tagger.model import TaggerSettings
    from .tagger.train import TrainingSettings, train_tagger

    settings = TrainingSettings(options.epochs, options.batch, options.learning_rate, options.seed, options.seconds)
    dy.init(backend=options.backend, seed=options.seed, threads=options.threads)
    training = train_tagger(corpus, options.out, settings, TaggerSettings(rare=options.rare), bar=_bar(options))
    best = training.best
    if best is None:
        print("Stopped before the first epoch was measured: no model was saved.")
    else:
        stopped = "Stopped; the best model so far" if training.fit.interrupted else "The best model"
        print(f"{stopped} (epoch {best.number}, dev {best.score:.2%}) is in {options.out}")
    return EXIT_INTERRUPTED if training.fit.interrupted else 0


def _tag(options: argparse.Namespace) -> int:
    from .tagger.conll import read_words
    from .tagger.stdlib_corpus import read_python

    if options.file.suffix == ".py":
        sentences = read_python(options.file)
    else:
        sentences = read_words(options.file)

    import weft as dy

    from .tagger.files import load_tagger
    from .tagger.train import tag_all

    dy.init(backend=options.backend, threads=options.threads)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What was read as UTF-8 is written as UTF-8, whatever the terminal's setting.
        sys.stdout.reconfigure(encoding="utf-8")
    for sentence, tags in zip(sentences, tag_all(load_tagger(options.model), sentences), strict=True):
        print("\n".join(f"{word}\t{tag}" for word, tag in zip(sentence.words, tags, strict=True)), end="\n\n")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from weft_core.files import ParameterFileError

    from .convert import convert

    try:
        print(convert(options.old, options.new, pair=options.pair))
    except ParameterFileError as error:
        print(f"weft: {error}", file=sys.stderr)
        return EXIT_MALFORMED
    return 0


def _info(options: argparse.Namespace) -> int:
    import weft as dy

    if options.graph is not None:
        return _info_graph(options.graph)
    print(f"{'weft':10} {dy.__version__}")
    for name in ("numpy", "numba", "scipy", "triton"):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{name:10} {version}")
    implementation = platform.python_implementation()
    print(f"{'Python':10} {platform.python_version()} ({implementation}, {platform.platform()})")
    print("\nbackends")
    for backend in dy.backends():
        print(f"  {backend.name:10} {'available' if backend.available else f'absent: {backend.reason}'}")
    print("\nthreads")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"  cores this process may use: {cores}")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        print(f"  {variable}: {os.environ.get(variable, 'not set')}")
    for line in _blas():
        print(f"  {line}")
    return 0


def _info_graph(program: Path) -> int:
    """Run a program, then show the groups of its last graph, those without a kernel marked."""
    import runpy

    from weft_core.graph import current
    from weft_core.settings import settings

    runpy.run_path(str(program), run_name="__main__")
    groups = current().execution.groups()
    print(f"\nthe last plan of {program.name} on the backend {settings.backend().name}: {len(groups)} kinds")
    if groups:
        print(f"{'steps':>7} {'instructions':>12}  kind")
    for group in groups:
        print(f"{group.steps:7} {group.instructions:12}  {group.kind}{'  on the host' if group.on_host else ''}")
    host = sum(group.steps for group in groups if group.on_host)
    if host:
        print(f"{host} steps have no kernel: their NumPy reference runs on the host")
    return 0


def _blas() -> list[str]:
    """Names and threads of the BLAS libraries loaded; threadpoolctl, which can tell, is optional."""
    optional = "threadpoolctl"
    try:
        pools = import_module(optional).threadpool_info()
    except ModuleNotFoundError:
        return ["BLAS: install threadpoolctl to see its name and threads"]
    return [
        f"{pool['user_api']}: {pool['internal_api']} {pool['version'] or ''}, {pool['num_threads']} threads"
        for pool in pools
    ]


def _bar(options: argparse.Namespace) -> bool:
    return not options.quiet and sys.stderr.isatty()
