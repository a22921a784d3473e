"""Write all kinds of files with one toolkit, and read those of another: `run_files.py FOLDER` and `... --read OUT.npz`.

Both interpreters run this program. Files that end in `.txt` and `.data` are the same byte for byte, whoever wrote them.
"""

import argparse
import importlib
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from table import fill, gradients, numbers_of

# What `dy.save` is asked for, by the name of the pair of files.
BUILDERS = ("SimpleRNNBuilder", "GRUBuilder", "VanillaLSTMBuilder", "CompactVanillaLSTMBuilder", "CoupledLSTMBuilder",
            "SparseLSTMBuilder")  # fmt: skip
# The names of DyNet's interface that files are about, besides methods.
NAMES = ("save", "load", "load_generator")
# Text files that are written after arithmetic: the numbers are the same up to rounding, and the text need not be.
ROUNDED = ("decayed.txt",)


def model(dy):
    """A collection with parameters of all kinds of shapes and names."""
    collection = dy.ParameterCollection()
    collection.add_parameters(4, name="vec")
    collection.add_parameters((2, 3), name="mat")
    collection.add_parameters((2, 3, 2))
    collection.add_parameters((1, 3), name="mat")
    collection.add_lookup_parameters((5, 3), name="emb")
    encoder = collection.add_subcollection("enc")
    encoder.add_parameters((3, 2), name="w")
    encoder.add_lookup_parameters((4, 2, 3))
    encoder.add_subcollection("inner").add_parameters((2, 2))
    collection.add_subcollection("enc").add_lookup_parameters(3)
    collection.add_parameters(1)
    return collection, encoder


def backward(dy, collection):
    """Give every parameter and table a gradient."""
    dy.renew_cg()
    members = [dy.sum_elems(dy.square(p)) for p in collection.parameters_list()]
    members += [dy.sum_elems(dy.square(table[1])) * 0.3 for table in collection.lookup_parameters_list()]
    dy.esum(members).backward()


def objects(dy, collection):
    """Parameters and builders that `dy.save` takes together."""
    builders = [getattr(dy, name)(2, 3, 4, collection) for name in BUILDERS]
    builders.append(dy.VanillaLSTMBuilder(1, 3, 2, collection, False, 0.5))
    builders.append(dy.BiRNNBuilder(1, 3, 4, collection, dy.GRUBuilder))
    builders.append(dy.BiRNNBuilder(2, 3, 4, collection, dy.LSTMBuilder))
    return [collection.add_lookup_parameters((4, 3)), *builders, collection.add_parameters((2, 3), name="last")]


def write(dy, folder):
    """Write every kind of file."""

    def path(name):
        return os.path.join(folder, name)

    collection, encoder = model(dy)
    fill(collection, numbers_of("files"), scale=3.0)
    members = collection.parameters_list() + collection.lookup_parameters_list()
    # Numbers that text might not bring back: huge, tiny, negative zero, and one third.
    members[0].set_value(np.array([1e30, -1e-30, -0.0, 1 / 3.0], np.float32))
    collection.save(path("model.txt"))
    collection.save(path("named.txt"), "/k")
    collection.save(path("named.txt"), "/other/", append=True)
    encoder.save(path("inner.txt"))
    members[1].save(path("one.txt"))
    members[1].save(path("one.txt"), "X", append=True)
    collection.lookup_parameters_list()[0].save(path("one.txt"), "/table", append=True)
    collection.write_to_textfile(path("written.txt"), "/w")
    backward(dy, collection)
    collection.save(path("gradients.txt"))
    together = dy.ParameterCollection()
    saved = objects(dy, together)
    fill(together, numbers_of("objects"))
    dy.save(path("objects"), saved)
    dy.save(path("nothing"), [])
    decayed, _ = model(dy)
    fill(decayed, numbers_of("decayed"))
    decayed.set_weight_decay(0.1)
    trainer = dy.SimpleSGDTrainer(decayed, 0.1)
    for _ in range(3):
        backward(dy, decayed)
        trainer.update()
    decayed.save(path("decayed.txt"))


def contents(collection, name, results):
    """Values and gradients of a collection, under the name of the file."""
    members = collection.parameters_list() + collection.lookup_parameters_list()
    results.update((f"{name}/value {p.name()}", p.as_array()) for p in members)
    results.update((f"{name}/{key}", array) for key, array in gradients(collection).items())


def read(dy, folder):
    """Read every file; what is found, as results of one case for each file."""
    results = {}

    def path(name):
        return os.path.join(folder, name)

    for name, key in (("model.txt", ""), ("named.txt", "/k"), ("named.txt", "/other"), ("written.txt", "/w/"),
                      ("gradients.txt", ""), ("decayed.txt", "")):  # fmt: skip
        collection, _ = model(dy)
        backward(dy, collection)
        collection.populate(path(name), key)
        contents(collection, name + " " + key if key else name, results)
    collection, encoder = model(dy)
    encoder.populate(path("inner.txt"), "/enc")
    contents(encoder, "inner.txt", results)
    collection, encoder = model(dy)
    encoder.populate_from_textfile(path("model.txt"), "/enc")
    contents(encoder, "part of model.txt", results)
    p = collection.parameters_list()[1]
    p.populate(path("one.txt"), "X")
    results["one.txt/value X"] = p.as_array()
    loaded = dy.ParameterCollection()
    loaded.load_param(path("one.txt"), "/mat")
    loaded.load_param(path("model.txt"), "/enc/inner/_0")
    loaded.load_lookup_param(path("one.txt"), "/table")
    contents(loaded, "load_param", results)
    target = dy.ParameterCollection()
    target.add_subcollection("enc")
    described = []
    for made in [*dy.load(path("objects"), target), *dy.load_generator(path("objects"), target)]:
        is_parameter = hasattr(made, "as_array")
        described.append(type(made).__name__ if is_parameter else made.whoami())
        described.append(made.name() if is_parameter else made.param_collection().name())
        if hasattr(made, "spec"):
            described.append(repr([getattr(part, "__name__", part) for part in made.spec]))
    results["objects/exact"] = np.array(described)
    results["nothing/exact"] = np.array(len(dy.load(path("nothing"), target)))
    members = target.parameters_list() + target.lookup_parameters_list()
    results.update((f"objects/value {k}", p.as_array()) for k, p in enumerate(members))
    results["objects/exact names"] = np.array([p.name() for p in members])
    return results


def main():
    """Write to a folder, or read from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--read", metavar="OUT")
    parser.add_argument("--module", default="dynet")
    chosen = parser.parse_args()
    # DyNet reads the command line as well.
    sys.argv = sys.argv[:1]
    dy = importlib.import_module(chosen.module)
    if chosen.read:
        np.savez_compressed(chosen.read, **read(dy, chosen.folder))
    else:
        write(dy, chosen.folder)


if __name__ == "__main__":
    main()
