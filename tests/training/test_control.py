import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.training.control import any_active, where_in_place

OLD = {"a": jnp.arange(3.0), "b": jnp.int32(1), "key": jax.random.key(0)}
NEW = {"a": jnp.ones(3), "b": jnp.int32(2), "key": jax.random.key(1)}


def plain(tree):
    return {"a": tree["a"].tolist(), "b": int(tree["b"]),
            "key": jax.random.key_data(tree["key"]).tolist()}  # fmt: skip


@pytest.mark.parametrize("jitted", [False, True])
def test_values_are_written_where_the_condition_holds(jitted):
    write = jax.jit(where_in_place) if jitted else where_in_place
    assert plain(write(OLD, jnp.bool_(True), NEW)) == plain(NEW)
    assert plain(write(OLD, jnp.bool_(False), NEW)) == plain(OLD)


def test_each_lane_has_its_own_condition():
    lanes = jax.vmap(lambda c: where_in_place(OLD, c, NEW))(jnp.array([True, False, True]))
    assert lanes["a"].tolist() == [[1, 1, 1], [0, 1, 2], [1, 1, 1]]
    assert lanes["b"].tolist() == [2, 1, 2]


def test_slopes_pass_through_what_is_taken(x64):
    def taken(condition, old, new):
        tree = where_in_place(
            {"x": old, "n": jnp.int32(1)}, condition, {"x": new, "n": jnp.int32(2)}
        )
        return jnp.sum(tree["x"] ** 2)

    old, new = jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0])
    for condition, slopes in ((True, ([0, 0], [6, 8])), (False, ([2, 4], [0, 0]))):
        for derivative in (jax.grad, jax.jacfwd):
            got = derivative(taken, argnums=(1, 2))(jnp.bool_(condition), old, new)
            np.testing.assert_array_equal(got, slopes)


def test_what_is_the_same_is_left_alone():
    def write(a, b):
        return where_in_place({"a": a, "b": b}, b > 0, {"a": a, "b": b + 1})

    assert "f32[3] =" not in str(jax.make_jaxpr(write)(OLD["a"], OLD["b"]))
    same = {**NEW, "a": OLD["a"]}
    assert where_in_place(OLD, jnp.bool_(True), same)["a"] is OLD["a"]


def test_one_answer_for_all_lanes_under_any_number_of_vmaps():
    lives = jnp.array([[False, True], [False, False]])
    assert jax.vmap(jax.vmap(any_active))(lives).all()
    assert not jax.vmap(any_active)(jnp.zeros(3, bool)).any()
    program = jax.make_jaxpr(
        jax.vmap(lambda live, x: jax.lax.cond(any_active(live), jnp.sin, jnp.cos, x))
    )(lives[0], jnp.ones(2))
    assert "cond" in str(program), "still one branch or the other, not a select of both"
