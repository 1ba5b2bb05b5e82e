"""The house: floors that imports only descend, files that can be read in one sitting."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "fnn"

# A name is a file, or a folder with an order of its own (see INSIDE).
FLOORS = [
    {"types"},
    {"_core"},
    {"streams"},
    {
        "activations",
        "files",
        "frames",
        "initializers",
        "losses",
        "meshes",
        "metrics",
        "scalers",
        "schedules",
    },
    {"_host", "data", "networks", "optimizers"},
    {"evaluation"},
    {"training"},
    {"sweeps"},
    {"cross_validation"},
    {"export", "interop", "loggers", "plots", "sklearn", "tuning"},
    {"__init__"},
    {"cli"},
    {"__main__"},
]

# The files of a folder, lowest first; each imports only from those before it.
INSIDE = {
    "_core": [
        *["array_cache", "devices", "jit_cache", "display", "config", "dtypes", "partition"],
        *["quantiles", "processes", "checks", "reductions", "shapes", "shards", "dataset"],
        *["frame_columns", "table", "__init__"],
    ],
    "_host": ["fingerprint", "checkpoints", "segments", "__init__"],
    "cli": [
        *["common", "demo", "table", "model", "task", "learning", "report", "sections"],
        *["predict", "train", "__init__"],
    ],
    "cross_validation": ["folds", "lanes", "scaling", "result", "cross_validate", "__init__"],
    "export": [
        *["files", "formulas", "steps", "source", "quantile_source", "c_names"],
        *["c_header", "numpy_source", "onnx_graph", "stablehlo", "__init__"],
    ],
    "files": ["leaves", "archive", "__init__"],
    "interop": [
        *["functions", "steps", "network", "state_dict", "torch_scaling", "torch", "sklearn"],
        *["keras_gelu", "keras", "flax", "equinox", "safetensors", "__init__"],
    ],
    "metrics": ["common", "labels", "classification", "ranking", "regression", "__init__"],
    "networks": [
        *["dense", "deep", "propagation", "embeddings", "weights", "summary", "model", "units"],
        *["arguments", "mlp", "suitable", "rewritten", "__init__"],
    ],
    "plots": [
        *["common", "boundary", "confusion", "curves", "heat", "images", "scatter", "surface"],
        "__init__",
    ],
    "optimizers": ["common", "sgd", "decay", "adam", "clip", "chain", "__init__"],
    "streams": [
        *["source", "arrays", "blocks", "parquet", "ahead", "reading", "statistics", "__init__"],
    ],
    "scalers": ["base", "linear", "quantile", "networks", "__init__"],
    "sklearn": ["base", "classifier", "regressor", "fits", "search", "__init__"],
    "sweeps": [
        *["columns", "halving", "rows", "layout", "lanes_last", "program"],
        *["store", "chunks", "spread", "setup", "result", "concatenate", "sweep", "__init__"],
    ],
    "sweeps/lanes_last": ["interpreter", "steps", "__init__"],
    "training": [
        *["stopping", "control", "batches", "step", "packing", "problem", "platform", "state"],
        *["placement", "epochs", "fit", "streamed", "train", "diagnosis", "__init__"],
    ],
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def floor_of(name: str) -> int:
    (floor,) = [number for number, names in enumerate(FLOORS) if name in names]
    return floor


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a file imports from fnn, as paths of names below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            names = [
                # `from fnn import data` imports a module, `from fnn.data import ...` a name
                f"{module}.{a.name}" if is_module(f"{module}.{a.name}") else module
                for a in node.names
            ]
        else:
            continue
        found |= {tuple(n.split(".")[1:]) for n in names if n.split(".")[0] == "fnn"}
    return {names or ("__init__",) for names in found}


def test_every_file_stands_on_one_floor():
    for path in modules():
        assert sum(parts(path)[0] in names for names in FLOORS) == 1, parts(path)


@pytest.mark.parametrize("path", modules(), ids=lambda path: "/".join(parts(path)))
def test_a_file_imports_only_from_floors_below_it(path):
    name, *rest = parts(path)
    for target, *inner in imported(path):
        if target == name and name in INSIDE:
            room, theirs, ours = name, inner, rest
            while theirs[0] == ours[0] and len(ours) > 1:  # in one folder of the room
                room, theirs, ours = f"{room}/{ours[0]}", theirs[1:], ours[1:]
            order = INSIDE[room]
            assert order.index(theirs[0]) < order.index(ours[0]), f"{ours[0]} imports {theirs[0]}"
        elif name != "__main__":
            target = target if any(target in names for names in FLOORS) else "__init__"
            assert floor_of(target) < floor_of(name), f"{name} imports {target}"


def code_lines(source: str) -> int:
    docstrings = set()
    for node in ast.walk(ast.parse(source)):
        value = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            docstrings |= set(range(node.lineno, node.end_lineno + 1))
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


@pytest.mark.parametrize("path", modules(), ids=lambda path: "/".join(parts(path)))
def test_a_file_can_be_read_in_one_sitting(path):
    assert code_lines(path.read_text()) <= 250


def test_nothing_else_lies_at_the_top():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        top = {name.split("/")[0] for name in listed.stdout.split()}
    else:  # a copy without its history
        top = {path.name for path in ROOT.iterdir()}
    expected = {"pyproject.toml", "README.md", "fnn", "tests", "notebooks", "bench", "docs"}
    assert {name for name in top if not name.startswith(".")} <= expected | {
        "LICENSE",
        "CHANGELOG.md",
        "CITATION.cff",
        "CONTRIBUTING.md",
    }


def test_every_room_has_tests_of_its_name():
    """A folder of them, or a file."""
    for path in modules():
        name = parts(path)[0].strip("_")
        places = [ROOT / "tests" / name, ROOT / "tests" / f"test_{name}.py"]
        if name not in {"init", "types"}:
            assert any(place.exists() for place in places), f"{name} has no tests"


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_fnn_starts_no_backend():
    """Nor does making configs: a program may still choose its platform afterwards."""
    started = run_python(
        "import fnn\n"
        "net = fnn.mlp((2, 3, 1), dropout=0.1)\n"
        "opt = fnn.chain(fnn.clip_by_global_norm(1.0), fnn.adam(fnn.cosine_decay(0.1, 100)))\n"
        "stop = fnn.early_stopping(patience=3)\n"
        "from jax._src import xla_bridge\n"
        "print(len(xla_bridge._backends))"
    )
    assert started.strip() == "0"


def test_importing_fnn_imports_nothing_of_the_extras():
    extras = {"optax", "chex", "sklearn", "matplotlib", "tqdm", "flax", "torch", "keras", "onnx"}
    extras |= {"pyarrow", "optuna", "grain", "ray"}
    out = run_python(f"import fnn, sys; print(sorted({extras!r} & set(sys.modules)))")
    assert out.strip() == "[]"


def test_the_library_never_asserts_nor_names_a_platform():
    """Errors are raised; and nothing may assume a CPU, though a compiler may be known by its name
    (`lax.platform_dependent`, `on_gpu`) where there is a default. What an export is for has to be
    named."""
    for path in modules():
        tree = ast.parse(path.read_text())
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), path
        named = re.search(r"""["'](cpu|gpu|tpu|cuda)["']""", path.read_text())
        assert not named or parts(path) in {("export", "stablehlo"), ("_core", "devices")}, path


def test_the_address_stands_once_and_badges_hold_to_it():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    address = project["urls"]["Repository"].removeprefix("https://github.com/")
    known = {address, "astral-sh/ruff-pre-commit"}  # and tools that have a page of their own
    pages = [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CITATION.cff", "CHANGELOG.md")),
        *(ROOT / "notebooks").glob("*.ipynb"),
        *(ROOT / "docs").glob("**/*.md"),
        *(ROOT / ".github").glob("**/*.yml"),
        *ROOT.glob(".pre-commit-config.yaml"),
    ]
    found = re.compile(r"github(?:\.com)?/([\w.-]+/[\w.-]+?)(?:\.git)?[/)\s\"]")
    for page in pages:
        for owner_and_name in found.findall(page.read_text()):
            assert owner_and_name in known, f"{page.name} names {owner_and_name}"
