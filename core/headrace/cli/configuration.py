"""``headrace config``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from headrace.cli.failures import traceback_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from headrace.config import Config

__all__ = ["config"]


@click.group(short_help="Show the configuration and where it comes from.")
def config() -> None:
    """Show the configuration and where it comes from."""


@config.command(short_help="Show every key, its value and its source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
def show(as_json: bool) -> None:
    """Show every key, its value and its source: the defaults, a file, or a variable of the environment.

    Secrets are shown as asterisks. A key that headrace does not read is marked: it may be a plugin's, or misspelled.
    """
    from headrace.config import current  # noqa: PLC0415 - read when it is shown

    rows = _rows(current())
    if as_json:
        from json import dumps  # noqa: PLC0415 - each form of output imports what it needs

        click.echo(dumps(rows, indent=2, default=str, ensure_ascii=False))
        return
    _print_table(rows)


def _rows(config: Config) -> list[dict[str, Any]]:
    sources, unknown = config.sources(), set(config.unknown_keys())
    return [
        {"key": key, "value": value, "source": sources.get(key, "default"), "known": key not in unknown}
        for key, value in sorted(_flat(config.to_dict(masked=True)))
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.text import Text  # noqa: PLC0415

    from headrace.cli.tables import console_for, table  # noqa: PLC0415 - brings rich

    found = table("Key", "Value", "Source")
    for row in rows:
        is_default, known = row["source"] == "default", row["known"]
        key = Text(row["key"], "dim" if is_default else "bold")
        if not known:
            key.append(" (unknown)", "yellow")
        found.add_row(key, Text(_shown(row["value"])), Text(row["source"], "dim" if is_default else "cyan"))
    console_for().print(found)
    if not all(row["known"] for row in rows):
        click.echo(
            "Unknown keys are read by no part of headrace itself: a plugin may, or they are misspelled.", err=True
        )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list) and not value:
        return "-"
    return value if isinstance(value, str) and value else repr(value)
