"""Docstrings: every public name has one, with a doctest that runs."""

import doctest
import importlib
import inspect
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import export, interop, loggers, plots, streams, tuning
from fnn import sklearn as estimators

PUBLIC = {name: getattr(fnn, name) for name in fnn.__all__}
FUNCTIONS = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)}
# libraries that an example needs beside the extra `test`
NEEDS = {"fnn.export.to_onnx": "onnx", "fnn.export.to_stablehlo": "flatbuffers"}
NAMES = {"fnn": fnn, "jax": jax, "jnp": jnp, "np": np, "partial": partial}


def documented():
    """Public functions, and public methods of public classes."""
    yield from FUNCTIONS.items()
    for owner in (export, interop, loggers, plots, streams, tuning, estimators):
        for name in owner.__all__:
            yield f"{owner.__name__}.{name}", getattr(owner, name)
    for name, value in PUBLIC.items():
        if inspect.isclass(value):
            yield name, value
            for method, function in vars(value).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize(
    ("name", "value"), list(documented()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_examples_in_the_docstring_run(name, value, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    if name.startswith("fnn.interop."):
        library = name.split("_")[-1].replace("nnx", "flax")
        monkeypatch.setenv("KERAS_BACKEND", "jax")  # which is read once
        pytest.importorskip(library)
    module = inspect.getmodule(value)
    names = {**PUBLIC, **vars(module), **NAMES}
    source = doctest.DocTestFinder(recurse=False).find(value, name, globs=names)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in source:
        runner.run(example)
    assert runner.failures == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_tells_arguments_result_and_example(name):
    text = inspect.getdoc(FUNCTIONS[name])
    assert "Args:" in text
    assert "Returns:" in text
    assert ">>>" in text
    first = text.splitlines()[0]
    assert first.endswith((".", ":")) or ". " in first, first
    for parameter in inspect.signature(FUNCTIONS[name]).parameters:
        assert parameter in text, f"{name} does not tell of {parameter}"


@pytest.mark.parametrize(
    "name", [n for n, value in PUBLIC.items() if not inspect.isfunction(value)]
)
def test_every_other_public_name_says_what_it_is(name):
    assert inspect.getdoc(PUBLIC[name])


def test_all_is_sorted_complete_and_exists():
    assert list(fnn.__all__) == sorted(fnn.__all__, key=lambda n: (not n.isupper(), n.islower(), n))
    public = {n for n, v in vars(fnn).items()
              if not n.startswith("_") and not inspect.ismodule(v)}  # fmt: skip
    assert public <= set(fnn.__all__)
    for module in ("activations", "losses", "metrics", "schedules", "networks.mlp", "optimizers"):
        for name in importlib.import_module(f"fnn.{module}").__all__:
            if name.islower():
                assert name in fnn.__all__ or name in {"learning_rate", "rate_at"}, name


def test_help_leads_to_every_public_function():
    words = set(re.findall(r"\w+", fnn.__doc__))
    assert {name for name in fnn.__all__ if name.islower()} <= words
