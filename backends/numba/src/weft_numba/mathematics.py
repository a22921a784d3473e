"""float32 functions for kernels: branch-free code that LLVM turns into vector instructions.

exp, log, tanh, logistic and their relatives are polynomials; both sides of a condition are computed and one
is selected. The coefficients were fitted to the weighted minimax criterion (Lawson's iteration, each
coefficient rounded to float32 in turn and the rest fitted anew). Rare functions go through float64 and the C
library. Only `contract` is allowed of LLVM here: a reordered sum would undo the two-part constants and the
rounding by addition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from .cache import cached_njit
from .pointers import bits_to_float, float_to_bits, intrinsic

formula: Callable[[Callable[..., Any]], Any] = cached_njit(fastmath={"contract"}, forceinline=True)
"""Decorator of all functions here: inlined into the kernel's loop, which would not vectorise otherwise."""

_f = np.float32
ZERO, HALF, ONE, TWO = _f(0.0), _f(0.5), _f(1.0), _f(2.0)
INFINITY, NAN = _f(np.inf), _f(np.nan)
SMALLEST_NORMAL = _f(2.0**-126)

# Adding and subtracting 1.5 * 2^23 rounds to an integer; its low bits then hold that integer.
ROUND = _f(1.5 * 2.0**23)
ROUND_BITS = np.int32(0x4B400000)
LOG2_E = _f(1.44269504088896340736)
# ln 2 in two parts; the first has trailing zeros, so that its product with an exponent is exact.
LN2_HIGH, LN2_LOW = _f(0.693359375), _f(0.693147180559945309417 - 0.693359375)

# exp(r) = 1 + r + r^2 Q(r), weighted for the relative error of expm1: on |r| <= ln(2) / 2, and on [0, ln 2].
E0, E1, E2, E3, E4 = _f(0.5), _f(0.166665435), _f(0.0416664109), _f(0.0083665764), _f(0.00139399897)
M0, M1, M2 = _f(0.49999997), _f(0.166667506), _f(0.0416588746)
M3, M4, M5 = _f(0.00836630818), _f(0.00131919421), _f(0.000268886128)
# log((1 + s) / (1 - s)) = 2 s + s z R(z), z = s^2.
L0, L1, L2, L3 = _f(0.666666627), _f(0.400009722), _f(0.284987867), _f(0.242792115)
# erf(x) = x + x S(x^2) below 1; log(erfc(x)) = T(x) on [1, 4].
S0, S1, S2, S3 = _f(0.128379166), _f(-0.376126289), _f(0.112836182), _f(-0.026855126)
S4, S5, S6 = _f(0.00519073382), _f(-0.000803076138), _f(7.92036808e-05)
T0, T1, T2, T3 = _f(0.000188036836), _f(-1.12957835), _f(-0.633220136), _f(-0.108418219)
T4, T5, T6, T7 = _f(0.025207974), _f(-0.00420443714), _f(0.000441307173), _f(-2.1684009e-05)

_EXPONENT_SHIFT, _EXPONENT_BIAS = np.int32(23), np.int32(127)
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_SIGN_BIT, _WITHOUT_SIGN = np.int32(-(2**31)), np.int32(0x7FFFFFFF)


def _rounding(name: str, llvm_name: str, doc: str) -> Any:
    def typing(typingctx: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.call(builder.module.declare_intrinsic(llvm_name, [ir.FloatType()]), arguments)

        return types.float32(types.float32), generate

    typing.__name__ = typing.__qualname__ = name
    typing.__doc__ = doc
    return intrinsic(typing)


floor = _rounding("floor", "llvm.floor", "Largest integer not above x, as float32.")
ceil = _rounding("ceil", "llvm.ceil", "Smallest integer not below x, as float32.")
round_half_away = _rounding("round_half_away", "llvm.round", "Nearest integer, halves away from zero.")
sqrt = _rounding("sqrt", "llvm.sqrt", "Correctly rounded square root; NaN below zero.")
absolute = _rounding("absolute", "llvm.fabs", "Absolute value.")


@formula
def _copy_sign(magnitude: Any, sign: Any) -> Any:
    """`magnitude >= 0` with the sign of the second argument."""
    return bits_to_float(np.int32(float_to_bits(magnitude) | np.int32(float_to_bits(sign) & _SIGN_BIT)))


@formula
def _power_of_two(exponent: Any) -> Any:
    """2^exponent for -126 <= exponent <= 127."""
    return bits_to_float(np.int32(np.int32(exponent + _EXPONENT_BIAS) << _EXPONENT_SHIFT))


@formula
def _reduce(x: Any) -> Any:
    """(k, r) with x = k ln 2 + r, |r| <= ln(2) / 2 and k a rounded integer held as int32."""
    shifted = x * LOG2_E + ROUND
    k = shifted - ROUND
    exponent = np.int32(float_to_bits(shifted) - ROUND_BITS)
    return exponent, (x - k * LN2_HIGH) - k * LN2_LOW


@formula
def _expm1_near_zero(r: Any) -> Any:
    return r * r * ((((E4 * r + E3) * r + E2) * r + E1) * r + E0) + r


@formula
def _expm1_positive(r: Any) -> Any:
    return r * r * (((((M5 * r + M4) * r + M3) * r + M2) * r + M1) * r + M0) + r


@formula
def _refine(quotient: Any, numerator: Any, denominator: Any, lost: Any, reciprocal: Any) -> Any:
    """numerator / (denominator + lost) from an estimate, by a Newton step; `lost` is what rounding took."""
    remainder = (numerator - quotient * denominator) - quotient * lost
    return quotient + remainder * reciprocal


@formula
def exp(x: Any) -> Any:
    """e^x: at most 2 ulp, subnormal results included; infinity above 88.73, zero below -103.98."""
    # Written so that NaN passes through: a comparison with NaN is false.
    bounded = _f(89.0) if x > _f(89.0) else x
    bounded = _f(-105.0) if bounded < _f(-105.0) else bounded
    exponent, r = _reduce(bounded)
    mantissa = ONE + _expm1_near_zero(r)
    # Two factors, each a normal number: the second product rounds to a subnormal, or overflows.
    half = np.int32(exponent >> np.int32(1))
    return (mantissa * _power_of_two(half)) * _power_of_two(np.int32(exponent - half))


@formula
def expm1(x: Any) -> Any:
    """e^x - 1, accurate near zero: at most 4 ulp."""
    bounded = _f(89.0) if x > _f(89.0) else x
    bounded = _f(-25.0) if bounded < _f(-25.0) else bounded
    exponent, r = _reduce(bounded)
    # Half of the result first: 2^128 is no float.
    half_scale = _power_of_two(np.int32(exponent - np.int32(1)))
    result = (half_scale * _expm1_near_zero(r) + (half_scale - HALF)) * TWO
    return x if absolute(x) < _f(2.0**-25) else result


@formula
def tanh(x: Any) -> Any:
    """(e^2x - 1) / (e^2x + 1): at most 2 ulp; exactly 1 in size above 9.02."""
    doubled = TWO * absolute(x)
    doubled = _f(18.5) if doubled > _f(18.5) else doubled
    # Rounding k down keeps r, and all terms of the sum below, positive: nothing cancels.
    shifted = (doubled * LOG2_E - HALF) + ROUND
    k = shifted - ROUND
    r = (doubled - k * LN2_HIGH) - k * LN2_LOW
    scale = _power_of_two(np.int32(float_to_bits(shifted) - ROUND_BITS))
    grown = scale * _expm1_positive(r) + (scale - ONE)
    below = grown + TWO
    quotient = grown / below
    refined = _refine(quotient, grown, below, grown - (below - TWO), HALF - HALF * quotient)
    # Above 2, what the sum lost is not exact, and the rounding of the sum hardly matters.
    quotient = refined if grown < TWO else quotient
    result = _copy_sign(quotient, x)
    return x if absolute(x) < _f(2.0**-13) else result


@formula
def logistic(x: Any) -> Any:
    """1 / (1 + e^-x): at most 2 ulp, subnormal results included."""
    decayed = exp(-absolute(x))
    numerator = decayed if x < ZERO else ONE
    below = ONE + decayed
    quotient = numerator / below
    reciprocal = ONE - quotient if x < ZERO else quotient
    return _refine(quotient, numerator, below, decayed - (below - ONE), reciprocal)


@formula
def log(x: Any) -> Any:
    """Natural logarithm: at most 2 ulp; log(0) = -infinity, NaN below zero."""
    subnormal = x < SMALLEST_NORMAL
    bits = float_to_bits(x * _f(2.0**23) if subnormal else x)
    # The mantissa is brought to [sqrt(1/2), sqrt(2)), so that the logarithm of numbers near 1 has exponent 0.
    exponent = np.int32(np.int32(bits - _SQRT_HALF_BITS) >> _EXPONENT_SHIFT)
    mantissa = bits_to_float(np.int32(bits - np.int32(exponent << _EXPONENT_SHIFT)))
    k = _f(exponent) - (_f(23.0) if subnormal else ZERO)
    f = mantissa - ONE
    s = f / (TWO + f)
    z = s * s
    square = HALF * f * f
    tail = z * (((L3 * z + L2) * z + L1) * z + L0)
    result = k * LN2_HIGH + (f - (square - (s * (square + tail) + k * LN2_LOW)))
    result = result if x > ZERO else (-INFINITY if x == ZERO else NAN)
    return result if x < INFINITY else x


@formula
def log1p(x: Any) -> Any:
    """log(1 + x), accurate near zero: at most 4 ulp (Kahan's correction of the rounded sum)."""
    rounded = ONE + x
    result = log(rounded) * (x / (rounded - ONE))
    result = x if rounded == ONE else result
    return rounded if rounded == INFINITY else result


@formula
def erf(x: Any) -> Any:
    """Error function: at most 4 ulp."""
    size = absolute(x)
    z = x * x
    series = (((((S6 * z + S5) * z + S4) * z + S3) * z + S2) * z + S1) * z + S0
    t = _f(4.0) if size > _f(4.0) else size
    tail = ((((((T7 * t + T6) * t + T5) * t + T4) * t + T3) * t + T2) * t + T1) * t + T0
    return x + x * series if size < ONE else _copy_sign(ONE - exp(tail), x)


@formula
def sign(x: Any) -> Any:
    """-1, 0 or 1; NaN stays NaN."""
    return ONE if x > ZERO else (-ONE if x < ZERO else x)


@formula
def minimum(x: Any, y: Any) -> Any:
    """The smaller of two numbers; NaN if either is NaN."""
    return x if x < y or x != x else y


@formula
def maximum(x: Any, y: Any) -> Any:
    """The larger of two numbers; NaN if either is NaN."""
    return x if x > y or x != x else y


@formula
def where(condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds (is not zero), else y."""
    return x if condition else y


@formula
def sin(x: Any) -> Any:
    """Sine."""
    return _f(math.sin(np.float64(x)))


@formula
def cos(x: Any) -> Any:
    """Cosine."""
    return _f(math.cos(np.float64(x)))


@formula
def tan(x: Any) -> Any:
    """Tangent."""
    return _f(math.tan(np.float64(x)))


@formula
def asin(x: Any) -> Any:
    """Inverse sine; NaN outside [-1, 1]."""
    return _f(math.asin(np.float64(x)))


@formula
def acos(x: Any) -> Any:
    """Inverse cosine; NaN outside [-1, 1]."""
    return _f(math.acos(np.float64(x)))


@formula
def atan(x: Any) -> Any:
    """Inverse tangent."""
    return _f(math.atan(np.float64(x)))


@formula
def sinh(x: Any) -> Any:
    """Hyperbolic sine."""
    return _f(math.sinh(np.float64(x)))


@formula
def cosh(x: Any) -> Any:
    """Hyperbolic cosine."""
    return _f(math.cosh(np.float64(x)))


@formula
def asinh(x: Any) -> Any:
    """Inverse hyperbolic sine."""
    return _f(math.asinh(np.float64(x)))


@formula
def acosh(x: Any) -> Any:
    """Inverse hyperbolic cosine; NaN below 1."""
    return _f(math.acosh(np.float64(x)))


@formula
def atanh(x: Any) -> Any:
    """Inverse hyperbolic tangent; NaN outside [-1, 1]."""
    return _f(math.atanh(np.float64(x)))


@formula
def lgamma(x: Any) -> Any:
    """log |Gamma(x)|."""
    return _f(math.lgamma(np.float64(x)))


@formula
def power(x: Any, y: Any) -> Any:
    """x^y as the C library's pow."""
    return _f(math.pow(np.float64(x), np.float64(y)))


@cached_njit
def digamma(x: Any) -> Any:
    """Derivative of lgamma: recurrence to x >= 8, then the asymptotic series (Abramowitz, Stegun 6.3.18)."""
    argument = np.float64(x)
    if argument == 0.0:
        return _f(math.copysign(math.inf, -argument))
    if argument == -math.inf or (argument < 0.0 and argument == np.floor(argument)):
        return NAN
    result = 0.0
    if argument < 0.0:
        # Reflection; the tangent has period 1 here, and an argument reduced exactly keeps its accuracy.
        result = -math.pi / math.tan(math.pi * (argument - np.floor(argument + 0.5)))
        argument = 1.0 - argument
    while argument < 8.0:
        result -= 1.0 / argument
        argument += 1.0
    z = 1.0 / (argument * argument)
    series = z * (1 / 12 - z * (1 / 120 - z * (1 / 252 - z * (1 / 240 - z * (1 / 132)))))
    return _f(result + math.log(argument) - 0.5 / argument - series)


FORMULA_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "sign": sign,
    "floor": floor,
    "ceil": ceil,
    "round_half_away": round_half_away,
    "minimum": minimum,
    "maximum": maximum,
    "where": where,
    "sqrt": sqrt,
    "exp": exp,
    "expm1": expm1,
    "log": log,
    "log1p": log1p,
    "tanh": tanh,
    "logistic": logistic,
    "erf": erf,
    "pow": power,
    "sin": sin,
    "cos": cos,
    "tan": tan,
    "asin": asin,
    "acos": acos,
    "atan": atan,
    "sinh": sinh,
    "cosh": cosh,
    "asinh": asinh,
    "acosh": acosh,
    "atanh": atanh,
    "lgamma": lgamma,
    "digamma": digamma,
}
"""From the names that formulas use to the compiled function that a generated kernel calls."""
