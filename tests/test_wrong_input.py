"""Wrong input, for every public function: a table of right calls, and the kind of each argument.

A kind says what is wrong in such a place, and must be refused in our words before anything is
compiled; and what only looks different, and must give what the right call gives. Rows by hand
for runs are in test_bad_input.
"""

import inspect
import os
import re
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import jax
import jax.monitoring
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import fnn

# --- Kinds ---


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


# --- The right calls ---

LOGITS = np.array([[2.0, 1.0, -1.0], [-0.5, 3.0, 0.25], [1.0, 0.0, 2.0], [0.5, 1.5, -2.0]])
SHARES = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5], [0.5, 0.375, 0.125]])
COLUMN = LOGITS[:, :1]
LABELS = np.array([0, 1, 2, 0])
BINARY = np.array([1, 0, 1, 1])
WEIGHTS = np.array([1.0, 2.0, 0.5, 0.0], np.float32)
X = np.array([[0.5, -1.0, 2.0], [1.0, 0.25, 0.0], [-2.0, 1.5, 1.0], [0.0, 3.0, -1.0]], np.float32)

LINE = fnn.mlp((3, 5, 3))
OPT = fnn.adam(0.25)
PARAMS = Made(lambda: LINE.init(KEY.make()))
GRADS = Made(lambda: jax.tree.map(jnp.ones_like, PARAMS.make()))

on_values = {"outputs": outputs(COLUMN), "targets": floats(LOGITS[:, 1:2])}
on_logits = {"outputs": outputs(LOGITS), "targets": labels(LABELS, 3)}
on_binary = {
    "outputs": outputs(COLUMN),
    "targets": labels(BINARY, 2),
}
weights = optional(
    floats(WEIGHTS, negative=-WEIGHTS, **{"too few": WEIGHTS[:-1], "per class": WEIGHTS[:3]})
)
number = real(0.0).but("a bool", "infinity", "minus infinity")
averaged = {"weights": weights, "threshold": number}
of_classes = averaged | {
    "average": word("macro", "nothing"),
    "pos_label": real(1.0, two=2, negative=-1, half=0.5).but("a bool"),
    "zero_division": real(1.0, above=2.0, negative=-1.0).but("NaN", "a bool"),
}
of_values = {**on_values, "weights": weights, "multioutput": word("raw_values")}
share = optional(real(0.25, negative=-0.25, above=1.5))
rate = real(0.25, negative=-0.25).but("a function", "a class")
decay = real(0.5, negative=-0.5, one=1.0)
schedule = {"init_value": real(0.5, negative=-1.0), "decay_steps": whole(4)}
features = floats(X).but("an axis too many", "empty")
step = whole(3, 0).but("a matrix")
a_function = function(print)


def integers(right, **wrong):
    """Traced integers of a config, of rank 1."""
    right = np.asarray(right)
    junky = {
        "floats": right + 0.5,
        "whole floats": right.astype(float),
        "NaN": right * np.nan,
        "huge": right + 2**31,
        "beyond 64 bits": [2**70] * len(right),
        "bools": right > 0,
        "an axis too many": right[None, None],
        "a number": 2,
    }
    return Kind(right, junk() | junky | wrong, LOOKS | INTEGERS)


mask = Kind(
    {"a": True, "b": False},
    junk("nothing", "a function", "a class", "a list of nothing") | {"a number": 1},
)
dtype = Kind(
    "float32",
    junk("nothing", "a key")
    | {"int32": "int32", "complex64": "complex64", "float64": float, "a number": 4, "pairs": "2f4"},
    {"a type": lambda _: np.float32, "a dtype": np.dtype, "big-endian": lambda _: ">f4"},
)

OPTIMIZERS = {
    "sgd": fnn.sgd(0.5, momentum=0.5),
    "adam": OPT,
    "adamw": fnn.adamw(0.25),
    "clip_by_global_norm": fnn.clip_by_global_norm(0.5),
    "add_decayed_weights": fnn.add_decayed_weights(0.5),
    "chain": fnn.chain(fnn.add_decayed_weights(0.5), fnn.sgd(0.5, momentum=0.5)),
}
SCHEDULES = {
    "linear_decay": fnn.linear_decay(1.0, 4),
    "exponential_decay": fnn.exponential_decay(1.0, 4, 0.5),
    "cosine_decay": fnn.cosine_decay(1.0, 4),
    "warmup_cosine_decay": fnn.warmup_cosine_decay(0.0, 1.0, 2, 6),
    "piecewise_constant": fnn.piecewise_constant([2, 4], [1.0, 0.5, 0.25]),
}
# trees that are right where nothing says what they should look like
ANY_TREE = (
    "nothing",
    "a dict",
    "a list of nothing",
    "a ragged list",
    "an axis too many",
    "flat",
    "leaves in lists",
    "one leaf",
    "in a list",
)


def updated(opt, grads, state=None, params=None):
    return opt.update(grads, opt.init(grads) if state is None else state, params)


def of_update(name, opt):
    """The arguments of an optimizer's update."""
    state = Made(lambda: opt.init(value_of(PARAMS)))
    if name in ("clip_by_global_norm", "add_decayed_weights"):
        states = Kind(state)
    else:
        states = made_by(state, **{"of another": Made(lambda: fnn.sgd(0.5).init(value_of(PARAMS)))})
        states = states.but("nothing")
    if name in ("adam", "adamw"):
        broken = [("step", "a"), ("step", 1.5), ("mu", None), ("nu", None)]
        states = states.but(
            **{
                f"{field} is {bad}": Made(
                    lambda field=field, bad=bad: value_of(state)._replace(**{field: bad})
                )
                for field, bad in broken
            }
        )
    loose = ANY_TREE if name == "clip_by_global_norm" else ()
    used = name in ("adamw", "add_decayed_weights", "chain")
    params = tree(PARAMS) if used else Kind(PARAMS)
    return {"opt": Kind(opt), "grads": tree(GRADS).but(*loose), "state": states, "params": params}


# --- Runs ---

SPEAKERS = "mlp.apply|softmax_cross_entropy|accuracy"
DATA = X, LABELS
STATE = Made(lambda: fnn.init_state(LINE, OPT, KEY.make()))
OTHER = Made(lambda: fnn.init_state(fnn.mlp((3, 6, 3)), OPT, KEY.make()))
FINE = Made(lambda: plain("fit").state)
SWEEP = Made(lambda: plain("sweep"))


@Made
def DIVERGED():
    """What breaks at its first step, if that is made again."""
    fine = FINE.make()
    huge = jax.tree.map(lambda leaf: 1e30 * leaf, fine.train.params)
    at = jnp.zeros((), np.int32)
    return fine._replace(train=fine.train._replace(params=huge), epoch=at, diverged_at=at)


def lacking(*names):
    """Objects that lack one of these functions, or have something else of its name."""
    functions = dict.fromkeys(names, staticmethod(print))
    return {
        f"its {name} is {value}": type("Own", (), functions | {name: value})()
        for name in names
        for value in (None, 1)
    }


net = made_by(LINE, **lacking("init", "apply"), **{"its class": fnn.MLP, "the factory": fnn.mlp})
optimizer = made_by(
    OPT, **lacking("init", "update"), **{"its class": fnn.Adam, "the factory": fnn.adam}
)
loss = Kind(fnn.softmax_cross_entropy, junk("a class"))
state = made_by(STATE, **{"parameters": PARAMS})
x_of_data, y_of_data = (
    {
        name: Made(partial(lambda make, value: make(value_of(value)), make, value))
        for name, value in kind.wrong.items()
        if name not in but
    }
    for kind, but, make in [
        (floats(X), ("an axis too many",), lambda value: (value, LABELS)),
        (labels(LABELS, 3), (), lambda value: (X, value)),
    ]
)
w_of_data = {
    f"weights: {name}": Made(partial(lambda value: (*DATA, value_of(value)), value))
    for name, value in weights.wrong.items()
}
data = Kind(
    DATA,
    junk()
    | {f"x: {name}": value for name, value in x_of_data.items()}
    | {f"y: {name}": value for name, value in y_of_data.items()}
    | w_of_data
    | {"x alone": (X,), "an array": X, "too much": (X, LABELS, WEIGHTS, WEIGHTS)},
    {
        **{
            f"x: {name}": partial(lambda look, data: (look(data[0]), data[1]), look)
            for name, look in (LOOKS | FLOATS).items()
        },
        **{
            f"y: {name}": partial(lambda look, data: (data[0], look(data[1])), look)
            for name, look in LOOKS.items()
        },
    },
)
metrics = Kind(
    {"accuracy": fnn.accuracy},
    junk()
    | {
        "a list": [fnn.accuracy],
        "a function of ours": fnn.accuracy,
        "a number for a name": {1: fnn.accuracy},
        "a name for a function": {"accuracy": "accuracy"},
        "nothing for a function": {"accuracy": None},
    },
)
run = {
    "net": net,
    "loss": loss,
    "optimizer": optimizer,
    "data": data,
    "key": is_key(),
    "epochs": count(2, huge=2**31, **{"beyond 64 bits": 2**70}),
    "batch_size": count(4),
    "validation": optional(data),
    "metrics": optional(metrics),
    "monitor": optional(word("loss")),
    "mode": word("min"),
    "stop": optional(made_by(fnn.early_stopping(patience=5), **{"a number of epochs": 5})),
    "state": optional(made_by(None, **{"parameters": PARAMS, "of another network": OTHER})),
    "order_key": optional(is_key()),
}
outside = {
    "progress": optional(flag(False)),
    "callback": optional(Kind(print, junk("a function", "a class"))),
    "max_seconds": optional(real(1e6, zero=0.0, lanes=[1.0, 2.0]))._replace(
        same={"an integer": int}
    ),
    "checkpoint": optional(
        Kind(None, junk("text", "bytes") | {"a number": 1, "a null byte": "a\0"})
    ),
    "every": optional(count(1))._replace(right=None, same={}),
    "keep": count(2),
    "on_save_error": word("warn"),
}
swept = {
    "key": is_key(KEYS, "many", "many old ones"),
    "order_key": optional(is_key()).but("many", "many old ones"),
    "shared_order": flag(True),
    "halving": optional(made_by(fnn.halving(1), **{"a number of epochs": 1})),
    "labels": optional(
        Kind(
            {"who": ["a", "b", "c"]},
            junk()
            | {
                "too few": {"who": ["a", "b"]},
                "a number for a name": {1: [1, 2, 3]},
                "a text": {"who": "abc"},
                "ragged": {"who": [[1], [1, 2], 3]},
                "keys": Made(lambda: {"who": list(KEYS.make())}),
                "nothing": {"who": None},
            },
        )
    ),
    "allow_padding": flag(False),
    "at_once": optional(count(2)),
}

# --- Files ---

path = Kind(
    "here",
    junk("text", "bytes") | {"a number": 1, "a null byte": "a\0", "a folder": "."},
    {"a Path": Path, "bytes": str.encode},
)
there = path._replace(
    right="there", wrong=path.wrong | {"no file": "nowhere", "no file of ours": __file__}
)


def saved(path, tree, metadata):
    fnn.save(path, tree, metadata)
    return fnn.load(path, like=tree), fnn.load_metadata(path)


class Call(NamedTuple):
    function: Any
    arguments: dict[str, Kind]
    speakers: str = ""
    """Who else may refuse."""


CALLS = {
    # losses
    "squared_error": Call(fnn.squared_error, on_values),
    "absolute_error": Call(fnn.absolute_error, on_values),
    "huber": Call(fnn.huber, on_values | {"delta": real(1.0, zero=0.0, negative=-1.0)}),
    "cross_entropy": Call(fnn.cross_entropy, on_logits | {"outputs": outputs(SHARES)}),
    "softmax_cross_entropy": Call(
        fnn.softmax_cross_entropy, on_logits | {"label_smoothing": share}
    ),
    "binary_cross_entropy": Call(
        fnn.binary_cross_entropy, on_binary | {"outputs": outputs(SHARES[:, :1])}
    ),
    "sigmoid_cross_entropy": Call(
        fnn.sigmoid_cross_entropy, on_binary | {"label_smoothing": share}
    ),
    # metrics
    "accuracy": Call(fnn.accuracy, on_logits | averaged),
    **{
        name: Call(getattr(fnn, name), on_logits | of_classes)
        for name in ("precision", "recall", "f1")
    },
    "confusion_matrix": Call(
        fnn.confusion_matrix, on_logits | averaged | {"normalize": word("true", "nothing")}
    ),
    "roc_auc": Call(fnn.roc_auc, on_binary | {"weights": weights}),
    **{
        name: Call(getattr(fnn, name), of_values)
        for name in ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error", "r2")
    },
    # activations
    **{
        name: Call(getattr(fnn, name), {"z": floats(LOGITS, finite=False, shaped=False)})
        for name in ("identity", "relu", "sigmoid", "softmax", "tanh")
    },
    # data
    "class_weights": Call(
        fnn.class_weights, {"labels": labels(LABELS, 3).but("too few"), "num_classes": count(3)}
    ),
    "standard_scaler": Call(fnn.standard_scaler, {"x": floats(X).but("an axis too many")}),
    "standard_scaler()": Call(
        lambda x: fnn.standard_scaler(X)(x),
        {"x": features},
    ),
    "standard_scaler.inverse": Call(lambda z: fnn.standard_scaler(X).inverse(z), {"z": features}),
    "train_test_split": Call(
        lambda x, y, **options: fnn.train_test_split(x, y, **options),
        {
            "x": Kind(
                X,
                {
                    "a number": 1.0,
                    "text": "a",
                    "nothing": None,
                    "a function": print,
                    "a ragged list": [[1.0], [1.0, 2.0]],
                    "too few": X[:-1],
                    "empty": X[:0],
                    "a list of keys": JUNK["a list of keys"],
                },
                LOOKS | FLOATS,
            ),
            "y": labels(np.array([0, 1, 0, 1]), 2)._replace(wrong={"too few": LABELS[:-1]}),
            "key": is_key(),
            "test_size": real(0.5, zero=0.0, one=1.0, many=4, negative=-1)._replace(
                same={"float32": np.float32}
            ),
            "stratify": optional(labels(np.array([0, 1, 0, 1]), 2)).but("from -1", "too large"),
        },
    ),
    # optimizers
    "sgd": Call(
        fnn.sgd, {"learning_rate": rate, "momentum": optional(decay), "nesterov": flag(True)}
    ),
    "adam": Call(
        fnn.adam, {"learning_rate": rate, "b1": decay, "b2": decay, "eps": real(0.5, zero=0.0)}
    ),
    "adamw": Call(
        fnn.adamw,
        {
            "learning_rate": rate,
            "b1": decay,
            "b2": decay,
            "eps": real(0.5, zero=0.0),
            "weight_decay": real(0.5, negative=-1.0),
            "mask": mask,
        },
    ),
    "add_decayed_weights": Call(
        fnn.add_decayed_weights, {"weight_decay": real(0.5, negative=-1.0), "mask": mask}
    ),
    "clip_by_global_norm": Call(fnn.clip_by_global_norm, {"max_norm": real(0.5, zero=0.0)}),
    "chain": Call(
        lambda first, second: fnn.chain(first, second), {"first": optimizer, "second": optimizer}
    ),
    **{
        f"{name}.init": Call(OPTIMIZERS[name].init, {"params": tree(PARAMS).but(*ANY_TREE)})
        for name in ("sgd", "adam", "adamw")
    },
    **{
        f"{name}.update": Call(updated, of_update(name, opt), "add_decayed_weights|sgd")
        for name, opt in OPTIMIZERS.items()
    },
    "a rate of one's own": Call(
        lambda rate: updated(fnn.sgd(lambda step: rate), value_of(GRADS)),
        {"rate": real(0.25).but("NaN", "infinity", "minus infinity", "a bool")},
        "sgd|update",
    ),
    "lanes in an optimizer": Call(
        lambda rate: updated(fnn.adam(rate), value_of(GRADS)),
        {"rate": Kind(0.25, {"three lanes": [0.25, 0.5, 0.75], "one lane": [0.25]})},
        "update",
    ),
    "apply_updates": Call(fnn.apply_updates, {"params": tree(PARAMS), "updates": tree(GRADS)}),
    # schedules
    "linear_decay": Call(fnn.linear_decay, schedule | {"end_value": real(0.25, negative=-1.0)}),
    "exponential_decay": Call(
        fnn.exponential_decay, schedule | {"decay_rate": real(0.5, zero=0.0)}
    ),
    "cosine_decay": Call(fnn.cosine_decay, schedule | {"alpha": real(0.5, above=1.5)}),
    "warmup_cosine_decay": Call(
        fnn.warmup_cosine_decay,
        schedule
        | {
            "peak_value": real(1.0, negative=-1.0),
            "warmup_steps": whole(2, 0),
            "end_value": real(0.25, negative=-1.0),
        },
    ),
    "piecewise_constant": Call(
        fnn.piecewise_constant,
        {
            "boundaries": integers([2, 4], falling=[4, 2], zero=[0, 2], short=[2]),
            "values": floats(
                [0.5, 0.25, 0.125], negative=[0.5, -0.25, 0.125], short=[0.5, 0.25]
            ).but("beyond float32"),
        },
    ),
    **{f"{name}()": Call(schedule, {"step": step}) for name, schedule in SCHEDULES.items()},
    "early_stopping": Call(
        fnn.early_stopping,
        {
            "patience": optional(whole(2)),
            "min_delta": real(0.5, negative=-1.0),
            "target": optional(real(0.5)),
            "max_epochs": optional(whole(3)),
        },
    ),
    # networks
    "mlp": Call(
        fnn.mlp,
        {
            "sizes": Kind(
                (3, 5, 3),
                junk()
                | {
                    "a number": 3,
                    "one": (3,),
                    "zero": (3, 0, 3),
                    "floats": (3.0, 5.0, 3.0),
                    "a matrix": [[3, 5, 3]],
                    "huge": (3, 2**70, 3),
                },
                {"a list": list, "an array": np.array, "uint8": np.uint8},
            ),
            "activation": function("tanh"),
            "output": function("softmax"),
            "bias": flag(True),
            "initializer": optional(function("zeros")),
            "dropout": optional(real(0.25, one=1.0, negative=-0.5)),
            "norm": optional(word("layer")),
            "residual": flag(True),
            "dtype": dtype,
            "param_dtype": dtype,
            "active": optional(integers([2], zero=[0], many=[6], two=[2, 2])),
        },
    ),
    "mlp.init": Call(LINE.init, {"key": is_key()}),
    "mlp.apply": Call(
        fnn.mlp((3, 5, 3), dropout=0.5).apply,
        {"params": tree(PARAMS), "x": features, "key": optional(is_key())},
    ),
    "mlp.forward": Call(LINE.forward, {"params": tree(PARAMS), "x": features}),
    "an activation": Call(
        lambda returned: fnn.mlp((3, 5, 3), activation=lambda z: returned(z)).apply(
            value_of(PARAMS), X
        ),
        {
            "returned": Kind(
                jax.nn.relu,
                {
                    "a list": lambda z: [z],
                    "text": lambda z: "a",
                    "one": lambda z: z[:, :1],
                    "a sum": jnp.sum,
                },
                {},
            )
        },
        "mlp.apply",
    ),
    "Model": Call(fnn.Model, {"init": a_function, "apply": a_function}),
    "init_state": Call(fnn.init_state, {"net": net, "optimizer": optimizer, "key": is_key()}),
    # training
    "train_step": Call(
        fnn.train_step,
        {"net": net, "loss": loss, "optimizer": optimizer, "state": state, "batch": data},
        SPEAKERS,
    ),
    "fit": Call(fnn.fit, run, SPEAKERS),
    "train": Call(fnn.train, run | outside, SPEAKERS),
    "sweep": Call(fnn.sweep, run | outside | swept, SPEAKERS),
    "evaluate": Call(
        fnn.evaluate,
        {
            "net": net,
            "params": tree(PARAMS),
            "data": data,
            "metrics": metrics,
            "batch_size": optional(count(4)),
        },
        SPEAKERS,
    ),
    "diagnose": Call(
        fnn.diagnose,
        {
            "net": net,
            "loss": loss,
            "optimizer": optimizer,
            "data": data,
            "state": made_by(DIVERGED, **{"one that is fine": FINE, "a TrainState": STATE}),
            "batch_size": count(4),
        },
        SPEAKERS,
    ),
    # sweeps
    "halving": Call(
        fnn.halving, {"min_epochs": count(2), "factor": real(3.0, one=1.0, many=[2.0, 3.0])}
    ),
    "lanes": Call(
        fnn.lanes,
        {
            "values": Kind(
                COLUMN,
                junk("a key", "dates", "a complex number")
                | {"a number": 1.0, "dates": JUNK["dates"]},
                LOOKS,
            )
        },
    ),
    "product": Call(
        fnn.product,
        {
            "a": Kind(
                np.array([1.0, 2.0]),
                {
                    "a number": 1.0,
                    "text": "ab",
                    "nothing": None,
                    "a function": print,
                    "a dict": {"a": 1.0},
                    "empty": [],
                    "a set": {1.0},
                    "a generator": iter([1.0, 2.0]),
                    "a ragged list": JUNK["a ragged list"],
                },
                LOOKS,
            ),
            "b": Kind(range(2), {"a number": 1}, {"a list": list, "an array": np.array}),
        },
    ),
    "Sweep.best": Call(
        lambda monitor: value_of(SWEEP).best(monitor), {"monitor": optional(word("loss"))}, "best"
    ),
    "Sweep.lane": Call(
        lambda index: value_of(SWEEP).lane(index),
        {"index": Kind(1, junk() | {"too large": 3, "too small": -4, "a float": 1.0})},
        "lane",
    ),
    "Sweep.predict": Call(
        lambda x: value_of(SWEEP).predict(x)[0], {"x": features}, "predict|mlp.apply"
    ),
    # files
    "save": Call(
        saved,
        {
            "path": path,
            "tree": Kind(
                PARAMS,
                {
                    "text": "a",
                    "an object": object(),
                    "a function": print,
                    "a list of texts": ["a"],
                    "a set": {1.0},
                    "texts": JUNK["an array of texts"],
                    "dates": JUNK["dates"],
                    "objects": JUNK["an array of objects"],
                    "records": JUNK["records"],
                    "beyond 64 bits": 2**70,
                    "longdouble": np.zeros(2, np.longdouble),
                },
            ),
            "metadata": Kind(
                {"a": 1},
                {
                    "an object": object(),
                    "a set": {1},
                    "NaN": np.nan,
                    "an array": X,
                    "bytes": b"a",
                    "a function": print,
                    "too long": "a" * 2**25,
                },
            ),
        },
    ),
    "load": Call(
        lambda path, like: fnn.load(path, like=like),
        {
            "path": there,
            "like": Kind(
                PARAMS,
                {
                    "text": "a",
                    "an object": object(),
                    "nothing": None,
                    "a function": print,
                    "another tree": Made(lambda: [value_of(PARAMS)]),
                    "one array": X,
                    "integers": Made(lambda: jax.tree.map(lambda a: a.astype(int), PARAMS.make())),
                },
            ),
        },
    ),
    "load_metadata": Call(fnn.load_metadata, {"path": there}),
}


ARGUMENTS = [
    pytest.param(name, argument, id=f"{name}-{argument}".replace(" ", "_"))
    for name, call in CALLS.items()
    for argument, kind in call.arguments.items()
]
# Types of what our functions return, and who makes it.
MADE_BY = {
    "MLP": "mlp",
    "Layer": "mlp.init",
    "Adam": "adam",
    "AdamState": "adam.init",
    "AdamW": "adamw",
    "AddDecayedWeights": "add_decayed_weights",
    "Chain": "chain",
    "CheckpointError": "load",
    "ClipByGlobalNorm": "clip_by_global_norm",
    "CosineDecay": "cosine_decay",
    "Diagnosis": "diagnose",
    "EarlyStopping": "early_stopping",
    "ExponentialDecay": "exponential_decay",
    "Fit": "fit",
    "FitState": "fit",
    "Halving": "halving",
    "Lanes": "lanes",
    "LinearDecay": "linear_decay",
    "PiecewiseConstant": "piecewise_constant",
    "Sgd": "sgd",
    "SgdState": "sgd.init",
    "StandardScaler": "standard_scaler",
    "Sweep": "sweep",
    "Table": "sweep",
    "TrainState": "init_state",
    "WarmupCosineDecay": "warmup_cosine_decay",
}


PROGRAMS = ("fit", "train", "sweep", "evaluate", "diagnose")
# arguments that may be answered by an error of files
OF_FILES = ("path", "like", "checkpoint")
COMPUTED = [
    *(name for name, call in CALLS.items() if {*call.arguments} & {"outputs", "z", "step", "opt"}),
    *("class_weights", "standard_scaler", "standard_scaler()", "mlp.apply", "mlp.forward"),
]


def test_the_table_has_every_public_name():
    for name in fnn.__all__:
        if not isinstance(getattr(fnn, name), ModuleType):
            assert MADE_BY.get(name, name) in CALLS, f"{name} is not in the table"


def test_the_table_has_every_argument():
    for name in set(fnn.__all__) & set(CALLS) - {"chain", "product", "train_test_split", "Model"}:
        parameters = inspect.signature(getattr(fnn, name)).parameters
        assert set(parameters) == set(CALLS[name].arguments), name


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Where paths lead."""
    before, here = os.getcwd(), tmp_path_factory.mktemp("files")
    os.chdir(here)
    fnn.save("there", value_of(PARAMS), {"a": 1})
    yield
    os.chdir(before)


def called(call, **changes):
    arguments = {name: kind.right for name, kind in call.arguments.items()} | changes
    return call.function(**{name: value_of(value) for name, value in arguments.items()})


def told(error):
    return f"{type(error).__name__}: {str(error)[:200]!r}"


def refusal(name, call, changes):
    """What is wrong with how a call is refused; None if it is as it should be."""
    speakers = f"{name.split('.')[0]}|{name.removesuffix('()')}|{call.speakers or name}"
    words = rf"(?s)(?:{speakers})(?:\.\w+)?: .+; got\s.*"
    try:
        result = called(call, **changes)
    except (ValueError, TypeError, IndexError) as error:
        ours = type(error) in (ValueError, TypeError, IndexError)
        return None if ours and re.fullmatch(words, str(error)) else told(error)
    except Exception as error:
        if isinstance(error, (fnn.CheckpointError, OSError)) and {*changes} & {*OF_FILES}:
            return None
        return told(error)
    return f"returned {str(result)[:100]!r}"


@pytest.mark.parametrize(("name", "argument"), ARGUMENTS)
def test_what_is_wrong_is_refused_in_our_words(name, argument, compiled):
    call = CALLS[name]
    for value in call.arguments[argument].wrong.values():
        value_of(value)
    if name in PROGRAMS:
        plain(name)
    failures = {}
    for wrong, value in call.arguments[argument].wrong.items():
        compiled.clear()
        failure = refusal(name, call, {argument: value})
        if failure is None and name in PROGRAMS and compiled:
            failure = f"{len(compiled)} programs were compiled before the error"
        if failure is not None:
            failures[wrong] = failure
    assert not failures, "\n".join(f"{wrong}: {failure}" for wrong, failure in failures.items())


@cache
def plain(name):
    """What the right call returns."""
    return called(CALLS[name])


def arrays_of(result):
    if isinstance(result, fnn.Sweep):
        result = result.history, result.state, result.columns
    leaves, structure = jax.tree.flatten(result)
    return [
        np.asarray(jax.random.key_data(leaf) if is_key_array(leaf) else leaf) for leaf in leaves
    ], structure


def is_key_array(leaf):
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def assert_same(got, expected, tolerance):
    (got, structure), (expected, wanted) = arrays_of(got), arrays_of(expected)
    assert structure == wanted
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        if a.dtype.kind in "OUS":
            assert a.tolist() == b.tolist()
        else:
            np.testing.assert_allclose(
                a.astype(float), b.astype(float), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize(
    ("name", "argument"),
    [p for p in ARGUMENTS if CALLS[p.values[0]].arguments[p.values[1]].same],
)
def test_what_only_looks_different_gives_the_same(name, argument):
    kind = CALLS[name].arguments[argument]
    failures = {}
    for tolerance, looks in ((1e-6, kind.same), (2e-2, kind.narrow)):
        for look, change in looks.items():
            try:
                got = called(CALLS[name], **{argument: change(value_of(kind.right))})
                assert_same(got, plain(name), tolerance)
            except Exception as error:
                failures[look] = told(error)
    assert not failures, "\n".join(f"{look}: {failure}" for look, failure in failures.items())


@pytest.mark.parametrize("name", COMPUTED)
def test_under_x64_all_is_computed_in_float64(name, request):
    def widened(leaf):
        return leaf.astype(np.float64) if getattr(leaf, "dtype", None) == np.float32 else leaf

    expected = plain(name)
    request.getfixturevalue("x64")
    rights = {name: value_of(kind.right) for name, kind in CALLS[name].arguments.items()}
    got = called(CALLS[name], **jax.tree.map(widened, rights))
    assert_same(got, expected, 1e-5)
    assert {str(a.dtype) for a in arrays_of(got)[0]} <= {"float64", "int32"}
