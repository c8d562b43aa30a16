"""Distributions made up for a test: real folders on ``sys.path``, as an installer leaves them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib import invalidate_caches
from pathlib import Path
from textwrap import dedent

import pytest

from headrace.hooks.scan import PluginRecord, refresh, scan

EXECUTOR_MODULE = """
from headrace.abc import Executor
from headrace.plugins import ExecutorSpec, hookimpl

@hookimpl
def headrace_executors():
    return [ExecutorSpec(name={name!r}, factory=__name__ + ":Made", summary="For tests.")]

class Made(Executor):
    def __init__(self, workers: int = 1, *, label: str = "", fast: bool = False):
        self.workers, self.label, self.fast = workers, label, fast

    @property
    def capacity(self):
        return self.workers

    def submit(self, work, deliver):
        deliver(work())
"""


class Site:
    """A folder of installed distributions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.distributions: set[str] = set()

    def add(
        self,
        distribution: str,
        entry_points: str | bytes,
        *,
        version: str = "1.0",
        metadata: str | None = None,
        folder: Path | None = None,
        modules: Mapping[str, str] | None = None,
        **more_modules: str,
    ) -> Path:
        """Install a distribution with modules by name, and return its metadata folder."""
        target = folder or self.folder
        info = target / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata is None:
            metadata = (
                f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\nSummary: About {distribution}.\n"
            )
        if metadata:
            (info / "METADATA").write_text(metadata)
        content = entry_points if isinstance(entry_points, bytes) else dedent(entry_points).encode()
        (info / "entry_points.txt").write_bytes(content)
        for name, text in {**(modules or {}), **more_modules}.items():
            (target / f"{name}.py").write_text(dedent(text))
        self.distributions.add(distribution)
        invalidate_caches()
        refresh()
        return info

    def add_executor(self, distribution: str, name: str, module: str) -> None:
        """Install a sound executor plugin."""
        text = EXECUTOR_MODULE.format(name=name)
        self.add(distribution, f"[headrace.executors]\n{name} = {module}\n", modules={module: text})

    def add_observer(self, distribution: str, module: str, text: str) -> None:
        """Install an always-on plugin."""
        self.add(distribution, f"[headrace.hooks]\n{module} = {module}\n", modules={module: text})

    def records(self) -> list[PluginRecord]:
        """Return what a scan finds of the distributions that were added here."""
        return [record for record in scan().records if record.distribution in self.distributions]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Yield an empty folder of distributions on ``sys.path``; modules imported from it are forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    refresh()
