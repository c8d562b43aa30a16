"""What a task finds around it in its process, and may change for itself but not for the tasks after it."""

from __future__ import annotations

# The functions of the module signal make members of enumerations, which takes longer than most small tasks.
import _signal  # type: ignore[import-not-found]
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

from headrace_plugins.processes.standard_files import StandardFile

__all__ = ["Surroundings"]

_TOUCHING: Final = frozenset({"os.chdir", "os.putenv", "os.unsetenv"})
# Real-time signals have no meaning of their own, and these two no handlers.
_HANDLED: Final = [
    int(number)
    for number in sorted(signal.valid_signals())
    if number < 32 and number not in {signal.SIGKILL, signal.SIGSTOP}
]


class Surroundings:
    """Folder, environment, file mode, signals and standard files, as they were when this was made."""

    def __init__(self) -> None:
        self._folder = _folder()
        self._environment = dict(os.environ)
        self._mask = _file_mode()
        self._handlers = list(map(_signal.getsignal, _HANDLED))
        self._files = [StandardFile(number, name) for number, name in enumerate(("stdin", "stdout", "stderr"))]
        self._touched = False
        # Comparing the environment takes longer than most small tasks.
        sys.addaudithook(self._notice)

    def _notice(self, event: str, _: object) -> None:
        if event in _TOUCHING:
            self._touched = True

    def restore_signals(self) -> None:
        """Put back handlers and mask, and stop the timer."""
        if _signal.getitimer(_signal.ITIMER_REAL)[0]:
            _signal.setitimer(_signal.ITIMER_REAL, 0)
        if list(map(_signal.getsignal, _HANDLED)) != self._handlers:
            self._restore_handlers()
        if _signal.pthread_sigmask(_signal.SIG_BLOCK, ()):
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())

    def _restore_handlers(self) -> None:
        for number, handler in zip(_HANDLED, self._handlers, strict=True):
            # None is a handler that is not Python's.
            if handler is not None and _signal.getsignal(number) is not handler:
                _signal.signal(number, handler)

    def restore(self) -> None:
        """Put back all else that is different."""
        if self._touched:
            with contextlib.suppress(OSError):  # somebody removed it
                os.chdir(self._folder)
            os.environ.clear()
            os.environ.update(self._environment)
            self._touched = False
        if _file_mode() != self._mask:
            os.umask(self._mask)
        for file in self._files:
            file.restore()


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # somebody removed it
        return "/"


def _file_mode() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
