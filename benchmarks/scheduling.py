"""Schedules: how many instants a second each kind of clock yields.

``python -m benchmarks.scheduling`` measures all of them and prints a line of JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final

from benchmarks.bench import Bench
from benchmarks.rows import Quantity, Row, Target

if TYPE_CHECKING:
    from headrace.schedules.clocks import Clock

SCHEDULES: Final = "Schedules: instants a second of CPU time"

_INSTANTS: Final = 20_000
_ROUNDS: Final = 3
_AFTER: Final = datetime(2026, 1, 1, tzinfo=UTC)
_LEAST: Final = 100_000


def measure_schedules(bench: Bench) -> Iterator[Row]:
    """Measure each clock in a schedule of its own."""
    bench.say("schedules")
    found: dict[str, float] = json.loads(bench.probe.output(["-m", "benchmarks.scheduling"]).splitlines()[-1])
    for clock, rate in found.items():
        yield Row(
            section=SCHEDULES,
            workload=clock,
            size=_INSTANTS,
            cells={"headrace": Quantity(value=rate, unit="instants/s")},
            target=Target(column="headrace", limit=_LEAST, unit="instants/s", at_least=True),
        )


# -- in a process of its own -----------------------------------------------------------------------------------------


def rates() -> dict[str, float]:
    """Return, by clock, how many instants a second a schedule with that clock yields."""
    from dateutil.rrule import MINUTELY, rrule

    from headrace.schedules.clocks import CronClock, DatesClock, IntervalClock, RRuleClock

    zone = "Europe/Berlin"
    clocks = {
        "interval": IntervalClock(timedelta(minutes=5), start_date=_AFTER),
        "cron": CronClock("*/5 * * * *", timezone=zone),
        "cron, working hours": CronClock("*/5 8-17 * * MON-FRI", timezone=zone),
        "dates": DatesClock([_AFTER + timedelta(minutes=i + 1) for i in range(_INSTANTS)]),
        "rrule": RRuleClock(rrule(MINUTELY, interval=5, dtstart=_AFTER), start_date=_AFTER),
    }
    return {name: max(_rate(clock) for _ in range(_ROUNDS)) for name, clock in clocks.items()}


def _rate(clock: Clock) -> float:
    from headrace.schedules import Schedule

    events = Schedule(clocks=[clock]).events(_AFTER)
    began = time.process_time()
    count = sum(1 for _ in islice(events, _INSTANTS))
    return count / (time.process_time() - began)


if __name__ == "__main__":
    print(json.dumps(rates()))
