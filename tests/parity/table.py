"""The table of parity cases: plain functions of a module `dy`, which is DyNet or Weft.

DyNet's interpreter reads this file and the folder `cases` too: they keep to the language of Python 3.6, and to NumPy.
"""

import zlib

import numpy as np

# All cases by name, in the order in which they were written.
TABLE = {}

# Names of results say how exact they are; everything that begins otherwise is a value computed forward.
LOOSE = ("gradient", "trajectory")
EXACT = "exact"


class Form:
    """Shapes of operands: `3,2x4 1` is a batch of four 3-by-2 matrices and a number."""

    def __init__(self, text):
        self.text = text
        self.shapes = [self._shape(word) for word in text.split()]

    def _shape(self, word):
        dims, _, batch = word.partition("x")
        return tuple(int(d) for d in dims.split(",")), int(batch or 1)


class Case:
    """A line of the table.

    `names` are the names of DyNet's interface that it is about. `forms` are forms of operands, `beyond` more of them
    that DyNet cannot do, for the reason `why`. `skip` says of which operands the gradient is not compared, or "all".
    `lacks` is the reason why DyNet cannot run a case at all, `differs` that for which Weft gives other results on
    purpose; `extra`: the names are not in Weft but in its `dynet`.
    """

    def __init__(self, function, names, name, forms=(), low=-1.0, high=1.0, beyond=(), why="", skip=(), unit=False,
                 lacks="", differs="", extra=False):  # fmt: skip
        self.function = function
        self.names = names.split()
        self.name = name
        self.forms = [Form(text) for text in forms]
        self.beyond = [Form(text) for text in beyond]
        self.low, self.high = low, high
        self.skip = skip
        self.unit = unit
        self.lacks = lacks
        self.differs = differs
        self.why = why
        self.extra = extra
        if (beyond or skip) and not why:
            raise ValueError(f"{name}: say why DyNet cannot do it")
        if set(name) & set("/["):
            raise ValueError(f"{name}: results are named by case[form]/what")
        if TABLE.setdefault(name, self) is not self:
            raise ValueError(f"there are two cases called {name}")

    @property
    def module(self):
        """The module of `cases` that it is in."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def is_operation(self):
        """Whether it has operands; other cases are programs."""
        return bool(self.forms or self.beyond)

    def compares_gradient(self, operand):
        """Whether both sides have a right gradient of this operand."""
        return self.skip != "all" and operand not in self.skip


def operation(names, *forms, **options):
    """An operation `function(dy, *operands)`, which gives an expression or a list of them."""

    def add(function):
        name = options.pop("name", None) or names.split()[0]
        Case(function, names, name, forms, **options)
        return function

    return add


def program(names, **options):
    """A program `function(dy, numbers)`, which gives a dictionary of arrays; `numbers` is a seeded RandomState."""

    def add(function):
        Case(function, names, options.pop("name", None) or function.__name__, **options)
        return function

    return add


def numbers_of(name):
    """Random numbers that belong to a name, the same in all versions of NumPy."""
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)


def fill(model, numbers, scale=0.5):
    """Give all parameters and look-up tables of a collection values in (-scale, scale)."""
    for p in model.parameters_list():
        p.set_value(numbers.uniform(-scale, scale, p.shape()).astype(np.float32))
    for table in model.lookup_parameters_list():
        fill_rows(table, numbers, scale)


def fill_rows(table, numbers, scale=0.5):
    """Give the rows of a look-up table values; row by row, as DyNet mixes those of arrays with more than two axes."""
    shape = table.shape()
    for row in range(shape[0]):
        size = int(np.prod(shape[1:]))
        table.init_row(row, numbers.uniform(-scale, scale, size).astype(np.float32).tolist())


def gradients(model):
    """The gradients of all parameters and look-up tables of a collection, by name of the result."""
    members = list(model.parameters_list()) + list(model.lookup_parameters_list())
    return {"gradient " + p.name(): p.grad_as_array() for p in members}


def raised(call, *kinds):
    """Whether a call raises one of these exceptions."""
    try:
        call()
    except kinds:
        return True
    return False


def text(string):
    """A text as an array."""
    return np.frombuffer(string.encode(), np.uint8)


def projection(dy, ys, name, unit=False):
    """A number that depends on every element of these expressions: the sum of their products with random numbers."""
    numbers = numbers_of("projection of " + name)
    total = None
    for y in ys:
        dims, batch = y.dim()
        weights = np.ones((*dims, batch)) if unit else numbers.uniform(-1, 1, (*dims, batch))
        part = dy.sum_batches(dy.dot_product(y, dy.inputTensor(weights.astype(np.float32), batched=True)))
        total = part if total is None else total + part
    return total
