"""A run on a source: the same steps, buffer by buffer, from data that need not fit into memory.

Each buffer is a call of one compiled program, which shuffles its rows and makes their steps. At the
end of an epoch another one does what the epochs of `fit` end with.
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn._core import checks
from fnn._core.dataset import Dataset, Sharded, on_devices, put_on_devices
from fnn._core.jit_cache import compiled
from fnn._core.partition import Structure, host_numbers, merge, split
from fnn.evaluation import check_loss, scores_of, streamed_scores
from fnn.networks.units import centring, is_pair
from fnn.streams.ahead import read_ahead
from fnn.streams.reading import Buffer, Reader
from fnn.streams.source import Source, facts_of, shards_of_source
from fnn.training.batches import in_batches, order_of
from fnn.training.epochs import VALIDATION_ROWS, after_epoch, has_ended, scanned
from fnn.training.placement import packing_for, steps_placed
from fnn.training.platform import largest_summed_of
from fnn.training.problem import Problem
from fnn.training.state import FitState
from fnn.training.step import TrainState
from fnn.types import Network

# A call makes the steps of buffers for about so many seconds: the pace of Ctrl-C.
_SECONDS = 0.25


class Partway(NamedTuple):
    """Where a run stands within an epoch; beside a `FitState`, all that it needs to continue."""

    train: TrainState
    loss: jax.Array
    """The mean loss of the steps so far, `()`."""
    broken: jax.Array
    """int32, `()`: the step, counted over the run, at which it broke; -1 if it did not."""
    weight: np.float64
    """The sum of the weights of the rows so far."""
    buffers: np.int64
    """How many buffers are done."""
    mark: np.int64
    """What the last of these begins with."""
    rows: np.int64
    """Of each epoch; -1 before the first one is over, if the source does not know."""


class Streams(NamedTuple):
    """Data and validation of a run, of which the first is a source, and what is checked by them."""

    net: Network
    data: Reader
    validation: Any
    """A reader, arrays, or None."""
    examples: tuple[Any, Any]
    """Of both, arrays."""

    def facts(self) -> dict[str, Any]:
        """What checkpoints know them by, instead of by the examples."""
        facts: dict[str, Any] = {"data": facts_of(self.data.source)}
        if isinstance(self.validation, Reader):
            facts["validation"] = facts_of(self.validation.source)
        return facts


def streams_of(
    function: str, net: Network, data: Any, validation: Any, batch_size: int
) -> Streams | None:
    """The sources among the arguments of a run; None where there are none."""
    rule = "validation may be a Source where data is one"
    only = isinstance(validation, Source) and not isinstance(data, Source)
    checks.require(not only, function, rule, "arrays as data", TypeError)
    if not isinstance(data, Source):
        return None
    batch_size = checks.count(function, "batch_size", batch_size)
    reader = Reader(function, "data", data)
    example = reader.example(batch_size)
    held_out: Any = validation
    if isinstance(validation, Source):
        validation = Reader(function, "validation", validation)
        held_out = validation.example(VALIDATION_ROWS)
    checks.functions(function, "net", net, "init", "apply")
    net, change = centring(net, reader.x_dtype, *_dtypes_of_x(validation))
    if change is not None:
        reader = reader.changed(change)
        example = reader.example(batch_size)
        if isinstance(validation, Reader):
            validation = validation.changed(change)
            held_out = validation.example(VALIDATION_ROWS)
        elif is_pair(validation):
            held_out = change(validation[0]), *validation[1:]
    shards = shards_of_source(data)
    if shards is not None:
        example = Dataset(*put_on_devices(example, shards)[:3])
    return Streams(net, reader, validation, (example, held_out))


def _dtypes_of_x(validation: Any) -> list[Any]:
    if isinstance(validation, Reader):
        return [validation.x_dtype]
    if not is_pair(validation):
        return []
    x = validation[0]
    return [x.dtype if isinstance(x, jax.Array) else np.asarray(x).dtype]


class StreamedRun:
    """A run on a source, from where it stands."""

    def __init__(self, function: str, problem: Problem, streams: Streams, state: FitState):
        """Takes the checked arguments, and the state at the beginning of an epoch."""
        self._function, self._reader = function, streams.data
        self._problem = problem._replace(data=None, validation=None)  # pyright: ignore[reportArgumentType]
        self._shards = problem.data.shards if isinstance(problem.data, Sharded) else None
        self._validation: Any = streams.validation
        if not isinstance(self._validation, Reader):
            self._validation = on_devices(problem.validation)
        self._size = self._reader.buffer_rows(problem.plan.batch_size)
        self.state = state
        self.partway = self._beginning()

    def tree(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"state": self.state, "partway": self.partway}

    def restore(self, tree: dict[str, Any]) -> None:
        """Continues from a checkpoint."""
        self.state, self.partway = tree["state"], tree["partway"]
        if self.partway.rows >= 0:
            self._reader.rows = int(self.partway.rows)

    @contextlib.contextmanager
    def begun(self, epochs: int) -> Iterator[None]:
        """The data of so many epochs are read ahead while it runs."""
        with read_ahead(self._to_read(epochs)) as self._buffers:
            yield

    def part(self) -> int:
        """The buffers done of an epoch that has begun."""
        return int(self.partway.buffers)

    def _to_read(self, epochs: int) -> Iterator[Buffer]:
        """The buffers of so many epochs from here on, in a row. Of an epoch that has begun, the
        last one that was trained on is read again, to be compared.
        """
        first = int(self.state.epoch)
        done = self.part()
        words = np.asarray(jax.random.key_data(self.state.order_key)).ravel().tolist()
        for epoch in range(first, first + epochs):
            begin = max(0, done - 1) if epoch == first else 0
            yield from self._reader.buffers(self._size, epoch, [*words, epoch], begin)

    def run(self, asked: int) -> tuple[int, dict[str, Any]]:
        """So many epochs, or fewer if it ends or time is up: how many, and their histories."""
        begun = time.monotonic()
        rows = []
        while len(rows) < asked and not self._has_ended():
            if not self._run_epoch(begun + _SECONDS):
                break
            if int(self.state.diverged_at) < 0:  # or else it was rolled back
                rows.append(self.state.latest)
        stacked = {
            name: np.asarray([row[name] for row in rows], like.dtype).reshape(-1, *like.shape)
            for name, like in self._problem.plan.records
        }
        return len(rows), stacked

    def _run_epoch(self, until: float) -> bool:
        """Whether the epoch was over before that time."""
        before = None
        while True:
            buffer = next(self._buffers)
            if self._is_known(buffer):
                continue
            self._train_on(buffer)
            # the buffer before is waited for while this one is trained on
            if buffer.last or (before is not None and int(before) >= 0):
                self._finish_epoch()
                return True
            before = self.partway.broken
            if time.monotonic() > until:
                before.block_until_ready()
                return False

    def _has_ended(self) -> bool:
        traced, structure = split(self._function, (self._problem, self.state))
        with host_numbers():
            return bool(_has_ended(structure, traced))

    def _is_known(self, buffer: Buffer) -> bool:
        """Whether it is the last one that was trained on before; raises where it has changed."""
        if buffer.number >= self.part():
            return False
        rule = "data must give the rows that it gave before the run was interrupted"
        same = buffer.mark == int(self.partway.mark)
        got = f"others in epoch {buffer.epoch}, buffer {buffer.number}"
        checks.require(same, self._function, rule, got)
        return True

    def _beginning(self) -> Partway:
        """The beginning of the next epoch."""
        loss = dict(self._problem.plan.records)["loss"]
        rows = -1 if self._reader.rows is None else self._reader.rows
        return Partway(
            self.state.train, jnp.zeros(loss.shape, loss.dtype), jnp.full((), -1, np.int32),
            np.float64(0), np.int64(0), np.int64(0), np.int64(rows),
        )  # fmt: skip

    def _train_on(self, buffer: Buffer) -> None:
        part, problem = self.partway, self._problem
        given = self._function, problem.net, part.train.params, buffer.data, problem.loss
        check_loss(*given, remember=False)  # labels, say, which are out of range
        weight = np.float64(part.weight + buffer.weight)
        share = np.float64(buffer.weight / weight if weight else 0)
        problem = problem._replace(data=put_on_devices(buffer.data, self._shards))
        traced, structure = split(
            self._function,
            (problem, part.train, part.loss, part.broken, self.state.order_key, self.state.epoch,
             np.int32(buffer.number), share),
        )  # fmt: skip
        with host_numbers():
            train, loss, broken = _run_buffer(structure, traced, largest_summed_of(problem))
        self.partway = Partway(
            train, loss, broken, weight, np.int64(buffer.number + 1), np.int64(buffer.mark),
            part.rows,
        )  # fmt: skip

    def _finish_epoch(self) -> None:
        part, latest = self.partway, self.state.latest
        if int(part.broken) < 0:
            rule = "weights of data must not all be 0"
            checks.require(part.weight > 0, self._function, rule, "only 0")
            latest = {"loss": part.loss, **self._measures(part.train.params)}
        arguments = self._problem, self.state, part.train, latest, part.broken
        traced, structure = split(self._function, arguments)
        with host_numbers():
            self.state = _after_epoch(structure, traced)
        self.partway = self._beginning()

    def _measures(self, params: Any) -> dict[str, jax.Array]:
        given = self._function, self._problem.net, params, self._validation, self._problem.metrics
        if self._validation is None:
            return {}
        measured = streamed_scores if isinstance(self._validation, Reader) else scores_of
        return measured(*given, VALIDATION_ROWS)


@compiled(0, 2)
def _run_buffer(
    structure: Structure, traced: list, largest_summed: int
) -> tuple[TrainState, jax.Array, jax.Array]:
    problem, train, loss, broken, order_key, epoch, number, share = merge(structure, traced)
    packing = packing_for(problem, train.params, stack=False, largest_summed=largest_summed)
    before = train.step
    packed = train._replace(
        params=packing.pack(train.params), opt_state=packing.pack(train.opt_state)
    )
    packed = steps_placed(problem.data, packed)
    key = jax.random.fold_in(order_key, epoch)
    # data that are one buffer are trained on in the order of `fit`
    key = jnp.where(number == 0, key, jax.random.fold_in(key, number))
    order = order_of(problem.data, key)
    size, parts = problem.plan.batch_size, problem.plan.accumulate
    if not isinstance(problem.data, Sharded):
        size = min(size, -(-problem.data.rows // parts) * parts)
    batches = in_batches(problem.data, order, size)
    packed, (mean, first) = scanned(
        problem, packing, packed, batches, largest_summed=largest_summed
    )
    packed = steps_placed(problem.data, packed)
    train = packed._replace(
        params=packing.unpack(packed.params), opt_state=packing.unpack(packed.opt_state)
    )
    new = jnp.where(first < len(batches.rows), before + first, np.int32(-1))
    loss = loss + (mean - loss) * share.astype(loss.dtype)
    return train, loss, jnp.where(broken >= 0, broken, new)


@compiled(0)
def _after_epoch(structure: Structure, traced: list) -> FitState:
    problem, state, train, latest, broken = merge(structure, traced)
    return after_epoch(problem, state, train, latest, jnp.ones((), bool), broken < 0, broken)


@compiled(0)
def _has_ended(structure: Structure, traced: list) -> jax.Array:
    return has_ended(*merge(structure, traced))
