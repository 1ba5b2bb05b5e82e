"""The notebooks: each runs in a fresh kernel, and what is committed is what a run gives.

After a change, from the repository's root with the extra `test`:

    PYTHONPATH=$PWD jupyter execute --inplace notebooks/*.ipynb

The pictures of the README are among their outputs.
"""

import base64
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COLAB = "https://colab.research.google.com"
MOST_BYTES = 600_000

# folders of one machine
PATHS = re.compile(r"/(home|root|Users|tmp|work|var|opt)/|site-packages|[A-Z]:\\")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def address():
    """The repository's owner and name, which stand once."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["urls"]["Repository"].removeprefix("https://github.com/")


def badge(name):
    link = f"{COLAB}/github/{address()}/blob/main/notebooks/{name}.ipynb"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})"


def source(cell):
    return "".join(cell["source"])


def cells(path):
    return json.loads(path.read_text())["cells"]


def code_cells(path):
    return [cell for cell in cells(path) if cell["cell_type"] == "code"]


def messages(outputs):
    """Errors and warnings among outputs."""
    return [
        one for one in outputs
        if one["output_type"] == "error" or one.get("name") == "stderr"
    ]  # fmt: skip


@pytest.mark.long
@each_notebook
def test_a_notebook_runs_in_a_fresh_kernel_without_errors_and_warnings(path, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    for package in ("ipykernel", "mnist1d", "matplotlib", "optax", "sklearn"):
        pytest.importorskip(package)
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    # what a kernel is not to take over from the tests
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    del environment["MPLBACKEND"]
    flags = environment["XLA_FLAGS"].split()
    ours = ("device_count", "optimization_level", "fusion_emitters", "split_count")
    flags = [flag for flag in flags if not any(name in flag for name in ours)]
    environment["XLA_FLAGS"] = " ".join(flags)
    client.execute(env=environment)
    assert [messages(cell.get("outputs", [])) for cell in notebook.cells if
            messages(cell.get("outputs", []))] == []  # fmt: skip


@each_notebook
def test_a_notebook_begins_with_its_title_its_badge_and_the_install(path):
    first, second = cells(path)[:2]
    assert first["cell_type"] == "markdown"
    assert source(first).startswith("# ")
    assert source(first).splitlines()[-1] == badge(path.stem)
    assert source(second) == (
        "try:\n"
        "    import fnn\n"
        "except ModuleNotFoundError:\n"
        f'    %pip install --quiet "fnn[notebooks] @ git+https://github.com/{address()}"\n'
        "    import fnn"
    )


@each_notebook
def test_committed_outputs_are_those_of_one_run_from_top_to_bottom(path):
    code = code_cells(path)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        assert not messages(cell["outputs"]), source(cell)
        kinds = {kind for one in cell["outputs"] for kind in one.get("data", {})}
        if re.search(r"\bplt\.show\(", source(cell)):
            assert "image/png" in kinds, source(cell)
        # not what stands indented, in functions and branches
        if re.search(r"^print\(", source(cell), re.MULTILINE):
            assert any(one.get("name") == "stdout" for one in cell["outputs"]), source(cell)


@each_notebook
def test_a_notebook_is_small_and_tells_no_paths_of_a_machine(path):
    assert path.stat().st_size <= MOST_BYTES
    for cell in code_cells(path):
        for one in cell["outputs"]:
            shown = "".join(one.get("text", [])) + "".join(
                one.get("data", {}).get("text/plain", [])
            )
            assert not PATHS.search(shown), shown


@each_notebook
def test_a_notebook_asks_for_no_kernel_but_python3(path):
    kernel = json.loads(path.read_text())["metadata"]["kernelspec"]
    assert kernel["name"] == "python3"
    assert kernel["display_name"].startswith("Python 3")


@each_notebook
def test_the_readme_leads_to_each_notebook_with_a_picture(path):
    assert badge(path.stem) in README
    picture = path.with_suffix(".png")
    assert f"](notebooks/{picture.name})" in README
    outputs = [one for cell in code_cells(path) for one in cell["outputs"]]
    drawn = ["".join(one.get("data", {}).get("image/png", "")) for one in outputs]
    assert picture.read_bytes() in [base64.b64decode(image) for image in drawn if image]


def test_the_readme_leads_to_no_notebook_that_is_not_there():
    linked = set(re.findall(r"notebooks/(\w+)\.(?:ipynb|png)", README))
    assert linked == {path.stem for path in NOTEBOOKS}


def test_pictures_of_notebooks_are_opaque():
    """On dark pages black text on a transparent ground cannot be read."""
    image = pytest.importorskip("matplotlib.image")
    for path in (ROOT / "notebooks").glob("*.png"):
        pixels = image.imread(path)
        assert pixels.shape[-1] == 3 or (pixels[..., 3] == 1).all(), path.name
