"""The secret provider ``keyring``: the password store of the operating system. Needs the extra ``keyring``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from headrace.abc import SecretProvider
from headrace.plugins import SecretProviderSpec, hookimpl
from headrace_plugins._libraries import library

__all__ = ["KeyringSecrets"]


class KeyringSecrets(SecretProvider):
    """Takes secret ``NAME`` from the entry of user ``NAME`` of a service: ``keyring set headrace NAME`` stores it."""

    def __init__(self, service: str = "headrace") -> None:
        self.service = service

    def find(self, name: str) -> str | None:
        """Return the password; may ask the person at the screen to unlock the store."""
        with library("The secret provider 'keyring'", "keyring", "keyring"):
            keyring: Any = import_module("keyring")
        password: str | None = keyring.get_password(self.service, name)
        return password


@hookimpl
def headrace_secret_providers() -> list[SecretProviderSpec]:
    """Offer the provider."""
    return [
        SecretProviderSpec(
            name="keyring",
            factory="headrace_plugins.keyring_secrets:KeyringSecrets",
            summary="Secrets from the password store of the operating system.",
        )
    ]
