"""What an experiment found: invariants that did not hold, and numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(kw_only=True, slots=True)
class Findings:
    """``broken`` says in words what did not hold. ``counts`` are added up over trials; ``worst`` are seconds, and the
    largest is kept.
    """

    broken: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    worst: dict[str, float] = field(default_factory=dict)

    def expect(self, holds: object, otherwise: str) -> None:
        """Note ``otherwise`` as broken unless ``holds``."""
        if not holds:
            self.broken.append(otherwise)

    def count(self, name: str, number: int = 1) -> None:
        """Add to what is counted; 0 shows that it was looked for."""
        self.counts[name] += number

    def none_of(self, name: str, found: Iterable[object]) -> None:
        """Count what must not be; any is broken."""
        items = list(found)
        self.count(name, len(items))
        self.expect(not items, f"{name}: {', '.join(map(str, items[:5]))}{' ...' if len(items) > 5 else ''}")

    def time(self, name: str, seconds: float, limit: float | None = None) -> None:
        """Note how long something took; more than ``limit`` is broken."""
        self.worst[name] = max(seconds, self.worst.get(name, seconds))
        self.expect(limit is None or seconds <= limit, f"{name}: {seconds:.2f} s, and at most {limit} s are allowed")

    def add(self, other: Findings) -> None:
        """Take in what another trial found."""
        self.broken += other.broken
        for name, number in other.counts.items():
            self.counts[name] += number
        for name, seconds in other.worst.items():
            self.worst[name] = max(seconds, self.worst.get(name, seconds))

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {"broken": self.broken, "counts": dict(self.counts), "worst": self.worst}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Findings:
        """Return what `to_json` was called on."""
        return cls(broken=found["broken"], counts=Counter(found["counts"]), worst=found["worst"])
