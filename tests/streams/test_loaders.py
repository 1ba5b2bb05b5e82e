"""Sources of other libraries: Parquet by PyArrow, loaders of PyTorch and Grain."""

import sys

import numpy as np
import pytest
from small_streams import WEIGHTS, X, Y, assert_no_thread_is_left, assert_same_bits, source, train

import fnn
from fnn import streams


def table(rows):
    import pyarrow as pa

    columns = {f"x{index}": X[rows, index] for index in range(3)}
    columns |= {f"y{index}": Y[rows, index] for index in range(2)}
    return pa.table(columns | {"weight": WEIGHTS[rows]})


@pytest.fixture
def files(tmp_path):
    """Two files with row groups of 24 rows."""
    parquet = pytest.importorskip("pyarrow.parquet")
    for name, rows in (("a", slice(0, 96)), ("b", slice(96, 230))):
        parquet.write_table(table(rows), tmp_path / f"{name}.parquet", row_group_size=24)
    return tmp_path


def test_row_groups_are_trained_on_as_blocks_of_arrays(files):
    options = {"target": ["y0", "y1"], "weights": "weight", "buffer_rows": 64}
    data = streams.from_parquet(files, **options)
    assert data.rows == 230
    expected = train(source(X, Y, WEIGHTS))
    assert_same_bits(expected, train(data))
    listed = streams.from_parquet([files / "a.parquet", files / "b.parquet"], **options)
    assert_same_bits(expected, train(listed, checkpoint=files / "run"))
    with pytest.raises(ValueError, match="data"):
        train(streams.from_parquet(files / "a.parquet", **options), checkpoint=files / "run")


def test_one_target_is_one_dimensional(files):
    data = streams.from_parquet(files, target="y1", features=["x2", "x0"])
    scores = fnn.evaluate(fnn.mlp((2, 1)), fnn.mlp((2, 1)).init(fnn_key()), data,
                          {"mae": fnn.mean_absolute_error})  # fmt: skip
    expected = fnn.evaluate(fnn.mlp((2, 1)), fnn.mlp((2, 1)).init(fnn_key()),
                            (X[:, [2, 0]], Y[:, 1]), {"mae": fnn.mean_absolute_error})  # fmt: skip
    np.testing.assert_allclose(scores["mae"], expected["mae"], rtol=1e-5)
    np.testing.assert_allclose(fnn.standard_scaler(data.targets).mean, Y[:, 1].mean(), rtol=1e-5)


def fnn_key():
    import jax

    return jax.random.key(0)


def test_wrong_parquet_is_refused(files, tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    with pytest.raises(ValueError, match=r"target must be names of columns, of \['x0'.*'no'"):
        streams.from_parquet(files, target="no")
    with pytest.raises(TypeError, match="features must be names of columns"):
        streams.from_parquet(files, target="y0", features=[])
    (tmp_path / "no.txt").write_text("x0,y0")
    with pytest.raises(ValueError, match=r"files must be Parquet; got .*no\.txt"):
        streams.from_parquet(tmp_path / "no.txt", target="y0")
    missing = {"a": pa.array([1.0, None, 3.0]), "b": ["u", "v", "w"], "y": [1.0, 2.0, 3.0]}
    parquet.write_table(pa.table(missing), tmp_path / "c.parquet")
    mean = fnn.standard_scaler
    path = tmp_path / "c.parquet"
    with pytest.raises(ValueError, match=r"block 0 \(rows 0 to 2\), .* nan at index \(1, 0\)"):
        mean(streams.from_parquet(path, target="y", features=["a"]))
    with pytest.raises(TypeError, match=r"x of x, block 0 .* must hold numbers"):
        mean(streams.from_parquet(path, target="y", features=["b"]))


def test_parquet_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'fnn\[cli\]'"):
        streams.from_parquet("x.parquet", target="y")


def test_a_loader_of_pytorch_is_a_source():
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    from torch.utils.data import DataLoader, TensorDataset

    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    loader = DataLoader(rows, batch_size=24)
    listed = [(X[start : start + 24], Y[start : start + 24]) for start in range(0, 230, 24)]
    expected = train(streams.from_blocks(lambda: listed, buffer_rows=64))
    assert_same_bits(expected, train(streams.from_blocks(loader, buffer_rows=64)))

    def shuffled(epoch):
        random = torch.Generator().manual_seed(epoch)
        return DataLoader(rows, batch_size=24, shuffle=True, generator=random)

    once = train(streams.from_blocks(shuffled, buffer_rows=64))
    assert_same_bits(once, train(streams.from_blocks(shuffled, buffer_rows=64)))
    labels = DataLoader(TensorDataset(torch.from_numpy(X), torch.arange(230) % 2), batch_size=50)
    net = fnn.mlp((3, 2))
    params = net.init(fnn_key())
    scores = fnn.evaluate(net, params, streams.from_blocks(labels), {"f1": fnn.f1})
    expected = fnn.evaluate(net, params, (X, np.arange(230) % 2), {"f1": fnn.f1})
    np.testing.assert_allclose(scores["f1"], expected["f1"], rtol=1e-5)
    assert_no_thread_is_left()


def test_a_dataset_and_a_loader_of_grain_are_sources():
    grain = pytest.importorskip("grain", reason="needs the extra grain")

    class Rows:
        def __len__(self):
            return 230

        def __getitem__(self, index):
            return X[index], Y[index]

    dataset = grain.MapDataset.source(Rows()).batch(24)
    listed = [(X[start : start + 24], Y[start : start + 24]) for start in range(0, 230, 24)]
    expected = train(streams.from_blocks(listed, buffer_rows=64))
    assert_same_bits(expected, train(streams.from_blocks(dataset, buffer_rows=64)))
    in_order = train(streams.from_blocks(lambda: listed, buffer_rows=64))
    iterated = dataset.to_iter_dataset()
    assert_same_bits(in_order, train(streams.from_blocks(iterated, buffer_rows=64)))
    loader = grain.DataLoader(
        data_source=Rows(),
        sampler=grain.samplers.SequentialSampler(230),
        operations=[grain.transforms.Batch(24)],
        worker_count=0,
    )
    assert_same_bits(in_order, train(streams.from_blocks(loader, buffer_rows=64)))
    with pytest.raises(ValueError, match="must be at least one, and end"):
        streams.from_blocks(dataset.repeat())
    seeded = grain.MapDataset.source(Rows()).seed(3).shuffle().batch(24)
    once = train(streams.from_blocks(seeded, buffer_rows=64))
    assert_same_bits(once, train(streams.from_blocks(seeded, buffer_rows=64)))
    assert_no_thread_is_left()
