"""Two processes of which one is given something else: all of them end, or raise, together."""

from pathlib import Path

import pytest
from test_processes import together

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "unlike_processes.py"

LABEL = "labels must be from 0 to 3"

# by what is tried: the error of the process that is at fault, or of both
ERRORS = {
    "batch_size": "ValueError fit: batch_size must be an integer >= 1",
    "monitor": "ValueError train: monitor must be recorded: one of loss; got 'lost'",
    "seconds": "ValueError train: max_seconds must be a finite number > 0; got -1",
    "evaluate": "ValueError evaluate: batch_size must be an integer >= 1",
    "metrics": "ValueError roc_auc: outputs must have one column or two",
    "nan": "ValueError fit: x of data must be finite everywhere; got nan at index (19, 2)",
    "nan_of_scaler": "ValueError standard_scaler: x must be finite everywhere; got nan at index",
    "label": f"ValueError softmax_cross_entropy: {LABEL}; got 7",
    "label_validation": f"ValueError softmax_cross_entropy: {LABEL}; got 7",
    "label_evaluate": f"ValueError accuracy: {LABEL}, as outputs are (16, 4); got 7",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    outputs, codes, printed = together("", tmp_path_factory.mktemp("unlike"), script=SCRIPT)
    assert codes == [0, 0], printed
    return outputs


@pytest.mark.parametrize("how", ["max_seconds", "callback"])
def test_one_process_ends_all_after_the_same_epoch(written, how):
    first, second = (int(lines[how]) for lines in written)
    assert first == second
    assert 1 <= first < 10**5


@pytest.mark.parametrize(
    ("name", "function", "others"),
    [
        ("version", "fit", "jax"),
        ("version_evaluate", "evaluate", "jax"),
        ("version_shard_data", "shard_data", "jax"),
        ("key", "fit", "begin.start"),
        ("epochs", "fit", "epochs"),
        ("every", "train", "every"),
        ("params", "evaluate", "params[0].weight, params[1].weight"),
    ],
)
def test_arguments_that_differ_are_named_in_every_process(written, name, function, others):
    expected = (
        f"ValueError {function}: all processes must be given the same arguments; "
        f"got others in {others}"
    )
    assert [lines[name] for lines in written] == [expected, expected]


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_wrong_in_one_process_is_an_error_in_all(written, name):
    first, second = (lines[name] for lines in written)
    assert second.startswith(ERRORS[name])
    function = first.split()[1]
    rule = "arguments must be valid in all processes; got an error in another"
    assert first == f"ValueError {function} {rule}: {second.replace(' ', ': ', 1)}"


def test_a_source_on_devices_of_several_processes_is_refused(written):
    expected = "ValueError shard_data: a Source must be on devices of one process; got those of 2"
    assert [lines["source"] for lines in written] == [expected, expected]


def test_a_callback_that_fails_in_one_process_is_an_error_in_all(written):
    first, second = (lines["callback_fails"] for lines in written)
    assert second == "KeyError 'of the callback'"
    rule = "callbacks must not fail in any process; got an error in another"
    assert first == f"RuntimeError train: {rule}: KeyError: 'of the callback'"


def test_a_folder_to_which_the_first_process_cannot_write_is_an_error_in_all(written):
    first, second = (lines["folder"] for lines in written)
    assert first.startswith("CheckpointError train: checkpoint must be a folder that can be")
    rule = "checkpoint must be a folder that the first process can write to; got an error there"
    assert second.startswith(f"CheckpointError train: {rule}: {first.replace(' ', ': ', 1)}")


def test_after_errors_all_are_in_step_also_under_transformations(written):
    first, second = written
    assert first["after"] == second["after"]
    for lines in written:
        assert (lines["transformed"], lines["traced"]) == ("(5, 2)", "(2,)")


def test_data_that_are_shared_in_part_are_refused_in_every_process(written):
    rule = "x, y and weights of data must be shared by the same processes (see shard_data)"
    for lines in written:
        assert lines["mixed"].startswith(f"ValueError fit: {rule}")
