from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.networks.dense import Products, matmul

RANDOM = np.random.default_rng(0)
SHAPES = [(16, 2, 16), (16, 16, 2), (5, 1, 3), (4, 7, 1), (1, 3, 3)]
SUMMED = Products(unrolled=False, largest_summed=40_000)
FORMS = {"unrolled": matmul, "summed": partial(matmul, form=SUMMED)}
FORM = pytest.mark.parametrize("matmul", FORMS.values(), ids=FORMS)


def pair(rows, features, out, dtype=np.float64):
    a, weight = RANDOM.normal(size=(rows, features)), RANDOM.normal(size=(features, out))
    return jnp.asarray(a, dtype), jnp.asarray(weight, dtype)


def has_no_product(matmul, a, weight):
    """Whether no matrix product is in the program of value and gradient."""

    def total(a, weight):
        return jnp.sum(matmul(a, weight))

    program = jax.jit(jax.value_and_grad(total, (0, 1))).lower(a, weight)
    return "dot_general" not in program.as_text()


@pytest.mark.parametrize("shape", SHAPES)
@FORM
def test_small_products_are_sums_equal_to_the_matrix_product(x64, matmul, shape):
    a, weight = pair(*shape)
    assert has_no_product(matmul, a, weight)
    np.testing.assert_allclose(matmul(a, weight), np.asarray(a) @ np.asarray(weight), rtol=1e-13)


@FORM
def test_large_ones_and_narrow_floats_are_matrix_products(matmul):
    assert not has_no_product(matmul, *pair(64, 201, 200, np.float32))
    assert not has_no_product(matmul, *pair(4, 2, 2, np.float16))
    assert not has_no_product(matmul, *pair(4, 2, 2, jnp.bfloat16))


def test_sums_go_further_than_what_is_unrolled():
    large = pair(64, 200, 200, np.float32)
    assert has_no_product(FORMS["summed"], *large)
    assert not has_no_product(matmul, *large)


def test_the_gradient_through_sums_saves_no_more_than_their_factors():
    a, weight = pair(6, 20, 20, np.float32)

    def last(weight):
        def loss(weight):
            return jnp.sum(jnp.tanh(FORMS["summed"](jnp.tanh(FORMS["summed"](a, weight)), weight)))

        def step(weight, _):
            return weight - 0.1 * jax.grad(loss)(weight), None

        return jnp.sum(jax.lax.scan(step, weight, length=5)[0])

    program = str(jax.make_jaxpr(jax.grad(last))(weight))
    assert "[5,6,20]" in program
    assert "[5,6,20,20]" not in program


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@FORM
def test_leading_axes_are_rows(matmul, leading):
    a, weight = jnp.asarray(RANDOM.normal(size=(*leading, 4)), np.float32), jnp.ones((4, 2))
    out = matmul(a, weight)
    assert out.shape == (*leading, 2)
    np.testing.assert_allclose(out, np.asarray(a) @ np.ones((4, 2), np.float32), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@FORM
def test_first_and_second_derivatives_are_those_of_the_matrix_product(x64, matmul, shape):
    a, weight = pair(*shape)

    def of(multiply):
        return lambda a, weight: jnp.sum(jnp.tanh(multiply(a, weight)) ** 2)

    @partial(jax.jit, static_argnums=0)
    def derivatives(multiply, a, weight):
        return [
            derivative(of(multiply), argument)(a, weight)
            for derivative in (jax.grad, jax.jacfwd, jax.hessian)
            for argument in (0, 1)
        ]

    ours, theirs = derivatives(matmul, a, weight), derivatives(jnp.matmul, a, weight)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@FORM
def test_lanes_have_products_of_their_own(matmul):
    a, weight = jnp.ones((3, 4, 2)), jnp.asarray(RANDOM.normal(size=(3, 2, 5)), np.float32)
    lanes = jax.jit(jax.vmap(matmul))(a, weight)
    np.testing.assert_allclose(lanes, jnp.matmul(a, weight), rtol=1e-5)
    shared = jax.vmap(matmul, in_axes=(None, 0))(a[0], weight)
    np.testing.assert_allclose(shared, jnp.matmul(a, weight), rtol=1e-5)
