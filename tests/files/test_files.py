"""Files: what is saved comes back byte for byte, and what is damaged or hostile is refused."""

import io
import json
import os
import random
import resource
import threading
import tracemalloc
import zipfile

import chex
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import fnn
from fnn.files import archive as files

RANDOM = np.random.default_rng(0)
TREE = {
    "weights": jnp.asarray(RANDOM.normal(size=(3, 4)).astype(np.float32)),
    "half": jnp.arange(5, dtype=jnp.float16),
    "brain": jnp.asarray([1.5, -2.25, np.inf], jnp.bfloat16),
    "small": RANDOM.normal(size=3).astype(ml_dtypes.float8_e4m3fn),
    "wide": RANDOM.normal(size=(2, 1, 3)),
    "bits": np.array([True, False]),
    "counts": (np.int32(7), np.arange(4, dtype=np.uint8), np.int64(2**40)),
    "keys": {"typed": jax.random.split(jax.random.key(3), 2), "old": jax.random.PRNGKey(1),
             "rbg": jax.random.key(0, impl="rbg")},
    "numbers": [1, 2.5, True, 1 + 2j, float("nan")],
    "empty": np.zeros((0, 3), np.float32),
    "big endian": np.arange(3, dtype=">i4"),
    "fortran": np.asfortranarray(RANDOM.normal(size=(2, 3))),
    "strided": np.arange(10)[::2],
    "none": None,
}  # fmt: skip


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert type(a) is type(b)
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        if jnp.issubdtype(getattr(a, "dtype", np.float32), jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


def assert_refused(path, *texts, like=TREE):
    with pytest.raises(fnn.CheckpointError) as caught:
        fnn.load(path, like=like)
    assert str(path) in str(caught.value)
    for text in texts:
        assert text in str(caught.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tree.npz"


def test_what_is_saved_comes_back(path):
    fnn.save(path, TREE, {"epoch": 3, "text": "äöü", "list": [1, None]})
    assert_same(fnn.load(path, like=TREE), TREE)
    assert fnn.load_metadata(path) == {"epoch": 3, "text": "äöü", "list": [1, None]}
    assert os.listdir(path.parent) == [path.name]


def test_the_template_may_be_shapes_alone(path):
    net = fnn.mlp((3, 4, 2), norm="layer")
    state = fnn.init_state(net, fnn.adam(1e-3), jax.random.key(0))
    fnn.save(path, state)
    like = jax.eval_shape(lambda key: fnn.init_state(net, fnn.adam(1e-3), key), jax.random.key(1))
    assert_same(fnn.load(path, like=like), state)


def test_a_run_and_its_state_come_back(path):
    x = RANDOM.normal(size=(20, 3)).astype(np.float32)
    run = fnn.fit(fnn.mlp((3, 2)), fnn.squared_error, fnn.adam(1e-2), (x, x[:, :2]),
                  key=jax.random.key(0), epochs=2)  # fmt: skip
    fnn.save(path, run)
    assert_same(fnn.load(path, like=run), run)


def test_numpy_reads_the_arrays(path):
    fnn.save(path, {"a": np.arange(3.0), "b": np.ones((2, 2), np.int8)})
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["0"], np.arange(3.0))
        np.testing.assert_array_equal(arrays["1"], np.ones((2, 2)))


def test_equal_trees_make_equal_files(tmp_path):
    fnn.save(tmp_path / "a", TREE, {"n": 1})
    fnn.save(tmp_path / "b", TREE, {"n": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("like", "text"),
    [
        ({"w": np.zeros((2, 3))}, "['w']: array float64(2, 3)"),
        ({"w": np.zeros((3, 2), np.float32)}, "file: ['w']: array float64(3, 2)"),
        ({"v": np.zeros((3, 2))}, "like: ['v']"),
        ({"w": np.zeros((3, 2)), "x": 1}, "file: nothing"),
        ([np.zeros((3, 2))], "like: [0]"),
        ({"w": jax.random.key(0)}, "like: ['w']: key key<fry>"),
        ({}, "like: nothing"),
    ],
)
def test_another_tree_is_refused_and_named(path, like, text):
    fnn.save(path, {"w": np.ones((3, 2))})
    assert_refused(path, text, like=like)


def test_keys_of_another_generator_are_refused(path):
    fnn.save(path, jax.random.key(0, impl="rbg"))
    assert_refused(path, "key<rbg>", like=jax.random.key(0, impl="unsafe_rbg"))


def test_float64_without_x64_is_refused_where_jax_would_narrow_it(path):
    fnn.save(path, np.ones(2))
    assert_refused(path, "jax_enable_x64", like=jax.ShapeDtypeStruct((2,), np.float64))


@pytest.mark.parametrize(
    ("tree", "metadata", "text"),
    [
        (fnn.relu, None, "array of numbers"),
        ("text", None, "array of numbers"),
        (np.array(["a"]), None, "dtype <U1"),
        (np.array([object()]), None, "dtype object"),
        (np.array(["2020-01-01"], "M8[D]"), None, "dtype"),
        (np.zeros(2, [("a", "f4")]), None, "dtype"),
        (np.ones(2, np.longdouble), None, "dtype"),
        (2**70, None, "fit 64 bits"),
        (1.0, {"bad": object()}, "metadata"),
        (1.0, {"bad": float("nan")}, "metadata"),
    ],
)
def test_what_cannot_be_stored_is_told(path, tree, metadata, text):
    with pytest.raises((TypeError, ValueError), match="save: ") as caught:
        fnn.save(path, tree, metadata)
    assert text in str(caught.value)
    assert not path.exists()


def test_tracers_are_refused(path):
    with pytest.raises(TypeError, match="must be known, not traced"):
        jax.jit(lambda x: fnn.save(path, x))(1.0)


@pytest.mark.parametrize("function", [fnn.load_metadata, lambda p: fnn.load(p, like=1.0)])
def test_a_file_that_is_not_there_is_told_as_python_does(tmp_path, function):
    with pytest.raises(FileNotFoundError):
        function(tmp_path / "none")
    with pytest.raises(TypeError, match="path must be a path"):
        function(3)


def small(path):
    """A file of which every bit can be tried, and what it holds."""
    tree = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "n": 3, "k": jax.random.key(5)}
    fnn.save(path, tree, {"epoch": 1})
    return tree, path.read_bytes()


def read_or_refused(path, data, tree):
    """Whether a file is refused; else it must hold the tree."""
    path.write_bytes(data)
    try:
        found, metadata = fnn.load(path, like=tree), fnn.load_metadata(path)
    except fnn.CheckpointError:
        return True
    assert_same(found, tree)
    assert metadata == {"epoch": 1}
    return False


def test_no_flipped_bit_gives_a_wrong_number(path, faults, record_figure):
    tree, data = small(path)
    bits = random.Random(0).sample(range(8 * len(data)), min(3000 // faults, 8 * len(data)))
    refused = 0
    for bit in bits:
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        refused += read_or_refused(path, bytes(flipped), tree)
    record_figure(f"{len(bits)} single-bit flips: {refused} refused, the others harmless, 0 wrong")
    assert refused > 0.8 * len(bits)


def test_every_truncation_is_refused(path, faults, record_figure):
    tree, data = small(path)
    lengths = range(0, len(data), faults)
    assert all(read_or_refused(path, data[:length], tree) for length in lengths)
    record_figure(f"{len(lengths)} truncations of a file: all refused")


def test_a_file_that_grew_or_lost_its_middle_is_refused_or_harmless(path):
    tree, data = small(path)
    read_or_refused(path, data + b"x" * 100, tree)
    read_or_refused(path, b"x" * 100 + data, tree)
    assert read_or_refused(path, data[:100] + data[200:], tree)


# Hostile files


def entries_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path, entries, *, manifest=None, compression=zipfile.ZIP_STORED):
    """A file that is well formed as a whole, whatever it holds."""
    if manifest is not None:
        entries = {**entries, "manifest.json": json.dumps(manifest).encode()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.comment = files._comment(entries["manifest.json"])
        for name, contents in entries.items():
            archive.writestr(name, contents)


@pytest.fixture
def made(path):
    """A tree, the entries of its file, and its manifest."""
    tree, data = small(path)
    entries = entries_of(data)
    return tree, entries, json.loads(entries["manifest.json"])


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def test_an_untouched_rewrite_is_read(path, made):
    tree, entries, manifest = made
    write_zip(path, entries, manifest=manifest)
    assert_same(fnn.load(path, like=tree), tree)


def test_bombs_are_refused_before_they_are_read(path, made):
    tree, entries, _ = made
    write_zip(path, {**entries, "0.npy": bytes(10**8)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10**6
    assert_refused(path, "compressed", like=tree)
    # a header that speaks of more than there is
    huge = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(huge, header)
    write_zip(path, {**entries, "0.npy": huge.getvalue()})
    tracemalloc.start()
    try:
        assert_refused(path, "must begin as an array", like=tree)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_a_long_manifest_is_not_read(path, made):
    tree, entries, _ = made
    write_zip(path, {**entries, "manifest.json": b"[" + b"{}," * 10**7 + b"{}]"})
    tracemalloc.start()
    try:
        assert_refused(path, "the manifest must have", like=tree)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="must fit"):
        fnn.save(path, 1.0, "x" * 2**24)


def test_sizes_that_lie_are_refused(path, made):
    tree, entries, _ = made
    data = bytearray()
    write_zip(path, entries)
    data += path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("0.npy")
    # the sizes in the archive's directory, where readers look
    place = data.index(b"PK\x01\x02", info.header_offset)
    while data[place + 46 : place + 51] != b"0.npy":
        place = data.index(b"PK\x01\x02", place + 1)
    data[place + 20 : place + 28] = (2**31 - 1).to_bytes(4, "little") * 2
    path.write_bytes(bytes(data))
    assert_refused(path, "must fit into its", like=tree)


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (np.arange(6, dtype=np.float32), {}),
        (np.arange(6, dtype=np.float64).reshape(2, 3), {}),
        (np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)), {}),
        (np.array([[{}] * 3] * 2), {"allow_pickle": True}),
        (np.arange(6, dtype=np.float32).reshape(2, 3) + 1, {}),
    ],
    ids=["shape", "dtype", "order", "objects", "numbers"],
)
def test_another_array_in_a_leaf_is_refused(path, made, array, options):
    tree, entries, _ = made
    write_zip(path, {**entries, "0.npy": npy(array, **options)})
    assert_refused(path, "['a'] (0.npy)", like=tree)


@pytest.mark.parametrize("name", ["../escape.npy", "/escape.npy", "3.npy", "manifest.json/x"])
def test_names_are_no_paths_and_must_be_those_of_the_manifest(path, made, name):
    tree, entries, _ = made
    write_zip(path, {**entries, name: b"x"})
    assert_refused(path, "exactly the leaves", like=tree)
    assert os.listdir(path.parent) == [path.name]


def test_an_entry_that_is_there_twice_is_refused(path, made):
    tree, _, _ = made
    fnn.save(path, tree)
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("0.npy", npy(np.zeros((2, 3), np.float32)))
    assert_refused(path, "exactly the leaves", like=tree)


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"format": "other"},
        {"leaves": 3},
        {"leaves": [{"path": 1}]},
        {"leaves": []},
    ],
    ids=str,
)
def test_another_manifest_is_refused(path, made, change):
    tree, entries, manifest = made
    write_zip(path, entries, manifest=manifest | change)
    assert_refused(path, like=tree)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b"9" * 10_000])
def test_a_manifest_that_is_none_is_refused(path, made, text):
    tree, entries, _ = made
    write_zip(path, {**entries, "manifest.json": text})
    assert_refused(path, like=tree)


def test_files_of_others_are_refused(path):
    np.savez(path, a=np.ones(3))
    assert_refused(path)
    path.write_bytes(b"")
    assert_refused(path)
    path.write_bytes(b"not a zip" * 1000)
    assert_refused(path)


# Writing


def test_what_was_there_stays_where_the_disk_is_full(path, record_figure):
    fnn.save(path, {"a": np.zeros(3)})
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # else the process ends
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1]))
    try:
        with pytest.raises(fnn.CheckpointError, match="could not be written") as caught:
            fnn.save(path, {"a": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    record_figure("no room for a file: a clear error, the old file intact, nothing left behind")


def test_a_folder_that_cannot_be_synced_is_none_of_our_business(path, monkeypatch):
    sync = os.fsync

    def only_files(number):
        if os.path.isdir(f"/proc/self/fd/{number}"):
            raise OSError("folders cannot be synced")
        sync(number)

    monkeypatch.setattr(os, "fsync", only_files)
    fnn.save(path, 1.0)
    assert fnn.load(path, like=2.0) == 1.0


def test_a_file_is_synced_before_it_takes_its_place_and_its_folder_after(path, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace

    def synced(number):
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file")
        sync(number)

    def replaced(old, new):
        done.append("renamed")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    fnn.save(path, 1.0)
    assert done == ["file", "renamed", "folder"]


def test_a_long_name_can_be_written(tmp_path):
    fnn.save(tmp_path / ("n" * 250), 1.0)


@pytest.mark.parametrize("bad", ["", "a\0b", "/"])
def test_what_is_no_name_of_a_file_is_told(bad):
    with pytest.raises(ValueError, match="path must be a path"):
        fnn.save(bad, 1.0)


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(fnn.CheckpointError, match="No such file"):
        fnn.save(tmp_path / "none" / "file", 1.0)


def test_two_writers_leave_one_whole_file(path, faults, record_figure):
    trees = [{"a": np.full(20_000, n)} for n in range(4)]
    fnn.save(path, trees[0])
    done = threading.Event()

    def write(tree):
        while not done.is_set():
            fnn.save(path, tree)

    writers = [threading.Thread(target=write, args=[tree]) for tree in trees]
    for writer in writers:
        writer.start()
    reads = 500 // faults
    for _ in range(reads):
        found = fnn.load(path, like=trees[0])["a"]
        assert (found == found[0]).all()
    done.set()
    for writer in writers:
        writer.join()
    assert os.listdir(path.parent) == [path.name]
    record_figure(f"{reads} reads beside {len(writers)} writers to one path: one whole file each")


def test_an_array_goes_to_the_device_where_that_of_like_was_put(path):
    last = jax.devices()[-1]
    fnn.save(path, jnp.ones(3))
    found = fnn.load(path, like=jax.device_put(jnp.zeros(3), last))
    assert found.devices() == {last}
    assert not fnn.load(path, like=jnp.zeros(3)).committed


def test_arrays_over_devices_load_on_one_and_back(path):
    devices = jax.devices()
    mesh = jax.sharding.Mesh(np.array(devices), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    values = np.arange(8.0, dtype=np.float32)
    spread = jax.device_put(values, sharding)
    fnn.save(path, spread)
    one = fnn.load(path, like=jnp.zeros(8))
    assert len(one.sharding.device_set) == 1
    chex.assert_trees_all_equal(one, values)
    many = fnn.load(path, like=jax.device_put(jnp.zeros(8), sharding))
    assert many.sharding == sharding
    chex.assert_trees_all_equal(many, values)
