"""How exactly matrices are multiplied."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Within the block, the libraries that are imported multiply float32 as float32.

    On GPUs they otherwise round the factors to TF32, an error near what losses may differ by.
    """
    with contextlib.ExitStack() as stack:
        if jax := sys.modules.get("jax"):
            stack.enter_context(jax.default_matmul_precision("float32"))
        if torch := sys.modules.get("torch"):
            before = torch.get_float32_matmul_precision()
            stack.callback(torch.set_float32_matmul_precision, before)
            torch.set_float32_matmul_precision("highest")
        yield
