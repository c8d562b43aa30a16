"""Flows from files and modules: ``load_flow("weather.py")``, as ``headrace run weather.py`` finds them.

A file is executed as ``python FILE`` would: its folder comes first on ``sys.path``, and stays there, since tasks may
import more when they run. Its ``__name__`` is not ``"__main__"`` but a name that depends on its path alone, so that
what it defines has the same name in every process. A module is imported under its own name, from the current folder
or wherever else Python finds it, as ``python -m MODULE`` would.
"""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from hashlib import blake2b
from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.exceptions import FlowFileError, HeadraceError
from headrace.flow_choice import chosen_flow, flows_of
from headrace.module_names import MODULE_PREFIX
from headrace.run_context import context

if TYPE_CHECKING:
    from types import CodeType, ModuleType

    from headrace.flows import Flow

__all__ = ["MODULE_PREFIX", "find_flow", "import_flow", "load_flow", "load_flows", "split_target"]


def find_flow(target: str, *, module: bool = False) -> Flow:
    """Return the flow that ``FILE[:FLOW]`` names or, with ``module``, ``MODULE[:FLOW]``; raise `FlowFileError`."""
    if not module:
        return load_flow(*split_target(target))
    name, _, flow = target.partition(":")
    return import_flow(name, flow or None)


def split_target(target: str) -> tuple[str, str | None]:
    """Return the file and the flow that ``FILE`` or ``FILE:FLOW`` names; a flow's name may hold colons."""
    cuts = [index for index, character in enumerate(target) if character == ":"]
    if os.path.exists(target):  # noqa: PTH110 - a text that is no path at all must not raise here
        return target, None
    for cut in cuts:
        if target[:cut].endswith(".py") or os.path.isfile(target[:cut]):  # noqa: PTH113
            return target[:cut], target[cut + 1 :] or None
    # A single letter before a colon is a drive.
    cuts = [cut for cut in cuts if cut > 1]
    if not cuts:
        return target, None
    return target[: cuts[0]], target[cuts[0] + 1 :] or None


def load_flow(path: str | os.PathLike[str], name: str | None = None) -> Flow:
    """Execute the file at ``path`` and return its flow, or the one with the variable or flow name ``name``.

    Raises `FlowFileError` for a file that is missing, cannot be read, is not Python, raises while it is loaded, or
    does not hold exactly the flow that was asked for. An error of the file's own is its ``__cause__``.
    """
    return chosen_flow(str(path), _load(Path(path)), name)


def import_flow(module: str, name: str | None = None) -> Flow:
    """Import ``module`` and return its flow, or the one with the variable or flow name ``name``.

    Raises `FlowFileError` as `load_flow` does.
    """
    return chosen_flow(module, _imported(module), name)


def load_flows(path: str | os.PathLike[str]) -> dict[str, Flow]:
    """Execute the file at ``path`` and return the flows it holds by variable name; raise `FlowFileError`.

    A flow with several names is listed under the first.
    """
    return flows_of(_load(Path(path)))


# Loading


def _load(file: Path) -> ModuleType:
    code = _compiled(file)
    path = file.resolve()
    name = _module_name(path)
    spec = ModuleSpec(name, SourceFileLoader(name, str(path)), origin=str(path))
    spec.has_location = True
    module = module_from_spec(spec)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # Dataclasses, pickle and typing look a class's module up here.
    sys.modules[name] = module
    try:
        with context(loading_flow=True):
            exec(code, module.__dict__)  # noqa: S102 - running the user's file is what this module is for
    except SystemExit as error:
        del sys.modules[name]
        raise _ended_itself(str(file), error) from error
    except Exception as error:  # a user's file may raise anything
        del sys.modules[name]
        raise _raised(str(file), f"python {file}", error) from error
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _current_folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError as error:
        raise FlowFileError(
            "The current folder is not there any more, so no module can be found in it.",
            hint="Change to another one: `cd`.",
        ) from error


def _imported(name: str) -> ModuleType:
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise FlowFileError(
            f"{name!r} is not the name of a module.", hint="Write package.module; a file is run without `-m`."
        )
    folder = _current_folder()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        with context(loading_flow=True):
            return import_module(name)
    except SystemExit as error:
        raise _ended_itself(name, error) from error
    except Exception as error:  # a user's module may raise anything
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise FlowFileError(
                f"There is no module {error.name!r}.", hint=f"Looked in {folder} and where installed packages are."
            ) from error
        raise _raised(name, f"python -m {name}", error) from error


def _module_name(path: Path) -> str:
    stem = "".join(character if character.isalnum() else "_" for character in path.stem)
    return f"{MODULE_PREFIX}{stem}_{blake2b(os.fsencode(path), digest_size=4).hexdigest()}"


def _compiled(file: Path) -> CodeType:
    source = _source(file)
    try:
        # Compiled here, not by the loader, which would leave a cache beside the file and might believe an old one.
        return compile(source, str(file.resolve()), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise _misspelled(file, error) from error
    except ValueError as error:
        raise FlowFileError(f"{file} is not a Python file: {error}.") from error


def _source(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise FlowFileError(f"There is no file {str(file)!r}.", hint=_similar_file(file)) from error
    except IsADirectoryError as error:
        raise FlowFileError(
            f"{str(file)!r} is a folder; expected a Python file that defines a flow.",
            hint=_similar_file(file / "flow.py"),
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FlowFileError(f"{str(file)!r} cannot be read: {reason}.") from error


def _similar_file(file: Path) -> str | None:
    try:
        names = [entry.name for entry in file.parent.iterdir() if entry.suffix == ".py"]
    except OSError:
        return f"There is no folder {str(file.parent)!r} either."
    near = get_close_matches(file.name, names, n=1, cutoff=0.7)
    return f"Did you mean {str(file.parent / near[0])!r}?" if near else None


def _misspelled(file: Path, error: SyntaxError) -> FlowFileError:
    line = (error.text or "").strip()
    shown = f": `{line}`" if line else ""
    hint = None if file.suffix == ".py" else "A flow file is a Python file."
    place = f", at {file}:{error.lineno}{shown}" if error.lineno else ""
    return FlowFileError(f"{file} is not valid Python: {error.msg}{place}.", hint=hint)


def _raised(source: str, command: str, error: Exception) -> FlowFileError:
    from headrace.tracebacks import user_frame  # noqa: PLC0415 - only where a file is broken

    where = user_frame(error)
    place = f"\n  at {where}: {where.source}" if where is not None else ""
    text = error.message if isinstance(error, HeadraceError) else str(error)
    return FlowFileError(
        f"{source} could not be loaded: {type(error).__name__}: {text}{place}", hint=_advice(command, error)
    )


def _advice(command: str, error: Exception) -> str | None:
    if isinstance(error, HeadraceError):
        return error.hint
    if isinstance(error, ModuleNotFoundError):
        return f"Install {str(error.name).partition('.')[0]!r} into the environment that headrace runs in."
    return f"`{command}` shows the whole traceback."


def _ended_itself(source: str, error: SystemExit) -> FlowFileError:
    return FlowFileError(
        f"{source} ended the process while it was loaded: sys.exit({error.code!r}).",
        hint='Put what only a script does under `if __name__ == "__main__":`.',
    )
