"""The right values of arguments, each with its kind."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from kinds import (
    FLOATS,
    INTEGERS,
    KEY,
    KEYS,
    LOOKS,
    Kind,
    Made,
    count,
    flag,
    floats,
    function,
    is_key,
    junk,
    labels,
    made_by,
    optional,
    outputs,
    real,
    tree,
    value_of,
    whole,
    word,
)

import fnn

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
averaged = {"weights": weights, "threshold": optional(number)}
num_classes = {"num_classes": optional(count(3, **{"too many": 4}))}
of_classes = (
    averaged
    | num_classes
    | {
        "multilabel": flag(False),
        "average": word("macro", "nothing"),
        "pos_label": real(1.0, two=2, negative=-1, half=0.5).but("a bool"),
        "zero_division": real(1.0, above=2.0, negative=-1.0).but("NaN", "a bool"),
    }
)
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


# the fields of an optimizer's state that are shaped as the parameters
STATISTICS = {"adam": ("mu", "nu"), "adamw": ("mu", "nu")}


def of_update(name, opt):
    """The arguments of an optimizer's update."""
    state = Made(lambda: opt.init(value_of(PARAMS)))
    if name in ("clip_by_global_norm", "add_decayed_weights"):
        states = Kind(state)
    else:
        states = made_by(state, **{"of another": Made(lambda: fnn.sgd(0.5).init(value_of(PARAMS)))})
        states = states.but("nothing")
    if name in STATISTICS:
        broken = [("step", "a"), ("step", 1.5), *((field, None) for field in STATISTICS[name])]
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
    "accumulate": count(2),
    "validation": optional(data),
    "metrics": optional(metrics),
    "monitor": optional(word("loss")),
    "mode": word("min"),
    "stop": optional(made_by(fnn.early_stopping(patience=5), **{"a number of epochs": 5})),
    "state": optional(made_by(None, **{"parameters": PARAMS, "of another network": OTHER})),
    "order_key": optional(is_key()),
}
spread = {"shuffle": optional(word("global"))}
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

# each class has rows in both folds
TWICE = np.tile(X, (2, 1)), np.tile(LABELS, 2)
crossed = {name: kind for name, kind in (run | outside | swept).items()
           if name != "shared_order"} | {
    "order_key": optional(is_key()),
    "halving": optional(
        made_by(fnn.halving(1), **{"a number of epochs": 1, "groups": fnn.halving(1, group=2)})
    ),
    "data": Kind(
        TWICE,
        junk()
        | {
            "x alone": (X,),
            "too much": (*TWICE, WEIGHTS, WEIGHTS),
            "too few labels": (TWICE[0], LABELS),
            "NaN": (TWICE[0] * np.nan, TWICE[1]),
            "labels out of range": (TWICE[0], TWICE[1] + 1),
            "lanes": (TWICE[0], fnn.lanes(np.tile(TWICE[1], (3, 1)))),
        },
    ),
    "folds": Kind(
        2,
        junk("a list of nothing")
        | {"zero": 0, "one": 1, "more than rows": 9, "half": 2.5, "a flat list": [1, 2, 3]},
        {"a numpy integer": np.int64},
    ),
    "repeats": count(1),
    "stratify": Kind(True, {"too few": [0, 1], "a number": 3, "ragged": [[1], [2, 3]]}),
    "groups": optional(Kind(None, {"too few": [0, 1], "a number": 3, "text": "y"})),
    "allow_incomplete": flag(False),
    "score": optional(word("loss")),
    "refit": flag(False),
    "validation": optional(
        Kind(None, {"all": 1.0, "zero": 0, "negative": -0.5, "text": "test", "rows": TWICE})
    ),
}  # fmt: skip

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
