"""Settings for the whole suite: strict about types and shapes, on two CPU devices."""

import gc
import importlib.util
import os
import signal
import tempfile

import jax
import jax.monitoring
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest
from jax._src import compiler

FUSIONS = "xla_cpu_use_fusion_emitters"


def _flags():
    """Most of the time goes into compilation: it is done as fast as it can be, on one core for each
    worker, but as for users where a level of optimization is asked for.
    """
    given = os.environ.get("XLA_FLAGS", "")
    flags = [] if "optimization_level" in given else ["--xla_backend_optimization_level=0"]
    # Later versions know no other kernels than those of users, and a TPU's compiler, which reads
    # the flags too, refuses those that it does not know.
    knows_others = tuple(map(int, jaxlib.__version__.split(".")[:2])) < (0, 11)
    if flags and knows_others and importlib.util.find_spec("libtpu") is None:
        flags += [f"--{FUSIONS}=false", "--xla_cpu_parallel_codegen_split_count=1"]
    # later flags win, and tests rely on the devices
    return " ".join([*flags, given, "--xla_force_host_platform_device_count=2"])


gc.set_threshold(100_000, 20, 20)  # tracing makes many objects, of which few are garbage

# before anything is computed
os.environ["XLA_FLAGS"] = _flags()
os.environ.setdefault("MPLBACKEND", "Agg")

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


if jax.default_backend() != "cpu":
    # or else products of float32 are made in TF32, of which tests of digits say nothing
    jax.config.update("jax_default_matmul_precision", "float32")


CACHE = {
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


def pytest_configure(config):
    """Programs are compiled once for all tests of a worker and the processes that they start."""
    settings = {}
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="fnn-tests-")
        config.add_cleanup(folder.cleanup)
        settings = CACHE | {"jax_compilation_cache_dir": folder.name}
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        # JAX may read an entry that another process is still writing, and warns
        folder = os.path.join(os.environ["JAX_COMPILATION_CACHE_DIR"], worker)
        settings["jax_compilation_cache_dir"] = folder
    for name, value in settings.items():
        os.environ[name.upper()] = str(value)
        jax.config.update(name, value)
    config.addinivalue_line("markers", "long: takes several seconds; run by `-m long`")
    config.addinivalue_line(
        "markers", "cpu_layout: about how lanes are laid out, or programs made, on a CPU only"
    )


def pytest_runtest_setup(item):
    if item.get_closest_marker("cpu_layout") and jax.default_backend() != "cpu":
        pytest.skip("about how lanes are laid out, or programs made, on a CPU only")


@pytest.fixture(autouse=True, scope="module")
def _drop_compiled_programs():
    """Each compiled program holds memory maps, of which a process has only so many."""
    yield
    jax.clear_caches()


@pytest.fixture(scope="module")
def fused_as_for_users():
    """Programs whose kernels XLA makes as for users, on which it depends whether two that differ
    give the same bits."""
    if FUSIONS not in os.environ["XLA_FLAGS"]:
        yield
        return
    options_of = compiler.get_compile_options

    def with_fusions(*args, env_options_overrides=None, **options):
        chosen = {**(env_options_overrides or {}), FUSIONS: True}
        return options_of(*args, env_options_overrides=chosen, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiler, "get_compile_options", with_fusions)
        yield


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


@pytest.fixture(params=["one device", "all devices"])
def one_or_all_devices(request):
    """Sweeps on one device, as most machines have, and over both."""
    if request.param == "one device":
        jax.config.update("jax_default_device", jax.devices()[0])
    yield
    jax.config.update("jax_default_device", None)


@pytest.fixture
def x64():
    """Float64 for one test."""
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


@pytest.fixture(params=["float16", "bfloat16", "float32", "float64"])
def dtype(request):
    if request.param == "float64":
        request.getfixturevalue("x64")
    return jnp.dtype(request.param)


@pytest.fixture
def key():
    return jax.random.key(0)
