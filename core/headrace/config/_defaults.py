"""What holds when no file and no variable says otherwise."""

from __future__ import annotations


def defaults() -> dict[str, object]:
    """Return the packaged defaults, new at each call.

    ``tasks.defaults.timeout`` has none: absent, 0 and false all mean no timeout. 0 is no limit for the cache either.
    """
    return {
        "debug": False,
        "logging": {
            "level": "INFO",
            "format": "%(asctime)s %(levelname)-8s %(name)s: %(message)s",
            "datefmt": "%Y-%m-%d %H:%M:%S%z",
            "extra_loggers": (),
        },
        "flows": {"eager_edge_validation": False, "run_on_schedule": True},
        "tasks": {"defaults": {"max_retries": 0, "retry_delay": 0}},
        "engine": {
            "executor": "local",
            "executors": {},
            "keep_results": "auto",
            "kept_result_bytes": 1_048_576,
            "kept_total_bytes": 16_777_216,
            "cancel_grace": 10.0,
        },
        "history": {
            "record": False,
            "store": "sqlite:",
            "keep_days": 0,
            "keep_runs": 0,
            "max_mb": 0,
            "log_bytes_per_task": 1_048_576,
            "log_bytes_per_run": 67_108_864,
        },
        "results": {"store": "", "location": "", "serializer": "pickle"},
        "cache": {"url": "", "max_bytes": 0, "max_age": 0},
        "notify": {"urls": ()},
        "secrets": {"providers": ("env",)},
        "plugins": {"allow": (), "disabled": (), "strict": False, "prefer": {}, "modules": ()},
        "context": {"secrets": {}},
    }
