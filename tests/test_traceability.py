"""The promise no other library gives, leaf by leaf: every number of every config, and of
every loss, can be vmapped, and changing its value never retraces."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(12, 3)).astype(np.float32)
Y = RANDOM.normal(size=(12, 2)).astype(np.float32)
LABELS = RANDOM.integers(0, 2, 12)
PARAMS = fnn.mlp((3, 2)).init(jax.random.key(0))


# ---- how each kind of config is put to work: config -> arrays


def along(schedule):
    return jax.vmap(schedule)(jnp.arange(12, dtype=np.int32))


def descend(optimizer):
    """Three steps on a small network: the parameters after them."""
    state = fnn.init_state(fnn.mlp((3, 2)), optimizer, jax.random.key(0))

    def step(state, _):
        return fnn.train_step(fnn.mlp((3, 2)), fnn.squared_error, optimizer, state, (X, Y))

    return jax.lax.scan(step, state, length=3)[0].params


def propagate(net):
    return net.apply(net.init(jax.random.key(0)), X, key=jax.random.key(1))


def trained(stop):
    run = fnn.fit(fnn.mlp((3, 2)), fnn.squared_error, fnn.sgd(0.5), (X, Y), key=jax.random.key(0),
                  epochs=9, batch_size=12, stop=stop)  # fmt: skip
    return run.history["loss"], run.epochs


def scaled(scaler):
    return scaler(X), scaler.inverse(X)


def drawn(low, high):
    return RANDOM.uniform(low, high, 8)


def drawn_integers(low, high):
    return RANDOM.integers(low, high, 8)


def beginning(value, column):
    """The column with this first value: what a leaf is while another one is varied."""
    return np.concatenate([[value], column[1:]])


# For every factory of a config: how to make one, how to use it, and eight values of each leaf.
TABLE = {
    "linear_decay": (
        lambda v: fnn.linear_decay(v["init_value"], v["decay_steps"], end_value=v["end_value"]),
        along,
        {
            "init_value": drawn(0.1, 1),
            "decay_steps": drawn_integers(1, 10),
            "end_value": drawn(0, 0.1),
        },
    ),
    "exponential_decay": (
        lambda v: fnn.exponential_decay(v["init_value"], v["decay_steps"], v["decay_rate"]),
        along,
        {
            "init_value": drawn(0.1, 1),
            "decay_steps": drawn_integers(1, 10),
            "decay_rate": drawn(0.5, 1.5),
        },
    ),
    "cosine_decay": (
        lambda v: fnn.cosine_decay(v["init_value"], v["decay_steps"], alpha=v["alpha"]),
        along,
        {"init_value": drawn(0.1, 1), "decay_steps": drawn_integers(1, 10), "alpha": drawn(0, 1)},
    ),
    "warmup_cosine_decay": (
        lambda v: fnn.warmup_cosine_decay(
            v["init_value"],
            v["peak_value"],
            v["warmup_steps"],
            v["decay_steps"],
            end_value=v["end_value"],
        ),
        along,
        {
            "init_value": drawn(0, 0.1),
            "peak_value": drawn(0.5, 1),
            "warmup_steps": beginning(3, drawn_integers(0, 4)),
            "decay_steps": drawn_integers(5, 12),
            "end_value": drawn(0, 0.1),
        },
    ),
    "piecewise_constant": (
        lambda v: fnn.piecewise_constant(v["boundaries"], v["values"]),
        along,
        {
            "boundaries": np.sort(RANDOM.permuted(np.tile(np.arange(1, 9), (8, 1)), axis=1)[:, :3]),
            "values": RANDOM.uniform(0, 1, (8, 4)),
        },
    ),
    "sgd": (
        lambda v: fnn.sgd(v["learning_rate"], momentum=v["momentum"], nesterov=True),
        descend,
        {"learning_rate": drawn(0.01, 0.5), "momentum": drawn(0, 0.9)},
    ),
    "adam": (
        lambda v: fnn.adam(v["learning_rate"], b1=v["b1"], b2=v["b2"], eps=v["eps"]),
        descend,
        {
            "learning_rate": drawn(0.01, 0.5),
            "b1": drawn(0, 0.99),
            "b2": drawn(0.5, 0.999),
            "eps": drawn(1e-8, 0.1),
        },
    ),
    "adamw": (
        lambda v: fnn.adamw(
            v["learning_rate"],
            b1=v["b1"],
            b2=v["b2"],
            eps=v["eps"],
            weight_decay=v["weight_decay"],
            mask=(fnn.Layer(v["mask.weight"], v["mask.bias"]),),
        ),
        descend,
        {
            "learning_rate": drawn(0.01, 0.5),
            "b1": drawn(0, 0.99),
            "b2": drawn(0.5, 0.999),
            "eps": drawn(1e-8, 0.1),
            "weight_decay": drawn(0, 1),
            "mask.weight": np.arange(8) % 2 == 0,
            "mask.bias": np.arange(8) % 3 == 0,
        },
    ),
    "add_decayed_weights": (
        lambda v: fnn.chain(fnn.add_decayed_weights(v["weight_decay"]), fnn.sgd(0.1)),
        descend,
        {"weight_decay": drawn(0, 1)},
    ),
    "clip_by_global_norm": (
        lambda v: fnn.chain(fnn.clip_by_global_norm(v["max_norm"]), fnn.sgd(0.1)),
        descend,
        {"max_norm": drawn(0.01, 2)},
    ),
    "chain": (
        lambda v: fnn.chain(
            fnn.clip_by_global_norm(v["max_norm"]),
            fnn.adam(fnn.cosine_decay(v["learning_rate"], decay_steps=v["decay_steps"])),
        ),
        descend,
        {
            "max_norm": drawn(0.01, 2),
            "learning_rate": drawn(0.01, 0.5),
            "decay_steps": drawn_integers(1, 10),
        },
    ),
    "mlp": (
        lambda v: fnn.mlp((3, 8, 2), dropout=v["dropout"], active=v["active"]),
        propagate,
        {"dropout": drawn(0, 0.9), "active": 1 + RANDOM.permutation(8)[:, None]},
    ),
    "mlp with scalers": (
        lambda v: fnn.mlp(
            (3, 2),
            inputs=fnn.StandardScaler(v["inputs.mean"], v["inputs.scale"]),
            outputs=fnn.StandardScaler(v["outputs.mean"], v["outputs.scale"]),
        ),
        propagate,
        {
            "inputs.mean": RANDOM.normal(size=(8, 3)),
            "inputs.scale": RANDOM.uniform(0.5, 2, (8, 3)),
            "outputs.mean": RANDOM.normal(size=(8, 2)),
            "outputs.scale": RANDOM.uniform(0.5, 2, (8, 2)),
        },
    ),
    "early_stopping": (
        lambda v: fnn.early_stopping(**v),
        trained,
        {
            "patience": beginning(4, drawn_integers(1, 5)),
            "min_delta": beginning(0.3, drawn(0, 1)),
            "target": beginning(0.01, drawn(0.6, 2)),
            "max_epochs": beginning(9, drawn_integers(1, 9)),
        },
    ),
    "standard_scaler": (
        lambda v: fnn.StandardScaler(mean=v["mean"], scale=v["scale"]),
        scaled,
        {"mean": RANDOM.normal(size=(8, 3)), "scale": RANDOM.uniform(0.5, 2, (8, 3))},
    ),
    "min_max_scaler": (
        lambda v: fnn.MinMaxScaler(**v),
        scaled,
        {
            "minimum": RANDOM.normal(size=(8, 3)),
            "scale": RANDOM.uniform(0.5, 2, (8, 3)),
            "feature_range": RANDOM.uniform([-1, 1], [0, 2], (8, 2)),
        },
    ),
    "robust_scaler": (
        lambda v: fnn.RobustScaler(**v, quantile_range=(25.0, 75.0)),
        scaled,
        {"median": RANDOM.normal(size=(8, 3)), "scale": RANDOM.uniform(0.5, 2, (8, 3))},
    ),
    "quantile_scaler": (
        lambda v: fnn.QuantileScaler(**v, quantiles=9),
        scaled,
        {
            "values": np.sort(RANDOM.normal(size=(8, 9, 3)), axis=1),
            "references": np.linspace(0, 1, 9) ** np.linspace(0.5, 2, 8)[:, None],
        },
    ),
}

CASES = [(name, leaf) for name, (_, _, leaves) in TABLE.items() for leaf in leaves]


def first(values):
    return {name: column[0] for name, column in values.items()}


def test_the_table_knows_every_factory_and_every_leaf():
    """A new config, or a new number of one, must be entered here."""
    made = {type(make(first(leaves))) for make, _, leaves in TABLE.values()}
    made |= {type(part) for make, _, leaves in TABLE.values()
             for part in getattr(make(first(leaves)), "optimizers", ())}  # fmt: skip
    public = {value for value in vars(fnn).values()
              if inspect.isclass(value) and hasattr(value, "__dataclass_fields__")}  # fmt: skip
    # functions, what sweep is told on the host, and what it returns
    odd = (public - made) ^ {
        *[fnn.Model, fnn.Lanes, fnn.Halving, fnn.Sweep, fnn.CrossValidation, fnn.Encoder]
    }
    assert not odd, f"TABLE, above, must have an entry for each of {odd}"
    for name, (make, _, leaves) in TABLE.items():
        config = make(first(leaves))
        if name in ("add_decayed_weights", "clip_by_global_norm"):
            config = config.optimizers[0]
        if name != "chain":
            assert len(jax.tree.leaves(config)) == len(leaves), name


@pytest.mark.parametrize(("name", "leaf"), CASES)
def test_vmapped_over_eight_values_equals_eight_single_runs_and_never_retraces(name, leaf):
    make, use, leaves = TABLE[name]
    traces = []

    @jax.jit
    def used(config):
        traces.append(1)
        return use(config)

    base = first(leaves)
    single = [used(make(base | {leaf: value})) for value in leaves[leaf]]
    assert len(traces) == 1, "a new value must not retrace"

    def run(value):
        return use(make(base | {leaf: value}))

    many = jax.jit(jax.vmap(run))(jnp.asarray(leaves[leaf]))
    for lane, one in enumerate(single):
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
            np.testing.assert_allclose(a, b[lane], rtol=2e-5, atol=1e-6)
    varied = [np.asarray(values) for values in jax.tree.leaves(many)]
    assert any(np.ptp(values, axis=0).max() > 0 for values in varied), "the value has no effect"


@pytest.mark.parametrize(("name", "leaf"), CASES)
def test_a_config_made_of_eight_values_is_eight_configs(name, leaf):
    """Factories take the column itself; vmap over that one leaf of the config."""
    make, use, leaves = TABLE[name]
    base = first(leaves)
    columns = {key: np.asarray(value) for key, value in base.items()}
    columns[leaf] = leaves[leaf]
    swept, plain = make(columns), make(base)
    axes = jax.tree.map(lambda a, b: 0 if np.ndim(a) > np.ndim(b) else None, swept, plain)
    assert sum(axis == 0 for axis in jax.tree.leaves(axes)) == 1
    many = jax.jit(jax.vmap(use, in_axes=(axes,)))(swept)
    third = use(make(base | {leaf: leaves[leaf][3]}))
    for a, b in zip(jax.tree.leaves(third), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b[3], rtol=2e-5, atol=1e-6)


LOSSES = [
    (fnn.huber, "delta", drawn(0.1, 2), Y),
    (fnn.softmax_cross_entropy, "label_smoothing", drawn(0, 1), LABELS),
    (fnn.sigmoid_cross_entropy, "label_smoothing", drawn(0, 1), (Y > 0).astype(int)),
]


def test_the_table_knows_every_number_of_every_loss():
    options = {
        (loss, name)
        for loss in (getattr(fnn, name) for name in fnn.losses.__all__)
        for name, parameter in inspect.signature(loss).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    odd = options ^ {(loss, name) for loss, name, _, _ in LOSSES}
    assert not odd, f"LOSSES, above, must have a line for each of {odd}"


@pytest.mark.parametrize(("loss", "name", "options", "targets"), LOSSES)
def test_numbers_of_losses_are_vmapped_and_never_retrace(loss, name, options, targets):
    outputs = jnp.asarray(3 * Y)
    traces = []

    @jax.jit
    def of(value):
        traces.append(1)
        return loss(outputs, targets, **{name: value})

    single = [of(value) for value in options]
    assert len(traces) == 1
    many = jax.vmap(lambda value: loss(outputs, targets, **{name: value}))(jnp.asarray(options))
    np.testing.assert_allclose(many, single, rtol=1e-5, atol=1e-6)
    assert np.ptp(many, axis=0).max() > 0


@pytest.mark.parametrize(("loss", "name", "options", "targets"), LOSSES)
def test_numbers_in_a_partial_handed_to_fit_never_compile_again(
    loss, name, options, targets, compiled
):
    run = partial(fnn.fit, fnn.mlp((3, 2)), optimizer=fnn.sgd(0.1), data=(X, targets),
                  key=jax.random.key(0), epochs=2)  # fmt: skip
    losses = [float(run(loss=partial(loss, **{name: options[0]})).history["loss"][-1])]
    compiled.clear()
    losses += [float(run(loss=partial(loss, **{name: o})).history["loss"][-1])
               for o in options[1:]]  # fmt: skip
    assert not compiled
    run(loss=partial(loss, **{name: options[0]}), epochs=3)
    assert compiled, "the listener must hear"
    assert len(set(losses)) > 4


def test_every_number_of_a_fit_changes_without_a_compilation(compiled):
    """All leaves of all configs at once, through fit itself."""

    def run(lane):
        values = {name: {leaf: column[lane] for leaf, column in leaves.items()}
                  for name, (_, _, leaves) in TABLE.items()}  # fmt: skip
        adamw = values["adamw"]
        decays = fnn.Layer(adamw.pop("mask.weight"), adamw.pop("mask.bias"))
        optimizer = fnn.chain(TABLE["clip_by_global_norm"][0](values["clip_by_global_norm"]),
                              fnn.adamw(**adamw, mask=(decays, decays)))  # fmt: skip
        net = fnn.mlp((3, 8, 2), dropout=values["mlp"]["dropout"], active=values["mlp"]["active"])
        stop = fnn.early_stopping(**values["early_stopping"])
        return fnn.fit(net, fnn.squared_error, optimizer, (X, Y), key=jax.random.key(0), epochs=3,
                       stop=stop).history["loss"]  # fmt: skip

    jax.block_until_ready(run(0))
    compiled.clear()
    jax.block_until_ready([run(lane) for lane in range(1, 8)])
    assert not compiled
