"""Run the table of cases with one toolkit: `run_cases.py OUT.npz --module dynet`. Both interpreters run this program.

`--operands parameters` makes operands of operations parameters and looked-up rows instead of inputs. `--backend` and
`--one-by-one` are for Weft.
"""

import argparse
import importlib
import os
import sys
import traceback

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import MODULES
from table import TABLE, numbers_of, projection

for _module in MODULES:
    importlib.import_module("cases." + _module)


class Watched:
    """A module that notes which of its names are used."""

    def __init__(self, module):
        self._module, self.used = module, set()

    def __getattr__(self, name):
        self.used.add(name)
        return getattr(self._module, name)


class Inputs:
    """Operands as inputs of the graph."""

    def __init__(self, dy, shapes, arrays):
        self.operands = [dy.inputTensor(array, batched=True) for array in arrays]

    def gradients(self):
        """Gradients of the operands after `backward`."""
        return [x.gradient() for x in self.operands]


class Parameters:
    """Operands as parameters, and those with a batch as rows of look-up tables."""

    def __init__(self, dy, shapes, arrays):
        model = self.model = dy.ParameterCollection()
        self.sources, self.operands = [], []
        for (dims, batch), array in zip(shapes, arrays):
            if batch == 1:
                source = model.add_parameters(dims)
                source.set_value(array.reshape(dims))
                self.operands.append(source)
            else:
                source = model.add_lookup_parameters((batch, *dims))
                for k in range(batch):
                    source.init_row(k, array[..., k].ravel(order="F").tolist())
                self.operands.append(dy.lookup_batch(source, range(batch)))
            self.sources.append(source)

    def gradients(self):
        """Gradients of the operands after `backward`, shaped like those of inputs."""
        return [
            np.moveaxis(source.grad_as_array(), 0, -1)
            if len(x.dim()[0]) < len(source.shape())
            else source.grad_as_array()
            for x, source in zip(self.operands, self.sources)
        ]


def run_operation(dy, case, form, kind):
    """Values of an operation, and gradients of a projection of them, for one form of operands.

    The operation is used twice in a graph, on other numbers, so that there is something to batch.
    """
    name = f"{case.name}[{form.text}]"
    numbers = numbers_of(name)
    dy.renew_cg()
    results, uses, loss = {}, [], None
    for use in ("first", "second"):
        arrays = [
            numbers.uniform(case.low, case.high, (*dims, batch)).astype(np.float32) for dims, batch in form.shapes
        ]
        given = kind(dy, form.shapes, arrays)
        made = case.function(dy, *given.operands)
        uses.append((use, given, made if isinstance(made, list) else [made]))
    if case.skip != "all":
        for use, _, ys in uses:
            part = projection(dy, ys, f"{use} use of {name}", case.unit)
            loss = part if loss is None else loss + part
        loss.backward(full=True)
    for use, given, ys in uses:
        results.update((f"value{k} {use}", y.npvalue()) for k, y in enumerate(ys))
        results.update((f"exact dim{k} {use}", np.array(y.dim()[0] + (y.dim()[1],))) for k, y in enumerate(ys))
        if loss is not None:
            found = enumerate(given.gradients())
            results.update((f"gradient{k} {use}", dx) for k, dx in found if case.compares_gradient(k))
    return {f"{name}/{key}": array for key, array in results.items()}


def run_program(dy, case):
    """The results of a program."""
    results = case.function(dy, numbers_of(case.name))
    return {f"{case.name}/{key}": np.asarray(array) for key, array in results.items()}


def run(dy, case, kind=Inputs, peer=False):
    """The results of a case by name; `peer` leaves out what DyNet cannot do."""
    results = {}
    if peer and case.lacks:
        return results
    for form in case.forms + ([] if peer else case.beyond):
        results.update(run_operation(dy, case, form, kind))
    if not case.is_operation:
        results.update(run_program(dy, case))
    return results


def start(module, backend=None, one_by_one=False):
    """The toolkit; settings that are Weft's alone are made here."""
    dy = importlib.import_module(module)
    if backend or one_by_one:
        weft = importlib.import_module("weft")
        weft.init(backend, autobatch=not one_by_one)
        dy.renew_cg()
        assert weft.cg().autobatch is not one_by_one
    return dy


def main():
    """Run all cases, or those that are named, and write down their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out")
    parser.add_argument("--only", nargs="+", metavar="CASE")
    parser.add_argument("--module", default="dynet")
    parser.add_argument("--operands", choices=["inputs", "parameters"], default="inputs")
    parser.add_argument("--backend")
    parser.add_argument("--one-by-one", action="store_true")
    chosen = parser.parse_args()
    # DyNet reads the command line as well.
    sys.argv = sys.argv[:1]
    dy = start(chosen.module, chosen.backend, chosen.one_by_one)
    # `dynet` is Weft, too, where that has been imported.
    peer = "weft" not in sys.modules
    results, failed, used = {}, [], []
    kind = Parameters if chosen.operands == "parameters" else Inputs
    for name, case in TABLE.items():
        if (chosen.only and name not in chosen.only) or (case.extra and chosen.module == "weft"):
            continue
        # DyNet may end the process: the file says in which case.
        with open(chosen.out + ".running", "w") as file:
            file.write(name)
        watched = Watched(dy)
        try:
            results.update(run(watched, case, kind, peer))
        except Exception:
            failed.append(name)
            traceback.print_exc()
        used += [f"{name}/{each}" for each in sorted(watched.used)]
    os.remove(chosen.out + ".running")
    # Not results: names contain no slash.
    results["failed"], results["used"] = np.array(failed, str), np.array(used, str)
    np.savez_compressed(chosen.out, **results)


if __name__ == "__main__":
    main()
