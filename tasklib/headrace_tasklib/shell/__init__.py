"""A prebuilt task that runs shell commands."""

from headrace_tasklib.shell.errors import ShellCommandError
from headrace_tasklib.shell.tasks import ShellTask

__all__ = ["ShellCommandError", "ShellTask"]
