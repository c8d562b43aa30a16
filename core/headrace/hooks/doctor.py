"""Looking closely at one plugin: what it costs, what it offers, what is wrong with it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from headrace.hooks.imports import import_string
from headrace.hooks.kinds import KINDS
from headrace.hooks.manager import HookManager
from headrace.hooks.options import known_options
from headrace.hooks.registry import Registry

if TYPE_CHECKING:
    from headrace.hooks.options import Option
    from headrace.hooks.scan import PluginRecord

__all__ = ["Description", "Diagnosis", "describe", "examine"]

# The new interpreter gets our sys.path before it imports anything of ours, so that it sees the same plugins. With
# `-P`, it does not look into the current folder for what it imports before.
_CHILD = (
    "import json, sys; request = json.load(sys.stdin); sys.path[:] = request['path'];"
    "from headrace.hooks.examination import answer; answer(request['record'])"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """What an examination found.

    ``import_ms`` and ``module_count`` say what importing the plugin's module costs beyond what a run of headrace
    needs anyway, in milliseconds and in modules; ``api`` is the number of the plugin interface it was written for.
    They are None if the module could not be imported.
    """

    record: PluginRecord
    import_ms: float | None = None
    module_count: int | None = None
    api: int | None = None
    hooks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """Return the diagnosis as JSON can hold it."""
        return {"kind": self.record.kind, "ok": self.ok, **asdict(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What a plugin says of itself. ``factory`` and ``options`` are empty for an observer, which has none."""

    record: PluginRecord
    summary: str
    hooks: tuple[str, ...]
    documentation: str
    factory: str = ""
    capabilities: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return the description as JSON can hold it."""
        return {"kind": self.record.kind, **asdict(self)}


def examine(record: PluginRecord, *, timeout: float = 60.0) -> Diagnosis:
    """Load a plugin in an interpreter of its own and report on it; never raise for what the plugin does.

    ``timeout`` is in seconds; a plugin that takes longer is reported as such.
    """
    request = json.dumps({"path": sys.path, "record": asdict(record)})
    command = [sys.executable, "-P", "-c", _CHILD]
    try:
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603 - our own interpreter and code
    except subprocess.TimeoutExpired:
        return Diagnosis(record=record, problems=(f"It was not loaded within {timeout:g} seconds.",))
    if done.returncode != 0 or not done.stdout:
        return Diagnosis(record=record, problems=(_death(done.returncode, done.stderr),))
    found = json.loads(done.stdout)
    return Diagnosis(
        record=record,
        import_ms=found["import_ms"],
        module_count=found["module_count"],
        api=found["api"],
        hooks=tuple(found["hooks"]),
        problems=tuple(found["problems"]),
    )


def describe(record: PluginRecord) -> Description:
    """Load a plugin in this process and return what it says of itself; raise what `Registry.resolve` raises."""
    plugin = import_string(record.value) if record.kind not in KINDS else None
    if plugin is not None:
        return Description(
            record=record,
            summary=record.summary,
            hooks=tuple(HookManager().hooks(plugin)),
            documentation=_documentation(plugin),
        )
    registry = Registry([record])
    resolved = registry.resolve(record.kind, record.name)
    # A factory that takes a URL takes it first; it is no option.
    given_anyway = ("url:",) if KINDS[record.kind].by_url else ()
    return Description(
        record=record,
        summary=resolved.spec.summary,
        hooks=tuple(registry.manager.hooks(registry.manager.plugins()[0])),
        documentation=_documentation(resolved.factory),
        factory=resolved.spec.factory,
        capabilities=tuple(sorted(each.value for each in getattr(resolved.spec, "capabilities", ()))),
        options=known_options(resolved.factory, given_anyway),
    )


def _documentation(described: object) -> str:
    # An instance has the text of its class, and `inspect.getdoc` gives a class that of the one above it: neither is
    # about this plugin.
    named = inspect.isclass(described) or inspect.ismodule(described)
    return inspect.cleandoc(described.__doc__ or "") if named else ""


def _death(code: int, errors: str) -> str:
    lines = errors.strip().splitlines()
    return f"The interpreter that loaded it ended with code {code}" + (f": {lines[-1]}" if lines else ".")
