"""The recurrent and tree cells: one time step, or one tree node, as gated operations."""

from __future__ import annotations

import functools

from weft_core.expression import Expression
from weft_core.gated import Gated, gated
from weft_core.ops.activations import logistic, tanh
from weft_core.ops.arithmetic import cmult

# h = tanh(Wx x + Wh h_prev + b)  (Elman 1990)
rnn = gated("rnn", gates="a", results="h", forward="h = tanh(a)", backward="da = dh * (1 - h * h)")

# Long short-term memory (Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000). Rows of the gates: i f o g.
lstm = gated(
    "lstm",
    gates="i f o g",
    states="c_prev",
    results="h c",
    forward="""
        i = logistic(i)
        f = logistic(f + forget_bias)
        o = logistic(o)
        g = tanh(g)
        c = f * c_prev + i * g
        h = o * tanh(c)""",
    backward="""
        t = tanh(c)
        dct = dc + dh * o * (1 - t * t)
        di = dct * g * i * (1 - i)
        df = dct * c_prev * f * (1 - f)
        do = dh * t * o * (1 - o)
        dg = dct * i * (1 - g * g)
        dc_prev = dct * f""",
    forget_bias=1.0,
)


def lstm_memory(a: Expression, c: Expression | None, forget_bias: float) -> tuple[Expression, Expression]:
    """Memory and output gate of an LSTM from the sums `a` of its gates, rows i f o g; without c as from zeros."""
    hidden = a.shape.rows // 4
    i, f, o, g = (a[k * hidden : (k + 1) * hidden] for k in range(4))
    new = cmult(logistic(i), tanh(g))
    if c is not None:
        new = cmult(logistic(f + forget_bias), c) + new
    return new, logistic(o)


# The gated recurrent unit (Cho et al. 2014) in three parts, because the candidate's product needs r * h_prev.
gru_update = gated(
    "gru_update", gates="z", results="u", forward="z = logistic(z)\nu = z", backward="dz = du * z * (1 - z)"
)
gru_reset = gated(
    "gru_reset",
    gates="r",
    states="h_prev",
    results="rh",
    forward="""
        r = logistic(r)
        rh = r * h_prev""",
    backward="""
        dr = drh * h_prev * r * (1 - r)
        dh_prev = drh * r""",
)
gru_candidate = gated(
    "gru_candidate",
    gates="a",
    states="z h_prev",
    results="h",
    forward="""
        a = tanh(a)
        h = h_prev + z * (a - h_prev)""",
    backward="""
        da = dh * z * (1 - a * a)
        dz = dh * (a - h_prev)
        dh_prev = dh * (1 - z)""",
)


def gru_step(parameters: tuple[Expression, ...], x: Expression, h: Expression) -> tuple[Expression, ...]:
    """`h' = (1 - z) h + z tanh(Whx x + Whh (r h) + bh)`; parameters as in DyNet: Wzx Wzh bz, Wrx Wrh br, Whx Whh bh."""
    wzx, wzh, bz, wrx, wrh, br, whx, whh, bh = parameters
    (z,) = gru_update([(wzx, x), (wzh, h)], bz)
    (rh,) = gru_reset([(wrx, x), (wrh, h)], br, [h])
    return gru_candidate([(whx, x), (whh, rh)], bh, [z, h])


# The leaf of a tree: the LSTM unit without children.
tree_leaf = gated(
    "tree_leaf",
    gates="i o u",
    results="h c",
    forward="""
        i = logistic(i)
        o = logistic(o)
        u = tanh(u)
        c = i * u
        h = o * tanh(c)""",
    backward="""
        t = tanh(c)
        dct = dc + dh * o * (1 - t * t)
        di = dct * u * i * (1 - i)
        do = dh * t * o * (1 - o)
        du = dct * i * (1 - u * u)""",
)


@functools.cache
def nary_tree_node(children: int) -> Gated:
    """The N-ary tree LSTM node (Tai, Socher & Manning 2015, eq. 9-14), for this many children.

    States are the memories `c1, ..., cN`, gates the rows `i o u f1 ... fN`; the forget gates have a bias added.
    """
    numbers = range(1, children + 1)
    kept = " + ".join(f"f{k} * c{k}" for k in numbers)
    forward = ["i = logistic(i)", "o = logistic(o)", "u = tanh(u)"]
    forward += [f"f{k} = logistic(f{k} + forget_bias)" for k in numbers]
    forward += [f"c = i * u + {kept}", "h = o * tanh(c)"]
    backward = ["t = tanh(c)", "dct = dc + dh * o * (1 - t * t)", "di = dct * u * i * (1 - i)"]
    backward += ["do = dh * t * o * (1 - o)", "du = dct * i * (1 - u * u)"]
    backward += [f"df{k} = dct * c{k} * f{k} * (1 - f{k})" for k in numbers]
    backward += [f"dc{k} = dct * f{k}" for k in numbers]
    return gated(
        f"nary_tree_node_{children}",
        gates=" ".join(["i o u", *(f"f{k}" for k in numbers)]),
        states=" ".join(f"c{k}" for k in numbers),
        results="h c",
        forward="\n".join(forward),
        backward="\n".join(backward),
        forget_bias=1.0,
    )


# What a node of the child-sum tree LSTM keeps of one child's memory: f_k c_k (Tai et al. 2015, eq. 4 and 7).
child_memory = gated(
    "child_memory",
    gates="f",
    states="c_child",
    results="kept",
    forward="""
        f = logistic(f + forget_bias)
        kept = f * c_child""",
    backward="""
        df = dkept * c_child * f * (1 - f)
        dc_child = dkept * f""",
    forget_bias=0.0,
)

# The child-sum node, given the sum of what is kept (Tai et al. 2015, eq. 3, 5, 6, 8).
child_sum_node = gated(
    "child_sum_node",
    gates="i o u",
    states="kept",
    results="h c",
    forward="""
        i = logistic(i)
        o = logistic(o)
        u = tanh(u)
        c = i * u + kept
        h = o * tanh(c)""",
    backward="""
        t = tanh(c)
        dct = dc + dh * o * (1 - t * t)
        di = dct * u * i * (1 - i)
        do = dh * t * o * (1 - o)
        du = dct * i * (1 - u * u)
        dkept = dct""",
)
