"""Where compiled kernels live on disk, and how Weft's functions, and only those, are cached there.

Numba's own cache writes beside the source file, keeps one index file for all signatures of a function
and does not notice when a function *called* by a cached one has changed. Here every compiled function is one
file below the user's cache folder, written aside and renamed, so that processes may race without
locks; its header carries a stamp over the source of everything the function can reach.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import os
import pickle
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CellType, FunctionType, ModuleType
from typing import Any, cast

import numba
import numpy as np
import platformdirs
from numba.core import compiler
from numba.core.caching import UserProvidedCacheLocator, _Cache
from numba.core.ccallback import CFunc
from numba.core.dispatcher import Dispatcher
from numba.core.extending import _Intrinsic
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from . import callees
from .pipeline import KernelCompiler

KERNEL_FASTMATH = frozenset({"contract", "nsz", "reassoc", "arcp"})
"""What kernels allow LLVM: reordered sums and fused products; NaN and infinities keep their meaning."""

FORMULA_FASTMATH = frozenset({"contract", "nsz"})
"""What formulas allow: their sums keep the order in which they are written, so that differences keep their digits."""

_FROZEN = (bool, int, float, str, bytes, tuple, np.generic)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


@functools.cache
def _temporary_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="weft-kernels-")


@functools.cache
def _writable_or_temporary(wanted: Path) -> Path:
    if _is_writable(wanted):
        return wanted
    warnings.warn(
        f"Weft cannot write its kernel cache {str(wanted)!r}: kernels are compiled anew in every process. "
        "Set NUMBA_CACHE_DIR to a writable folder.",
        RuntimeWarning,
        stacklevel=2,
    )
    return Path(_temporary_folder().name)


def cache_folder() -> Path:
    """Folder of all files Weft's CPU backend writes: `NUMBA_CACHE_DIR`, else the user's cache folder.

    An unwritable folder is replaced by a temporary one that goes away with the process, with one warning.
    """
    named: str = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    if named:
        return _writable_or_temporary(Path(named))
    versions = f"numba-{numba.__version__}-python-{sys.version_info[0]}.{sys.version_info[1]}"
    return _writable_or_temporary(Path(platformdirs.user_cache_dir("weft", appauthor=False)) / versions)


def _replace_file(path: Path, content: bytes) -> None:
    """Write aside and rename: a reader sees the old file, or the whole new one."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:16]}.tmp")
    try:
        aside.write_bytes(content)
        try:
            os.replace(aside, path)
        except PermissionError:
            # Windows refuses to replace a file that another process is reading; that file is as good as ours.
            if os.name != "nt":
                raise
    finally:
        aside.unlink(missing_ok=True)


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, PermissionError):
        return None


@functools.cache
def _file_digest(path: str, modified: int, size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _source_digest(function: FunctionType) -> str:
    path = inspect.getfile(function)
    try:
        status = os.stat(path)
    except OSError:
        # Typed at a prompt, or from an archive: the code object is all there is.
        code = function.__code__
        return hashlib.sha256(repr((code.co_code, code.co_consts, code.co_names)).encode()).hexdigest()
    return _file_digest(path, status.st_mtime_ns, status.st_size)


def _python_function(value: object) -> FunctionType | None:
    """The Python function behind what compiled code may call: a jitted function or an intrinsic."""
    if isinstance(value, Dispatcher):
        return value.py_func
    if isinstance(value, _Intrinsic):
        return value._defn
    return None


def _cell_values(closure: tuple[CellType, ...] | None) -> tuple[Any, ...]:
    return tuple(cell.cell_contents for cell in closure or ())


def _named_values(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Global and closed-over values that the code of a function names, through modules too."""
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        yield name, value
        if isinstance(value, ModuleType):
            for attribute in names:
                yield f"{name}.{attribute}", getattr(value, attribute, None)
    yield from zip(function.__code__.co_freevars, _cell_values(function.__closure__), strict=True)


def source_stamp(function: FunctionType) -> str:
    """Digest of the source files of a function and all compiled ones it can reach, and of their constants."""
    digests: set[str] = set()
    seen: set[FunctionType] = set()
    waiting = [function]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        digests.add(_source_digest(current))
        for name, value in _named_values(current):
            callee = _python_function(value)
            if callee is not None:
                waiting.append(callee)
            elif isinstance(value, _FROZEN):
                digests.add(f"{name}={value!r}")
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _closure_key(function: FunctionType) -> bytes:
    """Tells apart the functions that one `def` makes.

    A called function is given by name: its pickle differs in every process.
    """
    parts: list[Any] = []
    for value in _cell_values(function.__closure__):
        callee = _python_function(value)
        if callee is None:
            parts.append(value)
        else:
            parts.append((callee.__module__, callee.__qualname__, _closure_key(callee)))
    return dumps(tuple(parts)) if parts else b""


def _reduced(compiled: Any) -> tuple[Any, ...]:
    """What a file keeps of a compiled function: machine code, of a callee the code that callers link."""
    if not compiled.library.is_callee:
        return cast("tuple[Any, ...]", compiled._reduce())
    fndesc = compiled.fndesc
    fndesc.typemap = fndesc.calltypes = None
    return (
        compiled.library.serialize_using_bitcode(), fndesc, compiled.environment, compiled.signature,
        compiled.objectmode, compiled.lifted, str(compiled.type_annotation), compiled.reload_init, (),
    )  # fmt: skip


class KernelCache(_Cache):
    """Keeps each compiled form of one function in one file: digest, then header and machine code."""

    def __init__(self, function: FunctionType, options: dict[str, Any]) -> None:
        self._function = function
        self._options = repr(
            sorted((name, sorted(v) if isinstance(v, (set, frozenset)) else v) for name, v in options.items())
        )
        # Numba's own rule for a folder the user has named: one subfolder per source folder.
        subfolder = UserProvidedCacheLocator.get_suitable_cache_subpath(inspect.getfile(function))
        self._folder = cache_folder() / subfolder
        self._enabled = True

    @property
    def cache_path(self) -> str:
        return str(self._folder)

    @functools.cached_property
    def _stamp(self) -> tuple[str, str, str]:
        return numba.__version__, source_stamp(self._function), self._options

    @functools.cached_property
    def _stem(self) -> str:
        module = Path(inspect.getfile(self._function)).stem
        name = self._function.__qualname__.replace("<", "").replace(">", "")
        return f"{module}.{name}-{self._function.__code__.co_firstlineno}"

    def _path(self, signature: Any, codegen: Any) -> Path:
        # The processor is part of the name: a home folder may be shared by different machines.
        key = repr((str(signature), codegen.magic_tuple())).encode() + _closure_key(self._function)
        tag = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        kind = ".callee" if callees.is_callee() else ""
        return self._folder / f"{self._stem}.{tag}.{hashlib.sha256(key).hexdigest()[:20]}{kind}.weft"

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        if not self._enabled:
            return None
        content = _read_file(self._path(signature, target_context.codegen()))
        if content is None or hashlib.sha256(content[32:]).digest() != content[:32]:
            return None
        stamp, payload = pickle.loads(content[32:])
        if stamp != self._stamp:
            return None
        return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, signature: Any, compiled: Any) -> None:
        if not self._enabled:
            return
        if compiled.lifted or compiled.library.has_dynamic_globals:
            warnings.warn(
                f"{self._function.__qualname__} holds an address or a large array as a constant, so it "
                "cannot be cached and is compiled anew in every process. Pass addresses as arguments.",
                RuntimeWarning,
                stacklevel=2,
            )
            return
        # The inner pickle needs numba's types; a stale one must never be opened.
        content = pickle.dumps((self._stamp, dumps(_reduced(compiled))))
        self._folder.mkdir(parents=True, exist_ok=True)
        _replace_file(self._path(signature, compiled.codegen), hashlib.sha256(content).digest() + content)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        for path in self._folder.glob(f"{self._stem}.*.weft"):
            path.unlink(missing_ok=True)


def cached_cfunc(function: Callable[..., Any], signature: Any, **options: Any) -> CFunc:
    """Compile a C function, or load it from Weft's cache; division by zero gives infinity or NaN.

    `options` are those of `numba.cfunc`; `fastmath` is `KERNEL_FASTMATH` unless given.
    The result must be kept alive as long as its `address` is used.
    """
    options = {"nopython": True, "error_model": "numpy", "fastmath": set(KERNEL_FASTMATH), **options}
    compiled: Any = CFunc(
        function, normalize_signature(signature), locals={}, options=options, pipeline_class=KernelCompiler
    )
    compiled._cache = KernelCache(cast(FunctionType, function), options)
    with callees.compiling(callee=False):
        callees.with_room(compiled.compile)
    return cast(CFunc, compiled)


def cached_njit(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """`numba.njit` for plain loops, with Weft's cache and without a test at each division; bare, or with options."""
    if function is None:
        return functools.partial(cached_njit, **options)
    options = {"error_model": "numpy", **options}
    dispatcher: Any = callees.KernelDispatcher(
        function, targetoptions={"nopython": True, **options}, pipeline_class=KernelCompiler
    )
    dispatcher._cache = KernelCache(cast(FunctionType, function), options)
    return dispatcher


def write_module(name: str, source: str) -> ModuleType:
    """Import generated kernel source from a file in the cache folder, so that its kernels can be cached.

    `name` is an identifier; the file and the module carry it and a digest of `source`, so the same
    source is one module however often, and in however many processes, it is written.
    """
    if not name.isidentifier():
        raise ValueError(f"write_module: {name!r} is no identifier; a generated module needs one.")
    content = source.encode()
    module_name = f"weft_generated_{name}_{hashlib.sha256(content).hexdigest()[:20]}"
    loaded = sys.modules.get(module_name)
    if loaded is not None:
        return loaded
    folder = cache_folder() / "weft-generated"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{module_name}.py"
    if _read_file(path) != content:
        _replace_file(path, content)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"write_module: Python cannot import generated kernels from {str(path)!r}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module
