"""Arguments in words: what is the same is told alike, what differs is named."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn.arguments import differences, told


def named(x):
    return x


class Thing:
    def __init__(self, n):
        self.n = n

    def method(self, x):
        return x * self.n


BASE = {
    "rate": fnn.adam(1e-3),
    "net": fnn.mlp((3, 4, 2), dropout=0.1),
    "loss": functools.partial(fnn.huber, delta=1.0),
    "data": np.arange(20.0),
    "key": jax.random.key(0),
    "metrics": {"f1": fnn.f1},
    "own": Thing(1),
    "method": Thing(1).method,
    "text": "text",
    "none": None,
    "pair": (1, 2),
    "shape": jax.ShapeDtypeStruct((2,), np.float32),
}


def test_equal_arguments_are_told_alike():
    again = dict(BASE, rate=fnn.adam(1e-3), net=fnn.mlp((3, 4, 2), dropout=0.1),
                 loss=functools.partial(fnn.huber, delta=1.0), data=np.arange(20.0),
                 key=jax.random.key(0), own=Thing(1), method=Thing(1).method)  # fmt: skip
    assert told(**BASE) == told(**again)
    assert not differences(told(**BASE), told(**again))


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("rate", fnn.adam(2e-3), "rate.learning_rate: float64 0.001 then, float64 0.002 now"),
        ("rate", fnn.adam(1e-3, b1=0.8), "rate.b1"),
        ("rate", fnn.sgd(1e-3), "rate: fnn.optimizers.adam.Adam then, fnn.optimizers.sgd.Sgd"),
        ("net", fnn.mlp((3, 5, 2), dropout=0.1), "net.sizes[1]"),
        ("net", fnn.mlp((3, 4, 2), dropout=0.1, activation="tanh"), "net.activations[0]"),
        ("loss", functools.partial(fnn.huber, delta=2.0), "loss.delta"),
        ("loss", fnn.squared_error, "loss: fnn.losses.huber then, fnn.losses.squared_error now"),
        ("data", np.append(np.arange(19.0), 19.5), "data: float64(20,) with digest"),
        ("data", np.arange(20.0, dtype=np.float32), "float32(20,)"),
        ("key", jax.random.key(1), "key: key<fry>"),
        ("key", jax.random.key(0, impl="rbg"), "key<rbg>"),
        ("metrics", {"f1": fnn.recall}, "metrics['f1']"),
        ("metrics", {}, "metrics['f1']: fnn.metrics.classification.f1 then, not there now"),
        ("own", Thing(2), "own.n: int64 1 then, int64 2 now"),
        ("method", Thing(2).method, "method.__self__.n"),
        ("text", "other", "text: 'text' then, 'other' now"),
        ("none", 0, "none: None then"),
        ("none", named, "test_arguments.named now"),
        ("pair", (1, 3), "pair[1]"),
        ("pair", [1, 2], "pair: builtins.tuple of 2 then, builtins.list of 2 now"),
        ("shape", jax.ShapeDtypeStruct((3,), np.float32), "shape"),
    ],
)
def test_what_differs_is_named(name, value, where):
    lines = differences(told(**BASE), told(**(BASE | {name: value})))
    assert lines
    assert where in "\n".join(lines)
    assert all(line.startswith(name) for line in lines)


def made(rate, wrapped=None):
    def update(x, *, factor=rate):
        return x * rate * factor

    return update if wrapped is None else jax.jit(update)


def test_what_functions_have_closed_over_is_told():
    assert told(f=made(1.0)) == told(f=made(1.0))
    assert told(f=made(1.0)) != told(f=made(2.0))
    assert told(f=made(1.0, jax)) != told(f=made(2.0, jax))
    (line, *_) = differences(told(f=optax.adam(1e-3)), told(f=optax.adam(1e-2)))
    assert "0.001 then" in line
    assert told(f=optax.adam(1e-3)) == told(f=optax.adam(1e-3))


class Slots:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


@pytest.mark.parametrize(
    "make",
    [Slots, lambda n: {n, "a"}, range, lambda n: np.array([n, "a"], object), lambda n: {"a": [n]}],
)
def test_parts_of_all_sorts_are_told(make):
    assert told(f=make(1)) == told(f=make(1))
    assert told(f=make(1)) != told(f=make(2))


def test_what_holds_itself_is_told():
    thing = Thing(1)
    thing.n = thing
    assert "part of" in told(f=thing)["f.n"]


def test_activations_and_bound_functions_of_jax_are_told_by_name():
    assert told(f=jax.nn.relu)["f"] != told(f=jax.nn.gelu)["f"]
    assert told(f=jnp.tanh)["f"] != told(f=jnp.sin)["f"]
    assert told(f=np.tanh)["f"] != told(f=np.sin)["f"]
    assert "relu" in told(f=jax.jit(jax.nn.relu))["f"]
