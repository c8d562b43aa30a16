"""The secret provider ``file``: a folder with a file for each secret, or a TOML file with all of them."""

from __future__ import annotations

from pathlib import Path

from headrace.abc import SecretProvider
from headrace.exceptions import SecretError
from headrace.plugins import SecretProviderSpec, hookimpl

__all__ = ["FileSecrets"]


class FileSecrets(SecretProvider):
    """Reads secrets from ``path``, anew at each question.

    In a folder, as Docker and Kubernetes mount them, secret ``NAME`` is the text of the file ``NAME`` without its last
    line end, or its bytes if they are not UTF-8. In a file, which is read as TOML, it is the value of the key ``NAME``.
    """

    def __init__(self, path: str = "/run/secrets") -> None:
        self.path = Path(path).expanduser()

    def find(self, name: str) -> object:
        """Return what is there; raise SecretError if ``path`` is missing or cannot be read."""
        try:
            if self.path.is_dir():
                return self._in_folder(name)
            return self._in_toml(self.path.read_text(encoding="utf-8"), name)
        except OSError as error:
            raise SecretError(
                f"The secrets at {self.path} cannot be read: {error.strerror}.",
                hint="Set `path` under [secrets.file] of the configuration, or take 'file' out of `secrets.providers`.",
            ) from error

    def _in_folder(self, name: str) -> str | bytes | None:
        # Names with separators lead elsewhere.
        if name in {".", ".."} or any(character in name for character in "/\\\0"):
            return None
        file = self.path / name
        if not file.is_file():
            return None
        data = file.read_bytes()
        try:
            return data.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            return data

    def _in_toml(self, text: str, name: str) -> object:
        import tomllib

        try:
            return tomllib.loads(text).get(name)
        except tomllib.TOMLDecodeError as error:
            # Its message says where and what kind of fault, and repeats no value.
            raise SecretError(f"The secrets at {self.path} are not TOML: {error}.") from None


@hookimpl
def headrace_secret_providers() -> list[SecretProviderSpec]:
    """Offer the provider."""
    return [
        SecretProviderSpec(
            name="file",
            factory="headrace_plugins.file_secrets:FileSecrets",
            summary="Secrets from a folder of files, or from a TOML file.",
        )
    ]
