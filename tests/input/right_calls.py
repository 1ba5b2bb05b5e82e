"""A table of right calls of every public function, with what they return."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import pytest
from kinds import (
    JUNK,
    LOOKS,
    Call,
    Kind,
    Made,
    count,
    flag,
    function,
    is_key,
    junk,
    made_by,
    optional,
    real,
    tree,
    value_of,
    word,
)
from right_functions import OF_FUNCTIONS
from right_values import (
    COLUMN,
    LINE,
    PARAMS,
    SPEAKERS,
    STATE,
    X,
    a_function,
    crossed,
    data,
    dtype,
    features,
    integers,
    loss,
    metrics,
    net,
    optimizer,
    outside,
    path,
    run,
    saved,
    spread,
    state,
    swept,
    there,
)

import fnn

a_scaler = Kind(
    fnn.standard_scaler(X),
    junk("nothing")
    | {
        "its class": fnn.StandardScaler,
        "the factory": fnn.standard_scaler,
        "of other features": fnn.standard_scaler(X[:, :2]),
    },
)

# of the outputs of a network that ends in softmax
no_scaler = a_scaler._replace(right=None)

FINE = Made(lambda: plain("fit").state)
SWEEP = Made(lambda: plain("sweep"))


@Made
def DIVERGED():
    """What breaks at its first step, if that is made again."""
    fine = FINE.make()
    huge = jax.tree.map(lambda leaf: 1e30 * leaf, fine.train.params)
    at = jnp.zeros((), np.int32)
    return fine._replace(train=fine.train._replace(params=huge), epoch=at, diverged_at=at)


CALLS = OF_FUNCTIONS | {
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
            "remat": flag(True),
            "dtype": dtype,
            "param_dtype": dtype,
            "active": optional(integers([2], zero=[0], many=[6], two=[2, 2])),
            "inputs": optional(a_scaler),
            "outputs": no_scaler,
            "embeddings": optional(
                Kind({0: (4, 2)}, junk() | {"a number": {0: 4}, "far": {3: (4, 2)}})
            ),
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
        {
            "net": net,
            "loss": loss,
            "optimizer": optimizer,
            "state": state,
            "batch": data,
            "accumulate": count(1),
        },
        SPEAKERS,
    ),
    "fit": Call(fnn.fit, run | spread, SPEAKERS),
    "train": Call(fnn.train, run | spread | outside, SPEAKERS),
    "sweep": Call(fnn.sweep, run | outside | swept, SPEAKERS),
    "cross_validate": Call(fnn.cross_validate, crossed, SPEAKERS + "|sweep"),
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
            "accumulate": count(1),
        }
        | spread,
        SPEAKERS,
    ),
    # data
    "encode": Call(
        lambda frame, target, **options: fnn.encode(frame, target, **options)[:2],
        {
            "frame": Kind(
                Made(lambda: pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})),
                junk()
                | {"a list of rows": [[1.0, 2.0]], "a dict of numbers": {"a": 1.0, "b": 2.0}},
            ),
            "target": optional(Kind("b", {"a number": 1, "another name": "c", "bytes": b"b"})),
            "task": optional(word("classification")),
            "unknown": word("slot"),
            "categories": word("codes"),
        },
    ),
    # sweeps
    "concatenate_sweeps": Call(
        fnn.concatenate_sweeps,
        {
            "sweeps": Kind(
                Made(lambda: [value_of(SWEEP)] * 2),
                junk()
                | {
                    "a number": 1,
                    "a sweep": SWEEP,
                    "a run among them": Made(lambda: [value_of(SWEEP), value_of(SWEEP).best()]),
                },
                {"a tuple": tuple, "an iterator": iter},
            )
        },
    ),
    "halving": Call(
        fnn.halving,
        {
            "min_epochs": count(2),
            "factor": real(3.0, one=1.0, many=[2.0, 3.0]),
            "group": count(1),
            "brackets": count(2),
        },
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


def called(call, **changes):
    arguments = {name: kind.right for name, kind in call.arguments.items()} | changes
    return call.function(**{name: value_of(value) for name, value in arguments.items()})


@cache
def plain(name):
    """What the right call returns."""
    return called(CALLS[name])
