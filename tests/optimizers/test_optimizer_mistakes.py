"""What optimizers refuse."""

import jax
import numpy as np
import pytest
from small_updates import ones, updated

from fnn.optimizers import (
    adam,
    adamw,
    add_decayed_weights,
    apply_updates,
    chain,
    clip_by_global_norm,
    sgd,
)
from fnn.schedules import warmup_cosine_decay

NOT_RATES = [(-1e-3, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("1", TypeError)]
NOT_DECAYS = [(-0.1, ValueError), (1.0, ValueError), (1.5, ValueError), (np.nan, ValueError)]
NOT_POSITIVE = [(0.0, ValueError), (-1.0, ValueError), (np.nan, ValueError), (None, TypeError)]
FACTORIES = {
    "sgd": (sgd, {"learning_rate": 0.1}),
    "adam": (adam, {"learning_rate": 0.1}),
    "adamw": (adamw, {"learning_rate": 0.1}),
    "add_decayed_weights": (add_decayed_weights, {"weight_decay": 0.1}),
    "clip_by_global_norm": (clip_by_global_norm, {"max_norm": 1.0}),
}
BAD = [
    (function, name, value, error)
    for functions, names, values in [
        (["sgd", "adam", "adamw"], ["learning_rate"], [*NOT_RATES, (None, TypeError)]),
        (["sgd"], ["momentum"], NOT_DECAYS),
        (["adam", "adamw"], ["b1", "b2"], NOT_DECAYS),
        (["adam", "adamw"], ["eps"], NOT_POSITIVE),
        (["adamw", "add_decayed_weights"], ["weight_decay"], [*NOT_RATES, (None, TypeError)]),
        (["clip_by_global_norm"], ["max_norm"], NOT_POSITIVE),
        (["sgd"], ["nesterov"], [(1, TypeError), ("yes", TypeError), (None, TypeError)]),
        (
            ["adamw", "add_decayed_weights"],
            ["mask"],
            [("bias", TypeError), (1, TypeError), ({"a": 1.0}, TypeError), ([abs], TypeError)],
        ),
    ]
    for function in functions
    for name in names
    for value, error in values
]


@pytest.mark.parametrize(("function", "name", "value", "error"), BAD)
def test_a_number_out_of_range_raises_and_names_the_argument(function, name, value, error):
    factory, numbers = FACTORIES[function]
    with pytest.raises(error, match=rf"^{function}: {name} must .*; got "):
        factory(**numbers | {name: value})


def test_one_bad_lane_is_enough():
    with pytest.raises(ValueError, match=r"^adam: b1 must be .* >= 0 and < 1; got \[0.9, 1.0\]"):
        adam(1e-3, b1=[0.9, 1.0])
    with pytest.raises(ValueError, match=r"^adam: learning_rate must have rank 0 \(or 1, "):
        adam(np.ones((2, 2)))


def test_tracers_go_unchecked():
    assert jax.jit(lambda rate: adam(rate).learning_rate)(-1.0) == -1


def test_nesterov_needs_momentum():
    rule = "^sgd: momentum must be given where nesterov is True; got momentum=None$"
    with pytest.raises(ValueError, match=rule):
        sgd(0.1, nesterov=True)
    assert sgd(0.1, momentum=0.0, nesterov=True).nesterov is True


def test_a_chain_has_members_and_all_are_optimizers():
    with pytest.raises(
        ValueError, match=r"^chain: there must be at least one optimizer; got none$"
    ):
        chain()
    for member in (0.1, None, sgd, [sgd(0.1)], type(adam(0.1)), warmup_cosine_decay(0, 1, 1, 2)):
        with pytest.raises(
            TypeError, match=r"^chain: every member must have pure functions init and update; got "
        ):
            chain(sgd(0.1), member)


@pytest.mark.parametrize("opt", [adamw(0.1), add_decayed_weights(0.1)], ids=["adamw", "penalty"])
def test_decay_needs_the_parameters(opt):
    rule = r"^(adamw|add_decayed_weights): update must be given the parameters: .*; got params=None"
    with pytest.raises(ValueError, match=rule):
        opt.update(ones(), opt.init(ones()))


WRONG = {
    "another shape": {"weight": np.ones((2, 3), np.float32), "bias": np.ones(4, np.float32)},
    "a shape that broadcasts": {
        "weight": np.ones((2, 3), np.float32),
        "bias": np.ones(1, np.float32),
    },
    "a rank that broadcasts": {
        "weight": np.ones((2, 3), np.float32),
        "bias": np.ones((2, 3), np.float32),
    },
    "a missing leaf": {"weight": np.ones((2, 3), np.float32)},
    "another container": [np.ones(3, np.float32), np.ones((2, 3), np.float32)],
}
EACH_WRONG = pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)


@EACH_WRONG
def test_trees_that_differ_are_refused_and_both_are_shown(wrong):
    params = ones()
    shown = r"must have the structure\n(.|\n)*float32\(2, 3\)\n; got\n(.|\n)*float32\("
    with pytest.raises(ValueError, match=rf"^apply_updates: updates {shown}"):
        apply_updates(params, wrong)
    for opt in (sgd(0.1, momentum=0.9), adam(0.1), adamw(0.1)):
        function = type(opt).__name__.lower()
        with pytest.raises(ValueError, match=rf"^{function}: grads {shown}"):
            opt.update(wrong, opt.init(params), params)
    with pytest.raises(ValueError, match=rf"^add_decayed_weights: grads {shown}"):
        add_decayed_weights(0.1).update(wrong, (), params)
    with pytest.raises(ValueError, match=rf"^adamw: params {shown}"):
        adamw(0.1).update(params, adamw(0.1).init(params), wrong)


@pytest.mark.parametrize(
    "mask", [{"weight": True}, {"weight": True, "other": False}, [True, False], (True,)]
)
def test_a_mask_of_another_structure_is_refused(mask):
    rule = r"mask must have the structure of the parameters or its beginning; got PyTreeDef"
    for given in (mask, lambda params: mask):
        with pytest.raises(ValueError, match=f"^add_decayed_weights: {rule}"):
            updated(add_decayed_weights(0.1, mask=given), ones(), ones())
        with pytest.raises(ValueError, match=f"^adamw: {rule}"):
            updated(adamw(0.1, mask=given), ones(), ones())


def test_a_mask_that_broadcasting_would_reconcile_is_refused():
    mask = {"weight": np.array([True, False, True]), "bias": True}
    rule = r"each bool of mask must have shape \(\) or that of its leaf, \(2, 3\); got \(3,\)"
    with pytest.raises(ValueError, match=f"^adamw: {rule}"):
        updated(adamw(0.1, mask=mask), ones(), ones())


def test_a_function_as_a_mask_must_give_bools():
    with pytest.raises(TypeError, match=r"^adamw: mask must be a function or a pytree of bools; "):
        updated(adamw(0.1, mask=lambda params: 1.0), ones(), ones())


def test_the_state_of_another_optimizer_is_refused():
    params = ones()
    states = [opt.init(params) for opt in (sgd(0.1), sgd(0.1, momentum=0.9), adam(0.1))]
    plain, moving, moments = states
    with pytest.raises(TypeError, match=r"^adam: state must be the AdamState .*; got SgdState$"):
        adam(0.1).update(params, moving, params)
    with pytest.raises(TypeError, match=r"^adamw: state must be the AdamState .*; got tuple$"):
        adamw(0.1).update(params, (), params)
    with pytest.raises(TypeError, match=r"^sgd: state must be the SgdState .*; got AdamState$"):
        sgd(0.1).update(params, moments)
    rule = "sgd: state must hold a velocity where there is momentum, and nowhere else; got"
    with pytest.raises(ValueError, match=f"^{rule} none$"):
        sgd(0.1, momentum=0.9).update(params, plain)
    with pytest.raises(ValueError, match=f"^{rule} a velocity$"):
        sgd(0.1).update(params, moving)
    for state, got in [((plain,), "1 states"), ([plain, plain], "list")]:
        with pytest.raises(ValueError, match=rf"^chain: state must be a tuple of 2 .*; got {got}$"):
            chain(sgd(0.1), sgd(0.1)).update(params, state)
