"""Tasks that follow on each other travel together, and each piece has the promises that it has alone."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from itertools import pairwise

import cloudpickle
import pytest
import ray

from headrace import Engine, Flow, config, context, signals, task
from headrace.exceptions import TransferError, WorkerCrashedError
from headrace.plugins import hookimpl
from headrace.states import Cancelled, Crashed, Failed, Skipped, Success, TriggerFailed
from headrace_plugins.sqlite.store import SQLiteRunStore

# Enough for some to travel together, also on a busy machine.
_MANY = 300


@pytest.fixture(scope="module", autouse=True)
def _helpers_travel():
    """Let workers have the functions of this file, which they cannot import."""
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Return a history, in a project of its own."""
    monkeypatch.chdir(tmp_path)
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        yield store


def here():
    """Return the id of the Ray task that this runs in."""
    return ray.get_runtime_context().get_task_id()


def is_chosen(folder, number):
    """Tell whether this is the one call that is to be special: the first that is in the middle of its Ray task."""
    name, _, count = os.environ.get("HEADRACE_TEST_CALLS", "").partition(" ")
    found = int(count) + 1 if name == here() else 1
    os.environ["HEADRACE_TEST_CALLS"] = f"{here()} {found}"
    # Two leave together, and then four or more.
    if found != 3 or (folder / "chosen").exists():
        return False
    (folder / "new").write_text(f"{number}")
    (folder / "new").rename(folder / "chosen")
    return True


def the_chosen(folder):
    """Return the number of the call that was special."""
    return int((folder / "chosen").read_text())


def note(folder, number):
    """Note that a call was made."""
    with (folder / "calls").open("a") as file:
        file.write(f"{number}\n")


def noted(folder):
    """Return the calls that were made, in their order."""
    return [int(line) for line in (folder / "calls").read_text().split()]


def counting(folder, act):
    """Return a function that counts on, and does what ``act`` does instead in the middle of a chain."""

    def piece(number):
        note(folder, number)
        return act(number) if is_chosen(folder, number) else number + 1

    return piece


def chain_of(function, start=0, **options):
    """Return a flow of pieces that follow on each other, and these."""
    piece = task(function, name="piece", **options)
    pieces, last = [], start
    with Flow("chain") as flow:
        for _ in range(_MANY):
            last = piece(last)
            pieces.append(last)
    return flow, pieces


def run(flow, pieces, *, again=False, **options):
    """Run the flow, or go on with its last run, and return the states of the pieces."""
    states = (flow.resume if again else flow.run)(executor="ray", keep_results="all", **options).result
    return [states[piece] for piece in pieces]


def in_a_chain(function, start=0, **options):
    """Call ``function`` with what it returned before, many times, and return the states."""
    return run(*chain_of(function, start, **options))


def together(ids):
    """Tell whether fewer Ray tasks have done the work than there are pieces, each of them some in a row."""
    return len(set(ids)) < len(ids) / 2 and sum(a != b for a, b in pairwise(ids)) == len(set(ids)) - 1


def fail(number):
    raise ValueError(f"I am {number}")


def skip(number):
    raise signals.SKIP(f"I am {number}")


def loop(number):
    raise signals.LOOP(result=number)


def leave(_):
    os._exit(3)


def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


def block(_):
    while True:
        time.sleep(0.05)


def test_pieces_travel_together_and_every_result_is_there():
    states = in_a_chain(lambda before: (before[0] + 1, here()), (0, ""))
    assert [state.result[0] for state in states] == list(range(1, _MANY + 1))
    assert together([state.result[1] for state in states])


def test_two_chains_in_one_flow_travel_together_each_by_itself():
    piece = task(lambda before: (before[0] + 1, here()), name="piece")
    left, right = [], []
    with Flow("two chains") as flow:
        for _ in range(_MANY):
            left.append(piece(left[-1] if left else (0, "")))
            right.append(piece(right[-1] if right else (1000, "")))
    states = run(flow, left + right)
    assert [state.result[0] for state in states] == [*range(1, _MANY + 1), *range(1001, _MANY + 1001)]
    ids = [state.result[1] for state in states]
    assert together(ids[:_MANY])
    assert together(ids[_MANY:])
    assert not set(ids[:_MANY]) & set(ids[_MANY:])


def test_what_a_piece_does_to_a_result_the_piece_before_does_not_see():
    def piece(values):
        values.append(len(values))
        return values

    assert [state.result for state in in_a_chain(piece, [])] == [list(range(n)) for n in range(1, _MANY + 1)]


def test_a_piece_gets_its_other_arguments_and_the_same_result_twice():
    @task
    def piece(left, right, more, constant):
        return left[0] + more + constant if left == right else -1, here()

    with Flow("arguments") as flow:
        more = task(lambda: 10, name="ten")()
        pieces = [piece((0, ""), (0, ""), more, 7)]
        for _ in range(_MANY - 1):
            pieces.append(piece(pieces[-1], pieces[-1], more, 7))
    states = run(flow, pieces)
    assert [state.result[0] for state in states] == [17 * n for n in range(1, _MANY + 1)]
    assert together([state.result[1] for state in states])


def test_pieces_follow_without_a_value(tmp_path):
    @task
    def piece(number):
        note(tmp_path, number)
        return here()

    with Flow("no data") as flow:
        pieces = [piece(0)]
        for number in range(1, _MANY):
            pieces.append(piece(number, upstream_tasks=[pieces[-1]]))
    assert together([state.result for state in run(flow, pieces)])
    assert noted(tmp_path) == list(range(_MANY))


@pytest.mark.parametrize(
    ("act", "expected", "after"),
    [
        (fail, Failed, TriggerFailed),
        (skip, Skipped, Skipped),
        (leave, Crashed, TriggerFailed),
        (kill, Crashed, TriggerFailed),
        (lambda _: threading.Lock(), Failed, TriggerFailed),
    ],
    ids=["failure", "skip", "exit", "kill", "result that cannot be sent"],
)
def test_one_that_does_not_succeed_is_the_last_that_begins(tmp_path, act, expected, after):
    states = in_a_chain(counting(tmp_path, act))
    chosen = the_chosen(tmp_path)
    types = [type(state) for state in states]
    assert types == [*[Success] * chosen, expected, *[after] * (_MANY - chosen - 1)]
    assert [state.result for state in states[:chosen]] == list(range(1, chosen + 1))
    assert noted(tmp_path) == list(range(chosen + 1)), "what had ended was not run again, and nothing else began"


@pytest.mark.parametrize("act", [fail, loop, leave], ids=["failure", "loop", "exit"])
def test_one_that_runs_again_runs_again_alone_and_the_chain_goes_on(tmp_path, act):
    again = {"max_retries": 1, "retry_delay": 0, "retry_on": (ValueError, WorkerCrashedError)}
    states = in_a_chain(counting(tmp_path, act), **again)
    chosen = the_chosen(tmp_path)
    assert [state.result for state in states] == list(range(1, _MANY + 1))
    assert noted(tmp_path) == [*range(chosen + 1), *range(chosen, _MANY)]


def test_a_result_that_cannot_be_read_fails_the_piece_that_follows(tmp_path):
    states = in_a_chain(counting(tmp_path, lambda _: Unreadable()))
    chosen = the_chosen(tmp_path)
    types = [type(state) for state in states]
    assert types == [*[Success] * (chosen + 1), Failed, *[TriggerFailed] * (_MANY - chosen - 2)]
    assert isinstance(states[chosen + 1].result, TransferError)
    assert noted(tmp_path) == list(range(chosen + 1))


class Unreadable:
    def __reduce__(self):
        return spring, ()


def spring():
    raise RuntimeError("this cannot be read")


@pytest.mark.parametrize("size", [20_000, 200_000])
def test_a_large_result_is_handed_on_like_any_other(tmp_path, size):
    def piece(before):
        number, payload, _ = before
        note(tmp_path, number)
        return number + 1, b"x" * size if is_chosen(tmp_path, number) else b"", len(payload)

    states = in_a_chain(piece, (0, b"", 0))
    chosen = the_chosen(tmp_path)
    lengths = [len(state.result[1]) for state in states]
    assert lengths == [*[0] * chosen, size, *[0] * (_MANY - chosen - 1)]
    assert [state.result[2] for state in states] == [0, *lengths[:-1]]
    assert noted(tmp_path) == list(range(_MANY))


class Listener:
    """Takes down, where workers can see it, of how many pieces the run has heard that they succeeded."""

    def __init__(self, folder):
        self.path = folder / "heard"

    @hookimpl
    def headrace_task_state_changed(self, new):
        if new.is_successful():
            with self.path.open("a") as file:
                file.write(".")

    def has_heard_of(self, count):
        return self.path.exists() and self.path.stat().st_size >= count


def test_one_that_takes_long_does_not_hold_back_the_news_of_those_before(tmp_path):
    listener = Listener(tmp_path)

    def wait(number):
        deadline = time.monotonic() + 30
        while not listener.has_heard_of(number):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return number + 1

    flow, pieces = chain_of(counting(tmp_path, wait))
    states = run(flow, pieces, engine=Engine(plugins=[listener]))
    assert [state.result for state in states] == list(range(1, _MANY + 1))
    assert noted(tmp_path) == list(range(_MANY))


@pytest.mark.parametrize("heard", [False, True], ids=["at once", "when those before are known"])
def test_cancelling_leaves_what_ended_as_it_is_and_begins_nothing(tmp_path, store, heard):
    listener = Listener(tmp_path)

    def is_time():
        return (tmp_path / "chosen").exists() and (not heard or listener.has_heard_of(the_chosen(tmp_path)))

    def cancel():
        deadline = time.monotonic() + 30
        while not is_time() and time.monotonic() < deadline:
            time.sleep(0.02)
        store.request_cancel(store.run("latest").id, "enough")

    flow, pieces = chain_of(counting(tmp_path, block))
    canceller = threading.Thread(target=cancel)
    canceller.start()
    with config.set_temporary_config({"engine.cancel_grace": 20}):
        states = run(flow, pieces, record=store, engine=Engine(plugins=[listener]))
    canceller.join()
    chosen = the_chosen(tmp_path)
    assert [type(state) for state in states] == [*[Success] * chosen, *[Cancelled] * (_MANY - chosen)]
    assert [state.result for state in states[:chosen]] == list(range(1, chosen + 1))
    assert noted(tmp_path) == list(range(chosen + 1))


def test_what_each_piece_says_is_logged_in_order_as_its_own(store, caplog):
    def piece(number):
        print("printed", number)
        context.logger.warning("logged %d", number)
        return number + 1

    caplog.set_level("INFO", "headrace")
    flow, pieces = chain_of(piece, log_stdout=True)
    run(flow, pieces, record=store)
    said = [(each.node, each.attempt, each.text) for each in store.logs(store.run("latest").id) if each.node >= 0]
    assert said == [(n, 1, text) for n in range(_MANY) for text in (f"printed {n}", f"logged {n}")]


def test_each_piece_is_recorded_with_one_attempt(store):
    flow, pieces = chain_of(lambda number: number + 1)
    run(flow, pieces, record=store)
    found = [(each.node, each.state, each.attempt) for each in store.task_runs(store.run("latest").id)]
    assert found == [(number, "Success", 1) for number in range(_MANY)]


def test_a_chain_that_failed_goes_on_where_it_failed(tmp_path, store):
    flow, pieces = chain_of(counting(tmp_path, fail))
    run(flow, pieces, record=store)
    states = run(flow, pieces, record=store, again=True)
    chosen = the_chosen(tmp_path)
    assert states[-1].result == _MANY
    assert noted(tmp_path) == [*range(chosen + 1), *range(chosen, _MANY)]
