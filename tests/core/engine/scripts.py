"""Hypothesis strategies for the scripts of `tests.core.engine.reference`."""

from __future__ import annotations

from hypothesis import strategies
from tests.core.engine.reference import TRIGGERS, Act, Link, Role, Script

ACTS = strategies.one_of(
    *[strategies.just(Act("return"))] * 5,
    strategies.sampled_from([Act("fail"), Act("skip"), Act("signal-fail"), Act("finish")]),
    strategies.builds(Act, strategies.sampled_from(["flaky", "retry", "loop"]), strategies.integers(1, 2)),
)
# Mostly lists of two, so that maps over two arguments often fit.
SHAPES = strategies.sampled_from([(), (2,), (2,), (2, 2), (0,), (3,), (1, 2), (2, 0)])


@strategies.composite
def links(draw: strategies.DrawFn, number: int) -> tuple[Link, ...]:
    """Draw up to three upstream edges; the same upstream task may give two arguments."""
    count = draw(strategies.integers(0, min(3, number)))
    found: dict[tuple[int, int], Link] = {}
    for position in range(count):
        source = draw(strategies.integers(0, number - 1))
        data = draw(strategies.booleans() | strategies.just(value=True))
        mapped = draw(strategies.booleans())
        flattened = data and draw(strategies.sampled_from([False, False, True]))
        found[source, position if data else -1] = Link(source, data, mapped, flattened)
    return tuple(found.values())


@strategies.composite
def roles(draw: strategies.DrawFn, number: int) -> Role:
    return Role(
        links=draw(links(number)),
        acts=tuple(draw(strategies.lists(ACTS, min_size=1, max_size=3))),
        shape=draw(SHAPES),
        trigger=draw(strategies.just("all_successful") | strategies.sampled_from(sorted(TRIGGERS))),
        skips=draw(strategies.sampled_from([True, True, False])),
        max_retries=draw(strategies.integers(0, 2)),
    )


@strategies.composite
def scripts(draw: strategies.DrawFn, most: int = 8) -> Script:
    """Draw a flow of up to ``most`` tasks."""
    return tuple(draw(roles(number)) for number in range(draw(strategies.integers(1, most))))


@strategies.composite
def map_scripts(draw: strategies.DrawFn, most: int = 7) -> Script:
    """Draw a flow of maps over maps: a list of two and what is mapped over it, one by one or flattened."""
    found = [Role(shape=(2,))]
    for number in range(1, draw(strategies.integers(2, most))):
        links = draw(strategies.lists(map_links(number), min_size=1, max_size=3))
        acts = draw(strategies.lists(strategies.just(Act("return")) | ACTS, min_size=1, max_size=2))
        shape = draw(strategies.sampled_from([(), (), (), (1,)]))
        found.append(Role(tuple(links), tuple(acts), shape, skips=draw(strategies.booleans())))
    return tuple(found)


def map_links(number: int) -> strategies.SearchStrategy[Link]:
    return strategies.builds(
        Link,
        strategies.integers(0, number - 1),
        data=strategies.sampled_from([True, True, True, False]),
        mapped=strategies.sampled_from([True, True, True, False]),
        flattened=strategies.sampled_from([False] * 5 + [True]),
    ).map(lambda link: link if link.data else Link(link.source, data=False, mapped=link.mapped))
