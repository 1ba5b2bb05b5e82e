"""What looks bad and is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bad_input import ACCURACY, LABELS, NET, OPT, ROWS, WEIGHTS, X, key

import fnn


@pytest.mark.parametrize("function", [fnn.fit, fnn.train], ids=["fit", "train"])
def test_a_batch_larger_than_the_data_is_one_batch_bit_for_bit(function, compiled):
    more = {"progress": False} if function is fnn.train else {}

    def trained(batch_size):
        return function(
            NET, fnn.softmax_cross_entropy, OPT, (X, LABELS), key=key(), epochs=3,
            batch_size=batch_size, **more,
        )  # fmt: skip

    one = trained(ROWS)
    assert int(one.state.train.step) == 3
    compiled.clear()
    runs = [trained(batch_size) for batch_size in (ROWS + 1, 1000, np.int64(2**40))]
    if function is fnn.fit:
        assert compiled == [], "it is the same program"
    for larger in runs:
        assert jax.tree.structure(larger) == jax.tree.structure(one)
        for a, b in zip(jax.tree.leaves(larger), jax.tree.leaves(one), strict=True):
            assert a.dtype == b.dtype
            if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
                a, b = jax.random.key_data(a), jax.random.key_data(b)
            np.testing.assert_array_equal(a, b)


def test_a_batch_larger_than_the_data_measures_the_same():
    params = NET.init(key())
    scores = [
        fnn.evaluate(NET, params, (X, LABELS), ACCURACY, batch_size=size)["accuracy"]
        for size in (None, ROWS, 1000)
    ]
    assert scores[0] == scores[1] == scores[2]


def test_data_are_taken_as_numpy_takes_them():
    params, loss = NET.init(key()), {"loss": fnn.softmax_cross_entropy}
    arrays = X, LABELS, WEIGHTS
    a, b = (
        fnn.evaluate(NET, params, data, loss)["loss"]
        for data in ([array.tolist() for array in arrays], tuple(map(jnp.asarray, arrays)))
    )
    assert a == b
