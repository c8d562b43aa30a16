"""``headrace plugins``."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import click

from headrace.cli.failures import plain, traceback_option
from headrace.cli.values import complete_plugins
from headrace.exceptions import PluginError, PluginLoadError, PluginNotFoundError, nearest
from headrace.hooks.kinds import GROUPS
from headrace.hooks.scan import normalize, scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.hooks.doctor import Description, Diagnosis
    from headrace.hooks.registry import PluginStatus, Registry
    from headrace.hooks.scan import PluginRecord

__all__ = ["plugins"]

_AT_ONCE: Final = 4
_KINDS: Final = sorted(GROUPS.values())


@click.group(short_help="List, describe and check the installed plugins.")
def plugins() -> None:
    """List, describe and check the installed plugins."""


# list


@plugins.command("list", short_help="List what is installed, without importing it.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only plugins of this kind.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
def list_plugins(kind: str | None, as_json: bool) -> None:
    """List what is installed, from metadata alone: nothing of any plugin is imported."""
    found = [status for status in _registry().status if kind is None or status.record.kind == kind]
    if as_json:
        _print_json([_listed(status) for status in found])
        return
    if not found:
        click.echo("No plugin is installed." if kind is None else f"No {kind} is installed.")
    else:
        _print_list(found)
    for failure in scan().failures:
        click.echo(f"The plugin metadata at {failure.location} cannot be read: {plain(failure.reason)}.", err=True)


def _listed(status: PluginStatus) -> dict[str, Any]:
    record = status.record
    return {
        "kind": record.kind,
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "module": record.value,
        "summary": record.summary,
        "bundled": _is_bundled(record),
        "allowed": status.state != "blocked",
        "detail": status.detail,
    }


def _is_bundled(record: PluginRecord) -> bool:
    return normalize(record.distribution) == "headrace"


def _print_list(found: Sequence[PluginStatus]) -> None:
    from rich.text import Text  # noqa: PLC0415

    from headrace.cli.tables import console_for, table  # noqa: PLC0415 - brings rich

    rows = table("Kind", "Name", "Distribution", "Version", "Status")
    for status in sorted(found, key=lambda each: (each.record.kind, each.record.name)):
        record = status.record
        state = (
            Text(f"blocked: {plain(status.detail)}", "yellow")
            if status.state == "blocked"
            else Text("allowed", "green")
        )
        owner = Text(plain(record.distribution), "dim" if _is_bundled(record) else "bold")
        rows.add_row(record.kind, Text(plain(record.name), "cyan"), owner, plain(record.version), state)
    console_for().print(rows)


# info


@plugins.command(short_help="Load one plugin and show what it says of itself.")
@click.argument("name", metavar="[KIND:]NAME", shell_complete=complete_plugins(qualified=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
def info(name: str, as_json: bool) -> None:
    """Load one plugin and show what it says of itself: its options, capabilities, hooks and documentation."""
    from headrace.hooks.doctor import describe  # noqa: PLC0415 - listing plugins does without

    description = describe(_chosen(_registry(), name))
    if as_json:
        _print_json(description.to_dict())
    else:
        _print_description(description)


def _chosen(registry: Registry, name: str) -> PluginRecord:
    """Return the installed plugin that ``NAME`` or ``KIND:NAME`` means, if it may load."""
    kind, _, bare = name.rpartition(":")
    if kind and kind not in _KINDS:
        raise PluginError(f"There is no kind of plugin named {kind!r}.", hint=nearest(kind, _KINDS))
    records = [record for record in registry.records() if not kind or record.kind == kind]
    found = [record for record in records if record.name == bare]
    if not found:
        raise PluginNotFoundError(kind or "plugin", bare, {record.name for record in records})
    if len({record.kind for record in found}) > 1:
        choices = ", ".join(f"{record.kind}:{record.name}" for record in found)
        raise PluginError(f"Several plugins are named {bare!r}.", hint=f"Say which: {choices}.")
    allowed = [record for record in found if registry.policy.allows(record)]
    if not allowed:
        refusal = registry.policy.refusal(found[0]) or ""
        raise PluginLoadError(found[0].kind, bare, found[0].owner, refusal, hint="Allow it to have it loaded.")
    return next((record for record in allowed if registry.policy.prefers(record)), allowed[0])


def _print_description(description: Description) -> None:
    from rich.text import Text  # noqa: PLC0415

    from headrace.cli.tables import console_for, table  # noqa: PLC0415 - brings rich

    record, console = description.record, console_for()
    console.print(Text.assemble((plain(record.name), "bold cyan"), f", {record.kind} of {plain(record.owner)}"))
    for label, text in (
        ("", description.summary),
        ("Module", record.value),
        ("Factory", description.factory),
        ("Capabilities", ", ".join(description.capabilities)),
        ("Hooks", ", ".join(description.hooks)),
    ):
        if text:
            console.print(Text.assemble((f"{label}: " if label else "", "dim"), plain(text)))
    if description.options:
        rows = table("Option", "Type", "Default")
        for option in description.options:
            rows.add_row(Text(option.name, "cyan"), Text(option.type), Text(option.default or "required"))
        console.print()
        console.print(rows)
    if description.documentation:
        console.print()
        console.print(Text(plain(description.documentation)))


# doctor


@plugins.command(short_help="Load each plugin by itself and report what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Load each plugin in an interpreter of its own and report what it costs and what is wrong with it.

    The exit code is 1 if anything is broken. Plugins that the configuration blocks are not loaded.
    """
    from headrace.hooks.doctor import examine  # noqa: PLC0415 - listing plugins does without

    registry = _registry()
    records = sorted(filter(registry.policy.allows, registry.records()), key=lambda each: (each.kind, each.name))
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        found = list(pool.map(examine, records))
    failures = [f"The plugin metadata at {f.location} cannot be read: {plain(f.reason)}." for f in scan().failures]
    if as_json:
        _print_json({"plugins": [each.to_dict() for each in found], "unreadable": failures})
    else:
        _print_diagnoses(found, failures)
    ctx.exit(0 if all(each.ok for each in found) and not failures else 1)


def _print_diagnoses(found: Sequence[Diagnosis], failures: Sequence[str]) -> None:
    from rich.text import Text  # noqa: PLC0415

    from headrace.cli.tables import console_for, table  # noqa: PLC0415 - brings rich

    console, rows = console_for(), table("", "Kind", "Name", "Distribution", "Import", "Modules", "API")
    for each in found:
        mark = Text("ok", "green") if each.ok else Text("broken", "bold red")
        cost = "" if each.import_ms is None else f"{each.import_ms:.0f} ms"
        numbers = [cost, *("" if n is None else str(n) for n in (each.module_count, each.api))]
        record = each.record
        rows.add_row(mark, record.kind, Text(plain(record.name), "cyan"), Text(plain(record.owner)), *numbers)
    console.print(rows)
    for each in found:
        for problem in each.problems:
            console.print()
            console.print(Text.assemble((f"{each.record.kind}:{plain(each.record.name)} ", "bold"), plain(problem)))
    for failure in failures:
        console.print(Text(failure, "red"))
    broken = sum(not each.ok for each in found) + len(failures)
    console.print()
    console.print(
        Text(f"{broken} of {len(found)} plugins broken." if broken else f"All {len(found)} plugins are sound.")
    )


def _registry() -> Registry:
    from headrace import config  # noqa: PLC0415 - read when the first plugin is asked for
    from headrace.hooks.policy import PluginPolicy  # noqa: PLC0415
    from headrace.hooks.registry import Registry  # noqa: PLC0415

    return Registry(policy=PluginPolicy.from_config(config.current()["plugins"], os.environ))


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
