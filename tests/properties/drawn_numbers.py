"""Numbers drawn with a liking for extremes, ties and zeros of either sign.

What must hold of them is the closed form in float64 NumPy. Tolerances are counts of roundings,
half an eps each: a sum of positive terms keeps its relative precision, a difference that of its
larger side.
"""

import jax.numpy as jnp
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

ROWS, OUT = 6, 3

# One shape each and few examples: each shape would be compiled anew. Examples are the same in
# every run, and nothing is kept between runs.
prop = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=30,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def wide(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def eps(dtype):
    return float(jnp.finfo(dtype).eps)


def as_64(values):
    return np.asarray(values, np.float64)


def arrays(data, shape, *special):
    """An array in float64: ordinary numbers, in binary, or special ones; rows with ties too."""
    ordinary = st.integers(-640, 640).map(lambda n: n / 64)
    entries = st.one_of(ordinary, st.sampled_from([0.0, -0.0, 1.0, -1.0, *special]))
    size = int(np.prod(shape))
    drawn = st.lists(entries, min_size=size, max_size=size)
    tied = entries.map(lambda entry: [entry] * size)
    return np.array(data.draw(st.one_of(drawn, drawn, drawn, tied))).reshape(shape)


def signed(*values):
    return [sign * value for value in values for sign in (1, -1)]


def subnormal(dtype):
    return float(jnp.finfo(dtype).tiny) / 4


def compare(actual, expected, dtype, rtol, atol, what=""):
    """Equal within the tolerances, infinities in the same places: beyond the dtype's largest."""
    with np.errstate(over="ignore"):
        expected = as_64(np.asarray(expected, np.float64).astype(dtype))
    # processors may take subnormal numbers for 0
    atol = atol + float(jnp.finfo(dtype).tiny)
    actual = as_64(actual)
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(actual[infinite], expected[infinite], err_msg=what)
    bound = np.where(infinite, 0, rtol * abs(expected) + atol)
    near = abs(np.where(infinite, 0, actual) - np.where(infinite, 0, expected)) <= bound
    assert near.all(), f"{what}: {actual.tolist()} where {expected.tolist()} is right"
