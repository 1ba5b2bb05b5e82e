"""Reading ahead: an iterator that runs on a thread of its own."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

import jax

_END = object()


@contextlib.contextmanager
def read_ahead(items: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """The same items, made on a thread: one is waiting while the next one is made.

    What the iterator raises is raised where its item would have been. The thread has ended when the
    context is left, as soon as the item at hand is made.
    """
    waiting: queue.Queue = queue.Queue(maxsize=1)
    left = threading.Event()
    precision = _precision()

    def work() -> None:
        end: tuple[Any, BaseException | None] = _END, None
        try:
            with precision:
                for item in items:
                    waiting.put((item, None))
                    if left.is_set():
                        break
        except BaseException as error:
            end = _END, error
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                with contextlib.suppress(Exception):
                    close()
        if not left.is_set():
            waiting.put(end)

    thread = threading.Thread(target=work, name="fnn-read-ahead", daemon=True)

    def made() -> Iterator[Any]:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item

    thread.start()
    try:
        yield made()
    finally:
        left.set()
        with contextlib.suppress(queue.Empty):
            waiting.get_nowait()  # the thread may wait for its place
        thread.join()


def _precision() -> contextlib.AbstractContextManager:
    """Sets JAX's precision to this thread's, as contexts of JAX hold for one thread."""
    wide = bool(jax.config.jax_enable_x64)  # pyright: ignore[reportAttributeAccessIssue]
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(wide)  # pyright: ignore[reportCallIssue]
    from jax import experimental

    return experimental.enable_x64(wide)  # pyright: ignore[reportAttributeAccessIssue]
