"""Splitting a tree into what is traced and what is static, and merging it again."""

import functools
import operator

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from fnn._core.partition import is_number, merge, split
from fnn.losses import huber, softmax_cross_entropy
from fnn.networks.mlp import mlp
from fnn.networks.model import Model
from fnn.optimizers import adam, chain, clip_by_global_norm, sgd
from fnn.schedules import cosine_decay


class Thing:
    """An object of one's own, hashable by identity."""


def scaled(x, scale=1.0, *, shift=0.0, inner=None, average="mean"):
    y = scale * x + shift
    if inner is not None:
        y = inner(y)
    return {"mean": jnp.mean, "sum": jnp.sum}[average](y)


def twice(x):
    return 2.0 * x


anonymous = lambda x: x + 1.0  # noqa: E731
thing = Thing()

TREES = {
    "nothing": None,
    "an empty tree": {},
    "numbers": [1, 2.5, 3j, np.float64(4), np.int32(5)],
    "arrays": {"numpy": np.arange(3), "jax": jnp.ones((2, 2)), "small": np.ones(2, np.int8)},
    "narrow floats": (np.ones(2, ml_dtypes.bfloat16), jnp.ones(2, jnp.bfloat16)),
    "keys": (jax.random.key(0), jax.random.split(jax.random.key(1), 3), jax.random.PRNGKey(2)),
    "bools, strings and functions": {"flag": True, "name": "macro", "loss": softmax_cross_entropy},
    "NumPy strings": [np.str_("macro")],
    "a lambda, a class, an object": (anonymous, Thing, thing),
    "configs": (adam(1e-3), sgd(0.1, momentum=0.9, nesterov=True), mlp((2, 3, 1), dropout=0.1)),
    "nested configs": chain(clip_by_global_norm(1.0), adam(cosine_decay(1e-3, 50))),
    "a config of functions": Model(twice, anonymous),
    "None among others": [None, 1.0, {"a": None, "b": "x"}],
    "all at once": {
        "net": mlp((2, 3, 1)),
        "rest": [(np.ones(2), "x", None), {"on": False, "opt": adam(anonymous)}, jnp.int32(3)],
    },
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_merge_puts_together_what_split_took_apart(tree):
    traced, structure = split("fit", tree)
    merged = merge(structure, traced)
    assert jax.tree.structure(merged) == jax.tree.structure(tree)
    for one, other in zip(jax.tree.leaves(tree), jax.tree.leaves(merged), strict=True):
        assert one is other
    assert all(is_number(leaf) for leaf in traced)
    assert sum(map(is_number, jax.tree.leaves(tree))) == len(traced)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_the_two_parts_are_a_jitted_functions_arguments(tree):
    traced, structure = split("fit", tree)
    assert hash(structure) == hash(split("fit", tree)[1])

    @functools.partial(jax.jit, static_argnums=0)
    def count(structure, traced):
        merged = jax.tree.leaves(merge(structure, traced))
        assert not any(isinstance(leaf, (np.ndarray, np.number, float)) for leaf in merged)
        return len([leaf for leaf in merged if isinstance(leaf, jax.core.Tracer)])

    assert count(structure, traced) == len(traced)


@pytest.mark.parametrize(
    ("leaf", "traced"),
    [
        (1, True),
        (1.0, True),
        (1j, True),
        (np.float32(1), True),
        (ml_dtypes.bfloat16(1), True),
        (np.bool_(True), True),  # as masks hold them
        (np.array([True]), True),
        (np.arange(3), True),
        (jnp.arange(3), True),
        (jax.random.key(0), True),
        (True, False),
        (False, False),
        ("macro", False),
        (np.str_("macro"), False),
        (np.array(["macro"]), False),
        (np.array([None]), False),
        (np.datetime64("2020-01-01"), False),
        (twice, False),
        (float, False),
        (object(), False),
    ],
)
def test_numbers_arrays_and_keys_are_traced_and_nothing_else(leaf, traced):
    assert is_number(leaf) is traced


def test_tracers_are_traced():
    assert jax.jit(lambda x: 1 if is_number(x) else 0)(1.0) == 1


def test_a_bool_stays_a_bool_inside_the_program():
    traced, structure = split("fit", {"flag": True, "one": 1})
    seen = {}
    jax.jit(lambda traced: seen.update(merge(structure, traced)))(traced)
    assert seen["flag"] is True
    assert isinstance(seen["one"], jax.core.Tracer)


PARTIALS = {
    "a keyword": lambda: functools.partial(huber, delta=0.5),
    "a position": lambda: functools.partial(operator.mul, 3.0),
    "strings beside numbers": lambda: functools.partial(scaled, average="sum", shift=2.0),
    "a partial of a partial": lambda: functools.partial(
        functools.partial(scaled, average="sum", shift=2.0), scale=4.0
    ),
    "a partial in a partial": lambda: functools.partial(
        scaled, average="sum", inner=functools.partial(scaled, shift=5.0, inner=twice)
    ),
    "a partial in a tree": lambda: {"f": [functools.partial(scaled, average="sum"), 1.0]},
    "JAX's own": lambda: jax.tree_util.Partial(scaled, shift=2.0, average="sum"),
    "an array": lambda: functools.partial(scaled, shift=np.arange(3.0)),
    "a config": lambda: functools.partial(scaled, inner=cosine_decay(0.5, 4)),
}


@pytest.mark.parametrize("make", PARTIALS.values(), ids=PARTIALS)
def test_an_equal_partial_made_anew_has_an_equal_structure(make):
    (_, structure), (_, again) = split("fit", make()), split("fit", make())
    assert structure == again
    assert hash(structure) == hash(again)


@pytest.mark.parametrize(
    ("name", "numbers", "strings"),
    [
        ("a keyword", 1, 0),
        ("a position", 1, 0),
        ("strings beside numbers", 1, 1),
        ("a partial of a partial", 2, 1),
        ("a partial in a partial", 1, 1),
        ("a partial in a tree", 1, 1),
        ("JAX's own", 1, 1),
        ("an array", 1, 0),
        ("a config", 3, 0),
    ],
)
def test_the_numbers_of_a_partial_are_traced_and_its_strings_are_static(name, numbers, strings):
    traced, structure = split("fit", PARTIALS[name]())
    assert all(isinstance(leaf, (float, int, np.ndarray, np.generic)) for leaf in traced)
    assert len(traced) == numbers
    assert structure.static.count("sum") == strings


def test_a_partial_is_called_as_before_with_traced_numbers_in_it():
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def run(structure, traced, x):
        traces.append(1)
        return merge(structure, traced)(x)

    x = jnp.arange(3.0)
    for shift, inner_shift in [(1.0, 2.0), (3.0, 4.0)]:
        inner = functools.partial(scaled, average="sum", shift=inner_shift)
        outer = functools.partial(scaled, scale=4.0, shift=shift, average="sum", inner=inner)
        traced, structure = split("fit", outer)
        assert run(structure, traced, x) == 4 * 3 + 3 * shift + 3 * inner_shift
    assert len(traces) == 1, "another number in a partial must not retrace"


def test_the_order_in_which_keywords_are_given_does_not_matter():
    one = functools.partial(scaled, shift=1.0, scale=2.0, average="sum")
    other = functools.partial(scaled, average="sum", scale=2.0, shift=1.0)
    assert split("fit", one) == split("fit", other)


def test_structures_differ_where_anything_static_does():
    def structure(tree):
        return split("fit", tree)[1]

    base = {"f": functools.partial(scaled, average="sum", shift=1.0), "on": True}
    assert structure(base) == structure(
        {"f": functools.partial(scaled, average="sum", shift=2.0), "on": True}
    )
    for other in (
        base | {"on": False},
        base | {"on": None},
        base | {"on": 1.0},
        base | {"f": functools.partial(scaled, average="mean", shift=1.0)},
        base | {"f": functools.partial(scaled, average="sum", scale=1.0)},
        base | {"f": functools.partial(scaled, 1.0, average="sum")},
        base | {"f": functools.partial(anonymous, average="sum", shift=1.0)},
        base | {"f": scaled},
    ):
        assert structure(base) != structure(other), other
    assert structure(anonymous) != structure(lambda x: x + 1.0)
    assert structure(adam(1e-3)) == structure(adam(0.5))
    assert structure(adam(1e-3)) != structure(adam(1e-3).learning_rate)


@pytest.mark.parametrize(
    ("tree", "shown"),
    [
        ({"a": {1, 2}}, r"set: \{1, 2\}"),
        (functools.partial(scaled, inner={1}), r"set: \{1\}"),
        ([bytearray(b"x")], r"bytearray"),
        (np.array(["macro", "micro"]), r"ndarray: array\(\['macro'"),
        (np.array([None]), r"ndarray"),
    ],
)
def test_a_leaf_that_is_neither_traced_nor_hashable_raises_our_error(tree, shown):
    rule = "^fit: what is not a number, an array or a pytree of them must be hashable; got "
    with pytest.raises(TypeError, match=rule + shown):
        split("fit", tree)
