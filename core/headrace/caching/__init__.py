"""The cache: results of tasks with ``cache_for`` are kept in the project, for later runs and other processes.

A cached result belongs to a *bucket*: the task's ``cache_key``, or its name. Within a bucket the validator says what is
compared before a result is used again. `all_inputs` is what a task without ``cache_validator`` gets.

A validator of your own is a function ``(state, inputs, parameters) -> bool``. It is asked about each Cached state of
the bucket that has not expired, the newest first.
"""

from __future__ import annotations

from headrace.caching._validators import (
    PartialValidator,
    Validator,
    all_inputs,
    all_parameters,
    duration_only,
    never_use,
    partial_inputs_only,
    partial_parameters_only,
)

__all__ = [
    "PartialValidator",
    "Validator",
    "all_inputs",
    "all_parameters",
    "duration_only",
    "never_use",
    "partial_inputs_only",
    "partial_parameters_only",
]
