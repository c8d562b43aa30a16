"""From what the layers wrote to values: each key is resolved once, following its references."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Final

from headrace.config._files import expand_home
from headrace.config._kinds import kind_of
from headrace.config._text import Reference, parse, typed
from headrace.config._view import SECRETS
from headrace.exceptions import ConfigError

if TYPE_CHECKING:
    from headrace.config._view import Path

_LOOKS_LIKE_A_KEY: Final = re.compile(r"[\w-]+(\.[\w-]+)+")


class Reading(Enum):
    """How a string is read."""

    AS_IT_IS = "as it is"
    REPLACED = "references are replaced"
    TYPED = "references are replaced, and literals become values"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A value as one layer wrote it."""

    value: object
    source: str
    reading: Reading
    secret: bool = False


class Resolver:
    """Resolves the values of ``entries``; ``secret`` collects the paths whose value was made from a secret."""

    def __init__(self, entries: Mapping[Path, Written], environ: Mapping[str, str]) -> None:
        self.secret = {path for path, written in entries.items() if written.secret}
        self._entries = entries
        self._environ = environ
        self._paths = {".".join(path): path for path in entries}
        self._values: dict[Path, object] = {}
        self._pending: list[Path] = []

    def value(self, path: Path) -> object:
        """Return the value at ``path``; raise `ConfigError` for references that lead nowhere or in a circle."""
        if path in self._values:
            return self._values[path]
        if path in self._pending:
            raise self._circle(path)
        self._pending.append(path)
        written = self._entries[path]
        try:
            value = self._read(written.value, written.reading, path)
        except RecursionError as error:
            raise ConfigError(f"{self._place(path)} refers to other keys through too many steps.") from error
        finally:
            self._pending.pop()
        self._values[path] = value
        return value

    def _read(self, value: object, reading: Reading, path: Path) -> object:
        if reading is Reading.AS_IT_IS:
            return value
        if isinstance(value, list):
            return [self._read(item, Reading.REPLACED, path) for item in value]
        if isinstance(value, Mapping):
            return {key: self._read(item, Reading.REPLACED, path) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        parts = parse(expand_home(value, self._environ))
        if len(parts) == 1 and isinstance(parts[0], Reference):
            target = self._target(parts[0], path)
            if isinstance(target, tuple):
                return self._follow(target, path)
            text = target
        else:
            text = self._joined(parts, path)
        return typed(text, kind_of(path)) if reading is Reading.TYPED else text

    def _joined(self, parts: list[str | Reference], path: Path) -> str:
        pieces = [part if isinstance(part, str) else self._target(part, path) for part in parts]
        return "".join(piece if isinstance(piece, str) else str(self._follow(piece, path)) for piece in pieces)

    def _target(self, reference: Reference, path: Path) -> Path | str:
        """Return the path of the key that is referred to, or the text that replaces the reference."""
        name = self._joined(reference.name, path)
        if name.isidentifier() and name in self._environ:
            return self._environ[name]
        if not reference.braced:
            return f"${name}"
        if name in self._paths:
            return self._paths[name]
        if _LOOKS_LIKE_A_KEY.fullmatch(name) or self._is_table(name):
            raise self._unknown(name, path)
        return f"${{{name}}}"

    def _follow(self, target: Path, path: Path) -> object:
        value = self.value(target)
        if target in self.secret or target[:2] == SECRETS:
            self.secret.add(path)
        if isinstance(value, Mapping) and not value:
            raise self._unknown(".".join(target), path)
        return value

    def _is_table(self, name: str) -> bool:
        return any(known.startswith(f"{name}.") for known in self._paths)

    def _place(self, path: Path) -> str:
        return f"{'.'.join(path)} in {self._entries[path].source}"

    def _unknown(self, name: str, path: Path) -> ConfigError:
        if path[:2] == SECRETS:
            return ConfigError(f"{self._place(path)} refers to a configuration key that does not exist.")
        if self._is_table(name) or name in self._paths:
            return ConfigError(
                f"{self._place(path)} refers to ${{{name}}}, which is a table.", hint="Refer to one of its keys."
            )
        near = get_close_matches(name, self._paths, n=1, cutoff=0.5)
        question = f"Did you mean ${{{near[0]}}}? " if near else ""
        return ConfigError(
            f"{self._place(path)} refers to ${{{name}}}, and there is no such configuration key.",
            hint=f"{question}`headrace config show` lists the keys.",
        )

    def _circle(self, path: Path) -> ConfigError:
        circle = [*self._pending[self._pending.index(path) :], path]
        return ConfigError(
            f"Configuration keys refer to each other in a circle: {' -> '.join('.'.join(key) for key in circle)} "
            f"({self._place(path)}).",
            hint="Give one of them a value of its own.",
        )
