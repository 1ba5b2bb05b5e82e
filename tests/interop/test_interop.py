"""What all of them share: libraries are imported when asked for, and errors name the extra."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fnn
from fnn import interop
from fnn.interop.functions import Variant, with_option
from fnn.interop.network import network_of
from fnn.interop.steps import Dropout, Function, Linear, Norm, affine

LIBRARIES = {
    "torch": "torch",
    "sklearn": "sklearn",
    "keras": "keras",
    "flax": "flax",
    "nnx": "flax",
    "equinox": "equinox",
    "safetensors": "safetensors",
}


def test_importing_it_imports_no_other_library():
    code = (
        f"from fnn import interop; import sys; print(sorted({set(LIBRARIES.values())!r} & "
        "{name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", interop.__all__)
def test_without_the_library_an_error_names_the_extra(name, monkeypatch):
    library = LIBRARIES[name.split("_")[1]]
    for module in [library, "flax.linen", "flax.nnx"]:
        monkeypatch.setitem(sys.modules, module, None)
    extra = library if library in ("torch", "sklearn") else "interop"
    net = fnn.mlp((2, 1))
    arguments = {"to_safetensors": (net, (), "path"), "from_flax": (net, {})}
    given = arguments.get(name, (net, ()) if name.startswith("to_") else ("other",))
    with pytest.raises(ImportError, match=rf"{name}: it needs {library}, .*fnn\[{extra}\]"):
        getattr(interop, name)(*given)


def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """Those too that need more than other pages."""
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[2] / "docs" / "interop.md").read_text()
    fence = r"^```(?:python|\{code-block\} python)\n(.*?)^```$"
    blocks = re.findall(fence, text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    with contextlib.redirect_stdout(io.StringIO()):
        names = {}
        for block in blocks:
            exec(compile(block, "interop.md", "exec"), names)


def test_an_activation_with_an_option_is_a_value_and_is_shown_as_such():
    one, same = (Variant("leaky_relu", "negative_slope", 0.2) for _ in range(2))
    assert fnn.mlp((2, 3, 1), activation=one) == fnn.mlp((2, 3, 1), activation=same)
    assert "leaky_relu(negative_slope=0.2)" in repr(fnn.mlp((2, 3, 1), activation=one))
    assert with_option("leaky_relu", 0.2) == one
    assert with_option("leaky_relu", 0.01) is fnn.activations.ACTIVATIONS["leaky_relu"]


# --- the steps by themselves ---

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 4))


def linear(features, out):
    return Linear(RANDOM.normal(size=(features, out)), RANDOM.normal(size=out), "a linear layer")


def some(size):
    return affine(*RANDOM.uniform(0.5, 2, (3, size)), "an affine layer")


def of_numpy(steps, x):
    for step in steps:
        if isinstance(step, Linear):
            x = x @ step.weight + (0 if step.bias is None else step.bias)
        elif isinstance(step, Norm):
            x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
            x = x * step.scale + step.shift
        elif isinstance(step, Function):
            x = np.tanh(x)
        elif not isinstance(step, Dropout):
            x = (x - step.centre) * step.factor + step.offset
    return x


TANH = Function(fnn.tanh, "a tanh")
NORM = Norm(*RANDOM.uniform(0.5, 2, (2, 5)), "a norm")
LISTS = {
    "after a linear layer": [linear(4, 5), some(5), TANH, linear(5, 2)],
    "before a linear layer": [linear(4, 5), TANH, some(5), linear(5, 2)],
    "across dropout": [linear(4, 5), TANH, some(5), Dropout(0.5), linear(5, 2)],
    "after a norm": [linear(4, 5), NORM, some(5), TANH, linear(5, 2)],
    "before a norm": [linear(4, 5), some(5), NORM, TANH, linear(5, 2)],
    "two in a row": [some(4), some(4), linear(4, 5), TANH, some(5), some(5), linear(5, 2)],
    "at the ends": [some(4), linear(4, 5), TANH, linear(5, 2), some(2), some(2)],
    "before the last activation": [linear(4, 5), TANH, linear(5, 2), some(2), TANH],
    "of one number": [affine(1.0, 0.5, 2.0), linear(4, 5), TANH, affine(1.0, 3.0, 0.5),
                      linear(5, 2), affine(0.0, 2.0, 1.0)],
    "without a bias": [Linear(RANDOM.normal(size=(4, 5)), None), some(5), TANH, some(5),
                       Linear(RANDOM.normal(size=(5, 2)), None)],
}  # fmt: skip


@pytest.mark.parametrize("where", LISTS)
def test_what_scales_is_multiplied_into_its_neighbours_or_a_scaler(where, x64):
    steps = LISTS[where]
    net, params = network_of("test", steps)
    np.testing.assert_allclose(net.apply(params, X), of_numpy(steps, X), rtol=1e-9)
    if where not in ("two in a row", "at the ends", "of one number"):
        assert net.inputs is None
        assert net.outputs is None


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([linear(4, 5), NORM, TANH, some(5), NORM, linear(5, 2)], "an affine layer"),
        ([linear(4, 5), some(3), linear(5, 2)], "an affine layer must have as many features"),
        ([linear(4, 5), TANH, some(3), linear(5, 2)], "an affine layer must have as many features"),
        ([affine(1.0, 0.0, 1.0, "an affine layer"), linear(4, 2)], "must not be 0"),
        ([Linear(np.ones((2, 2, 2)), None, "a linear layer")], "a matrix"),
        ([Linear(np.ones((2, 2), int), None, "a linear layer")], "floating"),
        ([Linear(np.ones((2, 2)), np.ones(3), "a linear layer")], "bias of a linear layer"),
        ([linear(4, 5), Dropout(0.1, "a dropout"), TANH, linear(5, 2)], "a tanh elsewhere"),
        ([], "a linear layer"),
    ],
)  # fmt: skip
def test_steps_that_do_not_fit_are_refused(steps, text):
    with pytest.raises(ValueError, match=text):
        network_of("test", steps)
