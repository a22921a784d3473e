"""Random operations: what is the same whatever is drawn, and whether draws are what they should be.

Bounds of means are five standard deviations of the mean of N draws, so that a right generator passes.
"""

import numpy as np
from table import operation, program

N = 40000


def near(found, expected, deviation):
    """Whether a mean of N draws with this standard deviation is near what is expected."""
    return abs(found - expected) < 5 * deviation / np.sqrt(N)


@operation("dropout dropout_batch noise", "5", "3,2x4", name="rate zero")
def rate_zero(dy, x):
    return [dy.dropout(x, 0), dy.dropout_batch(x, 0), dy.noise(x, 0), dy.dropout_dim(x, 0, 0)]


@operation("block_dropout", "5", "3,2", beyond=("5x3",), why="it takes no batch")
def block_dropout(dy, x):
    return [dy.block_dropout(x, 0), dy.block_dropout(x, 1) * 1]


def decisions(values, rate, axes):
    """Whether a mask has only two values, is the same along these axes, and drops about as often as it should."""
    kept = values != 0
    same = all(np.all(kept == kept.take([0], axis)) for axis in axes)
    scaled = np.allclose(values[kept], 1 / (1 - rate), rtol=1e-6)
    single = kept
    for axis in axes:
        single = single.take([0], axis)
    count = single.size
    often = abs(1 - single.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / count)
    independent = [len(set(single.take(0, axis).ravel().tolist())) == 2 for axis in range(values.ndim)]
    return np.array([same, scaled, often, any(independent)])


@program("dropout dropout_dim dropout_batch")
def masks(dy, numbers):
    dy.renew_cg()
    x = dy.ones((20, 30), batch_size=50)
    results = {
        "exact dropout": decisions(dy.dropout(x, 0.3).npvalue(), 0.3, ()),
        "exact dropout_dim 0": decisions(dy.dropout_dim(x, 0, 0.4).npvalue(), 0.4, (0,)),
        "exact dropout_dim 1": decisions(dy.dropout_dim(x, 1, 0.2).npvalue(), 0.2, (1,)),
        "exact dropout_batch": decisions(dy.dropout_batch(dy.ones((2, 3), 900), 0.5).npvalue(), 0.5, (0, 1)),
    }
    y = dy.dropout(x, 0.3)
    first = y.npvalue()
    results["exact kept"] = np.array([np.array_equal(first, y.npvalue()), np.array_equal(first, y.npvalue(True))])
    return results


@program("dropout block_dropout")
def gradients_of_masks(dy, numbers):
    results = {}
    for name in ("dropout", "block_dropout"):
        dy.renew_cg()
        x = dy.inputTensor(np.ones(200))
        y = getattr(dy, name)(x, 0.5)
        dy.sum_elems(y).backward(full=True)
        results["exact " + name] = np.array_equal(x.gradient(), y.npvalue())
    return results


@program("noise")
def noise(dy, numbers):
    dy.renew_cg()
    x = dy.inputTensor(np.full(N, 3.0))
    y = dy.noise(x, 2.0)
    drawn = y.npvalue()
    dy.sum_elems(y).backward(full=True)
    right = [near(drawn.mean(), 3, 2), near(((drawn - 3) ** 2).mean(), 4, 4 * np.sqrt(2)), np.all(x.gradient() == 1)]
    return {"exact": np.array(right)}


@program("random_normal random_uniform random_bernoulli random_gumbel")
def draws(dy, numbers):
    dy.renew_cg()
    z = dy.random_normal(N).npvalue()
    w = dy.random_normal(N, mean=2.0, stddev=0.5).npvalue()
    u = dy.random_uniform(N, -1.0, 3.0).npvalue()
    b = dy.random_bernoulli(N, 0.3, scale=2.5).npvalue()
    g = dy.random_gumbel(N).npvalue()
    return {
        "exact normal": np.array([near(z.mean(), 0, 1), near((z**2).mean(), 1, np.sqrt(2)), near(w.mean(), 2, 0.5)]),
        "exact spread": np.array([near(((w - 2) ** 2).mean(), 0.25, 0.25 * np.sqrt(2))]),
        "exact uniform": np.array([near(u.mean(), 1, 4 / np.sqrt(12)), u.min() >= -1, u.max() <= 3]),
        "exact bernoulli": np.array([set(b.tolist()) == {0.0, 2.5}, near((b > 0).mean(), 0.3, np.sqrt(0.21))]),
        # Mean and variance of the Gumbel distribution: Euler's constant, and pi^2 / 6.
        "exact gumbel": np.array(
            [near(g.mean(), 0.5772156649, np.pi / np.sqrt(6)), abs(g.var() - np.pi**2 / 6) < 0.15]
        ),
    }


@program("random_normal random_uniform random_bernoulli random_gumbel", name="shapes of draws")
def shapes_of_draws(dy, numbers):
    dy.renew_cg()
    made = [dy.random_normal((3, 2), batch_size=4), dy.random_uniform((3,), 0.0, 1.0, 5), dy.random_normal(3)]
    made += [dy.random_bernoulli((2, 2), 1.0, 3.0, batch_size=2), dy.random_gumbel((4,), batch_size=3)]
    return {
        "exact": np.array([repr((y.dim()[0], y.dim()[1])) for y in made]),
        "value all": dy.random_bernoulli((2, 2), 1.0, 3.0, batch_size=2).npvalue(),
        "value none": dy.random_bernoulli((3,), 0.0).npvalue(),
        "value mean": dy.random_normal((3,), 1.5, 0.0).npvalue(),
    }


@program("reset_random_seed")
def seeds(dy, numbers):
    drawn = []
    for seed in (7, 7, 8):
        dy.reset_random_seed(seed)
        dy.renew_cg()
        p = dy.ParameterCollection().add_parameters((4, 3))
        x = dy.inputTensor(np.ones(50))
        values = [dy.random_normal(5), dy.dropout(x, 0.5), dy.noise(x, 1.0)]
        drawn.append(np.concatenate([y.npvalue() for y in values] + [p.as_array().ravel()]))
    return {"exact": np.array([np.array_equal(drawn[0], drawn[1]), np.array_equal(drawn[0], drawn[2])])}
