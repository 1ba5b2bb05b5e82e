import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn._core import shapes

TRACES = []


def doubled(x, factor):
    TRACES.append(factor)
    if np.asarray(factor).min() < 0:
        raise ValueError("factor must be >= 0")
    return {"y": x * factor}


@pytest.fixture(autouse=True)
def no_traces():
    TRACES.clear()


def ask(x, factor):
    return shapes.shapes_of("asker", doubled, (x,), (factor,))


def test_shapes_are_those_of_eval_shape():
    answer = ask(np.ones((3, 2), np.float32), np.float32(2))
    assert answer == {"y": jax.ShapeDtypeStruct((3, 2), np.float32)}


def test_a_question_asked_before_is_not_traced_again():
    ask(jnp.ones(5), np.array([3.0], np.float32))
    ask(jnp.zeros(5), np.array([3.0], np.float32))
    assert len(TRACES) == 1, "values of what is abstract make no difference"


def test_other_values_of_what_is_known_are_looked_at():
    factor = np.array([4.0], np.float32)
    ask(jnp.ones(5), factor)
    factor[0] = -1  # the same array, but no longer the same question
    for _ in range(2):
        with pytest.raises(ValueError, match="factor must be >= 0"):
            ask(jnp.ones(5), factor)
    assert len(TRACES) == 3


def test_large_arrays_are_looked_at_each_time(monkeypatch):
    monkeypatch.setattr(shapes, "_LARGE", 1)
    for _ in range(2):
        ask(jnp.ones(5), np.full(5, 5.0, np.float32))
    assert len(TRACES) == 2


def test_old_questions_and_their_values_are_forgotten():
    arrays = [np.full(5, value, np.float32) for value in range(shapes._MOST + 2)]
    for array in arrays:
        ask(jnp.ones(5), array)
    references = [weakref.ref(array) for array in arrays]
    del arrays, array
    TRACES.clear()
    gc.collect()
    alive = [reference() is not None for reference in references]
    assert not any(alive[:2])


def test_values_changed_since_are_not_looked_at_for_another_question_of_the_old_ones():
    factor = np.array([6.0], np.float32)
    ask(jnp.ones(5), factor)
    factor[0] = -1
    ask(jnp.ones(7), np.array([6.0], np.float32))


def test_precision_is_part_of_the_question():
    def dtype():
        net = fnn.mlp((2, 1))
        params = shapes.shapes_of("asker", first_params, (net,))
        return params[0].weight.dtype

    assert dtype() == np.float32
    jax.config.update("jax_enable_x64", True)
    try:
        assert dtype() == np.float64
    finally:
        jax.config.update("jax_enable_x64", False)
    assert dtype() == np.float32


def first_params(net):
    return net.init(jax.random.key(0))


def test_labels_out_of_range_are_told_also_on_the_second_run(key):
    x, labels = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])
    arguments = fnn.mlp((2, 2)), fnn.softmax_cross_entropy, fnn.sgd(0.1)
    fnn.fit(*arguments, (x, labels), key=key, epochs=1)
    labels[0] = 2
    with pytest.raises(ValueError, match="labels must be from 0 to 1; got 2"):
        fnn.fit(*arguments, (x, labels), key=key, epochs=1)


def test_an_option_out_of_range_is_told_also_on_the_second_run(key):
    from functools import partial

    x, labels = np.ones((4, 2), np.float32), np.array([0, 1, 0, 1])

    def fit(smoothing):
        loss = partial(fnn.softmax_cross_entropy, label_smoothing=smoothing)
        fnn.fit(fnn.mlp((2, 2)), loss, fnn.sgd(0.1), (x, labels), key=key, epochs=1)

    fit(0.5)
    with pytest.raises(ValueError, match=r"label_smoothing must be a finite number.*got 1\.5"):
        fit(1.5)
