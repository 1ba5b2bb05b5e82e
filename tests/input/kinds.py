"""Kinds of arguments: what is wrong in such a place, and what only looks different."""

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np


class Kind(NamedTuple):
    """What stands in a place: the right value, wrong ones, and makers of what only looks so."""

    right: Any
    wrong: Mapping[str, Any] = MappingProxyType({})
    same: Mapping[str, Any] = MappingProxyType({})
    narrow: Mapping[str, Any] = MappingProxyType({})
    """As `same`, in a dtype of few digits."""

    def but(self, *names, **more):
        """The kind without these wrong values, and with others."""
        return self._replace(
            wrong={name: v for name, v in self.wrong.items() if name not in names} | more
        )


class Made:
    """A value that is made when it is first needed, as JAX's are: collecting tests runs nothing."""

    def __init__(self, make):
        self.make = cache(make)


def value_of(thing):
    return thing.make() if isinstance(thing, Made) else thing


@Made
def KEY():
    return jax.random.key(0)


@Made
def KEYS():
    return jax.random.split(jax.random.key(0), 3)


JUNK = {
    "text": "x",
    "no text": "",
    "bytes": b"1",
    "nothing": None,
    "an object": object(),
    "a function": print,
    "a class": dict,
    "a module": np,
    "a dict": {"a": 1.0},
    "a set": {1.0},
    "a list of texts": ["a", "b"],
    "a list of nothing": [None, None],
    "a ragged list": [[1.0], [1.0, 2.0]],
    "an array of texts": np.array(["a", "b", "c"]),
    "an array of objects": np.array([print, None, {}], object),
    "a complex number": 1j,
    "dates": np.full(4, "2020-01-01", "M8[D]"),
    "records": np.zeros(4, [("a", "f4")]),
    "a key": KEY,
    "a list of keys": Made(lambda: list(KEYS.make())),
}


def junk(*but):
    return {name: value for name, value in JUNK.items() if name not in but}


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LOOKS = {
    "a list": np.ndarray.tolist,
    "a JAX array": jnp.asarray,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "read-only": read_only,
    "with gaps": strided,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "columns first": np.asfortranarray,
    "objects": lambda a: a.astype(object),
}
FLOATS = {
    "float64": lambda a: a.astype(np.float64),
    "big-endian float64": lambda a: a.astype(">f8"),
    "longdouble": lambda a: a.astype(np.longdouble),
}
NARROW = {
    "float16": lambda a: a.astype(np.float16),
    "bfloat16": lambda a: a.astype(ml_dtypes.bfloat16),
    "bfloat16 of JAX": lambda a: jnp.asarray(a, jnp.bfloat16),
}
INTEGERS = {
    name: partial(lambda dtype, a: a.astype(dtype), dtype)
    for name, dtype in {
        "int8": np.int8,
        "uint8": np.uint8,
        "uint64": np.uint64,
        ">i2": ">i2",
    }.items()
}


def spoilt(array, value):
    array = np.array(array)
    array.flat[array.size // 2] = value
    return array


def floats(right, *, finite=True, shaped=True, **more):
    """An array of floating numbers."""
    right = np.asarray(right, np.float32)
    wrong = junk() | {"complex": right + 1j, "beyond float32": right.astype(float) + 1e300}
    if finite:
        wrong |= {"NaN": spoilt(right, np.nan), "infinity": spoilt(right, -np.inf)}
    if shaped:
        wrong |= {
            "an axis too many": right[None, :, None],
            "a number": 0.5,
            "empty": right[:0],
            "an empty list": [],
        }
    return Kind(right, wrong | more, LOOKS | FLOATS, NARROW)


def outputs(right, **more):
    """Of a network: floating, finite or not."""
    right = np.asarray(right, np.float32)
    integers = {"integers": np.ones(right.shape, int), "bools": np.ones(right.shape, bool)}
    return floats(right, finite=False, **{"too few rows": right[:-1]}, **integers, **more)


def labels(right, classes, **more):
    right = np.asarray(right)
    wrong = junk() | {
        "from -1": right - 1,
        "too large": right + classes,
        "that int32 would wrap": right + 2**32,
        "NaN": np.full(right.shape, np.nan),
        "complex": right + 1j,
        "too few": right[:-1],
        "an axis too many": right[:, None, None],
        "a number": 1,
        "empty": right[:0],
    }
    return Kind(right, wrong | more, LOOKS | INTEGERS)


def real(right, **wrong):
    """One number of a config."""
    lanes = {"a matrix": np.full((2, 3), right)}
    nonsense = {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf, "a bool": True}
    same = {
        "float64": np.float64,
        "float32": np.float32,
        "an array": np.asarray,
        "a JAX array": jnp.asarray,
        "big-endian": lambda v: np.asarray(v, ">f4"),
        "bfloat16": ml_dtypes.bfloat16,
        "float16 of JAX": lambda v: jnp.asarray(v, jnp.float16),
    }
    if right == int(right):
        same["an integer"] = int
    return Kind(right, junk() | lanes | nonsense | wrong, same)


def whole(right, least=1):
    """A traced integer of a config."""
    wrong = {
        "too small": least - 1,
        "a float": float(right),
        "a bool": True,
        "NaN": np.nan,
        "huge": 2**31,
        "beyond 64 bits": 2**70,
        "a matrix": np.full((2, 3), right),
    }
    same = {
        "int64": np.int64,
        "uint8": np.uint8,
        "an array": np.asarray,
        "a JAX array": jnp.asarray,
        "big-endian": lambda v: np.asarray(v, ">i4"),
    }
    return Kind(right, junk() | wrong, same)


def count(right, **more):
    """A static integer."""
    wrong = {
        "0": 0,
        "negative": -1,
        "a float": float(right),
        "a bool": True,
        "NaN": np.nan,
        "a list": [right],
        "an array of one": np.array([right]),
    }
    return Kind(
        right,
        junk() | wrong | more,
        {"int64": np.int64, "uint8": np.uint8, "an array": np.asarray, "a JAX array": jnp.asarray},
    )


def flag(right):
    return Kind(
        right,
        junk() | {"0": 0, "1": 1, "an array of one": np.array([right])},
        {"of NumPy": np.bool_},
    )


def word(right, *but):
    arrays = {"a list of it": [right], "an array of it": np.array([right, right])}
    return Kind(right, junk(*but) | arrays | {"a number": 1})


def optional(kind):
    return kind.but("nothing")


def is_key(right=KEY, *but):
    wrong = {
        "a number": 0,
        "a float array": np.zeros(2),
        "too long": np.zeros(3, np.uint32),
        "a list of numbers": [0, 0],
        "many": KEYS,
        "many old ones": np.zeros((3, 2), np.uint32),
    }
    same = {
        "of the old style": jax.random.key_data,
        "of NumPy": lambda key: np.asarray(jax.random.key_data(key)),
    }
    return Kind(right, junk("a key") | wrong, same).but(*but)


def function(right):
    return Kind(right, junk("a function", "a class") | {"a number": 1})


def made_by(right, **more):
    """What only a factory of ours makes."""
    return Kind(right, junk() | {"a number": 1, "a tuple": (1, 2)} | more)


def tree(right, **more):
    """A pytree of floating arrays."""

    @cache
    def leaves_as(change):
        return Made(lambda: jax.tree.map(lambda a: change(np.asarray(a)), value_of(right)))

    wrong = {
        f"leaves: {name}": leaves_as(lambda a, value=value: value)
        for name, value in {
            "text": "a",
            "an object": object(),
            "functions": print,
            "complex": np.ones((3, 5), complex),
            "texts": np.full((3, 5), "a"),
            "objects": np.full((3, 5), None),
        }.items()
    }
    wrong |= {
        "integers": leaves_as(lambda a: a.astype(int)),
        "bools": leaves_as(lambda a: a > 0),
        "an axis too many": leaves_as(lambda a: a[None]),
        "flat": leaves_as(np.ravel),
        "leaves in lists": leaves_as(lambda a: a.tolist() if a.ndim else [a.item()]),
        "one leaf": Made(lambda: jax.tree.leaves(value_of(right))[0]),
        "in a list": Made(lambda: [value_of(right)]),
    }
    same = {
        name: partial(lambda change, t: jax.tree.map(lambda a: change(np.asarray(a)), t), change)
        for name, change in (LOOKS | FLOATS).items()
        if name != "a list"
    }
    return Kind(right, junk() | wrong | more, same)


class Call(NamedTuple):
    function: Any
    arguments: dict[str, Kind]
    speakers: str = ""
    """Who else may refuse."""
