"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.contender import Contender


def describe_machine(peers: Sequence[Contender]) -> dict[str, str]:
    """Return what belongs above a table of figures: date, Python, machine, load and the peers' versions."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    found = {
        "date": datetime.now().astimezone().isoformat(timespec="minutes"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "load at start": load,
        "headrace": installed_version("headrace") or "not installed",
    }
    for peer in peers:
        if peer.distribution is not None:
            found.setdefault(peer.distribution, installed_version(peer.distribution) or "not installed")
    return found


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", information.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or "unknown processor"
