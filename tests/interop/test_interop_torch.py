"""PyTorch: modules and state dicts, there and back."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from interop_cases import (
    CASES,
    FAR,
    REFUSED,
    SIGMAS,
    X,
    assert_close,
    assert_refused,
    params_of,
)

import fnn
from fnn.interop import from_torch, to_torch

torch = pytest.importorskip("torch")
nn = torch.nn


def outputs(module, x):
    with torch.no_grad():
        return module(torch.from_numpy(np.asarray(x))).numpy()


@pytest.fixture
def random_weights():
    torch.manual_seed(0)


@pytest.mark.parametrize("case", CASES)
def test_outputs_are_the_same_there_and_back(case):
    net, x = CASES[case]
    params = params_of(net)
    module = to_torch(net, params)
    expected = net.apply(params, x)
    assert_close(outputs(module, x), expected)
    again, same = from_torch(module)
    assert_close(again.apply(same, x), expected)
    assert (again.sizes, again.dropout, again.norm) == (net.sizes, net.dropout, net.norm)
    assert again.activations == net.activations


HAS_NO = ("sparse_plus", "sparse_sigmoid", "squareplus", "standardize")


@pytest.mark.parametrize("sigma", [name for name in SIGMAS if name not in HAS_NO])
def test_activations_are_the_same(sigma):
    net = fnn.mlp((4, 5, 3), activation=SIGMAS[sigma])
    params = params_of(net)
    module = to_torch(net, params)
    assert_close(outputs(module, 3 * X), net.apply(params, 3 * X))
    assert from_torch(module)[0] == net


@pytest.mark.parametrize("sigma", [*HAS_NO, jnp.sin])
def test_activations_that_pytorch_does_not_have_are_refused(sigma):
    net = fnn.mlp((4, 5, 3), activation=sigma)
    name = sigma if isinstance(sigma, str) else "sin"
    assert_refused(lambda: to_torch(net, params_of(net)), "to_torch", name)


@pytest.mark.parametrize("case", REFUSED)
def test_networks_that_pytorch_has_no_layers_for_are_refused(case):
    net, text = REFUSED[case]
    assert_refused(lambda: to_torch(net, net.init(jax.random.key(0))), "to_torch", text)


def test_what_is_no_mlp_is_refused_and_so_are_parameters_of_another():
    model = fnn.Model(lambda key: 0.0, lambda params, x: x)
    assert_refused(lambda: to_torch(model, 0.0), "must be an mlp", "Model", error=TypeError)
    other = fnn.mlp((4, 2)).init(jax.random.key(0))
    assert_refused(lambda: to_torch(fnn.mlp((4, 3)), other), "params of an mlp")


def test_a_module_is_in_evaluation_mode_and_can_be_trained_without_changing_params():
    net = fnn.mlp((4, 6, 3), dropout=0.5)
    params = params_of(net)
    module = to_torch(net, params)
    assert not module.training
    kept = np.array(params[0].weight)
    with torch.no_grad():
        module[0].weight += 1
    np.testing.assert_array_equal(params[0].weight, kept)


def test_a_scaler_is_no_parameter_and_a_whole_module_can_be_saved():
    net, x = CASES["scalers"]
    params = params_of(net)
    module = to_torch(net, params)
    assert len(list(module.parameters())) == 4
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    assert_close(outputs(torch.load(file, weights_only=False), x), net.apply(params, x))


@pytest.mark.usefixtures("random_weights")
def test_a_module_of_pytorch_with_batch_normalisation_in_all_places():
    module = nn.Sequential(
        nn.BatchNorm1d(4),
        nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU()),
        nn.BatchNorm1d(6),
        nn.Dropout(0.5),
        nn.Linear(6, 5),
        nn.Identity(),
        nn.GELU(),
        nn.Dropout(0.5),
        nn.Linear(5, 3),
        nn.BatchNorm1d(3, affine=False),
    )
    module.train()
    for _ in range(20):
        module(torch.from_numpy(FAR + np.random.default_rng(2).normal(size=(7, 4))).float())
    module.eval()
    net, params = from_torch(module)
    assert net.sizes == (4, 6, 5, 3)
    assert net.dropout == 0.5
    assert len(params) == 3
    assert_close(net.apply(params, FAR), outputs(module, FAR))


@pytest.mark.usefixtures("random_weights")
def test_a_norm_without_factors_and_biases_that_only_some_layers_have():
    module = nn.Sequential(
        nn.Linear(4, 6, bias=False),
        nn.LayerNorm(6, elementwise_affine=False),
        nn.Tanh(),
        nn.Linear(6, 5),
        nn.LayerNorm(5, bias=False),
        nn.Tanh(),
        nn.Linear(5, 3),
        nn.LogSoftmax(dim=1),
    ).eval()
    net, params = from_torch(module)
    assert net.norm == "layer"
    assert net.bias
    assert_close(net.apply(params, X), outputs(module, X))


@pytest.mark.usefixtures("random_weights")
def test_a_layer_in_several_places_is_taken_in_each():
    linear, norm, sigma, dropout = nn.Linear(4, 4), nn.LayerNorm(4), nn.Tanh(), nn.Dropout(0.1)
    hidden = nn.Sequential(linear, norm, sigma, dropout)
    module = nn.Sequential(*hidden, hidden, hidden, nn.Linear(4, 2)).eval()
    net, params = from_torch(module)
    assert net.sizes == (4, 4, 4, 4, 2)
    assert_close(net.apply(params, X), outputs(module, X))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_parameters_keep_their_dtype(dtype, request):
    if dtype == "float64":
        request.getfixturevalue("x64")
    net = fnn.mlp((4, 6, 3), norm="layer", param_dtype=dtype)
    params = params_of(net)
    module = to_torch(net, params)
    assert module[0].weight.dtype == getattr(torch, dtype)
    again, same = from_torch(module)
    assert again == (fnn.mlp((4, 6, 3), norm="layer") if dtype == "float64" else net)
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def test_float64_is_rounded_where_jax_does_not_have_it():
    module = nn.Sequential(nn.Linear(2, 1).double())
    net, params = from_torch(module)
    assert params[0].weight.dtype == np.float32
    assert net == fnn.mlp((2, 1))


class Shifted(nn.Linear):
    def forward(self, x):
        return super().forward(x) + 1


LINEAR = nn.Linear(4, 3)
BAD = {
    "Conv1d": (nn.Sequential(LINEAR, nn.Conv1d(3, 3, 1)), "layer '1', a Conv1d"),
    "PReLU": (nn.Sequential(LINEAR, nn.PReLU()), "layer '1', a PReLU"),
    "in a nested one": (
        nn.Sequential(LINEAR, nn.Sequential(nn.ReLU(), nn.RNN(3, 3))),
        "layer '1.1', a RNN",
    ),
    "a subclass": (nn.Sequential(Shifted(4, 3)), "layer '0', a Shifted"),
    "two activations": (nn.Sequential(LINEAR, nn.ReLU(), nn.Tanh()), "layer '2', a Tanh"),
    "activation first": (nn.Sequential(nn.ReLU(), LINEAR), "layer '0', a ReLU"),
    "norm first": (nn.Sequential(nn.LayerNorm(4), LINEAR), "layer '0', a LayerNorm"),
    "norm last": (nn.Sequential(LINEAR, nn.LayerNorm(3)), "layer '1', a LayerNorm"),
    "norm in one": (
        nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 4), LINEAR),
        "all hidden layers or none must have a norm",
    ),
    "dropout of two rates": (
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 4), nn.Dropout(0.2), LINEAR),
        "layer '2', a Linear, 0.2",
    ),
    "dropout last": (nn.Sequential(LINEAR, nn.Dropout(0.1)), "layer '1', a Dropout"),
    "eps": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4, eps=1e-3), LINEAR), "got 0.001"),
    "axes": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm((2, 4)), LINEAR), "(2, 4)"),
    "dim": (nn.Sequential(LINEAR, nn.Softmax(dim=0)), "dim=0"),
    "an option": (nn.Sequential(LINEAR, nn.Softplus(beta=2)), "beta=1"),
    "sizes": (nn.Sequential(nn.Linear(4, 5), LINEAR), "5 outputs", "layer '1', a Linear"),
    "size of a norm": (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(3), LINEAR), "(4,)", "(3,)"),
    "size of a batch norm": (nn.Sequential(nn.BatchNorm1d(5), LINEAR).eval(), "4 features"),
    "training": (nn.Sequential(nn.BatchNorm1d(4), LINEAR), "layer '0'", "module.eval()"),
    "no statistics": (
        nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), LINEAR).eval(), "learnt",
    ),
    "nothing": (nn.Sequential(nn.ReLU()), "linear layer"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_modules_without_a_counterpart_are_refused_by_name(case):
    module, *texts = BAD[case]
    assert_refused(lambda: from_torch(module), "from_torch", *texts)


class Stack(nn.Sequential):
    """Called as any other one."""


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def test_a_sequence_that_does_more_is_refused():
    net, _ = from_torch(Stack(LINEAR, Stack(nn.ReLU())))
    assert net == fnn.mlp((4, 3), output="relu")
    other = nn.Sequential(Residual(nn.Linear(4, 4)), LINEAR)
    assert_refused(lambda: from_torch(other), "layer '0', a Residual")
    assert_refused(lambda: from_torch(Residual(LINEAR)), "got Residual", error=TypeError)


def test_what_is_no_sequence_is_refused():
    assert_refused(lambda: from_torch(LINEAR), "Sequential", "Linear", error=TypeError)
    net = fnn.mlp((4, 3))
    assert_refused(lambda: from_torch(nn.Sequential(LINEAR), net=net), "net", error=TypeError)


class Named(nn.Module):
    """As users write them."""

    def __init__(self):
        super().__init__()
        self.entry, self.norm = nn.Linear(4, 6), nn.LayerNorm(6)
        self.exit = nn.Linear(6, 3)

    def forward(self, x):
        return self.exit(torch.relu(self.norm(self.entry(x))))


@pytest.mark.usefixtures("random_weights")
def test_a_state_dict_of_any_module_whose_layers_are_in_order():
    module = Named().eval()
    net = fnn.mlp((4, 6, 3), norm="layer")
    same, params = from_torch(module.state_dict(), net=net)
    assert same == net
    assert_close(net.apply(params, X), outputs(module, X))


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_of_to_torch(case):
    net, x = CASES[case]
    params = params_of(net)
    state = to_torch(net, params).state_dict()
    same, again = from_torch(state, net=fnn.mlp(
        net.sizes, activation=net.activations[:-1], output=net.output, bias=net.bias, norm=net.norm,
    ))  # fmt: skip
    assert_close(same.apply(again, x), net.apply(params, x))


def test_layers_are_in_the_order_of_their_numbers_where_a_file_has_sorted_them():
    net = fnn.mlp((4,) * 14)
    params = params_of(net)
    state = to_torch(net, params).state_dict()
    ordered = {name: state[name].numpy() for name in sorted(state)}
    assert list(ordered)[2] == "10.bias"
    same = from_torch(ordered, net=net)[1]
    for one, other in zip(jax.tree.leaves(params), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(one, other)


def test_state_dicts_that_do_not_fit_are_refused():
    net = fnn.mlp((4, 6, 3), norm="layer")
    state = Named().state_dict()

    def refused(change, *texts, **options):
        assert_refused(lambda: from_torch(state | change, net=net), *texts, **options)

    refused({"entry.weight": torch.zeros(5, 4)}, "entry.weight", "(6, 4)", "(5, 4)")
    refused({"norm.bias": torch.zeros(5)}, "norm.bias", "(6,)", "(5,)")
    refused({"more.weight": torch.zeros(1, 1)}, "2 linear layers, and 1 norms", "'more'")
    refused({"exit.scale": torch.zeros(3)}, "layer 'exit'", "weight and bias")
    refused({"exit.bias": 1.0}, "'exit.bias': float", error=TypeError)
    less = {name: value for name, value in state.items() if name != "exit.bias"}
    assert_refused(lambda: from_torch(less, net=net), "layer 'exit'", "weight and bias")
    assert_refused(lambda: from_torch(state), "net must be given", error=TypeError)
    assert_refused(lambda: from_torch(state, net=Named()), "must be an mlp", error=TypeError)
