"""Tasks that play the roles of a script, and the list of what they really did."""

from __future__ import annotations

from collections import Counter
from copy import copy
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from headrace import signals, triggers
from headrace.exceptions import ResultReleasedError
from headrace.flows import Flow
from headrace.run_context import context
from headrace.tasks import Task

if TYPE_CHECKING:
    from headrace.states import State
    from headrace.testing.simulation.scripts import Role, Script

__all__ = ["WORLD", "Call", "Scripted", "World", "build", "described", "number_of", "told"]

WORLD: Final = "simulated_world"
"""The name in the context under which tasks find the world."""


class Boom(Exception):  # noqa: N818 - it is told apart by its name
    """What a task raises."""


class Unkept:
    """A value that cannot be pickled."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lock = Lock()


@dataclass(frozen=True)
class Token:
    """A value that says where it comes from."""

    text: str


class Call(NamedTuple):
    """One call of a task: in which life of the process, which task and child, which attempt and iteration."""

    life: int
    task: int
    child: int
    attempt: int
    loop: int


@dataclass
class World:
    """What tasks did, whatever the history says: ``begun`` in order, and what was ``returned``, described."""

    script: Script
    life: int = 0
    begun: list[Call] = field(default_factory=list)
    returned: dict[Call, str] = field(default_factory=dict)

    def calls(self) -> Counter[Call]:
        """Return how often each call was made."""
        return Counter(self.begun)

    def play(self, number: int, arguments: dict[str, Any]) -> Any:
        """Do what the task with that number does, and put it on the list."""
        role = self.script[number]
        index = -1 if context.map_index is None else context.map_index
        attempt, loop = context.task_run_count, context.get("task_loop_count", 1)
        call = Call(self.life, number, index, attempt, loop)
        self.begun.append(call)
        found = ",".join(f"{key}={described(arguments[key])}" for key in sorted(arguments))
        text = f"t{number}[{index}]({crc32(found.encode()):x})*{loop}"
        value = _shaped(text, role.shape) if role.kept else Unkept(text)
        _act(role.act(index).kind, role.act(index).times, attempt, loop)
        self.returned[call] = described(value)
        return value


class Scripted(Task):
    """Plays the role with a number; copies play those after it."""

    def __init__(self, number: int, **options: Any) -> None:
        super().__init__(f"t{number}", **options)

    def run(self, **arguments: Any) -> Any:
        # What it does is not part of its code, all of which is looked at whenever a run begins.
        return context[WORLD].play(number_of(context.task_slug), arguments)


def number_of(slug: str) -> int:
    """Return the number of a task: a copy's slug says of which task it is, and which copy."""
    number, _, copies = slug.removeprefix("t").partition("-")
    return int(number) + int(copies) - 1


def _act(kind: str, times: int, attempt: int, loop: int) -> None:
    if kind == "fail" or (kind == "flaky" and attempt <= times):
        raise Boom("as the script says")
    if kind == "signal":
        raise signals.FAIL("no")
    if kind == "skip":
        raise signals.SKIP("no")
    if kind == "retry" and attempt <= times:
        raise signals.RETRY("again")
    if kind == "loop" and loop <= times:
        raise signals.LOOP(result=loop)


def _shaped(text: str, shape: tuple[int, ...]) -> Any:
    if not shape:
        return Token(text)
    return [_shaped(f"{text}.{number}", shape[1:]) for number in range(shape[0])]


def described(value: Any) -> str:
    """Return a text that is the same for equal values."""
    if isinstance(value, BaseException):
        return f"!{type(value).__name__}"
    if isinstance(value, list):
        return f"[{','.join(map(described, value))}]"
    return value.text if isinstance(value, Token | Unkept) else repr(value)


def build(script: Script) -> tuple[Flow, list[Task]]:
    """Return the flow of ``script``, and its tasks by number."""
    flow, tasks = Flow("simulated"), list[Task]()
    for number, role in enumerate(script):
        task = copy(tasks[-1]) if role.copy else _scripted(number, role)
        flow.add_task(task)
        for position, link in enumerate(role.links):
            key = f"a{position}" if link.data else None
            flow.add_edge(tasks[link.source], task, key, mapped=link.mapped, flattened=link.flattened)
        tasks.append(task)
    return flow, tasks


def _scripted(number: int, role: Role) -> Task:
    return Scripted(
        number,
        trigger=getattr(triggers, role.trigger),
        skip_on_upstream_skip=role.skips,
        max_retries=role.max_retries,
        retry_delay=60 if role.max_retries else None,
        resume=role.resume,
    )


def told(state: State) -> tuple[Any, ...]:
    """Return how a task ended, in a form that can be compared: its value is None if it was not kept."""
    children = [told(child) for child in state.map_states] if state.is_mapped() else None  # type: ignore[attr-defined]
    try:
        value = described(state.result)
    except ResultReleasedError:
        value = None
    return type(state).__name__, value, children
