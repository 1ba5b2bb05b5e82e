"""Networks that every library is to give the outputs of, and what each of them is to refuse."""

import jax
import numpy as np
import pytest

import fnn
from fnn.activations import ACTIVATIONS
from fnn.interop.functions import EXACT_GELU, Variant

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 4)).astype(np.float32)
# far from zero, where scalers that are multiplied into weights would lose digits
FAR = (100 + 3 * RANDOM.normal(size=(7, 4))).astype(np.float32)
# so far that even a mean, rounded to float32, loses them
FARTHER = (1000 + RANDOM.normal(size=(7, 4))).astype(np.float32)
Y = 50 + 2 * RANDOM.normal(size=(9, 3))

BEHIND = {"inputs": fnn.standard_scaler(FAR), "outputs": fnn.standard_scaler(Y)}
RANGED = {
    "inputs": fnn.min_max_scaler(FAR, feature_range=(-1, 2)),
    "outputs": fnn.robust_scaler(Y),
}
VARIANTS = {
    "exact gelu": EXACT_GELU,
    "leaky_relu(0.2)": Variant("leaky_relu", "negative_slope", 0.2),
    "elu(0.5)": Variant("elu", "alpha", 0.5),
}
SIGMAS = ACTIVATIONS | VARIANTS


def params_of(net):
    """Parameters without zeros and ones."""
    random = np.random.default_rng(1)
    first = net.init(jax.random.key(0))
    return jax.tree.map(
        lambda a: a + np.asarray(0.3 * random.normal(size=a.shape)).astype(a.dtype), first
    )


# nets, and x for each
CASES = {
    "plain": (fnn.mlp((4, 6, 5, 3)), X),
    "no hidden layer": (fnn.mlp((4, 3)), X),
    "several activations": (fnn.mlp((4, 6, 5, 3), activation=["tanh", "identity"]), X),
    "without bias": (fnn.mlp((4, 6, 3), bias=False, output="softmax"), X),
    "with norm": (fnn.mlp((4, 6, 5, 3), norm="layer", activation="tanh", dropout=0.5), X),
    "far inputs": (fnn.mlp((4, 6, 3), inputs=fnn.standard_scaler(FARTHER)), FARTHER),
    "scalers": (fnn.mlp((4, 6, 3), **BEHIND), FAR),
    "scalers with ranges": (fnn.mlp((4, 6, 5, 3), norm="layer", dropout=0.25, **RANGED), FAR),
}
# those that scikit-learn has layers for
SKLEARN_CASES = {
    "plain": CASES["plain"],
    "no hidden layer": CASES["no hidden layer"],
    "no bias": (fnn.mlp((4, 6, 3), bias=False, activation="tanh", dropout=0.5), X),
    "one output": (fnn.mlp((4, 6, 1), activation="sigmoid"), X),
    "far inputs": CASES["far inputs"],
    "scalers": CASES["scalers"],
    "scalers with ranges": (fnn.mlp((4, 6, 5, 3), activation="tanh", **RANGED), FAR),
    "a scaler of one output": (fnn.mlp((4, 6, 1), outputs=fnn.standard_scaler(Y[:, 0])), X),
}

# what no library has layers for, and what the error says
REFUSED = {
    "embeddings": (fnn.mlp((4, 6, 3), embeddings={0: (3, 2)}), "embeddings"),
    "residual": (fnn.mlp((4, 6, 6, 3), residual=True), "residual"),
    "active": (fnn.mlp((4, 6, 3), active=[2]), "inactive"),
    "quantile": (fnn.mlp((4, 3), inputs=fnn.quantile_scaler(FAR)), "a QuantileScaler"),
    "outputs by quantiles": (fnn.mlp((4, 3), outputs=fnn.quantile_scaler(Y)), "a QuantileScaler"),
    "dtype": (fnn.mlp((4, 3), dtype="bfloat16"), "dtype=bfloat16"),
    "lanes": (fnn.mlp((4, 6, 3), dropout=[0.1, 0.2]), "one number"),
}


def assert_close(one, other):
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def assert_refused(call, *texts, error=ValueError):
    with pytest.raises(error) as caught:
        call()
    for text in texts:
        assert text in str(caught.value)
