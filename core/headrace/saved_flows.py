"""Flows in files: pickled, under a header that says what they were pickled with.

A file holds a magic line, a header of one line of JSON, and the pickle whose digest the header has.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import headrace
from headrace.atomic import write_atomically
from headrace.envelope import safe_name
from headrace.exceptions import FlowFileError, describe
from headrace.pickling import dump
from headrace.project import make_private, project_folder

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from headrace.flows import Flow

__all__ = ["FORMAT", "SUFFIX", "load_flow_file", "save_flow"]

FORMAT: Final = 1
SUFFIX: Final = ".flow"
_MAGIC: Final = b"headrace-flow\n"
_VERSIONS: Final = ("headrace", "cloudpickle", "python")


def save_flow(flow: Flow, path: str | os.PathLike[str] | None) -> Path:
    """Write ``flow`` to ``path``; see `Flow.save`."""
    data = _pickled(flow)
    header = {"format": FORMAT, "flow": flow.name, **_versions(), "digest": _digest(data)}
    target = project_folder() / "flows" / f"{safe_name(flow.name)}{SUFFIX}" if path is None else Path(path)
    try:
        if path is None:
            make_private(target.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, _MAGIC + json.dumps(header).encode() + b"\n" + data)
    except OSError as error:
        raise FlowFileError(f"{str(target)!r} cannot be written: {error.strerror or error}.") from error
    return target


def _versions() -> dict[str, str]:
    import cloudpickle  # noqa: PLC0415 - it takes longer to import than most flows to load

    return {
        "headrace": headrace.__version__,
        "cloudpickle": cloudpickle.__version__,
        "python": platform.python_version(),
    }


def _pickled(flow: Flow) -> bytes:
    try:
        return dump(flow)
    except Exception as error:  # a foreign __reduce__ may raise anything
        raise FlowFileError(f"Flow {flow.name!r} cannot be saved: {_culprit(flow)}{describe(error)}") from error


def _culprit(flow: Flow) -> str:
    """Say which task it is that cannot be pickled, if it is one by itself."""
    for task, slug in flow.slugs.items():
        try:
            dump((task, flow.constants.get(task)))
        except Exception:  # noqa: BLE001 - as above
            return f"task {slug!r} cannot be pickled. "
    return ""


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def load_flow_file(path: str | os.PathLike[str]) -> Flow:
    """Return the flow that `save_flow` wrote to ``path``; see `Flow.load`."""
    source = Path(path)
    header, data = _parts(source, _read(source))
    different = _differences(header)
    if different:
        warnings.warn(f"{source} was saved with {different}; it may not work.", stacklevel=3)
    flow = _unpickled(source, data, different)
    from headrace.flows import Flow  # noqa: PLC0415 - it imports this module when it is needed

    if not isinstance(flow, Flow):
        raise FlowFileError(f"{source} holds a {type(flow).__name__}, and no flow.")
    return flow


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except FileNotFoundError as error:
        raise FlowFileError(f"There is no file {str(source)!r}.", hint=_saved_here(source)) from error
    except (OSError, ValueError) as error:
        raise FlowFileError(f"{str(source)!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _saved_here(source: Path) -> str | None:
    folder = source.parent if source.parent != Path() else project_folder() / "flows"
    found = sorted(file.name for file in folder.glob(f"*{SUFFIX}"))[:8]
    return f"In {folder} there are: {', '.join(found)}." if found else None


def _parts(source: Path, stored: bytes) -> tuple[Mapping[str, Any], bytes]:
    if not stored.startswith(_MAGIC):
        hint = "`headrace.flow_files.load_flow` reads flows from Python files." if source.suffix == ".py" else None
        raise FlowFileError(f"{source} is not a saved flow.", hint=hint or "`Flow.save` writes such files.")
    line, _, data = stored[len(_MAGIC) :].partition(b"\n")
    try:
        header = json.loads(line)
        version, digest = int(header["format"]), str(header["digest"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(source, "its header cannot be read") from error
    if version > FORMAT:
        raise FlowFileError(
            f"{source} was saved by headrace {header.get('headrace')} in format {version}, and headrace "
            f"{headrace.__version__} reads formats up to {FORMAT}.",
            hint="Upgrade headrace here.",
        )
    if digest != _digest(data):
        raise _damaged(source, "its digest does not match")
    return header, data


def _damaged(source: Path, reason: str) -> FlowFileError:
    return FlowFileError(f"{source} is damaged: {reason}.", hint="Save the flow again.")


def _differences(header: Mapping[str, Any]) -> str:
    """Return which versions differ from those here; of Python, only what changes its bytecode counts."""
    here = _versions()
    found = {name: str(header.get(name)) for name in _VERSIONS}
    return " and ".join(
        f"{name} {found[name]} (here is {here[name]})"
        for name in _VERSIONS
        if _telling(name, found[name]) != _telling(name, here[name])
    )


def _telling(name: str, version: str) -> str:
    return ".".join(version.split(".")[:2]) if name == "python" else version


def _unpickled(source: Path, data: bytes, different: str) -> object:
    try:
        return pickle.loads(data)  # noqa: S301 - the contract of `Flow.load` says so
    except Exception as error:  # what a pickle imports and calls may raise anything
        why = f" It was saved with {different}." if different else ""
        raise FlowFileError(
            f"{source} cannot be loaded: {describe(error)}.{why}",
            hint="What the flow's file imports must be importable here too.",
        ) from error
