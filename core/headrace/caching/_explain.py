"""Why a task finds its result in the cache, or does not: field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from headrace.caching._facts import CALLS, code_of, compared, validator_name
from headrace.caching._validators import Validator
from headrace.exceptions import FlowDefinitionError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from headrace.caching._entries import Entry
    from headrace.caching._validators import Names
    from headrace.flows import Flow
    from headrace.tasks import Task

__all__ = ["Explanation", "Finding", "Question", "explain", "explain_bucket", "question_about"]

Verdict = Literal["same", "changed", "new", "gone", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """How one field compares with the stored entry; ``note`` says why it is not known."""

    field: str
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Whether there is a hit, None for «that depends», and how the nearest entry compares."""

    bucket: str
    hit: bool | None
    reason: str
    entry: Entry | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a task would look for: hashes by field, and for a field that is not known, why."""

    bucket: str
    fields: Mapping[str, str]
    unknown: Mapping[str, str]


def explain(question: Question, entries: Sequence[Entry], now: float) -> Explanation:
    """Compare what is looked for with the nearest of ``entries``, which are sorted, the newest first."""
    bucket = question.bucket
    if not entries:
        return Explanation(bucket=bucket, hit=False, reason=f"Nothing is cached under {bucket!r}.")
    entry = max(entries, key=lambda one: _likeness(question, one, now))
    findings = tuple(_findings(question, _fields(entry)))
    different = [finding.field for finding in findings if finding.verdict in {"changed", "new", "gone"}]
    hit, reason = _verdict(findings, expired=entry.is_expired(now), different=different)
    return Explanation(bucket=bucket, hit=hit, reason=reason, entry=entry, findings=findings)


def _verdict(findings: Sequence[Finding], *, expired: bool, different: Sequence[str]) -> tuple[bool | None, str]:
    if different:
        return False, f"A miss: different from the nearest entry in {', '.join(different)}."
    if expired:
        return False, "A miss: there is an entry, and it has expired."
    unknown = [finding.field for finding in findings if finding.verdict == "unknown"]
    if unknown:
        return None, f"A hit, if the same as before: {', '.join(unknown)}."
    return True, "A hit: everything that counts is the same."


def explain_bucket(bucket: str, entries: Sequence[Entry], now: float) -> Explanation:
    """Say why the newest of ``entries`` was computed although there were others."""
    if not entries:
        return Explanation(bucket=bucket, hit=False, reason=f"Nothing is cached under {bucket!r}.")
    newest, *others = entries
    if not others:
        reason = "It has expired." if newest.is_expired(now) else "A hit for whoever looks for the same."
        findings = tuple(Finding(field=field, verdict="same") for field in _fields(newest))
        return Explanation(
            bucket=bucket, hit=not newest.is_expired(now), reason=reason, entry=newest, findings=findings
        )
    question = Question(bucket=bucket, fields=_fields(newest), unknown={})
    entry = max(others, key=lambda one: _likeness(question, one, newest.created))
    findings = tuple(_findings(question, _fields(entry)))
    different = [finding.field for finding in findings if finding.verdict != "same"]
    reason = f"The newest entry was computed, because of: {', '.join(different)}." if different else "Nothing differs."
    return Explanation(bucket=bucket, hit=False, reason=reason, entry=entry, findings=findings)


def _fields(entry: Entry) -> dict[str, str]:
    """Return the hashes of an entry by what people call the fields."""
    return {
        **_named("code", entry.code),
        **_named("argument", entry.inputs),
        **_named("parameter", entry.parameters),
        "validator": entry.validator,
        **({} if entry.index is None else {"map index": str(entry.index)}),
    }


def _named(kind: str, hashes: Mapping[str, str]) -> dict[str, str]:
    if kind == "code":
        known = {"run": "code", CALLS: "code that it calls"}
        return {known.get(name, f"attribute {name!r}"): text for name, text in hashes.items()}
    return {f"{kind} {name!r}": text for name, text in hashes.items()}


def _findings(question: Question, stored: Mapping[str, str]) -> Iterator[Finding]:
    for field in {**question.fields, **question.unknown, **stored}:
        if field in question.unknown:
            yield Finding(field=field, verdict="unknown", note=question.unknown[field])
        elif field not in stored:
            yield Finding(field=field, verdict="new")
        elif field not in question.fields:
            yield Finding(field=field, verdict="gone")
        else:
            yield Finding(field=field, verdict="same" if question.fields[field] == stored[field] else "changed")


def _likeness(question: Question, entry: Entry, now: float) -> tuple[int, bool, float]:
    differences = sum(finding.verdict not in {"same", "unknown"} for finding in _findings(question, _fields(entry)))
    return -differences, not entry.is_expired(now), entry.created


def question_about(flow: Flow, name: str, parameters: Mapping[str, Any], index: int | None = None) -> Question:
    """Return what the task of ``flow`` with a name or slug would look for, as far as that is known without running.

    ``index`` chooses a child of a mapped task. Raises FlowDefinitionError for a task that is not there or not cached.
    """
    task = _find(flow, name)
    storage = task.storage
    if storage is None or not storage.is_cached:
        raise FlowDefinitionError(f"Task {name!r} of flow {flow.name!r} is not cached.", hint="Give it `cache_for=`.")
    known, unknown = _arguments(flow, task, parameters, index)
    validator, code = storage.cache_validator, code_of(task) if storage.cache_key is None else {}
    assert validator is not None
    values, missing = _parameters(flow, parameters)
    facts = compared(validator, code, known, values, index)
    known_kind = validator if isinstance(validator, Validator) else None
    of_arguments: Names = "all" if known_kind is None else known_kind.inputs
    of_parameters: Names = "all" if known_kind is None else known_kind.parameters
    fields = {
        **_named("code", code),
        **_named("argument", facts["inputs"]),
        **_named("parameter", facts["parameters"]),
        "validator": validator_name(validator),
        **({} if facts["index"] is None else {"map index": str(index)}),
    }
    gaps = {f"argument {k!r}": why for k, why in unknown.items() if of_arguments == "all" or k in of_arguments}
    gaps |= {f"parameter {k!r}": "no value given" for k in missing if of_parameters == "all" or k in of_parameters}
    if known_kind is None:
        gaps["validator"] = "a function of your own decides"
    return Question(bucket=storage.cache_key or task.name, fields=fields, unknown=gaps)


def _find(flow: Flow, name: str) -> Task:
    found = [task for task, slug in flow.slugs.items() if slug == name] or flow.get_tasks(name=name)
    if not found:
        known = [task.name for task in flow.tasks if not task.auto_generated]
        raise FlowDefinitionError(f"Flow {flow.name!r} has no task {name!r}.", hint=nearest(name, set(known)))
    if len({id(task.storage) for task in found}) > 1:
        slugs = ", ".join(flow.slugs[task] for task in found)
        raise FlowDefinitionError(f"Flow {flow.name!r} has several tasks named {name!r}.", hint=f"Name one: {slugs}.")
    return found[0]


def _arguments(
    flow: Flow, task: Task, parameters: Mapping[str, Any], index: int | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arguments that are known without running anything, and why the others are not."""
    known, unknown = dict(flow.constants.get(task, {})), {}
    for edge in flow.graph.edges_to(task):
        if not edge.key:
            continue
        resolve = getattr(edge.upstream_task, "resolve", None)
        if edge.mapped and index is None:
            unknown[edge.key] = "mapped over, and no child was chosen"
            continue
        if resolve is None:
            unknown[edge.key] = f"comes from task {edge.upstream_task.name!r}"
            continue
        try:
            value = resolve(parameters)
            known[edge.key] = list(value)[index] if edge.mapped and index is not None else value
        except (LookupError, ValueError, TypeError):
            unknown[edge.key] = f"no value given for {edge.upstream_task.name!r}"
    return known, unknown


def _parameters(flow: Flow, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    known, missing = {}, []
    for parameter in flow.parameters():
        if parameter.required and parameter.name not in given:
            missing.append(parameter.name)
        else:
            known[parameter.name] = parameter.resolve(given)
    return known, missing
