"""Segments of epochs: when they end, who is called, and what is saved."""

import os
import signal
import sys
import threading

import pytest

from fnn._host import segments
from fnn._host.segments import HostArguments, HostOptions, run_in_segments

NOTHING = HostOptions(False, None, float("inf"), None, None, {}, False)


class Folder:
    """Checkpoints that are only noted down."""

    def __init__(self):
        self.written = []

    def write(self, done, tree, metadata, part):
        self.written.append((done, tree, metadata))


def run(epochs, outside=NOTHING, stops_at=None, **options):
    """The lengths of the segments, and the epochs done."""
    lengths = []

    def advance(asked):
        done = options.get("done", 0) + sum(lengths)
        advanced = asked if stops_at is None else min(asked, stops_at - done)
        lengths.append(advanced)
        return advanced, {"loss": 1.0}

    done = run_in_segments("test", advance, epochs, outside, lambda: sum(lengths), **options)
    return lengths, done


def test_segments_grow_to_capacity_and_add_up():
    lengths, done = run(200)
    assert lengths[0] == 1
    assert max(lengths) <= 64
    assert sum(lengths) == done == 200


@pytest.fixture
def none_is_short(monkeypatch):
    """As if no call were so short that it may run more than `at_most`."""
    monkeypatch.setattr(segments, "_SHORT_SECONDS", 0.0)


def test_segments_end_where_they_have_to(none_is_short):
    ends = {3, 50, 51}
    lengths, _ = run(100, ends=sorted(ends))
    assert ends <= {sum(lengths[:n]) for n in range(len(lengths) + 1)}
    assert run(17, at_most=5)[0] == [1, 4, 5, 5, 2]


def test_short_segments_run_more_than_at_most(monkeypatch):
    """As many times that as make them long enough."""
    clock = [0.0]
    monkeypatch.setattr(segments.time, "perf_counter", lambda: clock[0])
    lengths = []

    def advance(asked):
        clock[0] += 0.001 * asked
        lengths.append(asked)
        return asked, {}

    monkeypatch.setattr(segments, "_SHORT_SECONDS", 0.02)
    run_in_segments("test", advance, 60, NOTHING, dict, at_most=6)
    assert lengths == [1, 8, 15, 18, 18]


def test_runs_of_a_known_pace_begin_with_as_many_epochs_as_it_allows(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(segments.time, "perf_counter", lambda: clock[0])
    lengths = []

    def advance(asked):
        clock[0] += 0.01 * asked
        lengths.append(asked)
        return asked, {}

    pace = segments.Pace()
    for _ in range(2):
        run_in_segments("test", advance, 30, NOTHING, dict, seconds=lambda: 0.2, known=pace)
    assert pace.seconds == pytest.approx(0.01)
    assert lengths == [1, 8, 20, 1, 20, 10]


def test_work_that_stops_is_over():
    assert run(100, stops_at=20)[1] == 20


def test_work_goes_on_from_what_is_done():
    lengths, done = run(100, done=90)
    assert (sum(lengths), done) == (10, 100)


def test_checkpoints_come_after_every_so_many_epochs_and_at_the_end():
    folder = Folder()
    run(25, NOTHING._replace(checkpoints=folder, every=10, facts={"at_once": 2}))
    assert [done for done, _, _ in folder.written] == [10, 20, 25]
    assert folder.written[0][1:] == (10, {"done": 10, "stopped": False, "at_once": 2})
    folder = Folder()
    run(100, NOTHING._replace(checkpoints=folder, every=10), stops_at=13)
    assert [(done, metadata["stopped"]) for done, _, metadata in folder.written] == [
        (10, False), (13, True)
    ]  # fmt: skip


def test_checkpoints_come_by_time_where_no_epochs_are_told(monkeypatch):
    folder = Folder()
    run(200, NOTHING._replace(checkpoints=folder))
    assert [done for done, _, _ in folder.written] == [200]
    monkeypatch.setattr(segments, "_CHECKPOINT_SECONDS", -1.0)
    folder = Folder()
    lengths, _ = run(200, NOTHING._replace(checkpoints=folder))
    assert len(folder.written) == len(lengths)


def test_the_callback_is_told_and_can_end_the_work(none_is_short):
    heard, folder = [], Folder()

    def callback(done, latest):
        heard.append((done, latest))
        return done >= 9

    outside = NOTHING._replace(callback=callback, checkpoints=folder)
    _, done = run(100, outside, at_most=3)
    assert [epochs for epochs, _ in heard] == [1, 3, 6, 9]
    assert done == 9
    assert heard[0][1] == {"loss": 1.0}
    assert [epochs for epochs, _, _ in folder.written] == [9]


def test_what_was_done_is_saved_where_the_callback_fails():
    folder = Folder()

    def callback(done, latest):
        raise RuntimeError("callback")

    with pytest.raises(RuntimeError, match="callback"):
        run(100, NOTHING._replace(callback=callback, checkpoints=folder))
    assert [done for done, _, _ in folder.written] == [1]


def test_what_was_done_is_saved_where_the_callback_leaves_python():
    folder = Folder()
    with pytest.raises(SystemExit):
        run(100, NOTHING._replace(callback=lambda *_: sys.exit(), checkpoints=folder))
    assert [done for done, _, _ in folder.written] == [1]


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _, done = run(5, NOTHING._replace(callback=lambda *_: os.kill(os.getpid(), signal.SIGINT)))
        assert done == 5
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_budget_ends_the_work():
    lengths, done = run(1000, NOTHING._replace(seconds=1e-9))
    assert (lengths, done) == ([1], 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_work_after_the_segment(number, none_is_short):
    before = signal.getsignal(number)
    folder, sent = Folder(), []

    def callback(done, latest):
        if not sent:
            sent.append(done)
            os.kill(os.getpid(), number)

    _, done = run(100, NOTHING._replace(callback=callback, checkpoints=folder), at_most=1)
    assert done <= sent[0] + 1
    assert [epochs for epochs, _, _ in folder.written] == [done]
    assert signal.getsignal(number) is before


def test_other_threads_work_without_signals():
    results = []
    thread = threading.Thread(target=lambda: results.append(run(5)[1]))
    thread.start()
    thread.join()
    assert results == [5]


GOOD = {
    "progress": None, "callback": None, "max_seconds": None, "checkpoint": None, "every": None,
    "keep": 2, "on_save_error": "warn",
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        ({"callback": 3}, TypeError, "callback must be a function"),
        ({"max_seconds": 0}, ValueError, "max_seconds must be a finite number > 0"),
        ({"max_seconds": "1"}, TypeError, "max_seconds"),
        ({"every": 0, "checkpoint": "x"}, ValueError, "every must be an integer >= 1"),
        ({"every": 2}, ValueError, "checkpoint must be given"),
        ({"keep": 0}, ValueError, "keep must be an integer >= 1"),
        ({"on_save_error": "ignore"}, ValueError, "on_save_error must be 'warn' or 'raise'"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be a path of the file system"),
    ],
)
def test_bad_options_are_told(bad, error, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=r"^test: ") as caught:
        HostArguments(**(GOOD | bad)).check("test")
    assert text in str(caught.value)
