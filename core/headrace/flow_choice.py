"""The flow that is meant, among those that a file or a module defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from headrace.exceptions import FlowFileError, nearest
from headrace.flows import Flow

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["chosen_flow", "flows_of"]

_MAIN_GUARD: Final = "__main__"
_SHOWN_NAMES: Final = 8


def flows_of(module: ModuleType) -> dict[str, Flow]:
    """Return the flows of a module by variable name; one with several names is listed under the first."""
    names: dict[int, str] = {}
    for name, value in vars(module).items():
        if isinstance(value, Flow):
            names.setdefault(id(value), name)
    return {name: vars(module)[name] for name in names.values()}


def chosen_flow(source: str, module: ModuleType, name: str | None) -> Flow:
    """Return the only flow of ``module``, or the one with the variable or flow name ``name``.

    Raises FlowFileError that calls the module ``source``.
    """
    flows = flows_of(module)
    if not flows:
        raise FlowFileError(
            f"{source} defines no flow at module level; {_found_instead(module)}.", hint=_where_flows_go(module)
        )
    if name is not None:
        return _named(source, module, flows, name)
    if len(flows) > 1:
        first = next(iter(flows))
        raise FlowFileError(
            f"{source} defines {len(flows)} flows: {_listed(flows)}.", hint=f"Say which: {source}:{first}"
        )
    return next(iter(flows.values()))


def _named(source: str, module: ModuleType, flows: dict[str, Flow], name: str) -> Flow:
    variable = vars(module).get(name)
    if isinstance(variable, Flow):
        return variable
    found = {variable: flow for variable, flow in flows.items() if flow.name == name}
    if len(found) > 1:
        raise FlowFileError(
            f"{source} defines {len(found)} flows named {name!r}.", hint=f"Say which by variable: {', '.join(found)}."
        )
    if not found:
        known = {*flows, *(flow.name for flow in flows.values())}
        raise FlowFileError(f"{source} defines no flow {name!r}.", hint=nearest(name, known))
    return next(iter(found.values()))


def _listed(flows: dict[str, Flow]) -> str:
    items = [name if name == flow.name else f"{name} ({flow.name!r})" for name, flow in flows.items()]
    more = [f"{len(items) - _SHOWN_NAMES} more"] if len(items) > _SHOWN_NAMES else []
    return ", ".join(items[:_SHOWN_NAMES] + more)


def _found_instead(module: ModuleType) -> str:
    from headrace.tasks import Task  # noqa: PLC0415 - only where a file is broken

    items = [
        f"{'task' if isinstance(value, Task) else 'function'} {name}"
        for name, value in vars(module).items()
        if isinstance(value, Task) or (callable(value) and getattr(value, "__module__", None) == module.__name__)
    ]
    more = [f"{len(items) - _SHOWN_NAMES} more"] if len(items) > _SHOWN_NAMES else []
    return f"found {', '.join(items[:_SHOWN_NAMES] + more)}" if items else "found nothing that headrace knows"


def _where_flows_go(module: ModuleType) -> str:
    import inspect  # noqa: PLC0415 - only where a file is broken

    try:
        source = inspect.getsource(module)
    except (OSError, TypeError):
        source = ""
    if _MAIN_GUARD in source:
        return 'Build it outside of `if __name__ == "__main__":`, whose code is not run here.'
    return 'Build one at the top level of the file: `with Flow("name") as flow: ...`.'
