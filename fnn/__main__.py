"""The command line, `python -m fnn`: the quickstart, and `train` and `predict` for a table."""

import sys

from fnn.cli import demo, predict, train

COMMANDS = {"train": train.main, "predict": predict.main}


def main(argv: list[str] | None = None) -> None:
    """Runs the command that the first argument names; without one, the quickstart."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in COMMANDS:
        COMMANDS[argv[0]](argv[1:])
    else:
        demo.main(argv)


if __name__ == "__main__":
    main()
