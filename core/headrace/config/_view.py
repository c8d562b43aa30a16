"""The read-only view of a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from headrace.exceptions import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Path = tuple[str, ...]
SECRETS: Final[Path] = ("context", "secrets")
MASK: Final = "********"


def refuse_change(key: str) -> str:
    return (
        f"The configuration cannot be changed in place, and {key!r} was. "
        f"Use `with headrace.config.set_temporary_config({{{key!r}: ...}}):`, a configuration file, "
        f"or the variable HEADRACE__{key.upper().replace('.', '__')}."
    )


class Config(Mapping[str, Any]):
    """A configuration, or one table of it: a mapping whose keys are also attributes, and which never changes.

    ``config.engine.executor``, ``config["engine"]["executor"]`` and ``config.get("engine.executor")`` are the same
    value. Tables are `Config` objects, so ``**config.engine.executors.threads`` works, and lists are tuples; `to_dict`
    gives plain dictionaries and lists. A key that shares its name with a method is read by item. Values below
    ``context.secrets``, and values made from one of them, do not show in ``repr``. May be read from any thread.
    """

    __slots__ = ("_origins", "_path", "_secret", "_values")

    _values: dict[str, Any]
    _origins: Mapping[Path, str]
    _secret: frozenset[Path]
    _path: Path

    def __init__(
        self,
        values: Mapping[str, object],
        origins: Mapping[Path, str] | None = None,
        secret: Iterable[Path] = (),
        path: Path = (),
    ) -> None:
        """Take resolved ``values``, the place that each path which is not a default came from, and which are secret."""
        origins, secret = origins or {}, frozenset(secret)
        assign = super().__setattr__
        assign("_origins", origins)
        assign("_secret", secret)
        assign("_path", path)
        assign("_values", {key: _frozen(value, origins, secret, (*path, key)) for key, value in values.items()})

    def __getitem__(self, key: str) -> Any:
        try:
            return self._values[key]
        except KeyError:
            raise KeyError(self._unknown(key)) from None

    def __getattr__(self, name: str) -> Any:
        if name == "_values":  # of an object that copy or inspect made without calling the constructor
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(self._unknown(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value at a dotted key such as ``"engine.executor"``, or ``default`` if there is none."""
        if key in self._values:
            return self._values[key]
        first, dot, rest = key.partition(".")
        table = self._values.get(first) if dot else None
        return table.get(rest, default) if isinstance(table, Config) else default

    def to_dict(self, *, masked: bool = False) -> dict[str, Any]:
        """Return plain dictionaries and lists, new at each call; ``masked`` shows every secret as asterisks."""
        return {
            key: MASK if masked and self._is_secret((*self._path, key), value) else _thawed(value, masked=masked)
            for key, value in self._values.items()
        }

    def sources(self) -> dict[str, str]:
        """Return where each value comes from, by full dotted key.

        A source is ``"default"``, the path of a file, the name of a variable, or ``"set_temporary_config"``.
        """
        return {".".join(leaf.path): leaf.source for leaf in leaves(self) if not _is_empty_table(leaf.value)}

    def unknown_keys(self) -> tuple[str, ...]:
        """Return the full dotted keys, in headrace's own sections, that headrace itself does not read.

        They are kept, since a plugin may read them. A section that headrace does not have belongs to a plugin, and is
        only listed if its name is nearly that of a section headrace has.
        """
        from headrace.config._kinds import is_known  # noqa: PLC0415 - only asked by people

        found = (leaf.path for leaf in leaves(self) if not _is_empty_table(leaf.value))
        return tuple(".".join(path) for path in found if not is_known(path))

    def _leaves(self) -> Iterator[Leaf]:
        for key, value in self._values.items():
            if isinstance(value, Config) and value:
                yield from leaves(value)
                continue
            path = (*self._path, key)
            yield Leaf(path=path, value=value, source=self._source(path), secret=path in self._secret)

    def _source(self, path: Path) -> str:
        """Return the source of ``path``, or of the value it lies in."""
        while path:
            if path in self._origins:
                return self._origins[path]
            path = path[:-1]
        return "default"

    def _is_secret(self, path: Path, value: object) -> bool:
        return path in self._secret or (path[:2] == SECRETS and len(path) > 2 and not isinstance(value, Config))

    def _unknown(self, key: str) -> str:
        table = ".".join(self._path)
        where = f"The configuration table {table!r}" if table else "The configuration"
        return f"{where} has no key {key!r}. {nearest(str(key), self._values) or 'It is empty.'}"

    def __repr__(self) -> str:
        return f"Config({self.to_dict(masked=True)!r})"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._values})

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(refuse_change(".".join((*self._path, name))))

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(refuse_change(".".join((*self._path, name))))

    def __setitem__(self, key: str, value: object) -> NoReturn:
        raise TypeError(refuse_change(".".join((*self._path, key))))

    def __delitem__(self, key: str) -> NoReturn:
        raise TypeError(refuse_change(".".join((*self._path, key))))

    def __copy__(self) -> Config:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Config:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A Config cannot be pickled, since it may hold secrets. Pass the value that is needed, or `to_dict()`."
        )


class Leaf(NamedTuple):
    """A value that is not a table with keys of its own, as a view holds it."""

    path: Path
    value: object
    source: str
    secret: bool


def leaves(config: Config) -> Iterator[Leaf]:
    """Yield every value of ``config``; an empty table is a value."""
    return config._leaves()  # noqa: SLF001 - a public method would hide a key of its name


def _is_empty_table(value: object) -> bool:
    return isinstance(value, Config) and not value


def _frozen(value: object, origins: Mapping[Path, str], secret: frozenset[Path], path: Path) -> object:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return Config(value, origins, secret, path)
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, origins, secret, path) for item in value)
    return frozenset(value) if isinstance(value, set) else value


def _thawed(value: object, *, masked: bool) -> object:
    if isinstance(value, Config):
        return value.to_dict(masked=masked)
    if isinstance(value, tuple):
        return [_thawed(item, masked=masked) for item in value]
    return set(value) if isinstance(value, frozenset) else value
