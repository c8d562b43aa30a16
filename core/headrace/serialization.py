"""Flows as documents: what JSON can hold of a flow, and the flow made anew from it.

A document lists tasks and edges in the order in which they were added, which decides the order of a run. Functions and
classes are written as the names to import them by. What cannot be written is marked as opaque; a task that misses
something when the document is read becomes a `PlaceholderTask`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import headrace
from headrace.documents import FORMAT, Missing, check_format, plain_or_opaque, value_or_missing
from headrace.exceptions import HeadraceError, MissingTaskError, SerializationError
from headrace.parameters import NO_DEFAULT, Parameter
from headrace.plain_data import from_plain, import_name, imported, to_plain
from headrace.subflows import FlowTask
from headrace.task_storage import TaskStorage
from headrace.tasks import FunctionTask, Task
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import NoReturn

    from headrace.edges import Edge
    from headrace.flows import Flow

__all__ = [
    "PlaceholderTask",
    "flow_digest",
    "flow_document",
    "flow_from",
    "task_record",
]

F = TypeVar("F", bound="Flow")

# Said elsewhere in a record, or worked out again when it is read.
_NOT_ATTRIBUTES: Final = frozenset({"name", "slug", "tags", "run", "is_async", "storage", "_signature_of_run"})
# What the constructor of every task takes, `on_failure` among the handlers.
_OPTIONS: Final = tuple(
    name for name in inspect.signature(Task.__init__).parameters if name not in {"self", "on_failure", *_NOT_ATTRIBUTES}
)


class PlaceholderTask(Task):
    """Stands for a task that could not be made from a document; it can be looked at and drawn, and not run.

    ``missing`` says why. ``flow.replace(placeholder, task)`` puts a real task in its place.
    """

    def __init__(self, record: Mapping[str, Any], missing: str, lost: Mapping[str, Any] | None = None) -> None:
        super().__init__(record["name"], record["task_slug"], record["tags"])
        self.record = dict(record)
        # The records of constant arguments whose values are not to be had.
        self.lost = dict(lost or {})
        self._missing = missing
        self.auto_generated = bool(record.get("auto_generated"))
        self.housekeeping = bool(record.get("housekeeping"))

    @property
    def missing(self) -> str:
        """Why there is no task of its own."""
        return self._missing or ""

    def run(self, **_inputs: Any) -> NoReturn:
        """Raise MissingTaskError, as ``flow.run()`` does before anything runs."""
        raise MissingTaskError(self.name, self.missing)

    def serialize(self) -> dict[str, Any]:
        """Return the record that this task was read from."""
        return {**self.record, "name": self.name, "task_slug": self.slug, "tags": sorted(self.tags)}


# Writing


def flow_document(flow: Flow) -> dict[str, Any]:
    """Return ``flow`` as a document; see `Flow.serialize`."""
    schedule = flow.schedule
    return {
        "headrace": headrace.__version__,
        "format": FORMAT,
        "name": flow.name,
        "executor": plain_or_opaque(flow.executor),
        "results": plain_or_opaque(flow.results),
        "serializer": plain_or_opaque(flow.serializer),
        "schedule": None if schedule is None else schedule.to_dict(),
        "state_handlers": [plain_or_opaque(handler) for handler in flow.state_handlers],
        "terminal_state_handler": plain_or_opaque(flow.terminal_state_handler),
        "timeout": flow.timeout,
        "parameters": [_parameter_summary(p) for p in sorted(flow.parameters(), key=lambda p: p.name)],
        "tasks": [{"slug": flow.slugs[task], **task.serialize()} for task in flow.tasks],
        "edges": [_edge_record(flow, edge) for edge in flow.edges],
        "constants": {flow.slugs[task]: found for task in flow.tasks if (found := _constants(flow, task))},
        "reference_tasks": sorted(flow.slugs[task] for task in flow.reference_tasks()),
    }


def flow_digest(flow: Flow) -> str:
    """Return the SHA-256 of the flow's document, without the version of headrace; see `Flow.serialized_hash`."""
    document = flow_document(flow)
    del document["headrace"]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _constants(flow: Flow, task: Task) -> dict[str, Any]:
    lost = task.lost if isinstance(task, PlaceholderTask) else {}
    return {**lost, **{key: plain_or_opaque(value) for key, value in flow.constants.get(task, {}).items()}}


def _edge_record(flow: Flow, edge: Edge) -> dict[str, Any]:
    return {
        "upstream": flow.slugs[edge.upstream_task],
        "downstream": flow.slugs[edge.downstream_task],
        "key": edge.key,
        "mapped": edge.mapped,
        "flattened": edge.flattened,
    }


def _parameter_summary(parameter: Parameter) -> dict[str, Any]:
    summary = {"name": parameter.name, "required": parameter.required, "type": _annotation(parameter.value_type)}
    if parameter.secret:
        summary["secret"] = True
    return summary if parameter.default is NO_DEFAULT else {**summary, "default": _default(parameter)}


def _default(parameter: Parameter) -> Any:
    try:
        return to_plain(parameter.default, "its default")
    except SerializationError as error:
        raise SerializationError(
            f"Parameter {parameter.name!r} cannot be serialized: {error.message}",
            hint="Use a default that JSON can hold, and make the rest in a task.",
        ) from error


def task_record(task: Task) -> dict[str, Any]:
    """Return one task as plain data; see `Task.serialize`."""
    if isinstance(task, Parameter):
        _default(task)
    subflow = _subflow_record(task) if isinstance(task, FlowTask) else None
    attributes = {
        name: plain_or_opaque(value)
        for name, value in vars(task).items()
        if name not in _NOT_ATTRIBUTES and not name.startswith("__") and not (subflow and name in subflow)
    }
    attributes |= {name: plain_or_opaque(value) for name, value in _storage_options(task).items()}
    return {
        "name": task.name,
        "task_slug": task.slug,
        "tags": sorted(task.tags),
        **_origin(task),
        "auto_generated": task.auto_generated,
        "housekeeping": task.housekeeping,
        "options": {name: attributes.pop(name) for name in _OPTIONS if name in attributes},
        "attributes": attributes,
        **({} if subflow is None else {"subflow": subflow}),
        "inputs": {name: _input_record(found) for name, found in task.inputs().items()},
    }


def _storage_options(task: Task) -> dict[str, Any]:
    """Return what a task says about its results, each as the option it was given as."""
    found = {} if task.storage is None else {name: getattr(task.storage, name) for name in TaskStorage.__slots__}
    return {name: value for name, value in found.items() if value is not None}


def _subflow_record(task: FlowTask) -> dict[str, Any]:
    return {"flow": flow_document(task.flow), "results": [task.flow.slugs[result] for result in task.results]}


def _origin(task: Task) -> dict[str, Any]:
    """Say by which names to find the class, and the function, that make this task what it is."""
    kind = type(task)
    parts: list[tuple[str, Any]] = [("type", kind)]
    if isinstance(task, FunctionTask):
        parts.append(("function", task.run))
    names = {key: import_name(part) for key, part in parts}
    described = {key: names[key] or _described(part) for key, part in parts}
    return {**described, "importable": all(names.values())}


def _described(part: Any) -> str:
    return f"{getattr(part, '__module__', '?')}:{getattr(part, '__qualname__', type_name(type(part)))}"


def _input_record(found: Mapping[str, Any]) -> dict[str, Any]:
    record = {"type": _annotation(found["type"]), "required": found["required"]}
    return record if found["required"] else {**record, "default": plain_or_opaque(found["default"])}


def _annotation(kind: Any) -> str:
    return kind if isinstance(kind, str) else inspect.formatannotation(kind)


# Reading


def flow_from(kind: type[F], document: Mapping[str, Any]) -> F:
    """Return the flow that ``document`` describes; see `Flow.deserialize`."""
    check_format(document, "flow")
    try:
        return _Reader(kind, document).flow
    except (AttributeError, KeyError, TypeError) as error:
        raise SerializationError(f"The document of a flow is damaged: {error!r}.") from error


class _Reader(Generic[F]):
    """Makes one flow from one document."""

    def __init__(self, kind: type[F], document: Mapping[str, Any]) -> None:
        self._document = document
        self._tasks: dict[str, Task] = {}
        self._constants = {
            slug: {key: value_or_missing(record) for key, record in records.items()}
            for slug, records in document["constants"].items()
        }
        self._bound = {slug: list(values) for slug, values in self._constants.items()}
        for edge in document["edges"]:
            if edge["key"]:
                self._bound.setdefault(edge["downstream"], []).append(edge["key"])
        self.flow = kind(
            document["name"],
            state_handlers=[value_or_missing(handler) for handler in document["state_handlers"]],
            terminal_state_handler=value_or_missing(document["terminal_state_handler"]),
            timeout=document.get("timeout"),
        )
        # Set here: what is missing fails where it is used, not where it is read.
        for option in ("executor", "results", "serializer"):
            setattr(self.flow, option, value_or_missing(document[option]))
        if document.get("schedule") is not None:
            from headrace.schedules import Schedule  # noqa: PLC0415 - most flows have none

            self.flow.schedule = Schedule.from_dict(document["schedule"])
        self._read_tasks()
        self._read_edges()
        references = {self._tasks[slug] for slug in document["reference_tasks"]}
        if references != self.flow.reference_tasks():
            self.flow.set_reference_tasks([task for task in self.flow.tasks if task in references])

    def _read_tasks(self) -> None:
        for record in self._document["tasks"]:
            slug = record["slug"]
            task = self._task(slug, {key: value for key, value in record.items() if key != "slug"})
            # A task keeps the slug that the flow gave it, although it has none of its own.
            own, task.slug = task.slug, slug
            self._tasks[slug] = self.flow.add_task(task)
            task.slug = own

    def _task(self, slug: str, record: Mapping[str, Any]) -> Task:
        values = self._constants.get(slug, {})
        lost = {key: values.pop(key) for key, value in list(values.items()) if isinstance(value, Missing)}
        try:
            task = _task_from(record, type(self.flow))
            for misfit in self._misfits(slug, task, lost):
                raise SerializationError(misfit)
        except HeadraceError as error:
            return PlaceholderTask(record, error.message, {key: value.record for key, value in lost.items()})
        return task

    def _misfits(self, slug: str, task: Task, lost: Mapping[str, Missing]) -> Iterator[str]:
        for key, value in lost.items():
            yield f"its argument {key!r} is missing: {value.reason}"
        for key in self._bound.get(slug, ()):
            if not task.signature_of_run.accepts(key):
                yield f"its code no longer takes an argument {key!r}."

    def _read_edges(self) -> None:
        for edge in self._document["edges"]:
            upstream, downstream = self._tasks[edge["upstream"]], self._tasks[edge["downstream"]]
            self.flow.add_edge(upstream, downstream, edge["key"], edge["mapped"], edge["flattened"], validate=False)
        for slug, values in self._constants.items():
            if values:
                self.flow.constants[self._tasks[slug]] = values


def _task_from(record: Mapping[str, Any], flow_kind: type[Flow]) -> Task:
    """Return the task that ``record`` describes; raise SerializationError if anything about it is missing."""
    if not record["importable"]:
        raise SerializationError(f"{record.get('function', record['type'])} was defined where nothing can import it.")
    kind = imported(record["type"])
    if not (isinstance(kind, type) and issubclass(kind, Task)):
        raise SerializationError(f"{record['type']} is not a task.")
    values = {name: _attribute(name, found) for name, found in {**record["options"], **record["attributes"]}.items()}
    task = _bare_task(kind, record, flow_kind)
    stored = {name: values.pop(name) for name in TaskStorage.__slots__ if name in values}
    values["storage"] = TaskStorage(**stored) if stored else None
    vars(task).update({**values, "name": record["name"], "slug": record["task_slug"], "tags": set(record["tags"])})
    task.is_async = task.signature_of_run.is_async
    return task


def _bare_task(kind: type[Task], record: Mapping[str, Any], flow_kind: type[Flow]) -> Task:
    if "function" in record:
        return _function_task(kind, record)
    return _subflow_task(kind, record["subflow"], flow_kind) if issubclass(kind, FlowTask) else object.__new__(kind)


def _subflow_task(kind: type[FlowTask], record: Mapping[str, Any], flow_kind: type[Flow]) -> Task:
    flow = flow_kind.deserialize(record["flow"])
    missing = next((task for task in flow.tasks if isinstance(task, PlaceholderTask)), None)
    if missing is not None:
        raise SerializationError(f"flow {flow.name!r} misses task {missing.name!r}: {missing.missing}")
    tasks = {slug: task for task, slug in flow.slugs.items()}
    return kind(flow, result=[tasks[slug] for slug in record["results"]])


def _attribute(name: str, record: Any) -> Any:
    try:
        return from_plain(record)
    except SerializationError as error:
        raise SerializationError(f"its {name} is missing: {error.message}") from error


def _function_task(kind: type[Task], record: Mapping[str, Any]) -> Task:
    function = from_plain({"$": "import", "name": record["function"]})
    if not issubclass(kind, FunctionTask) or not callable(function):
        raise SerializationError(f"{record['function']} is not a function.")
    return kind(function, name=record["name"])
