from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

# What comes at once after a fork comes before anything else has been done there.
PROGRAM = """
import os, signal, sys
from headrace.forked_signals import reset_in_forks

def handler(*_):
    os._exit(3)

early, ours = sys.argv[1] == "early", sys.argv[2] == "ours"
if early:
    os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
signal.signal(signal.SIGTERM, handler)
reset_in_forks({signal.SIGTERM: signal.SIG_DFL}, lambda found: ours and found is handler)
pid = os.fork()
if pid == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
print(signal.getsignal(signal.SIGTERM) is handler, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize(("whose", "ends_with"), [("ours", "-15"), ("theirs", "3")])
def test_a_forked_process_dies_of_a_signal_unless_somebody_else_handles_it(when, whose, ends_with) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, when, whose], capture_output=True, text=True, check=True)
    ended, here = done.stdout.splitlines()
    assert ended == ends_with
    assert here == "True set()"
