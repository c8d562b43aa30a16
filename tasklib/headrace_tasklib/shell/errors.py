"""Why a shell command failed."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from headrace.exceptions import TaskRunError
from headrace_tasklib._support import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHELLS_SIGNAL_BASE = 128
_HINTS = {
    126: "The file it names is not executable: run `chmod +x` on it, or name its interpreter.",
    127: "It names a program that is not on the PATH: install it, or pass `env` with another PATH.",
}
_DEFAULT_HINT = "Run it by hand to see all of its output, or pass `stream_output=True` to log it."


class ShellCommandError(TaskRunError):
    """A shell command ended with an exit code other than 0, or was killed.

    ``exit_code`` is None if a signal ended the shell itself; ``signal_name`` is None if no signal was involved;
    ``output`` holds the last lines the command wrote to standard output and standard error.
    """

    def __init__(self, command: str, status: int, output: Sequence[str]) -> None:
        self.command = command
        self.exit_code = status if status >= 0 else None
        self.signal_name = _signal_name(status)
        self.output = tuple(output)
        super().__init__(
            f"The command `{shorten(command)}` {self._ending()}{self._last_lines()}",
            hint=_HINTS.get(status, _DEFAULT_HINT),
        )

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"

    def _ending(self) -> str:
        if self.exit_code is None:
            return f"was killed by {self.signal_name}"
        suffix = f" ({self.signal_name})" if self.signal_name else ""
        return f"failed with exit code {self.exit_code}{suffix}"

    def _last_lines(self) -> str:
        if not self.output:
            return " and wrote nothing."
        return "\n".join([". The last lines it wrote:", *(f"  {line}" for line in self.output)])


def _signal_name(status: int) -> str | None:
    """Return the name of the signal in a process's status, where a shell reports 128 + n for a command of its own."""
    number = -status if status < 0 else status - _SHELLS_SIGNAL_BASE
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if status < 0 else None
