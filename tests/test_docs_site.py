"""The documentation site: it names everything, links lead somewhere, and its examples run."""

import ast
import contextlib
import importlib
import importlib.util
import io
import os
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import jax
import pytest

import fnn

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SUBMODULES = [
    *["activations", "export", "initializers", "interop", "loggers", "losses", "metrics", "plots"],
    *["schedules", "streams", "tuning"],
]
# what pages need beside the extra `test`
NEEDS = {"export": ["onnxruntime", "onnx", "flatbuffers"]}
# names that only fnn itself uses
PRIVATE = {"ACTIVATIONS", "JOINING", "RELU_FAMILY", "learning_rate", "rate_at"}

needs_sphinx = pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("furo") is None,
    reason="needs the extra docs",
)


def documented():
    """What the pages of the API document, by full name."""
    names, module = set(), "fnn"
    for page in (DOCS / "api").glob("*.md"):
        for line in page.read_text().splitlines():
            if match := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = match.group(1)
            if match := re.match(r"\.\. auto(module|\w+):: ([\w.]+)", line):
                is_module, name = match.group(1) == "module", match.group(2)
                names.add(name if is_module else f"{module}.{name}")
    return names


def test_every_public_name_is_on_a_page_of_the_api():
    expected = {f"fnn.{name}" for name in fnn.__all__} | {f"fnn.{name}" for name in SUBMODULES}
    for submodule in SUBMODULES:
        module = importlib.import_module(f"fnn.{submodule}")
        for name in set(module.__all__) - PRIVATE:
            is_ours = getattr(fnn, name, None) is getattr(module, name)
            expected.add(f"fnn.{name}" if is_ours else f"fnn.{submodule}.{name}")
    missing = expected - documented()
    assert not missing, f"docs/api must have an autofunction or autoclass for each of {missing}"


def test_no_page_documents_what_is_not_there():
    for name in documented():
        value = fnn
        for part in name.split(".")[1:]:
            value = getattr(value, part, None) or importlib.import_module(
                f"{value.__name__}.{part}"
            )
        assert value is not None


def test_every_submodule_is_a_module():
    for name in SUBMODULES:
        assert isinstance(importlib.import_module(f"fnn.{name}"), ModuleType)


def examples(page):
    """The code of a page's examples, each at its line."""
    text = page.read_text()
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield "\n" * (text[: match.start()].count("\n") + 1) + match.group(1)


@pytest.mark.long
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, tmp_path, monkeypatch):
    """In one test, as each uses what those before it have defined."""
    if page.stem in ("contributing", "devices"):
        pytest.skip("its examples are tried below")
    for library in NEEDS.get(page.stem, ()):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in examples(page):
        as_readers_have_it = (
            jax.numpy_rank_promotion("allow"),
            jax.numpy_dtype_promotion("standard"),
        )
        with contextlib.ExitStack() as stack:
            for setting in (*as_readers_have_it, contextlib.redirect_stdout(io.StringIO())):
                stack.enter_context(setting)
            exec(compile(code, str(page), "exec"), names)


EIGHT = """
for array in (*data, *jax.tree.leaves(run.params)):
    assert len(array.devices()) == 8
assert [shard.data.shape for shard in data[0].addressable_shards] == [(125, 8)] * 8
"""


@pytest.mark.long
def test_the_examples_of_devices_run_on_eight(tmp_path):
    page = DOCS / "devices.md"
    (flag,) = re.findall(r"^XLA_FLAGS=(\S+) python$", page.read_text(), re.MULTILINE)
    flags = f"--xla_backend_optimization_level=0 {flag}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*examples(page), EIGHT])], cwd=tmp_path,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_two_commands_are_those_of_the_readme():
    readme, start = (ROOT / "README.md").read_text(), (DOCS / "start.md").read_text()
    for name in ("quickstart", "tests"):
        (command,) = re.findall(rf"<!-- command: {name} -->\n```bash\n(.*)\n```", readme)
        assert command in start


# --- the site itself ---


def built(out):
    """The folder of the site, built without a network; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment.pop("DOCS_INTERSPHINX", None)
    done = subprocess.run(
        [*command, "-d", str(out / "trees"), str(DOCS), str(out / "html")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return (out / "html").resolve()


class Page(HTMLParser):
    """The places and the links of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found.get("id"), found.get("name")} - {None}
        for name in ("href", "src"):
            if found.get(name) and tag != "link":
                self.links.add(found[name])


def broken_links(site, pages):
    """Links within the site that lead nowhere."""
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            is_page = place and target in pages
            if not target.exists() or (is_page and place not in pages[target].ids):
                yield f"{path.relative_to(site)}: {link}"


@needs_sphinx
def test_the_site_builds_without_warnings_and_has_public_names_and_links_that_lead_somewhere(
    tmp_path,
):
    site = built(tmp_path)
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 25
    broken = list(broken_links(site, pages))
    assert not broken, "\n".join(broken)
    ids = set().union(*(page.ids for page in pages.values()))
    names = [n for n in fnn.__all__ if not isinstance(getattr(fnn, n), ModuleType)]
    assert {f"fnn.{name}" for name in names} - ids == set()


# --- the changes that `contributing` shows ---

CHANGE = re.compile(
    r"[Ii]n\s`(?P<path>[\w./]+)`,\s(?P<where>below|above)\sthe\s(?P<what>line|function)\s`(?P<at>[^`]+)`:"
    r"\n\n```\w+\n(?P<block>.*?)^```$"
    r"|[Ii]n\s`(?P<path2>[\w./]+)`,\sreplace\s(?P<ticks>`+)\s?(?P<old>[^\n]+?)\s?(?P=ticks)"
    r"\sby\s(?P=ticks)\s?(?P<new>[^\n]+?)\s?(?P=ticks)(?=\.)"
    r"|[Aa]\snew\sfile,\s`(?P<path3>[\w./]+)`:\n\n```python\n(?P<file>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def changed(text, where, what, at, block):
    """The text with a block put in below or above a line, or below a function."""
    lines = text.splitlines(keepends=True)
    if what == "function":
        (node,) = [n for n in ast.parse(text).body if getattr(n, "name", None) == at]
        return "".join([*lines[: node.end_lineno], "\n\n", block, *lines[node.end_lineno :]])
    index = next(n for n, line in enumerate(lines) if line.strip().startswith(at))
    index += where == "below"
    return "".join([*lines[:index], block, *lines[index:]])


def sections():
    """The sections of `contributing` that are complete changes, with their commands."""
    text = (DOCS / "contributing.md").read_text()
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title = section.splitlines()[0]
        if title.startswith("Add a"):
            yield pytest.param(section, id=title.replace(" ", "_"))


@needs_sphinx
@pytest.mark.skipif("FNN_RECIPE" in os.environ, reason="this is a copy with such a change")
@pytest.mark.parametrize("section", list(sections()))
def test_a_change_made_as_contributing_says_passes_its_tests(section, tmp_path):
    left_out = shutil.ignore_patterns(
        *(".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__"),
        *("_build", "_made", "build", "dist", "*.egg-info"),
    )
    tmp_path = shutil.copytree(ROOT, tmp_path / "copy", ignore=left_out)
    matches = list(CHANGE.finditer(section))
    assert len(matches) == len(
        re.findall(r"[Ii]n\s`[\w./]+`,\s(?:below|above|replace)", section)
    ) + (section.count("A new file, "))
    for match in matches:
        part = match.groupdict()
        path = tmp_path / (part["path"] or part["path2"] or part["path3"])
        if part["file"]:
            path.write_text(part["file"])
        elif part["old"]:
            assert part["old"] in path.read_text(), f"{path.name} has no {part['old']}"
            assert part["old"] in part["new"], "else the next such change would not find its place"
            path.write_text(path.read_text().replace(part["old"], part["new"], 1))
        else:
            text = path.read_text()
            path.write_text(changed(text, *(part[n] for n in ("where", "what", "at", "block"))))
    (command,) = re.findall(r"^```bash\npython -m (pytest .*)\n```", section, re.MULTILINE)
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', command)]
    done = subprocess.run(
        [sys.executable, "-m", *words, "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path, env={**os.environ, "FNN_RECIPE": "1", "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_the_linter_of_the_hooks_is_that_of_the_checks():
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (version,) = [
        name.removeprefix("ruff==") for name in extra["optional-dependencies"]["lint"]
        if name.startswith("ruff")
    ]  # fmt: skip
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"ruff-pre-commit\n\s+rev: v(\S+)", hooks) == [version]


def test_the_citation_names_the_version_and_the_address():
    citation = (ROOT / "CITATION.cff").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"\nversion: {fnn.__version__}\n" in citation
    assert f"\nrepository-code: {project['urls']['Repository']}\n" in citation


def test_the_commands_of_contributing_are_the_same_in_both_places():
    short, long = (ROOT / "CONTRIBUTING.md").read_text(), (DOCS / "contributing.md").read_text()
    commands = re.findall(r"^\| .* \| `(.*)` \|$", short, re.MULTILINE)
    assert len(commands) == 7
    assert all(f"`{command}`" in long for command in commands)
    assert re.findall(r"python3 -m venv .*", short)[0] in long


def test_files_that_pages_name_are_there():
    made = {"docs/_build/html/index.html", "fnn/optimizers/sign.py"}
    for page in [ROOT / "CONTRIBUTING.md", *PAGES]:
        named = re.findall(r"`((?:fnn|tests|bench|docs)/[\w/.]+)`", page.read_text())
        assert {name for name in named if not (ROOT / name).exists()} <= made, page.name
    tables = re.findall(r"\| In `(\w+)` \| \|\n\|---\|---\|\n((?:\|.*\|\n)+)",
                        (DOCS / "how_it_works.md").read_text())  # fmt: skip
    assert [room for room, _ in tables] == ["training", "sweeps"]
    for room, rows in tables:
        for name in re.findall(r"^\| `([\w.]+)` \|", rows, re.MULTILINE):
            places = [ROOT / "fnn" / room / name, ROOT / "fnn" / room / f"{name}.py"]
            assert any(place.exists() for place in places), f"{room} has no {name}"


def test_the_drawing_of_the_floors_is_what_the_imports_are_held_to():
    tree = ast.parse((ROOT / "tests" / "test_architecture.py").read_text())
    (floors,) = [
        ast.literal_eval(node.value) for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "FLOORS"
    ]  # fmt: skip
    drawing = (DOCS / "drawings" / "floors.svg").read_text()
    drawn = [set(names.split()) for names in re.findall(r'class="code"[^>]*>([^<]+)<', drawing)]
    assert drawn[::-1] == floors
