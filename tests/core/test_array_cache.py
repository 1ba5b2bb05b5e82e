import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn._core import array_cache as once
from fnn._core import checks
from fnn._core.array_cache import OncePerArray


@pytest.fixture
def counted():
    """A remembered sum, and the arrays that it was formed of."""
    calls = []

    def total(array):
        calls.append(array.shape)
        return float(np.sum(array))

    return OncePerArray(total), calls


def test_a_jax_array_is_looked_at_once(counted):
    total, calls = counted
    array, equal = jnp.arange(3.0), jnp.arange(3.0)
    assert [total(array), total(array), total(equal), total(array)] == [3, 3, 3, 3]
    assert len(calls) == 2


def test_a_numpy_array_which_may_change_is_looked_at_each_time(counted):
    total, _ = counted
    array = np.arange(3.0)
    assert total(array) == 3
    array[0] = 5
    assert total(array) == 8


def test_what_is_known_of_an_array_goes_with_it(counted):
    total, calls = counted
    for size in range(1, 20):
        assert total(jnp.ones(size)) == size
    gc.collect()
    assert len(calls) == 19
    assert not total._found


def test_data_are_looked_at_once_for_many_fits(monkeypatch, key):
    looked_at = []
    all_finite = once.all_finite._function
    monkeypatch.setattr(
        once.all_finite, "_function", lambda v: looked_at.append(v.shape) or all_finite(v)
    )
    data = jax.device_put((np.ones((12, 2), np.float32), np.ones((12, 1), np.float32)))
    task = fnn.mlp((2, 1)), fnn.squared_error, fnn.sgd(0.1)
    for _ in range(3):
        fnn.fit(*task, data, key=key, epochs=2)
    assert looked_at == [(12, 2), (12, 1)]


def test_values_on_an_accelerator_are_looked_at_there(monkeypatch):
    """Taken for one: the array is fetched only to say where it is not finite."""
    fetched = []
    monkeypatch.setattr(once, "has_own_memory", lambda devices: True)
    get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda v: fetched.append(v.shape) or get(v))
    good, bad = jnp.ones((2, 3)), jnp.ones((2, 3)).at[1, 2].set(jnp.nan)
    checks.finite("fit", "x", good)
    assert fetched == [()]
    with pytest.raises(
        ValueError, match=r"^fit: x must be finite everywhere; got nan at index \(1, 2\)"
    ):
        checks.finite("fit", "x", bad)
    assert fetched == [(), (), (2, 3)]
