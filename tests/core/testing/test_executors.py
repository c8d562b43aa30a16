"""The conformance kit of executors notices those that break the contract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.core.engine.fakes import ChainingExecutor
from tests.core.testing.keeping_executor import KeepingExecutor

from headrace.abc import Executor, ExecutorContext
from headrace.testing.executors import ExecutorConformance
from headrace.testing.executors._chains import Chains
from headrace.testing.executors._leftovers import Leftovers
from headrace.testing.executors._references import References

ROOT = Path(__file__).parents[3]
BROKEN = Path(__file__).with_name("broken_executors.py")
NOTICED = {
    "DeliversTwice": "test_every_piece_of_work_is_delivered_exactly_once",
    "LosesWork": "test_results_of_a_map_are_in_the_order_of_its_elements",
    "LosesErrors": "test_an_exception_comes_back_as_it_was",
    "TellsErrorsApartByTheirText": "test_exceptions_that_cannot_travel_still_fail_their_tasks_alone",
    "ForgetsWhatItReplaces": "test_retry_on_holds_for_a_class_with_a_constructor_of_its_own",
    "LooksAtResults": "test_values_that_cannot_be_compared_or_shown_are_values_too",
    "LeaksThreads": "test_no_threads_are_left",
    "LeaksDescriptors": "test_no_descriptors_are_left",
    "LeaksSharedMemory": "test_no_shared_memory_is_left",
    "WaitsForMore": "test_capacity_is_enough_to_get_everything_delivered",
    "WantsNothing": "test_capacity_is_a_positive_whole_number",
    "WorksOnceOnly": "test_it_can_be_started_again",
    "ForgetsTheContext": "test_a_task_sees_the_context_of_its_run",
    "SwallowsLogs": "test_log_lines_of_tasks_are_handled_by_the_process_that_drives_the_run",
    "DeliversWhatItGaveBack": "test_work_is_either_taken_back_or_delivered",
    "CannotCancelAfterAll": "test_an_outcome_is_delivered_for_what_was_stopped",
    "CannotKillAfterAll": "test_work_that_waits_does_not_go_on_when_it_is_late",
    "WaitsForTheDead": "test_work_whose_process_dies_is_delivered_as_crashed",
    "MiscountsElements": "test_a_reference_is_delivered_instead_of_a_result",
    "KeepsNothingAfterAll": "test_a_reference_is_delivered_instead_of_a_result",
    "MixesUpElements": "test_elements_have_references_of_their_own",
    "LosesWhatItPromised": "test_a_reference_that_outlives_the_run_can_be_loaded_after_it",
    "GoesOnAfterAFailure": "test_a_piece_that_does_not_succeed_is_the_last_that_begins",
    "ForgetsTheRest": "test_each_piece_of_a_chain_is_delivered_exactly_once",
    "HandsOnTheFirstResult": "test_pieces_of_a_chain_run_in_order_and_once",
    "TakesNoChainAfterAll": "test_a_chain_is_at_least_one_piece_long",
}


class TestKeeping(ExecutorConformance):
    """The kit can be kept by an executor that keeps results."""

    mapped_children = 500
    big_value_bytes = 5_000_000

    def make_executor(self) -> Executor:
        return KeepingExecutor()


class TestKeepingForEver(References):
    """The same of one whose results can be fetched after the run."""

    def make_executor(self) -> Executor:
        return KeepingExecutor(outlives_run=True)


class TestChaining(Chains):
    """The same of one that takes chains, and does as much of each as it likes."""

    def make_executor(self) -> Executor:
        return ChainingExecutor(7, done=cycle((5, 1, 3, 7)).__next__)


class ConnectsLate(KeepingExecutor):
    """As a client does that finds out in its fourth run what it needs, and keeps that."""

    def __init__(self, started: list[object]) -> None:
        super().__init__()
        self.started = started

    def start(self, context: ExecutorContext, stack: ExitStack) -> None:
        super().start(context, stack)
        self.started.append(os.pipe() if len(self.started) == 3 else None)


def test_what_is_set_up_once_is_not_left_behind_by_a_run():
    started: list[Any] = []

    class ConnectingLate(Leftovers):
        def make_executor(self) -> Executor:
            return ConnectsLate(started)

    ConnectingLate().test_no_descriptors_are_left()
    for descriptor in started[3]:
        os.close(descriptor)


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], str]:
    """Run the tests that should notice, and the same ones on an executor that is sound; return how each ended."""
    folder = tmp_path_factory.mktemp("kit")
    broken = [f"{BROKEN}::Test{name}::{test}" for name, test in NOTICED.items()]
    sound = [f"{BROKEN}::TestSound::{test}" for test in dict.fromkeys(NOTICED.values())]
    # Most of the time nothing happens, so they can share it.
    runs = {folder / "1.xml": broken[::2], folder / "2.xml": broken[1::2], folder / "3.xml": sound}
    running = [_start(report, chosen) for report, chosen in runs.items()]
    printed = [process.communicate(timeout=110)[0] for process in running]
    assert [process.returncode for process in running] == [1, 1, 0], "\n".join(printed)
    cases = [case for report in runs for case in ElementTree.parse(report).iter("testcase")]
    return {(case.attrib["classname"].rpartition(".Test")[2], case.attrib["name"]): _ending(case) for case in cases}


def _start(report: Path, chosen: list[str]) -> subprocess.Popen[str]:
    folder = report.parent
    options = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull)
    command = [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", f"--junitxml={report}", *chosen]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen(command, cwd=folder, env=environ, stdout=both[0], stderr=both[1], text=True)


def _ending(case: ElementTree.Element) -> str:
    return "; ".join(f"{part.tag}: {part.get('message')}" for part in case) or "passed"


@pytest.mark.parametrize(("name", "test"), NOTICED.items())
def test_what_breaks_the_contract_is_noticed(endings: Mapping[tuple[str, str], str], name: str, test: str) -> None:
    assert endings[name, test].startswith("failure")


@pytest.mark.parametrize("test", dict.fromkeys(NOTICED.values()))
def test_what_keeps_it_is_not(endings: Mapping[tuple[str, str], str], test: str) -> None:
    assert endings["Sound", test].startswith(("passed", "skipped: this executor does not declare"))
