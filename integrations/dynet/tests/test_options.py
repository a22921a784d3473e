"""Start-up: the command line, `dynet_config`, and what is said on stderr."""

import re

import pytest

IMPORT = "import sys\nimport dynet as dy\n"
SHOW = IMPORT + "print(sys.argv[1:])\nprint(dy.ParameterCollection().add_parameters(3).as_array())\n"


@pytest.mark.parametrize("form", [["--dynet-seed", "7"], ["--dynet-seed=7"], ["--dynet_seed", "7"], ["--dynet_seed=7"]])
def test_forms_of_an_option(run, form):
    arguments = ["data.txt", *form, "--verbose"]
    finished = run(SHOW, *arguments)
    assert finished.stderr == "[dynet] random seed: 7\n"
    assert finished.stdout.splitlines()[0] == str(arguments)
    assert finished.stdout.splitlines()[1] == run(SHOW, "--dynet-seed=7").stdout.splitlines()[1]


def test_without_a_seed_one_is_drawn(run):
    seeds = set()
    for arguments in ([], ["--dynet-seed", "0"]):
        said = re.fullmatch(r"\[dynet\] random seed: (\d+)\n", run(SHOW, *arguments).stderr)
        seeds.add(int(said[1]))
    assert len(seeds) == 2
    assert 0 not in seeds


def test_a_drawn_seed_can_be_given_again(run):
    first = run(SHOW)
    again = run(SHOW, "--dynet-seed", first.stderr.split()[-1])
    assert first.stdout.splitlines()[1] == again.stdout.splitlines()[1]


def test_another_seed_gives_other_numbers(run):
    first, second = run(SHOW, "--dynet-seed", "7"), run(SHOW, "--dynet-seed", "8")
    assert first.stdout.splitlines()[1] != second.stdout.splitlines()[1]


def test_a_negative_seed_is_taken_as_unsigned(run):
    assert run(IMPORT, "--dynet-seed", "-1").stderr == "[dynet] random seed: 4294967295\n"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--dynet-mem", "1024"], "mem"),
        (["--dynet-mem=512,512,512,512"], "mem"),
        (["--dynet-gpus", "1"], "gpus"),
        (["--dynet-gpu"], "gpu"),
        (["--dynet-gpu-ids", "0,1"], "gpu-ids"),
        (["--dynet-devices", "CPU,GPU:0"], "devices"),
        (["--dynet-colour", "red"], "--dynet-colour"),
    ],
)
def test_what_has_no_effect_is_said_in_one_line(run, arguments, name):
    lines = run(SHOW, *arguments, "--dynet-seed", "3").stderr.splitlines()
    assert len(lines) == 2
    assert re.match(rf"\[dynet\] {name} (is not known and )?has no effect", lines[1])


def test_the_device_that_is_there_needs_no_remark(run):
    assert run(IMPORT, "--dynet-devices", "CPU", "--dynet-seed", "3").stderr == "[dynet] random seed: 3\n"


def test_autobatch_and_profiling(run):
    program = IMPORT + "dy.renew_cg()\nprint(dy.tanh(dy.scalarInput(0)).value())\n"
    finished = run(program, "--dynet-autobatch", "3", "--dynet-profiling", "1", "--dynet-seed", "3")
    assert finished.stderr.splitlines()[1:] == ["[dynet] using autobatching", "[dynet] using profiling level 1"]
    lines = finished.stdout.splitlines()
    assert lines[:2] == ["0.0", "Timing Info:"]
    assert any("tanh" in line and "FWD" in line for line in lines[2:])


def test_weight_decay(run):
    program = IMPORT + "print(dy.ParameterCollection().get_weight_decay())\n"
    assert float(run(program, "--dynet-weight-decay", "0.25").stdout) == 0.25
    assert float(run(program, "--dynet_weight_decay=0.5").stdout) == 0.5
    assert float(run(program).stdout) == 0


def test_viz_alone_is_removed(run):
    finished = run(IMPORT + "print(sys.argv[1:])\n", "--dynet-viz", "--dynet-seed", "3")
    assert finished.stdout == "['--dynet-seed', '3']\n"
    assert finished.stderr == "[dynet] random seed: 3\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--dynet-seed", "seven"], "--dynet-seed takes an integer, got 'seven'"),
        (["--dynet-seed"], "--dynet-seed needs a value"),
        (["--dynet-mem"], "--dynet-mem needs a value"),
        (["--dynet-autobatch", "-1"], "--dynet-autobatch takes an integer from 0, got -1"),
        (["--dynet-profiling=x"], "--dynet-profiling takes an integer from 0, got 'x'"),
        (["--dynet-weight-decay", "1"], "--dynet-weight-decay takes a number from 0 to below 1, got 1"),
        (["--dynet-weight-decay=nan"], "--dynet-weight-decay takes a number from 0 to below 1, got nan"),
        (["--dynet-weight-decay=-0.1"], "--dynet-weight-decay takes a number from 0 to below 1, got -0.1"),
    ],
)
def test_wrong_values(run, arguments, sentence):
    last = run(IMPORT, *arguments, fails=True).stderr.splitlines()[-1]
    assert last.startswith(f"ValueError: {sentence}")


def test_config_takes_the_place_of_the_command_line(run):
    program = """
import dynet_config
assert dynet_config.get() is None and dynet_config.gpu() is None
dynet_config.set(mem=2048, random_seed=5, autobatch=True)
dynet_config.set(random_seed=9)
import dynet as dy
print(dy._CONF)
"""
    finished = run(program, "--dynet-seed", "7", "--dynet-mem", "1")
    assert finished.stderr == "[dynet] random seed: 9\n"
    assert finished.stdout.strip() == str(
        {
            "mem": "512",
            "seed": 9,
            "autobatch": 0,
            "profiling": 0,
            "weight_decay": 0,
            "shared_params": 0,
            "requested_gpus": 0,
            "gpu_mask": [],
        }
    )


def test_config_of_everything(run):
    program = """
import dynet_config
dynet_config.set("1024", 5, 1, 1, 0.5, 1, 1, [0, 1])
dynet_config.set_gpu(False)
import dynet as dy
print(dynet_config.gpu(), dynet_config.get()["requested_gpus"], dy.ParameterCollection().get_weight_decay())
"""
    finished = run(program)
    assert finished.stdout.splitlines()[0] == "False 0 0.5"
    assert [line.split()[1] for line in finished.stderr.splitlines()] == [
        "random",
        "using",
        "using",
        "mem",
        "shared-params",
        "gpu-mask",
    ]


def test_config_asks_for_a_gpu(run):
    finished = run("import dynet_config\ndynet_config.set_gpu()\nimport dynet\nprint(dynet._CONF['requested_gpus'])\n")
    assert finished.stdout == "1\n"
    assert finished.stderr.splitlines()[1].startswith("[dynet] gpus has no effect")


def test_config_refuses_what_the_command_line_refuses(run):
    program = "import dynet_config\ndynet_config.set(weight_decay=2)\nimport dynet\n"
    assert "--dynet-weight-decay takes a number from 0 to below 1, got 2" in run(program, fails=True).stderr


def test_parameters_object(run):
    program = """
import _dynet as dy
params = dy.DynetParams()
params.from_args()
params.set_mem(1024)
params.set_autobatch(True)
params.set_weight_decay(0.1)
params.set_shared_parameters(False)
params.set_requested_gpus(0)
params.set_gpu_mask([0, 0])
params.set_cpu_mode()
params.init()
dy.init_from_params(dy.DynetParams())
dy.init()
print("%.6f" % dy.ParameterCollection().get_weight_decay())
try:
    params.set_gpu_mask([2])
except ValueError as error:
    print(error)
"""
    finished = run(program, "--dynet-seed", "11", "--dynet-mem", "7")
    lines = finished.stderr.splitlines()
    assert lines[:2] == ["[dynet] random seed: 11", "[dynet] using autobatching"]
    assert lines[2].startswith("[dynet] mem has no effect")
    assert lines[3:] == ["[dynet] already initialised; this initialisation is ignored"] * 2
    assert finished.stdout == "0.100000\nset_gpu_mask takes a list of 0 and 1, got [2]\n"


def test_parameters_object_sets_what_it_names(run):
    program = """
import _dynet as dy
params = dy.DynetParams()
params.set_random_seed(13)
params.set_profiling(1)
params.init()
"""
    finished = run(program, "--dynet-seed", "11")
    assert finished.stderr.splitlines() == ["[dynet] random seed: 13", "[dynet] using profiling level 1"]
    assert finished.stdout.startswith("Timing Info:\n")
