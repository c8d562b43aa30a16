"""What serves one run at a time refuses a second."""

from __future__ import annotations

import pickle
import threading
from contextlib import ExitStack

import pytest

from headrace.claims import Claim
from headrace.exceptions import ExecutorError


def test_a_claim_is_refused_while_another_has_it():
    claim = Claim()
    with ExitStack() as first:
        claim.take(first)
        with pytest.raises(ExecutorError, match="another run already"), ExitStack() as second:
            claim.take(second)


def test_a_refused_claim_leaves_it_with_the_one_that_has_it():
    claim = Claim()
    with ExitStack() as first:
        claim.take(first)
        for _ in range(2):
            with pytest.raises(ExecutorError), ExitStack() as second:
                claim.take(second)


def test_a_claim_can_be_taken_again_when_the_stack_is_closed():
    claim = Claim()
    for _ in range(2):
        with ExitStack() as stack:
            claim.take(stack)


def test_one_of_many_threads_gets_it():
    claim, together, taken = Claim(), threading.Barrier(8), []
    with ExitStack() as stack:

        def take() -> None:
            together.wait()
            try:
                claim.take(stack)
            except ExecutorError:
                return
            taken.append(1)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert taken == [1]


def test_a_pickled_copy_is_free():
    claim = Claim()
    with ExitStack() as stack, ExitStack() as other:
        claim.take(stack)
        pickle.loads(pickle.dumps(claim)).take(other)
