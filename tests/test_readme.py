"""The README's examples run as they stand, one after the other, as a reader would try them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = [
    (README[: match.start()].count("\n") + 2, match.group(1))
    for match in re.finditer(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
]


def test_every_python_block_runs(tmp_path, monkeypatch):
    """In one test, as each uses what those before it have defined."""
    monkeypatch.chdir(tmp_path)
    names = {}
    for line, block in BLOCKS:
        exec(compile("\n" * (line - 1) + block, "README.md", "exec"), names)


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
