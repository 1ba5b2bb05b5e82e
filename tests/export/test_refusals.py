"""What has no counterpart is refused by name, and a file is there whole or not at all."""

import os
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from exported import FORMS, FUNCTIONS, OPTIONS, Y, compiled, params_of

import fnn
from fnn import export


def mine(z):
    return jnp.sin(z)


NET = fnn.mlp((4, 6, 3))
PARAMS = params_of(NET)
BROKEN = jax.tree.map(lambda a: a.at[0].set(jnp.nan), PARAMS)
MODEL = fnn.Model(lambda key: jnp.zeros((4, 3)), lambda params, x: x @ params)

# of all but StableHLO
WITHOUT_COUNTERPART = {
    "an activation of one's own": (
        fnn.mlp((4, 6, 3), activation=mine),
        "the activation of layer_0 must be one that mlp takes by name; got 'mine'",
    ),
    "the last one": (
        fnn.mlp((4, 6, 3), output=mine),
        "the activation of layer_1 must be one that mlp takes by name; got 'mine'",
    ),
    "a model": (MODEL, "net must be an mlp (to_stablehlo takes every network); got Model"),
}

WRONG = {
    "no network": ((3, PARAMS), {}, "net must have pure functions init and apply; got int"),
    "its class": ((fnn.MLP, PARAMS), {}, "net must have pure functions init and apply; got"),
    "text": ((NET, "a"), {}, "params must hold numbers"),
    "NaN": ((NET, BROKEN), {}, "params[0].weight must be finite everywhere; got nan at index"),
    "integers": ((NET, jax.tree.map(lambda a: a.astype(int), PARAMS)), {}, "params[0].weight must"),
    "another word": (
        (NET, PARAMS),
        {"final": "relu"},
        "final must be None, 'softmax' or 'sigmoid'",
    ),
    "a softmax twice": (
        (fnn.mlp((4, 6, 3), output="softmax"), PARAMS),
        {"final": "softmax"},
        "final='softmax' is for a network that ends in logits; got output='softmax'",
    ),
    "a softmax of values": (
        (fnn.mlp((4, 6, 3), outputs=fnn.standard_scaler(Y)), PARAMS),
        {"final": "sigmoid"},
        "final='sigmoid' is for a network that ends in logits; got one with a scaler of outputs",
    ),
    "a softmax of one": (
        (fnn.mlp((4, 1)), params_of(fnn.mlp((4, 1)))),
        {"final": "softmax"},
        "final='softmax' is for two outputs or more (one takes 'sigmoid'); got one output",
    ),
    "a number for a path": ((NET, PARAMS, 3), {}, "path must be a path of the file system; got 3"),
    "a folder": ((NET, PARAMS, "/"), {}, "path must be a path with a file's name; got /"),
}


def call(form, *arguments, **options):
    if form in ("onnx", "stablehlo"):
        pytest.importorskip({"onnx": "onnx", "stablehlo": "flatbuffers"}[form])
    return FUNCTIONS[form](*arguments, **options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("what", WITHOUT_COUNTERPART)
def test_what_has_no_counterpart_is_refused_by_name(form, what):
    net, words = WITHOUT_COUNTERPART[what]
    with pytest.raises((ValueError, TypeError), match=rf"^to_{form}: {re.escape(words)}"):
        call(form, net, net.init(jax.random.key(0)))


@pytest.mark.parametrize("form", FUNCTIONS)
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_in_our_words(form, what):
    arguments, options, words = WRONG[what]
    with pytest.raises((ValueError, TypeError), match=rf"^to_{form}: {re.escape(words)}"):
        call(form, *arguments, **options)


@pytest.mark.parametrize("form", FUNCTIONS)
def test_parameters_of_another_network_are_refused(form):
    with pytest.raises(ValueError, match=r"^mlp.apply: params of an mlp of \(4, 6, 3\) must"):
        call(form, NET, params_of(fnn.mlp((4, 5, 3))))


@pytest.mark.parametrize("form", FUNCTIONS)
def test_lanes_are_refused(form):
    widths = fnn.mlp((4, 6, 3), active=[[2], [3]])
    with pytest.raises(ValueError, match="active must be that of one network here"):
        call(form, widths, PARAMS)
    many = jax.vmap(NET.init)(jax.random.split(jax.random.key(0), 2))
    with pytest.raises(ValueError, match=r"params of an mlp of \(4, 6, 3\) must"):
        call(form, NET, many)


@pytest.mark.parametrize("form", FUNCTIONS)
def test_tracers_are_refused(form):
    with pytest.raises(ValueError, match=f"^to_{form}: arguments must be known"):
        jax.jit(lambda params: len(call(form, NET, params)))(PARAMS)


@pytest.mark.parametrize(
    "name", ["", "1st", "two words", "a-b", "naïve", "float", "_a", "a\n", 3, None]
)
def test_the_name_of_a_function_of_c_must_be_one(name):
    with pytest.raises((ValueError, TypeError), match=r"^to_c: name must be an identifier of C"):
        export.to_c(NET, PARAMS, name=name)


@pytest.mark.parametrize(
    "name",
    ["exp", "tanhf", "lgammal", "y0", "NAN", "float_t", "main", "class", "puts", "bool", "M_PI"],
)
def test_a_name_that_c_has_is_refused(name):
    with pytest.raises(ValueError, match=r"^to_c: name must be .* that C does not have; got"):
        export.to_c(NET, PARAMS, name=name)


@pytest.mark.parametrize("name", ["network", "exponent", "y2", "Exp", "tanh_", "valve", "toaster"])
def test_other_names_are_taken_and_compile(name, tmp_path):
    export.to_c(NET, PARAMS, tmp_path / "net.h", name=name)
    (tmp_path / "net.c").write_text('#include "net.h"\n')
    compiled(tmp_path, "-Wno-unused", "-c", "net.c")


def test_all_that_the_system_s_header_of_mathematics_declares_is_refused(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "math.c").write_text("#include <math.h>\n")
    done = subprocess.run(
        [compiler, "-E", "math.c"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    declared = set(re.findall(r"\b([a-z]\w*) \((?:double|float|long double)\b", done.stdout))
    assert len(declared) > 100
    for name in declared - {"__attribute__"}:
        with pytest.raises(ValueError, match="that C does not have"):
            export.to_c(NET, PARAMS, name=name)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"platforms": "cpu"}, "platforms must be some of cpu, cuda, tpu, rocm; got 'cpu'"),
        ({"platforms": ()}, r"platforms must be some of cpu, cuda, tpu, rocm; got \(\)"),
        ({"platforms": ["abacus"]}, "platforms must be some of cpu, cuda, tpu, rocm; got"),
        ({"shape": (5,)}, r"shape must be \(4,\) or None; got \(5,\)"),
        ({"shape": 4}, r"shape must be the sizes of one row of x; got 4"),
    ],
)
def test_options_of_stablehlo_are_checked(options, words):
    with pytest.raises((ValueError, TypeError), match=f"^to_stablehlo: {words}"):
        call("stablehlo", NET, PARAMS, **options)


def test_a_model_needs_the_shape_of_a_row():
    with pytest.raises(ValueError, match=r"^to_stablehlo: shape, of one row of x, must be given"):
        call("stablehlo", MODEL, jnp.zeros((4, 3)))


@pytest.mark.parametrize(
    ("form", "module", "extra"),
    [("onnx", "onnx", "onnx"), ("stablehlo", "flatbuffers", "export")],
)
def test_a_missing_library_is_named_with_its_extra(form, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^to_{form}: .* pip install 'fnn\[{extra}\]'"):
        FUNCTIONS[form](NET, PARAMS)


@pytest.mark.parametrize("form", FUNCTIONS)
def test_a_file_that_cannot_be_written_leaves_the_old_one(form, tmp_path, monkeypatch):
    path = tmp_path / "net"
    path.write_bytes(b"old")

    def fails(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="the disk is full"):
        call(form, NET, PARAMS, path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize("form", FUNCTIONS)
def test_nothing_is_written_where_something_is_refused(form, tmp_path):
    with pytest.raises(ValueError, match="finite"):
        call(form, NET, BROKEN, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_dropout_has_no_effect():
    plain = export.to_c(NET, PARAMS)
    assert export.to_c(fnn.mlp((4, 6, 3), dropout=0.5), PARAMS) == plain
    assert np.isfinite(params_of(OPTIONS["dropout"]())[0].weight).all()
