"""All names of the release are there, and no others."""

import subprocess
import sys
from pathlib import Path

import pytest

NAMES = [line.split()[0] for line in (Path(__file__).parent / "names.txt").read_text(encoding="utf-8").splitlines()]


def test_the_list_is_whole():
    assert len(set(NAMES)) == 217


@pytest.mark.parametrize("name", NAMES)
def test_name(imported, name):
    assert hasattr(imported, name)


def test_no_other_names(imported):
    public = {name for name in vars(imported) if not name.startswith("_")}
    assert public - set(NAMES) == set()


def test_names_live_in_the_module_that_files_name(imported):
    import _dynet

    here = {"_CONF", "dynet_config", "HAVE_CUDA", "ERRMSG", "print_graphviz"}
    assert [name for name in NAMES if name not in here and getattr(_dynet, name) is not getattr(imported, name)] == []


def test_second_names(imported):
    assert imported.Model is imported.ParameterCollection
    assert imported.LSTMBuilder is imported.VanillaLSTMBuilder
    assert imported.LSTMBuilder.__name__ == "VanillaLSTMBuilder"


def test_versions(imported):
    assert (imported.__version__, imported.__gitversion__) == ("2.1", "2.1.2")


def test_builders_are_pickled_as_members_of_the_module(imported):
    names = [name for name in NAMES if name.endswith(("LSTMBuilder", "RNNBuilder", "GRUBuilder"))]
    assert len(names) == 9
    for name in names:
        builder = getattr(imported, name)
        assert imported.pickle.loads(imported.pickle.dumps(builder)) is builder
        assert b"_dynet" in imported.pickle.dumps(builder)


def test_the_page_lists_them():
    script = Path(__file__).parent / "dynet_names.py"
    finished = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, f"run {script.name} to write the table of docs/dynet.md anew\n{finished.stderr}"
