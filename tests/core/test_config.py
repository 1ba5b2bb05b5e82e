"""Configs: numbers are leaves, structure is static, and equal configs share one program."""

import copy
import dataclasses
import itertools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from config_examples import MAKES, Affine, config_classes, filled

from fnn._core.config import config, number
from fnn.networks.mlp import mlp
from fnn.optimizers import adam, adamw, chain, clip_by_global_norm, sgd
from fnn.schedules import cosine_decay


@config
class Doubled:
    """Of one shape with `Halved`, but another program."""

    value: float = number()

    def __call__(self):
        return 2.0 * self.value


@config
class Halved:
    """Of one shape with `Doubled`, but another program."""

    value: float = number()

    def __call__(self):
        return 0.5 * self.value


COMPILED = []


def _note(event, duration, **_):
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(duration)


jax.monitoring.register_event_duration_secs_listener(_note)


def compilations(function, *calls):
    """How many programs the calls compile, each call a tuple of arguments."""
    before = len(COMPILED)
    for arguments in calls:
        jax.block_until_ready(function(*arguments))
    return len(COMPILED) - before


def doubled(value):
    return jax.tree.map(lambda leaf: leaf * leaf.dtype.type(2), value)


def names_of_leaves(value):
    return [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(value)]


# what a config is


@MAKES
def test_no_field_of_a_config_can_be_set_or_deleted(make):
    value = make()
    for field in dataclasses.fields(value):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field.name, 0.5)
        with pytest.raises(dataclasses.FrozenInstanceError):
            delattr(value, field.name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        value.another = 0.5


@MAKES
def test_flattening_and_unflattening_gives_an_equal_config(make):
    value = make()
    leaves, treedef = jax.tree.flatten(value)
    again = jax.tree.unflatten(treedef, leaves)
    assert type(again) is type(value)
    assert again == value
    # the other way of flattening, with paths, agrees
    with_paths, same_treedef = jax.tree_util.tree_flatten_with_path(value)
    assert same_treedef == treedef
    assert all(a is b for (_, a), b in zip(with_paths, leaves, strict=True))


@MAKES
def test_unflattening_checks_nothing_because_jax_puts_placeholders_in(make):
    placeholder = object()
    value = jax.tree.map(lambda _: placeholder, make())
    assert set(map(id, jax.tree.leaves(value))) == {id(placeholder)}


@MAKES
def test_a_config_survives_pickling_and_copying(make):
    value = make()
    copies = [copy.copy(value), copy.deepcopy(value)]
    if not isinstance(value, type(mlp((1, 1)))):  # jax.nn.relu cannot be pickled
        copies.append(pickle.loads(pickle.dumps(value)))
    for other in copies:
        assert other == value
        assert jax.tree.structure(other) == jax.tree.structure(value)


# what is a leaf, and what is not


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (adam(1e-3), [".learning_rate", ".b1", ".b2", ".eps"]),
        (sgd(0.1), [".learning_rate"]),
        (sgd(0.1, momentum=0.9), [".learning_rate", ".momentum"]),
        (
            sgd(cosine_decay(1e-3, 50)),
            [
                ".learning_rate.init_value",
                ".learning_rate.decay_steps",
                ".learning_rate.alpha",
            ],
        ),
        (
            chain(clip_by_global_norm(1.0), sgd(0.1)),
            [".optimizers[0].max_norm", ".optimizers[1].learning_rate"],
        ),
        (mlp((2, 3, 1)), []),
        (mlp((2, 3, 1), dropout=0.0), [".dropout"]),
        (Affine("times", 1.0, None), [".slope"]),
    ],
)
def test_numbers_are_leaves_named_by_their_fields_and_absent_options_have_none(value, names):
    assert names_of_leaves(value) == names


def test_a_zero_is_a_number_and_not_an_absent_option():
    assert jax.tree.structure(sgd(0.1, momentum=0.0)) == jax.tree.structure(sgd(0.1, momentum=0.9))
    assert jax.tree.structure(sgd(0.1, momentum=0.0)) != jax.tree.structure(sgd(0.1))


def test_a_function_in_any_field_is_static_and_compares_by_identity():
    def rate(step):
        return 0.1

    value, other = adam(rate), adam(lambda step: 0.1)
    assert names_of_leaves(value) == [".b1", ".b2", ".eps"]
    assert jax.tree.structure(value) == jax.tree.structure(adam(rate))
    assert jax.tree.structure(value) != jax.tree.structure(other)
    assert value == adam(rate)
    assert value != other
    assert adamw(0.1, mask=rate).mask is jax.tree.map(lambda x: x, adamw(0.1, mask=rate)).mask
    shifted = Affine("times", 2.0, rate)  # also where the field was not meant for one
    assert names_of_leaves(shifted) == [".slope"]
    assert jax.jit(lambda c: c.shift(0) * c.slope)(shifted) == pytest.approx(0.2)


def test_the_numbers_of_a_pytree_that_can_be_called_stay_leaves():
    decay = jax.tree_util.Partial(lambda step, rate: rate, rate=0.5)
    assert jax.tree.leaves(sgd(decay)) == [0.5]
    assert jax.tree.leaves(sgd(cosine_decay(0.5, 4))) == [0.5, 4, 0]


def test_factories_store_numpy_scalars_and_leave_jax_arrays_as_they_are():
    value = sgd(0.1, momentum=np.float32(0.5))
    assert type(value.learning_rate) is np.float64
    assert type(value.momentum) is np.float64
    assert type(cosine_decay(1, 50).decay_steps) is np.int32
    assert type(cosine_decay(1, 50).init_value) is np.float64
    rate = jnp.float32(0.1)
    assert sgd(rate).learning_rate is rate
    # weak types and integers are made the same, as each kind would be a trace of its own
    for other in (jnp.asarray(0.1), jnp.asarray(1), jnp.exp(jnp.asarray(-3.0))):
        assert sgd(other).learning_rate.aval == rate.aval


def test_a_config_does_not_change_with_the_array_it_was_made_from():
    rates = np.array([0.1, 0.2])
    value = sgd(rates)
    rates[:] = 9.0
    np.testing.assert_array_equal(value.learning_rate, [0.1, 0.2])


# equality and programs


@MAKES
def test_equal_configs_are_equal_in_treedef_and_hash(make):
    value, other = make(), make()
    assert value == other
    assert hash(value) == hash(other)
    assert jax.tree.structure(value) == jax.tree.structure(other)
    assert len({value, other}) == 1


def test_a_config_differs_where_a_number_or_the_structure_differs():
    value = sgd(0.1, momentum=0.9)
    for other in (sgd(0.2, momentum=0.9), sgd([0.1, 0.1], momentum=0.9)):
        assert value != other
        assert jax.tree.structure(value) == jax.tree.structure(other)
    for other in (sgd(0.1), sgd(0.1, momentum=0.9, nesterov=True), Doubled(0.1), 0.1, None):
        assert value != other
        assert jax.tree.structure(value) != jax.tree.structure(other)


@MAKES
def test_equal_configs_and_new_numbers_share_one_compiled_program(make):
    numbers = jax.jit(lambda value: [jnp.asarray(leaf) for leaf in jax.tree.leaves(value)])
    value = make()
    assert compilations(numbers, (value,)) == 1
    assert compilations(numbers, (value,), (make(),), (copy.deepcopy(value),)) == 0
    if not any(leaf.dtype == bool for leaf in jax.tree.leaves(value)):
        assert compilations(numbers, (doubled(value),), (doubled(doubled(value)),)) == 0


def test_new_structure_compiles_another_program():
    call = jax.jit(lambda affine, x: affine(x))
    x, two, one = np.float32(3), np.float64(2), np.float64(1)
    assert compilations(call, (Affine("times", two, None), x)) == 1
    assert compilations(call, (Affine("over", two, None), x)) == 1
    assert compilations(call, (Affine("times", two, one), x)) == 1
    assert compilations(call, (Affine("times", one, None), x), (Affine("over", one, None), x)) == 0
    assert call(Affine("times", two, None), x) == 6
    assert call(Affine("over", two, None), x) == 1.5
    assert call(Affine("times", two, one), x) == 7


def test_a_python_number_a_numpy_scalar_and_a_jax_scalar_share_a_trace():
    scaled = jax.jit(lambda opt, x: opt.learning_rate * x)
    x = np.float32(3)
    rates = [0.1, jnp.float32(0.1), np.float32(0.1), np.float64(0.1), jnp.asarray(0.2, "float32")]
    calls = [(sgd(rate), x) for rate in [*rates, 1, np.int64(1)]]
    assert compilations(scaled, *calls) == 1
    lengths = [50, np.int64(50), np.int32(50), jnp.int32(50)]
    calls = [(cosine_decay(0.1, length), np.int32(7)) for length in lengths]
    assert compilations(jax.jit(lambda schedule, step: schedule(step)), *calls) == 1


def test_any_two_config_types_of_fnn_have_different_treedefs_even_with_equal_fields():
    classes = config_classes()
    assert {"Adam", "AdamW", "Sgd", "Chain", "MLP", "Model", "CosineDecay", "StandardScaler"} <= {
        cls.__name__ for cls in classes
    }
    for one, other in itertools.combinations(classes, 2):
        first, second = jax.tree.structure(filled(one)), jax.tree.structure(filled(other))
        assert first != second, (one, other)
        assert first == jax.tree.structure(filled(one))


def test_two_classes_of_one_shape_never_run_each_others_program():
    assert jax.tree.structure(Doubled(3.0)) != jax.tree.structure(Halved(3.0))
    assert Doubled(3.0) != Halved(3.0)
    run = jax.jit(lambda value: value())
    for _ in range(20):
        assert run(Doubled(np.float64(3))) == 6
        assert run(Halved(np.float64(3))) == 1.5
    under_another = jax.jit(lambda value: chain(sgd(value), sgd(0.1)).optimizers[0].learning_rate())
    assert under_another(Doubled(np.float64(3))) == 6
    assert under_another(Halved(np.float64(3))) == 1.5


# use


def test_replace_makes_a_config_with_other_numbers_and_leaves_the_old_one_alone():
    value = adam(1e-3, b1=0.8)
    other = dataclasses.replace(value, learning_rate=np.float64(0.5))
    assert other == adam(0.5, b1=0.8)
    assert value == adam(1e-3, b1=0.8)
    assert jax.tree.structure(other) == jax.tree.structure(value)
    scheduled = dataclasses.replace(value, learning_rate=cosine_decay(0.5, 4))
    assert scheduled == adam(cosine_decay(0.5, 4), b1=0.8)


def test_replace_works_inside_a_compiled_function():
    @jax.jit
    def with_rate(value, rate):
        return dataclasses.replace(value, learning_rate=rate)

    other = with_rate(sgd(0.1, momentum=0.5, nesterov=True), 0.25)
    assert other.learning_rate == 0.25
    assert other.nesterov is True


def test_a_config_is_vmapped_over_the_axis_of_its_learning_rate():
    rates = np.array([0.1, 0.2, 0.4])
    swept = sgd(rates, momentum=0.5)
    none = jax.tree.map(lambda _: None, swept)
    axes = dataclasses.replace(none, learning_rate=0)
    grads = jnp.array([1.0, -2.0])

    def step(opt):
        assert jnp.shape(opt.learning_rate) == ()
        return opt.update(grads, opt.init(grads))[0]

    updates = jax.vmap(step, in_axes=(axes,))(swept)
    np.testing.assert_allclose(updates, -rates[:, None] * np.array([1.0, -2.0]), rtol=1e-6)


def test_stacked_configs_are_vmapped_over_all_their_numbers():
    makers = [Affine("times", np.float64(s), np.float64(t)) for s, t in [(1, 5), (2, 6), (3, 7)]]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *makers)
    np.testing.assert_array_equal(jax.vmap(lambda c: c(2.0))(stacked), [7, 10, 13])


def test_the_gradient_with_respect_to_a_config_is_such_a_config():
    slopes = jax.grad(lambda affine: affine(3.0))(Affine("times", 2.0, 1.0))
    assert slopes == Affine("times", 3.0, 1.0)


def test_configs_pass_through_scan_and_out_of_compiled_functions():
    def step(value, _):
        return jax.tree.map(lambda leaf: leaf * 2, value), value.slope

    first = Affine("times", jnp.float32(1), None)
    last, slopes = jax.jit(lambda value: jax.lax.scan(step, value, length=3))(first)
    assert last == Affine("times", jnp.float32(8), None)
    np.testing.assert_array_equal(slopes, [1, 2, 4])
