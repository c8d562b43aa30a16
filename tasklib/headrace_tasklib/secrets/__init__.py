"""Prebuilt tasks that return secrets, and the base class for one's own."""

from headrace_tasklib.secrets.tasks import EnvVarSecret, NamedSecret, SecretBase

__all__ = ["EnvVarSecret", "NamedSecret", "SecretBase"]
