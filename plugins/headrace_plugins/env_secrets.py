"""The secret provider ``env``: environment variables of the process where a task runs."""

from __future__ import annotations

import os

from headrace.abc import SecretProvider
from headrace.plugins import SecretProviderSpec, hookimpl

__all__ = ["EnvironmentSecrets"]


class EnvironmentSecrets(SecretProvider):
    """Takes secret ``NAME`` from the variable ``NAME``, or, with a ``prefix``, from ``PREFIXNAME``."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def find(self, name: str) -> str | None:
        """Return the variable's text."""
        return os.environ.get(self.prefix + name)


@hookimpl
def headrace_secret_providers() -> list[SecretProviderSpec]:
    """Offer the provider."""
    return [
        SecretProviderSpec(
            name="env",
            factory="headrace_plugins.env_secrets:EnvironmentSecrets",
            summary="Secrets from environment variables.",
        )
    ]
