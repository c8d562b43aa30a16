"""Random flows, as data: what each task does, and how they are connected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from random import Random

__all__ = ["Act", "Link", "Role", "Script", "is_free", "make_script"]

_MOST_TASKS: Final = 12
_MOST_SOURCES: Final = 3
_TRIGGERS: Final = (
    "all_successful",
    "all_failed",
    "any_successful",
    "any_failed",
    "all_finished",
    "always_run",
    "not_all_skipped",
)
# How often a task does what, in proportion.
_ACTS: Final = {"return": 12, "flaky": 3, "loop": 2, "retry": 1, "fail": 1, "skip": 1, "signal": 1}


@dataclass(frozen=True, slots=True)
class Link:
    """An edge: where it comes from, whether it carries data, and how."""

    source: int
    data: bool = True
    mapped: bool = False
    flattened: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What a task does, after it has done something else so many ``times``."""

    kind: str = "return"
    times: int = 0


@dataclass(frozen=True, slots=True)
class Role:
    """One task. Its mapped children take turns with ``acts``; ``shape`` is how what it returns is nested.

    What is not ``kept`` cannot be pickled, and ``resume`` is what the task says about being resumed. A ``copy`` is one
    of the task before it.
    """

    links: tuple[Link, ...] = ()
    acts: tuple[Act, ...] = (Act(),)
    shape: tuple[int, ...] = ()
    trigger: str = "all_successful"
    skips: bool = True
    max_retries: int = 0
    kept: bool = True
    resume: str = "rerun"
    copy: bool = False

    def act(self, index: int) -> Act:
        """Return what a child does, or the task itself for -1."""
        return self.acts[max(index, 0) % len(self.acts)]


Script: TypeAlias = tuple[Role, ...]
"""The tasks of a flow; each comes after those it depends on."""


def is_free(script: Script, number: int) -> bool:
    """Tell whether what a task comes to is the same whatever happens: neither it nor one before it may be skipped."""
    role = script[number]
    return role.resume == "rerun" and all(is_free(script, link.source) for link in role.links)


def make_script(random: Random) -> Script:
    """Return a random flow."""
    roles: list[Role] = []
    for number in range(random.randint(1, _MOST_TASKS)):
        role = _role(random, number, roles)
        # Copies that follow on each other are what executors get as chains.
        copied = bool(roles) and random.random() < (0.8 if roles[-1].copy else 0.3)
        roles.append(_copy(random, role, number, roles) if copied else role)
    return tuple(roles)


def _copy(random: Random, role: Role, number: int, before: list[Role]) -> Role:
    original = before[-1]
    links = [replace(_link(random, number - 1, original), mapped=False)]
    if number > 1 and random.random() < 0.2:
        source = random.randrange(number - 1)
        links.append(replace(_link(random, source, before[source]), mapped=False))
    return replace(
        role,
        links=tuple(links),
        trigger=original.trigger,
        skips=original.skips,
        max_retries=original.max_retries,
        resume=original.resume,
        copy=True,
    )


def _role(random: Random, number: int, before: list[Role]) -> Role:
    sources = random.sample(range(number), min(number, random.choice([0, 1, 1, 1, 2, _MOST_SOURCES])))
    if number and random.random() < 0.5 and number - 1 not in sources:
        # Chains are more likely to show something than tasks side by side.
        sources.append(number - 1)
    acts = tuple(_act(random) for _ in range(random.choice([1, 1, 2, 3])))
    nested = random.random()
    links = tuple(_link(random, source, before[source]) for source in sources)
    # Whether a child that was under way is to be skipped may have to be asked, and here is nobody to answer.
    skips = random.random() < 0.05 and not any(link.mapped for link in links)
    return Role(
        links=links,
        acts=acts,
        shape=(random.randint(0, 4),) if nested < 0.35 else (random.randint(0, 3), 2) if nested < 0.45 else (),
        trigger=random.choice(_TRIGGERS) if random.random() < 0.2 else "all_successful",
        skips=random.random() < 0.9,
        max_retries=random.choice([0, 0, 1, 3]),
        kept=random.random() < 0.96,
        resume="skip" if skips else "rerun",
    )


def _act(random: Random) -> Act:
    kind = random.choices(list(_ACTS), weights=list(_ACTS.values()))[0]
    return Act(kind, random.randint(1, 2))


def _link(random: Random, source: int, role: Role) -> Link:
    many = bool(role.shape) or any(link.mapped for link in role.links)
    mapped = random.random() < (0.6 if many else 0.02)
    data = random.random() < 0.9
    return Link(source, data, mapped, data and many and random.random() < 0.2)
