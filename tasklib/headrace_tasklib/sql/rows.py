"""Brings rows into one form and checks that they fit together, independent of any database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from headrace.exceptions import TaskDefinitionError
from headrace_tasklib._support import wrong_type

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER = "SqlLoad"
_ROW_FORMS = "dictionaries, or tuples with `columns` given"


def column_names(columns: object) -> tuple[str, ...] | None:
    """Return the names in ``columns``, a mapping to types or a list; None if there are none."""
    if columns is None:
        return None
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise wrong_type(_OWNER, "columns", columns, "a list of names, or a dictionary of names and types")
    names = tuple(columns)
    for name in names:
        if not isinstance(name, str) or not name:
            raise TaskDefinitionError(f"{_OWNER} needs names in `columns`, and one of them is {name!r}.")
    if not names or len(set(names)) < len(names):
        raise TaskDefinitionError(f"{_OWNER} needs different names in `columns`, and got {list(names)}.")
    return names


def arranged(rows: object, names: tuple[str, ...] | None) -> tuple[tuple[str, ...] | None, Iterator[dict[str, Any]]]:
    """Return the columns' names and the rows as dictionaries, checked one by one.

    Names that are not given are the keys of the first row; they are None if there are neither names nor rows.
    """
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise wrong_type(_OWNER, "rows", rows, f"a list of rows: {_ROW_FORMS}")
    iterator = iter(rows)
    if names is None:
        first = next(iterator, None)
        if first is None:
            return None, iter(())
        if not isinstance(first, Mapping):
            raise wrong_type(_OWNER, "columns", None, "the names of the columns, as the rows are not dictionaries")
        names = column_names(list(first))
        iterator = chain([first], iterator)
    assert names is not None
    return names, _checked(iterator, names)


def _checked(rows: Iterator[object], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    expected = frozenset(names)
    for number, row in enumerate(rows, 1):
        if isinstance(row, Mapping):
            if row.keys() != expected:
                raise _misfit(number, f"has the columns {_listed(row)}", names)
            yield dict(row)
        elif isinstance(row, Sequence) and not isinstance(row, str | bytes):
            if len(row) != len(names):
                raise _misfit(number, f"has {len(row)} values", names)
            yield dict(zip(names, row, strict=True))
        else:
            raise wrong_type(_OWNER, f"rows[{number - 1}]", row, f"one of {_ROW_FORMS}")


def _misfit(number: int, found: str, names: Sequence[str]) -> TaskDefinitionError:
    return TaskDefinitionError(
        f"Row {number} {found}, and every row must have the {len(names)} columns {_listed(names)}.",
        hint="Nothing was loaded. Give missing values as None.",
    )


def _listed(names: Iterable[object]) -> str:
    shown = [str(name) for name in names]
    more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
    return ", ".join(shown[:20]) + more
