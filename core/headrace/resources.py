"""Resources: what a part of a flow needs to have set up before it and cleaned up after it, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.exceptions import FlowDefinitionError, NoActiveFlowError
from headrace.run_context import Build, building
from headrace.signals import SKIP
from headrace.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Token
    from types import TracebackType

    from headrace.flows import Flow
    from headrace.states import State

__all__ = ["ResourceManager", "resource_manager"]


class _InitTask(Task):
    """Makes the manager object."""

    housekeeping = True

    def __init__(self, resource_class: type, **task_args: Any) -> None:
        self.resource_class = resource_class
        super().__init__(**task_args)

    def run(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return self.resource_class(*args, **kwargs)


class _SetupTask(Task):
    """Calls ``setup`` and returns the resource."""

    housekeeping = True

    def run(self, manager: Any) -> Any:
        setup = getattr(manager, "setup", None)
        return setup() if setup is not None else None


class _CleanupTask(Task):
    """Calls ``cleanup`` with the resource."""

    housekeeping = True
    cleans_up = True

    def run(self, manager: Any, resource: Any) -> None:
        manager.cleanup(resource)


def _was_set_up(upstream_states: Mapping[Any, State]) -> bool:
    """Clean up once every task of the block has finished, if the resource was set up."""
    prepared = [state for edge, state in upstream_states.items() if edge.key is not None]
    if any(state.is_skipped() or not state.is_successful() for state in prepared):
        raise SKIP("The resource was not set up, so there is nothing to clean up.")
    return True


def resource_manager(
    cls: type | None = None,
    *,
    name: str | None = None,
    init_task_kwargs: Mapping[str, Any] | None = None,
    setup_task_kwargs: Mapping[str, Any] | None = None,
    cleanup_task_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Make a class with ``setup()`` and ``cleanup(resource)`` usable as ``with Manager(...) as resource:`` in a flow.

    The tasks of the block run after ``setup``, and ``cleanup`` after all of them: also if they fail, and also if the
    run is cancelled. Neither decides whether the run is successful. ``*_task_kwargs`` are arguments of the tasks.

    Example:
        >>> @resource_manager
        ... class Connection:
        ...     def __init__(self, url):
        ...         self.url = url
        ...     def setup(self):
        ...         return open(self.url)
        ...     def cleanup(self, connection):
        ...         connection.close()
    """

    def decorate(resource_class: type) -> ResourceManager:
        return ResourceManager(
            resource_class,
            name or resource_class.__name__,
            init_task_kwargs or {},
            setup_task_kwargs or {},
            cleanup_task_kwargs or {},
        )

    return decorate if cls is None else decorate(cls)


class ResourceManager:
    """What `resource_manager` makes of a class; call it inside a flow with the arguments of the class."""

    def __init__(
        self,
        resource_class: type,
        name: str,
        init_task_kwargs: Mapping[str, Any],
        setup_task_kwargs: Mapping[str, Any],
        cleanup_task_kwargs: Mapping[str, Any],
    ) -> None:
        if not callable(getattr(resource_class, "cleanup", None)):
            raise FlowDefinitionError(f"Resource manager {name!r} has no method `cleanup(resource)`.")
        self.resource_class = resource_class
        self.name = name
        self._init_task_kwargs = dict(init_task_kwargs)
        self._setup_task_kwargs = dict(setup_task_kwargs)
        self._cleanup_task_kwargs = dict(cleanup_task_kwargs)
        self.__doc__ = resource_class.__doc__

    def __call__(self, *args: Any, flow: Flow | None = None, **kwargs: Any) -> _ResourceBlock:
        """Add the tasks that make and set up the resource, and return the ``with`` block of the tasks that use it."""
        flow = flow or building.get().flow
        if flow is None:
            raise NoActiveFlowError(self.name)
        init = _InitTask(self.resource_class, **{"name": self.name, "checkpoint": False, **self._init_task_kwargs})
        init.bind(args=list(args), kwargs=kwargs, flow=flow)
        setup = _SetupTask(**{"name": f"{self.name}.setup", "checkpoint": False, **self._setup_task_kwargs})
        setup.bind(manager=init, flow=flow)
        return _ResourceBlock(flow, init, setup, self._make_cleanup)

    def _make_cleanup(self) -> Task:
        task_args = {
            "name": f"{self.name}.cleanup",
            "checkpoint": False,
            "skip_on_upstream_skip": False,
            "trigger": _was_set_up,
            **self._cleanup_task_kwargs,
        }
        return _CleanupTask(**task_args)


class _ResourceBlock:
    """The tasks between setting up a resource and cleaning it up."""

    def __init__(self, flow: Flow, init: Task, setup: Task, make_cleanup: Callable[[], Task]) -> None:
        self._flow = flow
        self._init = init
        self._setup = setup
        self._make_cleanup = make_cleanup
        self._members: dict[Task, None] = {}
        self._token: Token[Build] | None = None

    def add_task(self, task: Task, flow: Flow) -> None:
        """Take note of a task made inside the block."""
        if flow is not self._flow:
            raise FlowDefinitionError(f"The block of resource {self._init.name!r} holds tasks of one flow.")
        self._members[task] = None

    def __enter__(self) -> Task:
        outer = building.get()
        self._token = building.set(Build(self._flow, outer.tags, _Chain(self, outer.block)))
        return self._setup

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._token is not None
        building.reset(self._token)
        if error is not None:
            return
        flow, members = self._flow, self._members.keys()
        cleanup = self._make_cleanup()
        cleanup.bind(manager=self._init, resource=self._setup, flow=flow)
        for task in members:
            if not flow.upstream_tasks(task) & members and self._setup not in flow.upstream_tasks(task):
                task.set_upstream(self._setup, flow)
            if not flow.downstream_tasks(task) & members:
                cleanup.set_upstream(task, flow)


class _Chain:
    """Tells two blocks, the inner and the outer one, of each task."""

    def __init__(self, inner: Any, outer: Any) -> None:
        self._blocks = [block for block in (inner, outer) if block is not None]

    def add_task(self, task: Task, flow: Flow) -> None:
        for block in self._blocks:
            block.add_task(task, flow)
