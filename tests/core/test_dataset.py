import numpy as np
import pytest

from fnn._core.dataset import dataset


def test_anything_that_numpy_takes_for_an_array_is_data():
    data = dataset("fit", "data", ([[1, 2], [3, 4]], [0, 1], [1, 2]))
    assert data.x.shape == (2, 2)
    assert data.y.dtype == np.int32
    assert data.weights.dtype == np.float32
    assert data.rows == 2


def test_read_only_and_strided_arrays_are_data():
    x = np.arange(12.0).reshape(6, 2)[::2]
    x.flags.writeable = False
    assert dataset("fit", "data", (x, x[:, 0])).rows == 3


def test_values_are_taken_at_jax_precision_or_refused():
    assert dataset("fit", "data", (np.ones((1, 1)), [0])).x.dtype == np.float32
    with pytest.raises(ValueError, match="x of data must fit float32; got values from 1e"):
        dataset("fit", "data", (np.full((1, 1), 1e300), [0]))
    with pytest.raises(ValueError, match="y of data must fit int32"):
        dataset("fit", "data", (np.ones((1, 1)), [2**40]))
