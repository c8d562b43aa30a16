"""What driver and workers must have in common, and how they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.exceptions import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["differences", "mismatch", "probe", "versions"]


def versions(plugins: Mapping[str, str]) -> Mapping[str, str]:
    """Return the versions that workers must have: of Python, headrace, this distribution, and ``plugins``."""
    return {**probe()(["Python", "headrace", "headrace-ray"]), **plugins}


def probe() -> Callable[[Iterable[str]], dict[str, str]]:
    """Return what finds versions by name. Its pickle holds its code, so it runs where nothing of headrace is."""

    def look(names: Iterable[str]) -> dict[str, str]:
        import platform
        from importlib.metadata import PackageNotFoundError, version

        found = {}
        for name in names:
            try:
                python = ".".join(platform.python_version_tuple()[:2])
                found[name] = python if name == "Python" else version(name)
            except PackageNotFoundError:
                continue
        return found

    return look


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return what a worker lacks or has in another version; what it has besides does no harm."""
    return [
        f"{name} is {version} here and {theirs.get(name, 'missing')} there"
        for name, version in ours.items()
        if theirs.get(name) != version
    ]


def mismatch(found: Iterable[str], where: str) -> ExecutorError:
    """Return the error that says how the workers of ``where`` differ from this process."""
    return ExecutorError(
        f"The workers of {where} do not fit the process that drives the run: {', '.join(found)}.",
        hint='Install the same versions in both, or give the workers an environment: `runtime_env={"pip": [...]}`.',
    )
