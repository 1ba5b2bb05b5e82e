"""The graph is one that a reader of it would have drawn."""

import re
from pathlib import Path

import numpy as np
import pytest
from exported import OPTIONS, X, params_of

import fnn
from fnn import export

onnx = pytest.importorskip("onnx")


def operators(net, **options):
    graph = export.to_onnx(net, params_of(net), **options).graph
    return [node.op_type for node in graph.node]


def test_a_layer_is_a_gemm_and_its_activation():
    assert operators(fnn.mlp((4, 6, 3))) == ["Gemm", "Relu", "Gemm"]
    assert operators(fnn.mlp((4, 6, 3)), final="softmax") == ["Gemm", "Relu", "Gemm", "Softmax"]
    assert operators(OPTIONS["all"]()) == [
        *["Sub", "Mul"],
        *["Gemm", "LayerNormalization", "Sigmoid", "Mul"],
        *["Gemm", "LayerNormalization", "Sigmoid", "Mul", "Add"],
        *["Gemm", "Softmax"],
    ]


def test_the_drawing_on_the_page_shows_the_graph():
    net = fnn.mlp((4, 16, 3), activation="gelu", norm="layer", inputs=fnn.standard_scaler(X))
    graph = export.to_onnx(net, params_of(net), final="softmax").graph
    names = [constant.name for constant in graph.initializer]
    page = Path(__file__).parents[2] / "docs" / "drawings" / "onnx.svg"
    drawn = re.findall(r'class="code"[^>]*>([^<]+)<', page.read_text())
    assert [word for word in drawn if word[0].isupper()] == [node.op_type for node in graph.node]
    assert [word for word in drawn if "_" in word] == names


@pytest.mark.parametrize(
    ("name", "operator"),
    [
        *[("gelu", "Gelu"), ("elu", "Elu"), ("mish", "Mish"), ("softplus", "Softplus")],
        *[("hard_tanh", "Clip"), ("hard_swish", "HardSwish"), ("log_softmax", "LogSoftmax")],
    ],
)
def test_an_activation_is_one_operator_where_there_is_one(name, operator):
    assert operators(fnn.mlp((4, 3), output=name)) == ["Gemm", operator]


def test_the_model_says_what_goes_in_and_what_comes_out():
    model = export.to_onnx(OPTIONS["deep"](), params_of(OPTIONS["deep"]()))
    for value, name, size in [(model.graph.input, "x", 4), (model.graph.output, "y", 3)]:
        (one,) = value
        dims = one.type.tensor_type.shape.dim
        assert one.name == name
        assert [dim.dim_param or dim.dim_value for dim in dims] == ["rows", size]
    names = [constant.name for constant in model.graph.initializer]
    assert names[:2] == ["layer_0_weight", "layer_0_bias"]
    assert [opset.version for opset in model.opset_import] == [20]


def test_the_file_is_the_model(tmp_path):
    net = OPTIONS["deep"]()
    model = export.to_onnx(net, params_of(net), tmp_path / "net.onnx")
    assert onnx.load(tmp_path / "net.onnx") == model
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for rows in (1, 7):
        assert np.shape(session.run(None, {"x": X[:rows]})[0]) == (rows, 3)
