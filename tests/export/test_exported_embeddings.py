"""Embeddings in every form: columns of codes, others that are scaled, and codes that are none."""

import jax
import numpy as np
import pytest
from exported import EVERY, FORMS, outputs_of, params_of

import fnn

RANDOM = np.random.default_rng(0)
CODES = RANDOM.integers(0, [5, 3], size=(40, 2))
OTHERS = RANDOM.normal(100, 20, size=(40, 3))
# codes in the second column and in the last
X = np.stack([OTHERS[:, 0], CODES[:, 0], OTHERS[:, 1], OTHERS[:, 2], CODES[:, 1]], axis=1)
X = X.astype(np.float32)
BOTH = {1: (5, 2), 4: (3, 4)}
NETS = {
    "beside columns": fnn.mlp((5, 8, 2), embeddings=BOTH),
    "beside scaled columns": fnn.mlp((5, 8, 2), embeddings=BOTH, inputs=fnn.standard_scaler(X)),
    "before a residual layer": fnn.mlp((5, 8, 8, 2), embeddings=BOTH, residual=True),
    "alone": fnn.mlp((2, 8, 2), embeddings={0: (5, 2), 1: (3, 4)}),
}


def of(name):
    net = NETS[name]
    alone = np.ascontiguousarray(X[:, [1, 4]])
    return net, params_of(net), alone if name == "alone" else X


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("name", NETS)
def test_codes_become_their_vectors(form, name, tmp_path):
    net, params, x = of(name)
    expected = outputs_of(net, params, x)
    got = EVERY[form](net, params, x, tmp_path)
    size = np.abs(expected).max()
    np.testing.assert_allclose(got / size, expected / size, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_codes_are_exported_in_float64(form, tmp_path, x64):
    net = NETS["beside columns"]
    params = jax.tree.map(lambda a: a.astype(np.float64), params_of(net))
    x = X.astype(np.float64)
    np.testing.assert_allclose(
        FORMS[form](net, params, x, tmp_path), outputs_of(net, params, x), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("form", EVERY)
@pytest.mark.parametrize("code", [-1, 5, 1.5, np.nan, 1e9])
def test_what_is_no_code_gives_nan(form, code, tmp_path):
    net, params, x = of("beside columns")
    x = x[:2].copy()
    x[1, 1] = code
    got = EVERY[form](net, params, x, tmp_path)
    assert np.isfinite(got[0]).all()
    assert np.isnan(got[1]).all()
