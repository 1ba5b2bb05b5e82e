"""Files in the format safetensors: everything comes back, and what is damaged is refused."""

import json
import os

import jax
import numpy as np
import pytest
from interop_cases import CASES, FAR, REFUSED, VARIANTS, X, Y, assert_refused, params_of

import fnn
from fnn.interop import from_safetensors, from_torch, to_safetensors

safetensors = pytest.importorskip("safetensors")
load_file = pytest.importorskip("safetensors.numpy").load_file
save_file = pytest.importorskip("safetensors.numpy").save_file

KINDS = {name: net for name, (net, _) in CASES.items()} | {
    "residual": fnn.mlp((4, 6, 6, 3), residual=True, dropout=0.1),
    "remat": fnn.mlp((4, 6, 6, 3), remat=True),
    "active": fnn.mlp((4, 6, 5, 3), active=[2, 3]),
    "quantiles": fnn.mlp((4, 3), inputs=fnn.quantile_scaler(FAR, quantiles=5)),
    "robust": fnn.mlp((4, 3), outputs=fnn.robust_scaler(Y, quantile_range=(10, 90))),
    "embeddings": fnn.mlp((4, 6, 3), embeddings={3: (3, 2), 1: (5, 1)}),
    "initializer": fnn.mlp((4, 6, 3), initializer="orthogonal"),
    "dtypes": fnn.mlp((4, 6, 3), dtype="float16", param_dtype="bfloat16"),
    **{name: fnn.mlp((4, 6, 3), activation=sigma) for name, sigma in VARIANTS.items()},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.safetensors"


def written(path, net=None):
    net = net or CASES["scalers"][0]
    params = params_of(net)
    to_safetensors(net, params, path)
    return net, params


@pytest.mark.parametrize("kind", KINDS)
def test_networks_and_parameters_come_back_bit_for_bit(kind, path):
    net, params = written(path, KINDS[kind])
    again, same = from_safetensors(path)
    assert again == net
    assert repr(again) == repr(net)
    assert jax.tree.structure(params) == jax.tree.structure(same)
    for one, other in zip(jax.tree.leaves((net, params)), jax.tree.leaves((again, same)),
                          strict=True):  # fmt: skip
        assert one.dtype == other.dtype
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    x = np.zeros_like(X) if net.embeddings else X
    np.testing.assert_array_equal(again.apply(same, x), net.apply(params, x))
    assert os.listdir(path.parent) == [path.name]


def test_the_library_itself_reads_the_tensors(path):
    net, params = written(path)
    tensors = load_file(path)
    np.testing.assert_array_equal(tensors["params.1.weight"], params[1].weight)
    np.testing.assert_array_equal(tensors["net.inputs.mean"], net.inputs.mean)
    assert tensors["net.inputs.mean"].dtype == np.float64
    with safetensors.safe_open(path, "np") as file:
        structure = json.loads(file.metadata()["fnn"])
    assert structure["mlp"]["sizes"] == [4, 6, 3]


def test_equal_networks_make_equal_files(tmp_path):
    for name in ("a", "b"):
        written(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_float64_parameters_need_x64(path, x64):
    written(path, fnn.mlp((2, 1)))
    assert from_safetensors(path)[1][0].weight.dtype == np.float64
    jax.config.update("jax_enable_x64", False)
    assert_refused(lambda: from_safetensors(path), "float64", "jax_enable_x64")


def test_what_has_no_name_is_refused(path):
    def refused(net, *texts, error=ValueError):
        params = net.init(jax.random.key(0))
        assert_refused(lambda: to_safetensors(net, params, path), *texts, error=error)

    refused(fnn.mlp((4, 6, 3), activation=jax.numpy.sin), "to_safetensors", "sin")
    refused(fnn.mlp((4, 3), initializer=jax.nn.initializers.zeros), "initializer", "zeros")
    refused(fnn.Model(lambda key: 0.0, lambda params, x: x), "an mlp", "Model", error=TypeError)
    net = fnn.mlp((4, 3))
    params = fnn.mlp((4, 2)).init(jax.random.key(0))
    assert_refused(lambda: to_safetensors(net, params, path), "params of an mlp")
    assert not path.exists()
    assert REFUSED["residual"][0].residual  # which this format has


def test_what_is_there_stays_where_the_disk_is_full(path, monkeypatch):
    written(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(fnn.CheckpointError, match=r"to_safetensors: .* could not be written"):
        written(path, CASES["plain"][0])
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def assert_damaged(path, *texts):
    assert_refused(lambda: from_safetensors(path), "from_safetensors", str(path), *texts,
                   error=fnn.CheckpointError)  # fmt: skip


def test_no_flipped_bit_gives_a_wrong_number(path):
    net, params = written(path)
    whole = path.read_bytes()
    refused = 0
    bits = np.random.default_rng(4).choice(8 * len(whole), 400, replace=False)
    for bit in bits.tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            again, same = from_safetensors(path)
        except fnn.CheckpointError:
            refused += 1
        else:  # of the spaces that fill the header
            assert again == net
            assert jax.tree.all(jax.tree.map(np.array_equal, params, same))
    assert refused > 380


def test_every_truncation_is_refused(path):
    written(path, fnn.mlp((2, 1)))
    whole = path.read_bytes()
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        assert_damaged(path)
    path.write_bytes(whole + b"more")
    assert_damaged(path)


def changed(path, change):
    """The file with other metadata and tensors, and a digest that fits."""
    from fnn.interop.safetensors import _digest

    with safetensors.safe_open(path, "np") as file:
        structure, tensors = json.loads(file.metadata()["fnn"]), load_file(path)
    del structure["sha256"]
    change(structure, tensors)
    structure["sha256"] = _digest(structure, tensors)
    save_file(tensors, path, {"fnn": json.dumps(structure)})


FORGED = {
    "version": (lambda s, _: s.update(version=2), "version must be 1", "2"),
    "no version": (lambda s, _: s.pop("version"), "damaged"),
    "size": (lambda s, _: s["mlp"].update(sizes=[4, 5, 3]), "no network that fits"),
    "activation": (lambda s, _: s["mlp"].update(output="exec"), "no network that fits", "exec"),
    "option": (
        lambda s, _: s["mlp"].update(output={"name": "x", "option": "y", "value": 1}),
        "no network that fits",
    ),
    "scaler": (
        lambda s, _: s["mlp"]["scalers"]["inputs"].update({"class": "Scaler"}),
        "no network that fits",
    ),
    "a tensor less": (lambda _, t: t.pop("params.1.bias"), "no network that fits"),
    "a layer less": (
        lambda _, t: [t.pop(f"params.0.{name}") for name in ("weight", "bias")],
        "no network that fits",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FORGED)
def test_files_that_do_not_fit_are_refused(case, path):
    change, *texts = FORGED[case]
    written(path)
    changed(path, change)
    assert_damaged(path, *texts)


def test_files_of_other_programs_are_refused_and_can_be_read_as_state_dicts(path):
    pytest.importorskip("torch")
    net = fnn.mlp((4, 6, 3))
    params = params_of(net)
    state = {}
    for name, layer in zip(("hidden", "last"), params, strict=True):
        state |= {f"{name}.weight": np.array(layer.weight.T), f"{name}.bias": np.array(layer.bias)}
    save_file(state, path)
    assert_damaged(path, "to_safetensors")
    same = from_torch(load_file(path), net=net)[1]
    assert jax.tree.all(jax.tree.map(np.array_equal, params, same))
    path.write_bytes(b"something else")
    assert_damaged(path, "damaged")
    path.unlink()
    with pytest.raises(FileNotFoundError):
        from_safetensors(path)


def test_the_one_version_that_is_left_out_is_refused(path, monkeypatch):
    monkeypatch.setattr(safetensors, "__version__", "0.8.0")
    assert_refused(lambda: written(path), "to_safetensors", "0.8.0", error=ImportError)
