"""The hooks of headrace: the manual for people who write plugins.

A plugin is a module (or any object) with functions that have the name of a hook and are marked with
`headrace.plugins.hookimpl`. An entry point makes it known::

    [project.entry-points."headrace.executors"]
    acme = "headrace_acme"

There are two families. *Registration hooks* take nothing and return specs, which say what a plugin offers and where
the code of it lies. *Observers* are told what happens and return nothing.

What holds for every hook:

* Hooks are called in the process that drives the run, never in a worker process.
* An implementation takes the arguments it wants, by the names below, in any order and without defaults.
* Generator wrappers (``hookimpl(wrapper=True)``) are refused when the plugin is registered: no hook here can be
  wrapped by a plugin.
* A marked function whose name is no hook is refused too, and the message names the nearest hook. Mark it with
  ``hookimpl(optionalhook=True)`` if a later headrace has it.
* ``HEADRACE_API = 1`` in the module states the plugin interface it was written for; absent means 1.
* The order among plugins is the same from run to run and is no promise.

The bodies in this module never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.plugins import (
        CommandSpec,
        EngineInfo,
        ExecutorSpec,
        FlowRunInfo,
        NotifierSpec,
        ResultStoreSpec,
        RunStoreSpec,
        SecretProviderSpec,
        SerializerSpec,
        TaskRunInfo,
        TaskSpec,
    )
    from headrace.states import State

__all__ = [
    "headrace_commands",
    "headrace_engine_started",
    "headrace_engine_stopping",
    "headrace_executors",
    "headrace_flow_state_changed",
    "headrace_notifiers",
    "headrace_result_stores",
    "headrace_run_stores",
    "headrace_secret_providers",
    "headrace_serializers",
    "headrace_task_state_changed",
    "headrace_tasks",
]

hookspec = pluggy.HookspecMarker("headrace")


# Registration hooks


@hookspec
def headrace_executors() -> Iterable[ExecutorSpec]:
    """List the executors a plugin offers.

    Called by the registry when a run asks for an executor by a name that an entry point of the group
    ``headrace.executors`` has; in the thread that asks. A plugin nobody names is not even imported.

    Return any iterable of specs. One of them has the name of the entry point, others belong to other entry points
    of the same module. Make it cheap: ``factory`` is a string so that the module need not import what it names.

    If it raises, or if no spec has the name, the one who asked gets a `PluginLoadError` with the cause, and nothing
    of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import Capability, ExecutorSpec, hookimpl

        @hookimpl
        def headrace_executors():
            yield ExecutorSpec(
                name="acme",
                factory="headrace_acme.executor:AcmeExecutor",
                summary="Runs tasks on an Acme cluster.",
                capabilities=frozenset({Capability.REMOTE}),
            )
    """
    return ()


@hookspec
def headrace_result_stores() -> Iterable[ResultStoreSpec]:
    """List the result stores a plugin offers, by URL scheme.

    Called by the registry when a run is given a results URL whose scheme an entry point of the group
    ``headrace.stores`` has; in the thread that asks. A worker that reads or writes results asks a registry of its
    own, so the plugin has to be installed there too.

    Return any iterable of specs. ``factory`` is called with the whole URL.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import ResultStoreSpec, hookimpl

        @hookimpl
        def headrace_result_stores():
            return [
                ResultStoreSpec(
                    name="acme",
                    factory="headrace_acme.store:AcmeStore",
                    summary="Keeps results in an Acme bucket: acme://bucket/prefix.",
                )
            ]
    """
    return ()


@hookspec
def headrace_run_stores() -> Iterable[RunStoreSpec]:
    """List the histories of runs a plugin offers, by URL scheme.

    Called by the registry when somebody records a run, or looks at recorded ones, and the history's URL has a scheme
    that an entry point of the group ``headrace.history`` has; in the thread that asks, never in a worker.

    Return any iterable of specs. ``factory`` is called with the whole URL; it should not connect to anything.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import RunStoreSpec, hookimpl

        @hookimpl
        def headrace_run_stores():
            return [
                RunStoreSpec(
                    name="acme",
                    factory="headrace_acme.history:AcmeRunStore",
                    summary="The history of runs in an Acme database: acme://host/database.",
                )
            ]
    """
    return ()


@hookspec
def headrace_notifiers() -> Iterable[NotifierSpec]:
    """List the notifiers a plugin offers, by URL scheme.

    Called by the registry when a run is given a notification URL whose scheme an entry point of the group
    ``headrace.notifiers`` has; in the thread that asks.

    Return any iterable of specs. ``factory`` is called with the whole URL; it should not connect, since the
    notifier's ``start`` is there for that.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import NotifierSpec, hookimpl

        @hookimpl
        def headrace_notifiers():
            return [
                NotifierSpec(
                    name="pager",
                    factory="headrace_pager.notifier:PagerNotifier",
                    summary="Pages whoever is on call: pager://team.",
                )
            ]
    """
    return ()


@hookspec
def headrace_serializers() -> Iterable[SerializerSpec]:
    """List the serializers a plugin offers.

    Called by the registry when a serializer is asked for by a name that an entry point of the group
    ``headrace.serializers`` has: by a run that stores results, and by whoever reads a stored result, since the name
    is stored with it. In the thread that asks.

    Return any iterable of specs. A name, once released, has to read what it wrote for ever.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import SerializerSpec, hookimpl

        @hookimpl
        def headrace_serializers():
            return [
                SerializerSpec(
                    name="arrow",
                    factory="headrace_arrow.serializer:ArrowSerializer",
                    summary="Data frames as Arrow files.",
                )
            ]
    """
    return ()


@hookspec
def headrace_secret_providers() -> Iterable[SecretProviderSpec]:
    """List the secret providers a plugin offers.

    Called by the registry when a task asks for a secret that ``context.secrets`` does not have, and the configuration
    lists under ``secrets.providers`` a name that an entry point of the group ``headrace.secrets`` has; in the process
    and the thread that ask. That may be a worker, so the plugin has to be installed there too. A plugin that was given
    to an `Engine` is asked in the process that drives the run only.

    Return any iterable of specs. ``factory`` is called with the options under ``[secrets.NAME]``; it should not
    connect to anything before it is asked for a secret.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import SecretProviderSpec, hookimpl

        @hookimpl
        def headrace_secret_providers():
            return [
                SecretProviderSpec(
                    name="acme",
                    factory="headrace_acme.vault:AcmeVault",
                    summary="Secrets of the Acme vault.",
                )
            ]
    """
    return ()


@hookspec
def headrace_tasks() -> Iterable[TaskSpec]:
    """List the prebuilt tasks a plugin offers.

    Called by the registry when somebody looks at the catalogue or asks for a task by a name that an entry point of
    the group ``headrace.tasks`` has; in the thread that asks. Flows written in Python import the task instead, and
    never get here.

    Return any iterable of specs. ``factory`` names a `headrace.Task` class or a task object; ``extra`` names the
    extra of the distribution that brings the libraries it needs.

    If it raises, the one who asked gets a `PluginLoadError`, and nothing of the plugin stays registered.

    Since 0.1. Example::

        from headrace.plugins import TaskSpec, hookimpl

        @hookimpl
        def headrace_tasks():
            return [
                TaskSpec(
                    name="ftp",
                    factory="headrace_ftp.tasks:FetchFile",
                    summary="Fetches a file over FTP.",
                    extra="ftp",
                )
            ]
    """
    return ()


@hookspec
def headrace_commands() -> Iterable[CommandSpec]:
    """List the command line verbs a plugin offers.

    Called by the registry when somebody types ``headrace NAME`` with a name that an entry point of the group
    ``headrace.commands`` has; in the main thread. ``headrace --help`` lists such names from the metadata of what is
    installed and calls nothing.

    Return any iterable of specs. ``factory`` names a ``click.Command``.

    If it raises, the command fails with the `PluginLoadError`; all other commands work on.

    Since 0.1. Example::

        from headrace.plugins import CommandSpec, hookimpl

        @hookimpl
        def headrace_commands():
            return [
                CommandSpec(
                    name="bill",
                    factory="headrace_bill.commands:bill",
                    summary="Shows what the last runs cost.",
                )
            ]
    """
    return ()


# Observers. Modules of the group ``headrace.hooks`` are loaded with every engine; objects given to
# ``Engine(plugins=[...])`` and modules loaded for another reason observe too.


@hookspec
def headrace_engine_started(engine: EngineInfo) -> None:
    """Tell that an engine is about to start its first run.

    Called by the engine, once in its life, in the thread that drives the run.

    What it returns is ignored. An ``Exception`` it raises is logged with the plugin's name and counted; the run goes
    on. After five in a row, over all its observer hooks, the plugin is not called again by this engine, which is
    said once. In strict mode the exception leaves the run.

    Since 0.1. Example::

        from headrace.plugins import hookimpl

        @hookimpl
        def headrace_engine_started(engine):
            print(f"headrace {engine.version} in process {engine.pid}")
    """


@hookspec
def headrace_engine_stopping(engine: EngineInfo) -> None:
    """Tell that an engine is about to end.

    Called by the engine, once in its life and only after `headrace_engine_started`, in the thread that closes it. All
    its runs have finished.

    What it returns is ignored. It may raise as `headrace_engine_started` may.

    Since 0.1. Example::

        from headrace.plugins import hookimpl

        @hookimpl
        def headrace_engine_stopping(engine):
            print(f"process {engine.pid} runs no more flows")
    """


@hookspec
def headrace_flow_state_changed(run: FlowRunInfo, old: State, new: State) -> None:
    """Tell that a flow run has changed its state.

    Called by the engine after the change, in the thread that drives the run, which does nothing else meanwhile: hand
    anything slow to a thread of your own, or write a `headrace.abc.Notifier`, which has one.

    What it returns is ignored. It may raise as `headrace_engine_started` may. The states are the run's own: look,
    and do not change them.

    Since 0.1. Example::

        from headrace.plugins import hookimpl

        @hookimpl
        def headrace_flow_state_changed(run, new):
            if new.is_failed():
                print(f"{run.flow_name} failed: {new.message}")
    """


@hookspec
def headrace_task_state_changed(run: FlowRunInfo, task_run: TaskRunInfo, old: State, new: State) -> None:
    """Tell that a task run, which may be one child of a mapped task, has changed its state.

    Called by the engine after the change, in the thread that drives the run, for every task run and every change: a
    microsecond spent here is spent several times for each task. Without any implementation, a run makes no call.

    What it returns is ignored. It may raise as `headrace_engine_started` may. The states are the run's own: look,
    and do not change them.

    Since 0.1. Example::

        from headrace.plugins import hookimpl

        @hookimpl
        def headrace_task_state_changed(task_run, old, new):
            print(f"{task_run.name}: {type(old).__name__} -> {type(new).__name__}")
    """
