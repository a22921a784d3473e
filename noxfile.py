"""Every habit of the project is a session here: demo, tests, lint, types, gpu, bench, build."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = True

PACKAGES = (
    "packages/core",
    "packages/trainers",
    "packages/testing",
    "packages/weft",
    "backends/numba",
    "backends/triton",
    "builders",
    "integrations/dynet",
)

# Per cent of the lines of weft_core that the tests must run.
COVERAGE_FLOOR = os.environ.get("WEFT_COVERAGE_FLOOR", "90")


def install_packages(session: nox.Session, *extra: str, editable: bool = True, gpu: bool = True) -> None:
    """Install all packages in one call: siblings are pinned `==`, so pip must see them together.

    `gpu`: with the Triton backend, which is a large download.
    """
    flag = ["--editable"] if editable else []
    wanted = [folder for folder in PACKAGES if gpu or folder != "backends/triton"]
    folders = [argument for folder in wanted for argument in (*flag, f"./{folder}")]
    session.install(*folders, *extra)


@nox.session
def demo(session: nox.Session) -> None:
    """Install Weft as a user would and run its demonstration."""
    install_packages(session, editable=False, gpu=False)
    session.run("python", "-m", "weft", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, a process for each core; arguments after `--` go to pytest, and replace processes and coverage."""
    packages = ("pytest>=8", "pytest-cov>=6", "pytest-xdist>=3.6", "safetensors>=0.5", "hypothesis>=6.100")
    install_packages(session, *packages)
    processes = ["--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal"]
    report = "--cov-report=term-missing:skip-covered"
    coverage = ["--cov=weft_core", report, f"--cov-fail-under={COVERAGE_FLOOR}"]
    session.run("python", "-m", "pytest", *(session.posargs or [*processes, *coverage]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and layout; `nox -s lint -- --fix` mends what can be mended."""
    session.install("ruff>=0.9")
    if "--fix" in session.posargs:
        session.run("ruff", "check", "--fix", ".")
        session.run("ruff", "format", ".")
    else:
        session.run("ruff", "check", ".")
        session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all sources."""
    install_packages(session, "mypy>=1.15")
    session.run("mypy", *session.posargs)


@nox.session
def gpu(session: nox.Session) -> None:
    """On a machine with an NVIDIA GPU: the conformance kit on the device, the barrier soak, the tasks, the benchmark.

    Writes docs/benchmarks/gpu.md. `python tests/gpu/run.py` does the same without nox; options are there.
    """
    install_packages(session, "pytest>=8")
    if "--torch" in session.posargs:
        session.install("torch")
    arguments = [argument for argument in session.posargs if argument != "--torch"]
    # 77: there is no GPU, and the program has said so.
    session.run(
        "python", "tests/gpu/run.py", *arguments, env={"TRITON_INTERPRET": "0"}, success_codes=[0, 77]
    )  # fmt: skip


@nox.session
def gpu_without_gpu(session: nox.Session) -> None:
    """What can be known of the GPU backend anywhere: numerics interpreted, every kernel compiled, launches counted.

    The session `tests` runs the same tests among all others, but only some rows of the conformance kit.
    """
    install_packages(session, "pytest>=8", "pytest-xdist>=3.6")
    session.run(
        "python", "-m", "pytest", "--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal", "backends/triton",
        "packages/testing/tests/test_backends.py", "tests/test_triton_tasks.py", "tests/gpu",
        "-k", "not TestNumba and not TestNumpy", *session.posargs, env={"WEFT_ALL_GPU_TESTS": "1"},
    )  # fmt: skip


@nox.session
def bench(session: nox.Session) -> None:
    """Run all benchmarks, or those that are named: `nox -s bench -- latency mlp --quick`.

    `--torch` also installs PyTorch to compare with; `--make-dynet` makes an environment for the DyNet wheel.
    Commands and options: tests/benchmarks/bench.py.
    """
    install_packages(session, "threadpoolctl>=3.5", gpu=False)
    if "--torch" in session.posargs:
        session.install("torch==2.13.0")
    session.run("python", "tests/benchmarks/bench.py", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Run DyNet 2.1.2 and Weft side by side over all cases; `nox -s parity -- --record` also records DyNet's results.

    DyNet needs a CPython 3.8, which is looked for, or an interpreter that has DyNet: `--dynet PYTHON`. Without one
    nothing is compared, and the session says so. Options: tests/parity/side_by_side.py.
    """
    install_packages(session, gpu=False)
    session.run("python", "tests/parity/side_by_side.py", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Make the wheels, install them in a clean environment outside the tree, and run a program there."""
    shutil.rmtree("dist", ignore_errors=True)
    folders = [f"./{folder}" for folder in PACKAGES]
    session.run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir=dist", *folders)
    wheels = sorted(str(wheel.resolve()) for wheel in Path("dist").glob("*.whl"))
    program = Path("tests/installed_program.py").resolve()

    with tempfile.TemporaryDirectory(prefix="weft-build-") as folder:
        session.run("python", "-m", "venv", f"{folder}/venv")
        python = str(Path(folder, "venv", "Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
        session.run(python, "-m", "pip", "install", *wheels, external=True)
        session.run(python, "-m", "pip", "check", external=True)
        shutil.copy(program, folder)
        with session.chdir(folder):
            for backend in ("numpy", "numba"):
                # -I: neither PYTHONPATH nor the user's site folder may lend a package.
                session.run(python, "-I", program.name, env={"WEFT_BACKEND": backend}, external=True)
