"""The cache: results of tasks with ``cache_for`` are kept in the project, for later runs and other processes.

A cached result belongs to a *bucket*: the task's ``cache_key``, or its name. Within a bucket the validator says what is
compared before a result is used again:

* ``all_inputs``: all arguments. A task without ``cache_validator`` gets this one.
* ``partial_inputs_only(validate_on=["day"])``: the named arguments.
* ``all_parameters``: all parameters of the flow.
* ``partial_parameters_only(validate_on=["day"])``: the named parameters.
* ``duration_only``: nothing; a result is used until it expires.
* ``never_use``: no result is used.

All but ``all_inputs`` keep the children of a mapped task apart by their index.

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
