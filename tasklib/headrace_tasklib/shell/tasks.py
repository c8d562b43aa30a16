"""The prebuilt task that runs shell commands."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.exceptions import TaskDefinitionError, TaskRunError
from headrace.run_context import context
from headrace.tasks import Task, defaults_from_attrs
from headrace_tasklib._support import required_text, wrong_type
from headrace_tasklib.shell.errors import ShellCommandError
from headrace_tasklib.shell.process import Output, run_script

if TYPE_CHECKING:
    from collections.abc import Callable


class ShellTask(Task):
    r"""Run a shell command and return the last line it writes to standard output.

    ``command``, ``env``, ``helper_script`` and ``cwd`` can be given to the constructor or when the task is called.
    The command runs in a process group of its own with an empty standard input. At the task's timeout, and when the
    task is interrupted, the whole group gets SIGTERM and, two seconds later, SIGKILL; when the interpreter exits before
    the task has ended it gets SIGKILL. A background process that the command leaves behind keeps the task running for
    as long as it holds the output open. Needs a POSIX system.

    Args:
        command: what to run. The exit code is the shell's: that of the last command, unless the script sets ``-e``.
        env: variables to add to the environment of this process.
        helper_script: shell code to run first in the same shell, such as functions, ``cd`` or ``set -euo pipefail``.
        shell: the program that gets the script as ``-c SCRIPT``.
        return_all: return the list of all lines instead of the last one; only then is all output held in memory.
        log_stderr: log the last lines of a failed command as errors.
        stream_output: log each line of both streams as it comes: True for INFO, or a level's number or name.
            Otherwise lines are logged at DEBUG.
        cwd: the folder to run in.
        task_options: what every task takes, such as ``name``, ``timeout`` or ``max_retries``.

    Returns:
        A text without the line's end, None if there was no output, or a list of texts. Bytes that are not UTF-8 are
        replaced.

    Raises:
        ShellCommandError: the command ended with an exit code other than 0 or was killed; names its last lines.
        TaskRunError: the shell or the folder does not exist, or the command is too long.

    Example:
        >>> from headrace import Flow
        >>> from headrace_tasklib.shell import ShellTask
        >>> with Flow("count lines") as flow:
        ...     count = ShellTask(command="wc -l < $FILE", helper_script="set -eu")
        ...     write = ShellTask(command=r"printf 'a\nb\n' > letters.txt")
        ...     lines = count(env={"FILE": "letters.txt"}, upstream_tasks=[write()])
        >>> state = flow.run()
        >>> int(state.result[lines].result)
        2
    """

    def __init__(
        self,
        command: str | None = None,
        env: Mapping[str, str] | None = None,
        helper_script: str | None = None,
        shell: str = "bash",
        *,
        return_all: bool = False,
        log_stderr: bool = False,
        stream_output: bool | int | str = False,
        cwd: str | os.PathLike[str] | None = None,
        **task_options: Any,
    ) -> None:
        self.command = command
        self.env = env
        self.helper_script = helper_script
        self.shell = required_text("ShellTask", "shell", shell)
        self.return_all = return_all
        self.log_stderr = log_stderr
        self.stream_output = stream_output
        self.cwd = cwd
        self._log_level = _level(stream_output)
        super().__init__(**task_options)

    @defaults_from_attrs("command", "env", "helper_script", "cwd")
    def run(
        self,
        command: str | None = None,
        env: Mapping[str, str] | None = None,
        helper_script: str | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> str | list[str] | None:
        """Run the command; see the class."""
        command = required_text("ShellTask", "command", command)
        script = f"{helper_script}\n{command}" if helper_script else command
        environment = {**os.environ, **_checked_variables(env)}
        output = Output(keep_lines=self.return_all, log=self._line_logger())
        arguments = [_find_shell(self.shell, environment), "-c", script]
        status = run_script(arguments, environment, _checked_folder(cwd), output, self.timeout)
        if status != 0:
            self._log_failure(output)
            raise ShellCommandError(command, status, output.tail)
        return output.lines if self.return_all else output.last_line

    def _line_logger(self) -> Callable[[str], object] | None:
        logger = context.logger
        level = self._log_level
        if not logger.isEnabledFor(level):
            return None
        return lambda line: logger.log(level, "%s", line)

    def _log_failure(self, output: Output) -> None:
        if self.log_stderr and not self.stream_output:
            for line in output.tail:
                context.logger.error("%s", line)


def _level(stream_output: bool | int | str) -> int:
    if not stream_output:
        return logging.DEBUG
    if stream_output is True:
        return logging.INFO
    if isinstance(stream_output, int):
        return stream_output
    level = logging.getLevelNamesMapping().get(stream_output)
    if level is None:
        raise TaskDefinitionError(
            f"ShellTask does not know the logging level {stream_output!r}.",
            hint="Pass `stream_output=True` for INFO, or a name such as 'DEBUG' or 'WARNING'.",
        )
    return level


def _checked_variables(env: object) -> dict[str, str]:
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise wrong_type("ShellTask", "env", env, "a dictionary of texts")
    for name, value in env.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise wrong_type("ShellTask", f"env[{name!r}]", value, "a text")
    return dict(env)


def _checked_folder(cwd: str | os.PathLike[str] | None) -> str | None:
    if cwd is None:
        return None
    folder = Path(cwd)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise TaskRunError(
            f"The folder to run the command in, {str(folder)!r}, {found}.", hint="Create it, or change `cwd`."
        )
    return str(folder)


def _find_shell(shell: str, environment: Mapping[str, str]) -> str:
    found = shutil.which(shell, path=environment.get("PATH"))
    if found is None:
        raise TaskRunError(
            f"The shell {shell!r} is not installed, or not on the PATH.",
            hint="Install it, or pass `shell` with the name or path of another.",
        )
    # Relative names are looked up from here, not from the folder the command runs in.
    return str(Path(found).absolute())
