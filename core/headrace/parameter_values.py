"""Values for the parameters of a flow as people write them: texts of a command line, and files of JSON or TOML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.exceptions import ParameterError, UnknownParameterError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from headrace.flows import Flow
    from headrace.parameters import Parameter

__all__ = ["parameters_from_file", "parameters_from_texts"]


def parameters_from_texts(flow: Flow, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return texts as values of the flow's parameters; raise UnknownParameterError or ParameterTypeError."""
    known = _known(flow, texts)
    return {name: known[name].parse(text) for name, text in texts.items()}


def parameters_from_file(flow: Flow, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file has for the flow's parameters: TOML if its name ends in ``.toml``, otherwise JSON.

    Raises ParameterError for a file that cannot be read or holds anything else than names and values,
    UnknownParameterError and ParameterTypeError.
    """
    values = _read(Path(path))
    known = _known(flow, values)
    return {name: known[name].read(value) for name, value in values.items()}


def _known(flow: Flow, given: Mapping[str, object]) -> dict[str, Parameter]:
    known = {parameter.name: parameter for parameter in flow.parameters()}
    for name in given:
        if name not in known:
            raise UnknownParameterError(flow.name, name, known)
    return known


def _read(path: Path) -> dict[str, Any]:
    is_toml = path.suffix.lower() == ".toml"
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = tomllib.loads(text) if is_toml else json.loads(text)
    except OSError as error:
        raise ParameterError(
            f"The parameter file {str(path)!r} cannot be read: {error.strerror or error}.",
            hint="It holds names and values, as JSON or, if its name ends in .toml, as TOML.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ParameterError(
            f"The parameter file {str(path)!r} is not {'TOML' if is_toml else 'JSON'}: {error}.",
            hint="A file whose name ends in .toml is read as TOML, any other as JSON.",
        ) from error
    if not isinstance(values, dict):
        raise ParameterError(
            f"The parameter file {str(path)!r} holds {'a list' if isinstance(values, list) else repr(values)}.",
            hint='Write names of parameters and their values: {"day": "2026-01-31"}.',
        )
    return values
