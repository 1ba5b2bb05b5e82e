"""Checks of arguments, and one wording for errors: `function: what must hold; got X`.

Shapes and dtypes are always checked. Values are checked where they are concrete;
under a transformation they are tracers, and go unchecked.
"""

import difflib
import math
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from fnn._core.array_cache import all_finite
from fnn._core.processes import is_elsewhere, parts_here, valid_in_all

INT32 = 2**31 - 1
"""The largest of JAX's integers at its default precision."""


def require(
    holds: Any, function: str, rule: str, got: Any, error: type[Exception] = ValueError
) -> None:
    """Raises `error` with the wording all errors here share, unless `holds`."""
    if not holds:
        raise error(f"{function}: {rule}; got {got}")


def concrete(value: Any) -> np.ndarray | None:
    """The value as a NumPy array, or None for a tracer, whose values are not known.

    None too for an array of which parts are on other processes' devices only.
    """
    if isinstance(value, Tracer) or is_elsewhere(value):
        return None
    return np.asarray(jax.device_get(value))


def no_tracers(function: str, tree: Any) -> None:
    """Raises where a pytree of arguments holds tracers, for those who run on the host."""
    traced = any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))
    rule = "arguments must be known, as it runs on the host (under transformations, fit does)"
    require(not traced, function, rule, "tracers")


def real(
    function: str,
    name: str,
    value: Any,
    *,
    rank: int = 0,
    at_least: float = -math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> Any:
    """A config's real number: a NumPy float64 scalar or array, or the jax array given.

    An array may have one axis more than `rank`: those are the values of many lanes.
    """
    return _numbers(
        function, name, value, np.float64, rank, _interval(at_least, above, below, at_most),
        lambda v: np.isfinite(v) & (v >= at_least) & (v > above) & (v < below) & (v <= at_most),
    )  # fmt: skip


def one_real(function: str, name: str, value: Any, **bounds: Any) -> Any:
    """`real`, but of one lane only."""
    value = real(function, name, value, **bounds)
    require(value.ndim == 0, function, f"{name} must be one number", f"shape {value.shape}")
    return value


def integer(function: str, name: str, value: Any, *, rank: int = 0, at_least: int = 0) -> Any:
    """A config's traced integer: a NumPy int32 scalar or array, or the jax array given."""
    return _numbers(
        function, name, value, np.int32, rank, f" from {at_least} to {INT32}",
        lambda v: (v >= at_least) & (v <= INT32),
    )  # fmt: skip


def _numbers(function, name, value, dtype, rank, interval, holds) -> Any:
    whole = np.issubdtype(dtype, np.integer)
    kinds = ("i", "u") if whole else ("i", "u", "f")
    noun = "integer" if whole else "finite number"
    rule = f"{name} must be {'an' if whole else 'a'} {noun}{interval}"
    try:
        value = rectangular(function, name, value)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{function}: {rule}; got {value!r}") from None
    # bfloat16 and the other small floats of ml_dtypes are of NumPy's kind V
    floating = not whole and jnp.issubdtype(value.dtype, np.floating)
    require(_kind(value) in kinds or floating, function, rule, _shown(value), TypeError)
    require(
        value.ndim in (rank, rank + 1),
        function,
        f"{name} must have rank {rank} (or {rank + 1}, one lane a row)",
        f"shape {value.shape}",
    )
    known = concrete(value)
    if known is not None:
        require(bool(holds(known).all()), function, rule, _shown(known))
    if isinstance(value, jax.Array):  # one dtype, never weak, so that values share a trace
        return jax.lax.convert_element_type(
            value, value.dtype if floating else jax.dtypes.canonicalize_dtype(dtype)
        )
    return value.astype(dtype)[()]


def _kind(value: Any) -> str:
    """NumPy's letter for what an array holds; keys, of a dtype that NumPy lacks, have none."""
    return getattr(value.dtype, "kind", "none")


def _interval(at_least: float, above: float, below: float, at_most: float) -> str:
    bounds = {">=": at_least, ">": above, "<": below, "<=": at_most}
    shown = [f"{sign} {bound:g}" for sign, bound in bounds.items() if math.isfinite(bound)]
    return " " + " and ".join(shown) if shown else ""


def count(
    function: str, name: str, value: Any, *, at_least: int = 1, at_most: float = math.inf
) -> int:
    """A static whole number, as a Python int."""
    rule = f"{name} must be an integer >= {at_least}, known before compilation"
    # first, as older versions of NumPy take their bools for an index and warn
    require(not isinstance(value, (bool, np.bool_)), function, rule, value, TypeError)
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{function}: {rule}; got {value!r}") from None
    require(whole >= at_least, function, rule, value)
    require(whole <= at_most, function, f"{name} must be <= {at_most}", value)
    return whole


def path(function: str, name: str, value: Any) -> Path:
    """A path of the file system, there or not."""
    rule = f"{name} must be a path of the file system"
    try:
        text = os.fsdecode(value)
    except TypeError:
        raise TypeError(f"{function}: {rule}; got {value!r}") from None
    require(text and "\0" not in text, function, rule, repr(value))
    return Path(text)


def flag(function: str, name: str, value: Any) -> bool:
    """A static choice between two."""
    is_flag = isinstance(value, (bool, np.bool_))
    require(is_flag, function, f"{name} must be True or False", repr(value), TypeError)
    return bool(value)


def word(function: str, name: str, value: Any, *words: str | None) -> None:
    """Raises ValueError unless a static option is one of these words."""
    known = (value is None or isinstance(value, str)) and value in words
    *first, last = map(repr, words)
    require(known, function, f"{name} must be {', '.join(first)} or {last}", repr(value))


def functions(function: str, name: str, value: Any, *members: str) -> None:
    """Raises TypeError unless it is an object, no class, with these functions."""
    is_one = all(callable(getattr(value, member, None)) for member in members)
    rule = f"{name} must have pure functions {' and '.join(members)}"
    got = repr(value) if isinstance(value, type) else type(value).__name__
    require(is_one and not isinstance(value, type), function, rule, got, TypeError)


def floating_dtype(function: str, name: str, dtype: Any) -> np.dtype | None:
    """A floating dtype that JAX can compute in, or None."""
    if dtype is None:
        return None
    rule = f"{name} must be a floating dtype or None"
    # NumPy also asks whatever has an attribute `dtype`, such as modules and arrays
    names_one = isinstance(dtype, (str, type, np.dtype))
    require(names_one, function, rule, repr(dtype), TypeError)
    try:
        dtype = np.dtype(dtype).newbyteorder("=")
    except (TypeError, ValueError):
        raise TypeError(f"{function}: {rule}; got {dtype!r}") from None
    require(jnp.issubdtype(dtype, jnp.floating), function, rule, dtype, TypeError)
    canonical = jax.dtypes.canonicalize_dtype(dtype)
    require(canonical == dtype, function, f"{name} must be enabled (jax_enable_x64)", dtype)
    return dtype


def choice(function: str, name: str, value: Any, table: Mapping[str, Any]) -> Any:
    """The table's entry of that name; a function is taken as it is."""
    if callable(value):
        return value
    names = f"one of {', '.join(table)}"
    require(isinstance(value, str), function, f"{name} must be a function or {names}",
            repr(value), TypeError)  # fmt: skip
    if value in table:
        return table[value]
    near = difflib.get_close_matches(value.lower(), table, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{function}: {name} must be a function or {names}; got {value!r}{hint}")


def key(function: str, value: Any) -> jax.Array:
    """A PRNG key of shape `()`, typed (`jax.random.key`) or old-style (`PRNGKey`), as typed."""
    rule = "key must be one PRNG key, such as jax.random.key(0)"
    if isinstance(value, (jax.Array, np.ndarray)):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            require(value.shape == (), function, rule, f"keys of shape {value.shape}")
            return value  # pyright: ignore[reportReturnType]
        shown = f"{value.dtype} of shape {value.shape}"
        if value.dtype == np.uint32 and value.ndim == 1:
            try:
                # `jnp.asarray` would compile a copy
                on_device = value if isinstance(value, jax.Array) else jax.device_put(value)
                return jax.random.wrap_key_data(on_device)
            except TypeError:  # of another length than the default generator's keys
                raise TypeError(f"{function}: {rule}; got {shown}") from None
    else:
        shown = repr(value)
    raise TypeError(f"{function}: {rule}; got {shown}")


def array(function: str, name: str, value: Any) -> jax.Array | np.ndarray:
    """`numbers` that are finite.

    Raises:
      TypeError, ValueError: As `numbers`; or values are NaN or infinite.
    """
    value = numbers(function, name, value)
    finite(function, name, value)
    return value


def numbers(function: str, name: str, value: Any) -> jax.Array | np.ndarray:
    """`real_numbers` at JAX's precision.

    Raises:
      TypeError: As `real_numbers`.
      ValueError: Values do not fit JAX's precision.
    """
    value = real_numbers(function, name, value)
    dtype = value.dtype
    if not isinstance(value, jax.Array):
        wide = dtype.kind == "f" and dtype.itemsize > 8  # which JAX does not know
        narrow = jax.dtypes.canonicalize_dtype(np.float64 if wide else dtype)
        if narrow != dtype:
            with np.errstate(over="ignore"):
                narrowed = value.astype(narrow)
            same = np.isfinite(narrowed) == np.isfinite(value)
            fits = bool((same if dtype.kind == "f" else narrowed == value).all())
            if not fits:
                got = f"values from {value.min()} to {value.max()}"
                require(False, function, f"{name} must fit {narrow}", got)
            value = narrowed
    return value


def real_numbers(function: str, name: str, value: Any) -> jax.Array | np.ndarray:
    """What `np.asarray` accepts, as an array of numbers or bools of any precision.

    Raises:
      TypeError: It holds strings, objects, complex numbers or dates.
    """
    value = rectangular(function, name, value)
    dtype = value.dtype
    if _kind(value) in ("U", "S", "O", "T"):
        raise TypeError(
            f"{function}: {name} must hold numbers (turn names into integer labels with "
            f"names, labels = np.unique({name}, return_inverse=True)); got {_shown(value)}"
        )
    known_kind = _kind(value) in ("b", "i", "u", "f") or jnp.issubdtype(dtype, np.floating)
    require(known_kind, function, f"{name} must hold real numbers", f"dtype {dtype}", TypeError)
    return value


def rectangular(function: str, name: str, value: Any) -> jax.Array | np.ndarray:
    """A jax array as it is, anything else by `np.asarray`; of any dtype."""
    if isinstance(value, jax.Array):
        return value
    try:
        array = np.asarray(value)
        # a table with columns of several kinds (bools and floats, say) comes as objects
        if array.dtype == object and array.size:
            array = np.asarray(array.tolist())
    except ValueError:
        rule = f"{name} must be an array, all of its rows of one shape"
        raise ValueError(f"{function}: {rule}; got rows of different shapes") from None
    except TypeError:  # of keys or tracers, which NumPy cannot hold
        rule = f"{name} must be an array"
        raise TypeError(f"{function}: {rule}; got {type(value).__name__}") from None
    # JAX takes arrays in this machine's byte order only
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def floats(function: str, name: str, tree: Any) -> Any:
    """A pytree of floating arrays at JAX's precision: jax arrays as they are.

    Raises:
      TypeError, ValueError: A leaf is something else; says which.
    """

    def checked(path, leaf):
        where = f"{name}{jax.tree_util.keystr(path)}"
        leaf = numbers(function, where, leaf)
        floating = jnp.issubdtype(leaf.dtype, np.floating)
        require(floating, function, f"{where} must be floating", leaf.dtype, TypeError)
        return leaf

    return jax.tree_util.tree_map_with_path(checked, tree)


def finite(function: str, name: str, value: Any) -> None:
    """Raises ValueError where a concrete array holds NaN or infinity.

    Of several processes, each looks at what is on its devices, and all raise.
    """
    if isinstance(value, Tracer) or value.dtype.kind in "biu":
        return
    with valid_in_all(function, value):
        for begin, part in [] if all_finite(value) else parts_here(value):
            known = np.asarray(jax.device_get(part))
            if (bad := ~np.isfinite(known)).any():
                first = tuple(int(i) for i in np.add(begin, np.argwhere(bad)[0]))
                rule = f"{name} must be finite everywhere"
                require(False, function, rule, f"{known[bad][0]} at index {first}")


def same_structure(function: str, name: str, expected: Any, given: Any) -> None:
    """Raises ValueError, showing both trees, unless they agree in structure, shapes and dtypes.

    Arrays in `given` may not have axes that `expected` lacks.
    """
    if _kinds(expected) == _kinds(given):  # which is quick to see
        return

    def described(tree):
        return [
            (jax.tree_util.keystr(path), str(np.shape(leaf)), str(_dtype(leaf)))
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        ]

    wanted, got = described(expected), described(given)
    containers = jax.tree.structure(expected), jax.tree.structure(given)
    if wanted == got and containers[0] != containers[1]:  # a list for a tuple, say
        raise ValueError(f"{function}: {name} must be {containers[0]}; got {containers[1]}")
    if wanted != got:
        raise ValueError(
            f"{function}: {name} must have the structure\n{_listed(wanted)}\n; got\n{_listed(got)}"
        )


def _kinds(tree: Any) -> tuple:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(np.shape(leaf), _dtype(leaf)) for leaf in leaves]


def _dtype(leaf: Any) -> Any:
    return getattr(leaf, "dtype", None) or np.asarray(leaf).dtype


def _listed(described: list[tuple[str, str, str]]) -> str:
    if not described:
        return "  (no arrays)"
    return "\n".join(f"  {path or 'the tree'}: {dtype}{shape}" for path, shape, dtype in described)


def _shown(value: Any) -> str:
    """A value in an error: short arrays whole, long ones by dtype and shape."""
    is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    if isinstance(value, Tracer) or is_key or value.size > 8:
        return f"{value.dtype} of shape {value.shape}"
    return repr(np.asarray(value).tolist())
