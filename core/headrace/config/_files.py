"""Finding the configuration files, and reading one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from headrace.exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from tomllib import TOMLDecodeError

USER_FILE_VARIABLE = "HEADRACE__USER_CONFIG_PATH"
PROJECT_VARIABLE = "HEADRACE_HOME"
RELATIVE_PATH = os.path.join(".headrace", "config.toml")


def home_folder(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")


def expand_home(path: str, environ: Mapping[str, str]) -> str:
    """Replace a leading ``~``; another user's ``~name`` is left to the operating system."""
    if not path.startswith("~"):
        return path
    if path == "~" or path[1] in "/\\":
        return home_folder(environ) + path[1:]
    return os.path.expanduser(path)


def locate(
    environ: Mapping[str, str], user_file: str | os.PathLike[str] | None, cwd: str | os.PathLike[str] | None
) -> list[str]:
    """Return the configuration files that exist, the user's first, then the project's."""
    folder = _current_folder() if cwd is None else os.path.abspath(cwd)
    home_file = os.path.join(home_folder(environ), RELATIVE_PATH)
    if user_file is not None:
        named: str | None = _existing(os.fspath(user_file), folder, "The user file")
    elif text := environ.get(USER_FILE_VARIABLE):
        named = _existing(expand_home(text, environ), folder, USER_FILE_VARIABLE)
    else:
        named = home_file if os.path.exists(home_file) else None
    not_projects = [home_file, named] if named else [home_file]
    if text := environ.get(PROJECT_VARIABLE):
        at = os.path.join(folder or "", expand_home(text, environ), "config.toml")
        project = at if os.path.exists(at) else None
    else:
        project = _project_file(folder, not_projects) if folder else None
    return [path for path in (named, project) if path]


def _current_folder() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # the process's directory was removed, and no file lies above nothing
        return None


def _existing(path: str, folder: str | None, named_by: str) -> str:
    path = os.path.join(folder or "", path)
    if not os.path.isfile(path):
        found = "a directory" if os.path.isdir(path) else "nothing"
        raise ConfigError(
            f"{named_by} names the configuration file {path!r}, and there is {found} at that path.",
            hint="Create the file, or correct or remove the setting.",
        )
    return path


def _project_file(folder: str, not_projects: list[str]) -> str | None:
    for parent in _upwards(folder):
        path = os.path.join(parent, RELATIVE_PATH)
        if os.path.exists(path) and not any(_same_file(path, other) for other in not_projects):
            return path
    return None


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:  # the other file does not exist
        return False


def read_toml(path: str) -> dict[str, object]:
    """Return what the TOML file at ``path`` holds; raise `ConfigError` if it cannot be read."""
    import tomllib  # noqa: PLC0415 - only where there is a file

    text = _read_text(path)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _malformed(path, text, error) from error
    except RecursionError as error:
        raise ConfigError(f"{path} nests its values too deeply to be read.") from error


def _read_text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text: byte {error.start} is 0x{error.object[error.start]:02x}.",
            hint="Save the file with UTF-8 encoding.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror or error}.", hint="Check what it is and who may read it."
        ) from error


def _malformed(path: str, text: str, error: TOMLDecodeError) -> ConfigError:
    """Read the place from the parser's message: it ends in ``(at line 3, column 5)`` or ``(at end of document)``."""
    import re  # noqa: PLC0415 - only for a file that is wrong

    reason, _, place = str(error).rpartition(" (at ")
    lines = text.split("\n")
    numbers = re.findall(r"\d+", place)
    row, column = (int(numbers[0]), int(numbers[1])) if numbers else (len(lines), len(lines[-1]) + 1)
    return ConfigError(
        f"{path}, line {row}, column {column} is not TOML: {reason or error}{_excerpt(lines, row)}.",
        hint='Correct the line; TOML text stands in quotes, as in name = "value".',
    )


def _excerpt(lines: list[str], row: int) -> str:
    """Return the line, unless it may hold a secret."""
    line = lines[row - 1].strip()
    table = next((before for before in reversed(lines[:row]) if before.lstrip().startswith("[")), "")
    if not line or "secret" in (table + line).lower():
        return ""
    return f", in {line if len(line) <= 80 else line[:77] + '...'!r}"
