"""Functions of formulas on float32 blocks: those that Triton's language lacks, and sine and cosine.

Only what the interpreter and the compiler both know is used. On NVIDIA devices `tl.exp` is ex2.approx of x log2(e): a
relative error below 4e-7 near 0 that grows with the rounding of the product, to 4e-6 at |x| = 88; `tl.log` and `tl.erf`
are accurate to a few ulp, division and `tl.sqrt` to 2. Triton's own sine and cosine reduce huge arguments on a stack,
for which every kernel that holds them would pay. Rare functions, whose float32 forms are long, are computed in float64.
Coefficients were fitted to the minimax criterion for the relative error (Lawson's iteration).
"""

from __future__ import annotations

import triton
import triton.language as tl

PI = tl.constexpr(3.141592653589793)
INVERSE_PI = tl.constexpr(0.3183098861837907)
HALF_PI = tl.constexpr(1.5707963267948966)
INFINITY = tl.constexpr(float("inf"))
# NaN is written out: Triton compares constants of functions that call each other, and NaN differs from itself.
# (log(2 pi) - 1) / 2
STIRLING = tl.constexpr(0.41893853320467267)
LOG_PI = tl.constexpr(1.1447298858494002)


@triton.jit
def sign(x):
    """-1, 0 or 1; NaN stays NaN."""
    return tl.where(x > 0.0, 1.0, tl.where(x < 0.0, -1.0, x))


@triton.jit
def round_half_away(x):
    """The nearest integer, halves away from zero."""
    size = tl.abs(x)
    below = tl.floor(size)
    rounded = tl.where(size - below >= 0.5, below + 1.0, below)
    return tl.where(x < 0.0, -rounded, rounded)


@triton.jit
def logistic(x):
    """1 / (1 + e^-x)."""
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def tanh(x):
    """1 - 2 / (1 + e^2x); near zero, where that cancels, x + c x^3."""
    z = x * x
    return tl.where(z < 0.0049, x - 0.33278607 * z * x, 1.0 - 2.0 / (1.0 + tl.exp(2.0 * x)))


@triton.jit
def expm1(x):
    """e^x - 1; near zero, where that cancels, a polynomial."""
    near_zero = x + x * x * (0.49999971 + x * (0.16682207 + x * 0.04171088))
    return tl.where(tl.abs(x) < 0.15, near_zero, tl.exp(x) - 1.0)


@triton.jit
def log1p(x):
    """log(1 + x), with Kahan's correction of the rounded sum."""
    rounded = 1.0 + x
    difference = rounded - 1.0
    result = tl.log(rounded)
    corrected = tl.where(difference == 0.0, x, result * (x / difference))
    return tl.where(x < 1.0, corrected, result)


@triton.jit
def sinh(x):
    """(e^x - e^-x) / 2 in factors that do not overflow before it; near zero, where that cancels, a polynomial."""
    z = x * x
    half = tl.exp(0.5 * x)
    inverse = 1.0 / half
    near_zero = x + x * z * (0.16666129 + z * 0.00840267)
    return tl.where(z < 0.25, near_zero, (half - inverse) * (0.5 * (half + inverse)))


@triton.jit
def cosh(x):
    """(e^x + e^-x) / 2."""
    half = tl.exp(0.5 * x)
    inverse = 1.0 / half
    return 0.5 * half * half + 0.5 * inverse * inverse


@triton.jit
def half_turns(x):
    """x / pi in float64, in two parts: the nearest integer, and what remains in [-1/2, 1/2]."""
    turns = x.to(tl.float64) * INVERSE_PI
    whole = tl.floor(turns + 0.5)
    return whole, turns - whole


@triton.jit
def sine_of_half_turns(f):
    """sin(pi f) for f in [-1/2, 1/2], float32: relative error below 4e-7."""
    z = f * f
    return f * (3.1415927 + z * (-5.1677098 + z * (2.5500698 + z * (-0.5982421 + z * 0.07756039))))


@triton.jit
def _sine_of(whole, f):
    """sin(pi (whole + f)): its sign changes with every half turn."""
    sine = sine_of_half_turns(f.to(tl.float32))
    half = 0.5 * whole
    return tl.where(tl.floor(half) == half, sine, -sine)


@triton.jit
def sin(x):
    """Sine, to 4e-7 for |x| < 1e9."""
    whole, f = half_turns(x)
    return _sine_of(whole, f)


@triton.jit
def cos(x):
    """Cosine, to 4e-7 for |x| < 1e9: the sine of the complement."""
    whole, f = half_turns(x)
    return _sine_of(whole, 0.5 - tl.abs(f))


@triton.jit
def _tangent(f):
    """tan(pi f) for f in [-1/2, 1/2], float64: the complement must be exact near the pole."""
    return sine_of_half_turns(f.to(tl.float32)) / sine_of_half_turns((0.5 - tl.abs(f)).to(tl.float32))


@triton.jit
def tan(x):
    """Tangent, for |x| < 1e9."""
    return _tangent(half_turns(x)[1])


@triton.jit
def atan(x):
    """Inverse tangent: an odd polynomial on [-1, 1], pi/2 - atan(1/x) beyond."""
    beyond = tl.abs(x) > 1.0
    t = tl.where(beyond, 1.0 / x, x)
    z = t * t
    tail = 0.09794232 + z * (-0.05777355 + z * (0.0230401 + z * -0.0043554))
    angle = t + t * z * (-0.33331659 + z * (0.19962704 + z * (-0.13976581 + z * tail)))
    return tl.where(beyond, tl.where(x > 0.0, HALF_PI, -HALF_PI) - angle, angle)


@triton.jit
def asin(x):
    """Inverse sine, by the inverse tangent; NaN outside [-1, 1]."""
    return atan(x / tl.sqrt((1.0 - x) * (1.0 + x)))


@triton.jit
def acos(x):
    """Inverse cosine, by the inverse tangent of half the angle; NaN outside [-1, 1]."""
    return 2.0 * atan(tl.sqrt((1.0 - x) / (1.0 + x)))


@triton.jit
def asinh(x):
    """Inverse hyperbolic sine, in float64."""
    size = tl.abs(x).to(tl.float64)
    result = tl.log(size + tl.sqrt(size * size + 1.0)).to(tl.float32)
    return tl.where(x < 0.0, -result, result)


@triton.jit
def acosh(x):
    """Inverse hyperbolic cosine, in float64; NaN below 1."""
    wide = x.to(tl.float64)
    return tl.log(wide + tl.sqrt(wide - 1.0) * tl.sqrt(wide + 1.0)).to(tl.float32)


@triton.jit
def atanh(x):
    """Inverse hyperbolic tangent, in float64; NaN outside [-1, 1]."""
    wide = x.to(tl.float64)
    return (0.5 * tl.log((1.0 + wide) / (1.0 - wide))).to(tl.float32)


@triton.jit
def pow(x, y):
    """x^y in float64 as the C library has it: NaN for x < 0 unless y is an integer."""
    size = tl.abs(x)
    result = tl.exp(y.to(tl.float64) * tl.log(size.to(tl.float64))).to(tl.float32)
    # 0 * infinity is NaN, and yet each of these is 1; x = 1 needs no rule unless y is infinite or NaN.
    result = tl.where((y == 0.0) | (x == 1.0) | ((x == -1.0) & (tl.abs(y) == INFINITY)), 1.0, result)
    whole, half = tl.floor(y) == y, 0.5 * y
    negative = tl.where(whole & (tl.floor(half) != half), -result, result)
    negative = tl.where(whole | (x == -INFINITY), negative, float("nan"))
    return tl.where(x < 0.0, negative, result)


@triton.jit
def lgamma(x):
    """log |Gamma(x)| by Stirling's series at x + 4, in float64; by reflection below zero."""
    reflected = x < 0.0
    y = tl.where(reflected, 1.0 - x, x).to(tl.float64)
    w = y + 4.0
    r = 1.0 / w
    z = r * r
    series = r * (1 / 12 - z * (1 / 360 - z * (1 / 1260)))
    # y (y + 1) (y + 2) (y + 3) = u (u + 2)
    u = y * (y + 3.0)
    result = (w - 0.5) * (tl.log(w) - 1.0) + STIRLING + series - tl.log(u * (u + 2.0))
    period = x - tl.floor(x + 0.5)
    sine = tl.log(tl.abs(sine_of_half_turns(period)))
    result = tl.where(reflected, LOG_PI - sine - result, result).to(tl.float32)
    size = tl.abs(x)
    return tl.where(size == INFINITY, size, result)


@triton.jit
def digamma(x):
    """Derivative of lgamma by the asymptotic series at x + 4, in float64 (Abramowitz & Stegun 6.3.18).

    By reflection below zero; NaN at zero and the negative integers.
    """
    reflected = x <= 0.0
    y = tl.where(reflected, 1.0 - x, x).to(tl.float64)
    w = y + 4.0
    r = 1.0 / w
    z = r * r
    series = 0.5 * r + z * (1 / 12 - z * (1 / 120 - z * (1 / 252)))
    # 1/y + 1/(y+1) + 1/(y+2) + 1/(y+3)
    u = y * (y + 3.0)
    result = tl.log(w) - series - 2.0 * (u + 1.0) * (2.0 * y + 3.0) / (u * (u + 2.0))
    period = x - tl.floor(x + 0.5)
    cotangent = sine_of_half_turns(0.5 - tl.abs(period)) / sine_of_half_turns(period)
    result = tl.where(reflected, result - PI * tl.where(period == 0.0, float("nan"), cotangent), result).to(tl.float32)
    return tl.where(x == INFINITY, x, result)
