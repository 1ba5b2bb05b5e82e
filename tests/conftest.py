"""Settings for the whole suite: strict about types and shapes, on two CPU devices."""

import os
import signal

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
)
os.environ.setdefault("MPLBACKEND", "Agg")

import jax
import jax.monitoring
import numpy as np
import pytest

# a shell that starts us in the background has us ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)

CI_SHARE = 10


def pytest_addoption(parser):
    parser.addoption(
        "--all-faults", action="store_true", help="fault tests in full, not a tenth of them"
    )


def pytest_terminal_summary(terminalreporter):
    """The figures that fault tests have recorded."""
    reports = terminalreporter.stats.get("passed", [])
    figures = [text for r in reports for name, text in r.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("what was tried")
        for text in figures:
            terminalreporter.line(text)


@pytest.fixture
def faults(request):
    """What the number of faults is divided by."""
    return 1 if request.config.getoption("--all-faults") else CI_SHARE


@pytest.fixture
def record_figure(record_property):
    """Shows a figure at the end of the session."""
    return lambda text: record_property("figure", text)


jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _drop_compiled_programs():
    """Each compiled program holds memory maps, of which a process has only so many."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def compiled():
    """The times XLA was called, since the module's first test, with what a call needs made."""
    times = []

    def note(event, seconds, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            times.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(note)
    jax.jit(lambda x: x + 1)(np.float32(1)).block_until_ready()
    assert times, "the listener hears nothing"
    jax.random.key(0)  # which every call makes
    return times


@pytest.fixture
def x64():
    """Float64 for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture
def key():
    return jax.random.key(0)
