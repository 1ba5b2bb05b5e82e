"""The README's examples run as they stand, one after the other, as a reader would try them."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = [
    (README[: match.start()].count("\n") + 2, match.group(1))
    for match in re.finditer(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
]


@pytest.mark.long
def test_every_python_block_runs(tmp_path, monkeypatch):
    """In one test, as each uses what those before it have defined."""
    monkeypatch.chdir(tmp_path)
    names, printed = {}, []
    for line, block in BLOCKS:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile("\n" * (line - 1) + block, "README.md", "exec"), names)
        printed.append(out.getvalue().splitlines())
    (shown,) = re.findall(r"<!-- sweep: begin -->\n```text\n(.*?)\n```\n", README, re.DOTALL)
    (table,) = [lines for (_, block), lines in zip(BLOCKS, printed, strict=True)
                if "print(summary)" in block]  # fmt: skip
    assert_same_summary(shown.splitlines(), table)
    assert Path("sweep.png").stat().st_size > 10_000


def assert_same_summary(shown, printed):
    """The same settings and counts, and figures that another machine may give as well."""
    assert (shown[0].split(), shown[-1], len(shown)) == (
        printed[0].split(), printed[-1], len(printed)
    )  # fmt: skip
    for one, other in zip(shown[1:-1], printed[1:-1], strict=True):
        assert one.split()[:4] == other.split()[:4]
        mean, same_mean = float(one.split()[4]), float(other.split()[4])
        assert mean == pytest.approx(same_mean, abs=0.02)


def test_the_two_commands_are_there_and_each_is_one_line():
    for name in ("quickstart", "tests"):
        (command,) = re.findall(rf"<!-- command: {name} -->\n```bash\n(.*)\n```", README)
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_every_name_of_the_readme_is_public():
    import fnn

    table = README[README.index("## What there is") : README.index("## License")]
    named = set(re.findall(r"`(\w+)`", table)) - {"fit", "help"}
    assert named <= set(fnn.__all__) | {"fnn"}
    functions = {n for n in fnn.__all__ if n.islower() and callable(getattr(fnn, n))}
    assert functions - named <= {"fit", "identity", "relu", "sigmoid", "softmax", "tanh"}
