"""What the tests of bad input share."""

import re

import pytest

import fnn
import fnn.evaluation
import fnn.training.epochs
import fnn.training.state


@pytest.fixture
def refuses(compiled, monkeypatch):
    """Calls, and holds that this very error is raised, and that nothing was compiled before."""

    def no_program(*_):
        pytest.fail("the program was called")

    monkeypatch.setattr(fnn.training.epochs, "_run_epochs", no_program)
    monkeypatch.setattr(fnn.training.state, "_compiled_initial_state", no_program)
    monkeypatch.setattr(fnn.evaluation, "_evaluate", no_program)

    def check(error, words, function, *args, eager=False, **keywords):
        words = re.escape(words.replace("RUN", function.__name__)).replace(r"\*", ".*")
        compiled.clear()
        with pytest.raises(error) as caught:
            function(*args, **keywords)
        assert type(caught.value) is error
        assert re.fullmatch(f"(?s){words}", str(caught.value)), caught.value
        assert eager or compiled == [], "something was compiled before the error"

    return check
