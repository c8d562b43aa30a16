"""The values of a run's parameters on their way into the history and back, without those that are secret."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import HistoryError
from headrace.masking import mask, masker
from headrace.pickling import dump
from headrace.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.history.records import RunRecord
    from headrace.history.sealing import Sealer

__all__ = ["kept_parameters", "recorded_parameters"]

_HIDDEN: Final = "it is a secret"


def kept_parameters(
    values: Mapping[str, object], sealer: Sealer, secret: Collection[str] = ()
) -> tuple[bytes, dict[str, str]]:
    """Return the values that are kept, sealed, and by name why others are not.

    What is sealed can be read by whoever can read the history. So those that ``secret`` names are not kept, nor is a
    value in which a secret is known to be; a `headrace.Secret` is, being a name.
    """
    kept: dict[str, bytes] = {}
    lost: dict[str, str] = {}
    for name, value in values.items():
        if name in secret:
            lost[name] = _HIDDEN
            continue
        try:
            data = dump(value)
        except Exception as error:  # noqa: BLE001 - a foreign __reduce__ may raise anything
            lost[name] = mask(str(error))
            continue
        if _is_secret(value, data):
            lost[name] = _HIDDEN
        else:
            kept[name] = data
    return sealer.seal(dump(kept)), lost


def _is_secret(value: object, data: bytes) -> bool:
    if isinstance(value, Secret):
        # One with providers of its own brings along what opens these.
        return value._providers is not None
    # What classes for secrets have in common, whoever wrote them.
    if hasattr(type(value), "get_secret_value"):
        return True
    return masker.is_in(data)


def recorded_parameters(
    run: RunRecord, sealer: Sealer, known: Collection[str], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values that the parameters of ``run`` had, of those that the flow still has, ``known``.

    ``given`` are values of those that the history did not keep, or that are new. Raises HistoryError if one is missing,
    or given although it is kept.
    """
    lost: Any = run.details.get("parameters_not_kept")
    lost = lost if isinstance(lost, dict) else {}
    if run.parameters is None:
        raise HistoryError(f"The parameters of run {run.name!r} were not kept.", hint="Run the flow anew.")
    what = f"What the parameters of run {run.name!r} were"
    kept: Mapping[str, bytes] = pickle.loads(sealer.unseal(run.parameters, what))  # noqa: S301 - under our own seal
    for name in given:
        if name in kept:
            raise HistoryError(
                f"Parameter {name!r} is as run {run.name!r} recorded it, and cannot be given another value.",
                hint="To run with other parameters, run the flow anew: `headrace run FILE -p NAME=VALUE`.",
            )
    for name in lost:
        if name in known and name not in given:
            raise HistoryError(
                f"Parameter {name!r} of run {run.name!r} was not kept: {lost[name]}.",
                hint=f"Give it again, as it was: `-p {name}=VALUE`.",
            )
    found = {name: pickle.loads(data) for name, data in kept.items() if name in known}  # noqa: S301 - as above
    return found | dict(given)
