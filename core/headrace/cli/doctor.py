"""``headrace doctor``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from headrace.cli.failures import plain, traceback_option
from headrace.cli.histories import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace.checkup import Checkup
    from headrace.history.records import Finding

__all__ = ["doctor"]


@click.command(short_help="Look for what is wrong here, and put it right.")
@click.option("--deep", is_flag=True, help="Read every recorded result, too, and compare it with its digest.")
@click.option("--repair", is_flag=True, help="Put right what can be. Asks first.")
@click.option(
    "--foreign", is_flag=True, help="Let runs end whose processes were on machines that are gone for good. Asks first."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@traceback_option
@click.pass_context
def doctor(ctx: click.Context, deep: bool, repair: bool, foreign: bool, yes: bool, as_json: bool) -> None:
    """Look at the installation, the configuration, the project's folder and the history, and say what is wrong.

    Nothing is changed without --repair. A damaged history is never overwritten: what was there is kept beside it.

    Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be repaired now.
    """
    from headrace.checkup import check_up, end_foreign_runs, put_right  # noqa: PLC0415 - --help needs none of it

    if (repair or foreign) and not yes and (as_json or not sys.stdin.isatty()):
        word = "--repair" if repair else "--foreign"
        raise click.UsageError(f"{word} asks on a terminal. Say --yes where there is nobody to ask.", ctx)
    seen, done = check_up(deep=deep), []
    if not as_json:
        _print_facts(seen)
        _print_findings(seen.findings)
    if foreign and (yes or click.confirm("Are the other machines gone for good?")):
        done += end_foreign_runs()
    if repair and seen.repairable and (yes or click.confirm("Put right what can be?")):
        done += put_right()
    if done:
        seen = check_up(deep=deep)
        if not as_json:
            _print_repair(done, seen.findings)
    if as_json:
        _print_json(seen, done)
    ctx.exit(1 if seen.findings else 0)


def _print_facts(seen: Checkup) -> None:
    facts = {**seen.facts, "runs that go on": ", ".join(seen.live) or "none"}
    width = max(map(len, facts))
    for name, text in facts.items():
        click.echo(f"{name:<{width}}  {plain(text)}")


def _print_findings(findings: Sequence[Finding]) -> None:
    click.echo()
    if not findings:
        click.echo("Nothing is wrong.")
        return
    for finding in findings:
        click.echo(f"{plain(finding.place)}\n  {plain(finding.what)}")
        if finding.repairable:
            click.echo("  `headrace doctor --repair` puts that right.")
        elif finding.hint:
            click.echo(f"  {plain(finding.hint)}")
    click.echo("\n1 finding." if len(findings) == 1 else f"\n{len(findings)} findings.")


def _print_repair(done: Sequence[Finding], left: Sequence[Finding]) -> None:
    click.echo("\nDone:")
    for each in done:
        click.echo(f"{plain(each.place)}\n  {plain(each.what)}")
        if each.hint:
            click.echo(f"  {plain(each.hint)}")
    if left:
        click.echo("\nWhat is left:")
    _print_findings(left)


def _print_json(seen: Checkup, done: Sequence[Finding]) -> None:
    document = {
        "facts": dict(seen.facts),
        "live": list(seen.live),
        "findings": [asdict(each) for each in seen.findings],
        "repaired": [asdict(each) for each in done],
    }
    print_json(document)
