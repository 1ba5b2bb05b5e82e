"""Wrong input, for every public function: a table of right calls, and the kind of each argument.

A kind says what is wrong in such a place, and must be refused in our words before anything is
compiled; and what only looks different, and must give what the right call gives. Rows by hand
for runs are in test_bad_data and its neighbours.
"""

import inspect
import os
import re
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinds import value_of
from right_calls import ARGUMENTS, CALLS, called, plain
from right_values import PARAMS

import fnn

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
    "CrossValidation": "cross_validate",
    "Diagnosis": "diagnose",
    "EarlyStopping": "early_stopping",
    "Encoded": "encode",
    "Encoder": "encode",
    "ExponentialDecay": "exponential_decay",
    "Fit": "fit",
    "FitState": "fit",
    "Halving": "halving",
    "Lanes": "lanes",
    "LinearDecay": "linear_decay",
    "MinMaxScaler": "min_max_scaler",
    "PiecewiseConstant": "piecewise_constant",
    "QuantileScaler": "quantile_scaler",
    "RobustScaler": "robust_scaler",
    "Sgd": "sgd",
    "SgdState": "sgd.init",
    "StandardScaler": "standard_scaler",
    "Sweep": "sweep",
    "Table": "sweep",
    "TrainState": "init_state",
    "WarmupCosineDecay": "warmup_cosine_decay",
}

PROGRAMS = ("fit", "train", "sweep", "cross_validate", "evaluate", "diagnose")

# arguments that may be answered by an error of files
OF_FILES = ("path", "like", "checkpoint")
COMPUTED = [
    *(name for name, call in CALLS.items() if {*call.arguments} & {"outputs", "z", "step", "opt"}),
    *("class_weights", "standard_scaler", "standard_scaler()", "mlp.apply", "mlp.forward"),
    *("min_max_scaler", "min_max_scaler()", "robust_scaler", "robust_scaler()"),
    *("quantile_scaler", "quantile_scaler()"),
]


def test_the_table_has_every_public_name():
    for name in fnn.__all__:
        if not isinstance(getattr(fnn, name), ModuleType):
            where = "a function goes into right_functions.py, a class into MADE_BY (here)"
            assert MADE_BY.get(name, name) in CALLS, f"{name} is in no table: {where}"


def test_the_table_has_every_argument():
    for name in set(fnn.__all__) & set(CALLS) - {"chain", "product", "train_test_split", "Model"}:
        parameters = inspect.signature(getattr(fnn, name)).parameters
        missing = set(parameters) ^ set(CALLS[name].arguments)
        assert not missing, f"the Call of {name} must have a kind for each argument; see {missing}"


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    """Where paths lead."""
    before, here = os.getcwd(), tmp_path_factory.mktemp("files")
    os.chdir(here)
    fnn.save("there", value_of(PARAMS), {"a": 1})
    yield
    os.chdir(before)


def described(error):
    return f"{type(error).__name__}: {str(error)[:200]!r}"


def refusal(name, call, changes):
    """What is wrong with how a call is refused; None if it is as it should be."""
    speakers = f"{name.split('.')[0]}|{name.removesuffix('()')}|{call.speakers or name}"
    words = rf"(?s)(?:{speakers})(?:\.\w+)?: .+; got\s.*"
    try:
        result = called(call, **changes)
    except (ValueError, TypeError, IndexError) as error:
        ours = type(error) in (ValueError, TypeError, IndexError)
        return None if ours and re.fullmatch(words, str(error)) else described(error)
    except Exception as error:
        if isinstance(error, (fnn.CheckpointError, OSError)) and {*changes} & {*OF_FILES}:
            return None
        return described(error)
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
                failures[look] = described(error)
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
