"""Philox4x32-10 on the device (Salmon et al. 2011: "Parallel random numbers: as easy as 1, 2, 3").

The stream of `weft_core.philox`: block `element // 4` gives four words from counter (block, node, low and high half of
the stream) and key (low and high half of the seed). The rounds are Triton's own.
"""

from __future__ import annotations

import triton
import triton.language as tl

from .mathematics import sine_of_half_turns


@triton.jit
def _word(words, place):
    return tl.load(words + place).to(tl.uint32, bitcast=True)


@triton.jit
def random_words(words, node, element):
    """The four words, as uint32, of the block that holds each element.

    `words`: pointer to the int32 words of a plan, of which 0 to 3 are seed and stream, low and high.
    `node` and `element`: int32, at least one of them a block.
    """
    block, counter = (element >> 2).to(tl.uint32), node.to(tl.uint32)
    return tl.philox_impl(block, counter, _word(words, 2), _word(words, 3), _word(words, 0), _word(words, 1))


@triton.jit
def uniform(words, node, element):
    """Uniform float32 in [0, 1) of each element: 24 random bits, those of the reference."""
    w0, w1, w2, w3 = random_words(words, node, element)
    odd = element & 1 != 0
    drawn = tl.where(element & 2 != 0, tl.where(odd, w3, w2), tl.where(odd, w1, w0))
    return (drawn >> 8).to(tl.float32) * (1 / 16777216)


@triton.jit
def normal(words, node, element):
    """Standard normal float32 of each element by Box and Muller (1958): sqrt(-2 log u) times cosine or sine.

    u near 1 needs the logarithm in float64; the angle is reduced as a whole number, which is exact.
    """
    w0, w1, w2, w3 = random_words(words, node, element)
    second = element & 2 != 0
    u = (tl.where(second, w2, w0).to(tl.float64) + 1.0) * (1 / 4294967296)
    radius = tl.sqrt((-2.0 * tl.log(u)).to(tl.float32))
    # A sine is the cosine a quarter of a turn, 2^30, earlier; cos v = sin(pi / 2 - |v|).
    angle = (tl.where(second, w3, w1) - ((element & 1) << 30).to(tl.uint32)).to(tl.int32, bitcast=True)
    complement = 1073741824 - (angle ^ (angle >> 31))
    return radius * sine_of_half_turns(complement.to(tl.float32) * (1 / 2147483648))
