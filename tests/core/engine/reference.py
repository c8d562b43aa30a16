"""What a flow must end in, worked out the plain way: one task after the other, nothing shared with the engine.

A `Script` says what the tasks of a flow do and how they are connected. `expect` interprets it; `build` makes the
flow that does it, whose bodies leave a `Journal`. Both must tell the same story.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from headrace import Flow, context, signals, triggers
from headrace.states import State
from headrace.tasks import Task

LIMIT = 50


# -- the script ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """One edge: where it comes from, whether it carries data, and how."""

    source: int
    data: bool = True
    mapped: bool = False
    flattened: bool = False


@dataclass(frozen=True)
class Act:
    """What a body does: ``kind`` after ``times`` attempts or iterations that did something else."""

    kind: str  # return, fail, skip, signal-fail, flaky, retry, loop, finish
    times: int = 0


@dataclass(frozen=True)
class Role:
    """One task. Its children take turns with ``acts``; ``shape`` is how what it returns is nested."""

    links: tuple[Link, ...] = ()
    acts: tuple[Act, ...] = (Act("return"),)
    shape: tuple[int, ...] = ()
    trigger: str = "all_successful"
    skips: bool = True
    max_retries: int = 0

    def act(self, index: int) -> Act:
        return self.acts[max(index, 0) % len(self.acts)]


Script = tuple[Role, ...]


class Boom(Exception):
    """What a body raises."""


@dataclass(frozen=True)
class Token:
    """A value that cannot be iterated over and says where it comes from."""

    text: str


def shaped(text: str, shape: tuple[int, ...]) -> Any:
    """Return a token, or a list of lists of tokens of the given lengths."""
    if not shape:
        return Token(text)
    return [shaped(f"{text}.{i}", shape[1:]) for i in range(shape[0])]


def described(value: Any) -> str:
    """Return a text that is the same for the engine's values and for those expected."""
    if isinstance(value, BaseException):
        return f"!{type(value).__name__}"
    if isinstance(value, list):
        return f"[{','.join(map(described, value))}]"
    return value.text if isinstance(value, Token) else repr(value)


def returned(name: str, index: int, arguments: dict[str, Any], loop: int) -> str:
    """Return what a body says about how it was called, in a text that does not grow from task to task."""
    found = ",".join(f"{key}={described(arguments[key])}" for key in sorted(arguments))
    return f"{name}[{index}]({crc32(found.encode()):x})*{loop}"


# -- what is expected ------------------------------------------------------------------------------------------------


@dataclass
class End:
    """How one task, or one mapped child, ended."""

    kind: str
    value: Any = None
    children: list[End] | None = None

    @property
    def successful(self) -> bool:
        return self.kind in {"Success", "Skipped", "Mapped"}

    @property
    def failed(self) -> bool:
        return self.kind in {"Failed", "TriggerFailed"}

    @property
    def gives_data(self) -> bool:
        return self.successful and not (self.kind == "Skipped" and self.value is None)

    def votes(self) -> list[End]:
        return [self] if self.children is None else self.children

    def told(self) -> tuple[Any, ...]:
        children = None if self.children is None else [child.told() for child in self.children]
        return self.kind, described(self.value), children


class TriggerFailedError(Exception):
    """Only its name counts."""


class MappingError(Exception):
    """Only its name counts."""


Call = tuple[int, int, int, int]  # task, child, attempt, iteration


@dataclass
class Expectation:
    """How each task ends, and which calls of bodies that takes."""

    ends: list[End] = field(default_factory=list)
    calls: Counter[Call] = field(default_factory=Counter)


def expect(script: Script) -> Expectation:
    """Interpret ``script``."""
    found = Expectation()
    maps: list[bool] = []
    for number, role in enumerate(script):
        is_map = any(k.mapped and (k.data or maps[k.source]) for k in role.links)
        maps.append(is_map)
        found.ends.append(_end_of_map(number, role, found) if is_map else _end_of_task(number, role, found))
    return found


def _end_of_task(number: int, role: Role, found: Expectation) -> End:
    votes = [vote for link in role.links for vote in found.ends[link.source].votes()]
    arguments = {
        f"a{position}": _whole(link, found.ends[link.source]) for position, link in enumerate(role.links) if link.data
    }
    return _end_of_run(number, -1, role, votes, arguments, found)


def _end_of_map(number: int, role: Role, found: Expectation) -> End:
    """Expand a mapped task: what concerns all children first, then each child with its own votes and arguments."""
    sources = [(f"a{position}", link, found.ends[link.source]) for position, link in enumerate(role.links)]
    common = [vote for _, link, source in sources if not _by_child(link, source) for vote in source.votes()]
    if role.skips and any(vote.kind == "Skipped" for vote in common):
        return End("Skipped")
    try:
        elements = {
            key: _elements(source, link)
            for key, link, source in sources
            if _by_child(link, source) or (link.mapped and link.data and source.gives_data)
        }
    except MappingError as error:
        return End("Failed", error)
    if not elements and all(vote.successful for vote in common) and any(vote.kind == "Skipped" for vote in common):
        return End("Skipped")
    if len({len(items) for items in elements.values()}) != 1:
        return End("Failed", MappingError())
    children = []
    for index in range(len(next(iter(elements.values())))):
        own = [elements[key][index][0] for key, link, source in sources if _by_child(link, source)]
        arguments = {
            key: elements[key][index][1] if key in elements else _whole(link, source)
            for key, link, source in sources
            if link.data
        }
        children.append(_end_of_run(number, index, role, common + own, arguments, found))
    return End("Mapped", [child.value for child in children], children)


def _by_child(link: Link, source: End) -> bool:
    """Tell whether each child has its own upstream child."""
    return link.mapped and source.children is not None


def _whole(link: Link, source: End) -> Any:
    return flat(source.value) if link.flattened and not link.mapped else source.value


def _elements(source: End, link: Link) -> list[tuple[End, Any]]:
    if source.children is None:
        value = flat(source.value) if link.flattened else source.value
        if not isinstance(value, list):
            raise MappingError
        return [(source, element) for element in value]
    if not link.flattened:
        return [(child, child.value) for child in source.children]
    spread: list[tuple[End, Any]] = []
    for child in source.children:
        whole = child.kind == "Success" and isinstance(child.value, list)
        spread.extend((child, element) for element in (child.value if whole else [child.value]))
    return spread


def flat(value: Any) -> Any:
    """Remove one level of nesting if every element is nested."""
    if isinstance(value, list) and all(isinstance(item, list) for item in value):
        return [element for item in value for element in item]
    return value


def _end_of_run(
    number: int, index: int, role: Role, votes: list[End], arguments: dict[str, Any], found: Expectation
) -> End:
    if role.skips and any(vote.kind == "Skipped" for vote in votes):
        return End("Skipped")
    verdict = _pull(role.trigger, votes, has_links=bool(role.links))
    return verdict or _play(number, index, role, arguments, found)


def _pull(trigger: str, votes: list[End], *, has_links: bool) -> End | None:
    refused = End("TriggerFailed", TriggerFailedError())
    good, bad = sum(v.successful for v in votes), sum(v.failed for v in votes)
    if trigger == "not_all_skipped":
        if all(vote.kind == "Skipped" for vote in votes):
            return End("Skipped")
        return None if good == len(votes) else refused
    passes = {
        "all_successful": good == len(votes),
        "all_failed": bad == len(votes),
        "any_successful": good > 0 or not has_links,
        "any_failed": bad > 0 or not has_links,
        "all_finished": True,
        "always_run": True,
        "some_failed": bad >= 1 or not has_links,
        "some_successful": good >= len(votes) / 2 or not has_links,
    }
    return None if passes[trigger] else refused


def _play(number: int, index: int, role: Role, arguments: dict[str, Any], found: Expectation) -> End:
    """Make the attempts and iterations of one run."""
    act = role.act(index)
    for attempt in range(1, LIMIT):
        loops = 1 + (act.times if act.kind == "loop" else 0)
        found.calls.update((number, index, attempt, loop) for loop in range(1, loops + 1))
        value = shaped(returned(f"t{number}", index, arguments, loops), role.shape)
        done = attempt > act.times
        if act.kind in {"return", "finish", "loop"} or (act.kind in {"flaky", "retry"} and done):
            return End("Success", value)
        if act.kind == "skip":
            return End("Skipped")
        if act.kind != "retry" and attempt > role.max_retries:
            return End("Failed", None if act.kind == "signal-fail" else Boom())
    raise AssertionError("a script must end")


# -- the flow that does it -------------------------------------------------------------------------------------------


@dataclass
class Journal:
    """What the bodies did, in order: ``("begin" or "end", task, child, attempt, iteration)``."""

    entries: list[tuple[str, int, int, int, int]] = field(default_factory=list)

    @property
    def calls(self) -> Counter[Call]:
        return Counter(entry[1:] for entry in self.entries if entry[0] == "begin")


class Scripted(Task):
    """Plays one role."""

    def __init__(self, number: int, role: Role, journal: Journal) -> None:
        self.number, self.role, self.journal = number, role, journal
        super().__init__(
            f"t{number}",
            trigger=TRIGGERS[role.trigger],
            skip_on_upstream_skip=role.skips,
            max_retries=role.max_retries,
            retry_delay=0 if role.max_retries else None,
        )

    def run(self, **arguments: Any) -> Any:
        index = -1 if context.map_index is None else context.map_index
        attempt, loop = context.task_run_count, context.get("task_loop_count", 1)
        self.journal.entries.append(("begin", self.number, index, attempt, loop))
        try:
            return self._play(self.role.act(index), index, attempt, loop, arguments)
        finally:
            self.journal.entries.append(("end", self.number, index, attempt, loop))

    def _play(self, act: Act, index: int, attempt: int, loop: int, arguments: dict[str, Any]) -> Any:
        value = shaped(returned(self.name, index, arguments, loop), self.role.shape)
        if act.kind == "fail" or (act.kind == "flaky" and attempt <= act.times):
            raise Boom(self.name)
        if act.kind == "signal-fail":
            raise signals.FAIL("no")
        if act.kind == "skip":
            raise signals.SKIP("no")
        if act.kind == "retry" and attempt <= act.times:
            raise signals.RETRY("again")
        if act.kind == "loop" and loop <= act.times:
            raise signals.LOOP(result=loop)
        if act.kind == "finish":
            raise signals.SUCCESS(result=value)
        return value


TRIGGERS = {
    **{
        name: getattr(triggers, name)
        for name in triggers.__all__
        if name.startswith(("all_", "any_", "not_all", "alw"))
    },
    "some_failed": triggers.some_failed(at_least=1),
    "some_successful": triggers.some_successful(at_least=0.5),
}


def build(script: Script) -> tuple[Flow, list[Task], Journal]:
    """Return the flow of ``script``, its tasks by number, and the journal its bodies will fill."""
    journal, flow, tasks = Journal(), Flow("script"), list[Task]()
    for number, role in enumerate(script):
        task = Scripted(number, role, journal)
        flow.add_task(task)
        for position, link in enumerate(role.links):
            key = f"a{position}" if link.data else None
            flow.add_edge(tasks[link.source], task, key, mapped=link.mapped, flattened=link.flattened)
        tasks.append(task)
    return flow, tasks, journal


# -- comparing -------------------------------------------------------------------------------------------------------


def told(state: State) -> tuple[Any, ...]:
    """Return a final state in the form of `End.told`."""
    children = [told(child) for child in state.map_states] if state.is_mapped() else None  # type: ignore[attr-defined]
    return type(state).__name__, described(state.result), children


def assert_upstream_first(script: Script, journal: Journal) -> None:
    """Check that each body began after every body upstream of it had ended, for children one by one."""
    last_end: dict[tuple[int, int], int] = {}
    first_begin: dict[tuple[int, int], int] = {}
    for position, (what, number, index, *_) in enumerate(journal.entries):
        if what == "end":
            last_end[number, index] = position
        else:
            first_begin.setdefault((number, index), position)
    for (number, index), began in first_begin.items():
        for link in script[number].links:
            pairwise = link.mapped and not link.flattened and index >= 0
            for (source, child), ended in last_end.items():
                if source == link.source and (not pairwise or child in {index, -1}):
                    assert ended < began, f"t{number}[{index}] began before t{source}[{child}] had ended"
