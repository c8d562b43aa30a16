"""The values of a run's parameters on their way into the history and back, without those that are secret."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from headrace.exceptions import HistoryError
from headrace.masking import mask, masker
from headrace.pickling import dump
from headrace.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from headrace.history.records import RunRecord
    from headrace.history.sealing import Sealer

__all__ = ["kept_parameters", "recorded_parameters"]


def kept_parameters(values: Mapping[str, object], sealer: Sealer) -> tuple[bytes, dict[str, str]]:
    """Return the values that are kept, sealed, and by name why others are not.

    What is sealed can be read by whoever can read the history. So a value in which a secret is known to be is not kept;
    a `headrace.Secret` is, being a name.
    """
    kept: dict[str, bytes] = {}
    lost: dict[str, str] = {}
    for name, value in values.items():
        try:
            data = dump(value)
        except Exception as error:  # noqa: BLE001 - a foreign __reduce__ may raise anything
            lost[name] = mask(str(error))
            continue
        if _is_secret(value, data):
            lost[name] = "it is a secret"
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
    or given although it is kept: a run that is resumed has the parameters of the one before.
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
                f"A resumed run has the parameters of the run before, so {name!r} cannot be given.",
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
