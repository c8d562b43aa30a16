"""Prebuilt tasks: families of `headrace.Task` classes, each in a package of its own."""
