"""Fingerprints of arguments: those of equal arguments are equal, differences are named."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn._host.fingerprint import differences, fingerprint
from fnn.training.problem import Plan


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
    assert fingerprint(**BASE) == fingerprint(**again)
    assert not differences(fingerprint(**BASE), fingerprint(**again))


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("rate", fnn.adam(2e-3), "rate.learning_rate: float64 0.001 then, float64 0.002 now"),
        ("rate", fnn.adam(1e-3, b1=0.8), "rate.b1"),
        ("rate", fnn.sgd(1e-3), "rate: fnn.Adam then, fnn.Sgd"),
        ("net", fnn.mlp((3, 5, 2), dropout=0.1), "net.sizes[1]"),
        ("net", fnn.mlp((3, 4, 2), dropout=0.1, activation="tanh"), "net.activations[0]"),
        ("loss", functools.partial(fnn.huber, delta=2.0), "loss.delta"),
        ("loss", fnn.squared_error, "loss: fnn.huber then, fnn.squared_error now"),
        ("data", np.append(np.arange(19.0), 19.5), "data: float64(20,) with digest"),
        ("data", np.arange(20.0, dtype=np.float32), "float32(20,)"),
        ("key", jax.random.key(1), "key: key<fry>"),
        ("key", jax.random.key(0, impl="rbg"), "key<rbg>"),
        ("metrics", {"f1": fnn.recall}, "metrics['f1']"),
        ("metrics", {}, "metrics['f1']: fnn.f1 then, not there now"),
        ("own", Thing(2), "own.n: int64 1 then, int64 2 now"),
        ("method", Thing(2).method, "method.__self__.n"),
        ("text", "other", "text: 'text' then, 'other' now"),
        ("none", 0, "none: None then"),
        ("none", named, "test_fingerprint.named now"),
        ("pair", (1, 3), "pair[1]"),
        ("pair", [1, 2], "pair: builtins.tuple of 2 then, builtins.list of 2 now"),
        ("shape", jax.ShapeDtypeStruct((3,), np.float32), "shape"),
    ],
)
def test_what_differs_is_named(name, value, where):
    lines = differences(fingerprint(**BASE), fingerprint(**(BASE | {name: value})))
    assert lines
    assert where in "\n".join(lines)
    assert all(line.startswith(name) for line in lines)


def made(rate, wrapped=None):
    def update(x, *, factor=rate):
        return x * rate * factor

    return update if wrapped is None else jax.jit(update)


def test_what_functions_have_closed_over_is_told():
    assert fingerprint(f=made(1.0)) == fingerprint(f=made(1.0))
    assert fingerprint(f=made(1.0)) != fingerprint(f=made(2.0))
    assert fingerprint(f=made(1.0, jax)) != fingerprint(f=made(2.0, jax))
    (line, *_) = differences(fingerprint(f=optax.adam(1e-3)), fingerprint(f=optax.adam(1e-2)))
    assert "0.001 then" in line
    assert fingerprint(f=optax.adam(1e-3)) == fingerprint(f=optax.adam(1e-3))


class Slots:
    __slots__ = ("n",)

    def __init__(self, n):
        self.n = n


@pytest.mark.parametrize(
    "make",
    [Slots, lambda n: {n, "a"}, range, lambda n: np.array([n, "a"], object), lambda n: {"a": [n]}],
)
def test_parts_of_all_sorts_are_told(make):
    assert fingerprint(f=make(1)) == fingerprint(f=make(1))
    assert fingerprint(f=make(1)) != fingerprint(f=make(2))


def test_what_holds_itself_is_told():
    thing = Thing(1)
    thing.n = thing
    assert "part of" in fingerprint(f=thing)["f.n"]


def test_activations_and_bound_functions_of_jax_are_told_by_name():
    assert fingerprint(f=jax.nn.relu)["f"] != fingerprint(f=jax.nn.gelu)["f"]
    assert fingerprint(f=jnp.tanh)["f"] != fingerprint(f=jnp.sin)["f"]
    assert fingerprint(f=np.tanh)["f"] != fingerprint(f=np.sin)["f"]
    assert "relu" in fingerprint(f=jax.jit(jax.nn.relu))["f"]


def test_fields_that_an_mlp_no_longer_has_do_not_count():
    here = fingerprint(net=fnn.mlp((3, 4, 2)))
    before = {"net.written_out": "True", "net.features_first": "False"}
    assert differences(here | before, here) == []
    assert differences(here | {"net.written_out": "False"}, here) == [
        "net.written_out: False then, not there now"
    ]
    assert differences(here, here | {"net.written_out": "True"}) != []


@pytest.mark.parametrize(
    ("field", "was", "other"), [("net.remat", False, True), ("plan.accumulate", 1, 2)]
)
def test_an_option_that_did_not_exist_yet_had_its_default(field, was, other):
    def described(value):
        net = fnn.mlp((3, 4, 2), remat=value) if field == "net.remat" else None
        plan = Plan(32, value, "loss", 1, ()) if net is None else None
        return fingerprint(net=net, plan=plan)

    before = {name: text for name, text in described(was).items() if name != field}
    assert len(before) == len(described(was)) - 1
    assert differences(before, described(was)) == []
    assert len(differences(before, described(other))) == 1


def test_an_option_that_did_not_exist_yet_was_none():
    here = fingerprint(net=fnn.mlp((3, 4, 2)))
    before = {
        name: text for name, text in here.items() if name not in ("net.inputs", "net.outputs")
    }
    assert differences(before, here) == []
    scaled = fingerprint(net=fnn.mlp((3, 4, 2), inputs=fnn.standard_scaler(np.ones((2, 3)))))
    assert "net.inputs.mean: not there then, float64 [1.0, 1.0, 1.0] now" in differences(
        before, scaled
    )


def test_objects_of_fnn_are_known_whatever_module_they_are_in():
    here = fingerprint(net=fnn.mlp((3, 4, 2)), loss=fnn.huber, metric=fnn.accuracy)
    assert here["net"] == "fnn.MLP"
    before = here | {
        "net": "fnn.network.MLP", "loss": "fnn.losses.huber",
        "metric": "fnn.metrics.classification.accuracy",
    }  # fmt: skip
    assert differences(before, here) == []
    assert differences(here | {"loss": "fnn.losses.squared_error"}, here) == [
        "loss: fnn.squared_error then, fnn.huber now"
    ]
    assert differences({"begin": "fnn.training.state.Beginning of 2"},
                       {"begin": "fnn.InitialState of 2"}) == []  # fmt: skip
    assert fingerprint(f=named)["f"] == "test_fingerprint.named"
    text = fingerprint(note="fnn.losses.huber")  # of the user's own
    assert text == {"note": "'fnn.losses.huber'"}
    assert differences(text, text) == []


def test_members_of_sets_are_told_by_their_parts_and_not_by_what_is_shown_of_them():
    one, other = (fnn.sgd(np.array([0.1, middle, 0.3])) for middle in (0.15, 0.2))
    assert repr(one) == repr(other)
    assert fingerprint(x=frozenset([one])) != fingerprint(x=frozenset([other]))
    same = fnn.sgd(np.array([0.1, 0.15, 0.3]))
    assert fingerprint(x=frozenset([one])) == fingerprint(x=frozenset([same]))
    assert fingerprint(x={"b", "a", 1}) == {"x": repr(["'a'", "'b'", "1"])}
