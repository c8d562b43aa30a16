"""What a run is called on the cluster; its token is in everything."""

from __future__ import annotations

__all__ = ["data_name", "plugin_name", "topic_name"]


def data_name(token: str) -> str:
    """Return what the keys of a run's data begin with; those of its work are tuples."""
    return f"headrace-data-{token}"


def plugin_name(token: str) -> str:
    """Return what the guard of a run is called among the scheduler's plugins."""
    return f"headrace-{token}"


def topic_name(token: str) -> str:
    """Return the topic under which workers and the scheduler tell what happens."""
    return f"headrace-{token}"
