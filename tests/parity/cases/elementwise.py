"""Functions of one operand, element by element."""

from table import operation

FORMS = ("5", "3,2", "3,2x4", "2,3,2")


def unary(name, low=-2.0, high=2.0, forms=FORMS, **options):
    """A case for a function of one operand."""
    operation(name, *forms, low=low, high=high, **options)(lambda dy, x: getattr(dy, name)(x))


for _name in ("square", "cube", "exp", "abs", "tanh", "logistic", "rectify", "erf", "log_sigmoid", "sin", "cos"):
    unary(_name)
for _name in ("atan", "sinh", "cosh", "asinh", "selu"):
    unary(_name)
for _name in ("sqrt", "log"):
    unary(_name, 0.1, 3.0)
unary("lgamma", 0.2, 6.0)
unary("tan", -1.2, 1.2)
for _name in ("asin", "acos", "atanh"):
    unary(_name, -0.9, 0.9)
unary("acosh", 1.2, 4.0)
unary("softsign", forms=("5", "5x4", "5,1"), beyond=("3,2",), why="softsign takes vectors only")


@operation("elu", *FORMS, low=-2.0, high=2.0)
def elu(dy, x):
    return [dy.elu(x), dy.elu(x, 0.3)]


@operation("silu", *FORMS, low=-2.0, high=2.0)
def silu(dy, x):
    return dy.silu(x)


@operation("silu", "5", "3,2x4", name="silu beta", skip="all", why="the gradient lacks beta on its second term")
def silu_with_beta(dy, x):
    return dy.silu(x, 1.7)


def rounding(name):
    """The cases of a function that rounds."""
    why = "the mode is not kept, and the gradient replaces that of other uses of the operand"

    @operation(name, *FORMS, low=-3.0, high=3.0, skip="all", why=why)
    def both_modes(dy, x):
        return [getattr(dy, name)(x, mode) for mode in ("straight_through_gradient", "zero_gradient")]


for _name in ("round", "ceil", "floor"):
    rounding(_name)


@operation("argmax", "5", "5x4")
def argmax(dy, x):
    return dy.argmax(x, "straight_through_gradient")


@operation("argmax", "5", "5x4", name="argmax without gradient")
def argmax_without_gradient(dy, x):
    return dy.argmax(x, "zero_gradient")


@operation("nobackprop", *FORMS)
def nobackprop(dy, x):
    return [dy.nobackprop(x), dy.tanh(dy.nobackprop(x)) + x]


@operation("flip_gradient", *FORMS)
def flip_gradient(dy, x):
    return dy.flip_gradient(dy.tanh(x))


@operation("scale_gradient", *FORMS)
def scale_gradient(dy, x):
    return [dy.scale_gradient(x), dy.scale_gradient(x, 0.3)]
