"""Work on its way to the cluster: what is sent with each piece, and what is sent once."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

from headrace.engine.values import approximate_size
from headrace.references import ResultReference
from headrace.remote import Courier, Levels, Part
from headrace.remote.pickles import Pickler
from headrace_dask.messages import Manifest
from headrace_dask.processes import this_process
from headrace_dask.references import Again, Kept
from headrace_dask.shipping import Needs, lent, needs, noted
from headrace_dask.site import same
from headrace_dask.submissions import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headrace.engine.worker import Outcome, Work

__all__ = ["Packer"]

# A part of that many bytes or fewer travels with each call, which costs less than another thing to depend on.
_SMALL_PART: Final = 16_384
# From so many bytes on it matters whether an argument is sent once or with each of many calls.
_LARGE: Final = 65_536
# And from so many on it goes to the cluster beside the call, even if no other call needs it.
_HUGE: Final = 1_048_576


class Packer:
    """Makes submissions of work. Used by the driver's thread; `settle` by any other."""

    def __init__(
        self, token: str, topic: str, environment: dict[str, str | None], upload: Callable[[Kept, bytes], object]
    ) -> None:
        self._token = token
        self._topic = topic
        self._environment = environment
        self._upload = upload
        self._pickler = Pickler()
        self._courier = Courier()
        self._manifests: dict[str, bytes] = {}
        self._parts: dict[str, Kept] = {}
        self._loans: dict[int, _Loan] = {}

    def submission(
        self, work: Work, deliver: Callable[[Outcome], object], priority: int, resources: Mapping[str, float]
    ) -> Submission:
        """Return ``work`` ready to be sent; raise TransferError naming what cannot be pickled."""
        run, task = self._courier.parts(work)
        loans: list[_Loan] = []
        with noted() as needed:
            try:
                call = self._call(work, loans)
                manifest = self._token, self._placed(needed, run.id, self._manifest(run))
                part = task.id, self._placed(needed, task.id, bytes(task.data))
            except BaseException:
                self._return(loans)
                raise
        return Submission(
            work,
            deliver,
            call=call,
            needed=needed.things,
            manifest=manifest,
            part=part,
            priority=priority,
            resources=resources,
            settle=lambda: self._return(loans),
        )

    def _manifest(self, run: Part) -> bytes:
        if run.id not in self._manifests:
            manifest = Manifest(
                self._token, self._topic, this_process(), self._environment, Levels.current(), Part(*run)
            )
            self._manifests[run.id] = pickle.dumps(manifest)
        return self._manifests[run.id]

    def _placed(self, needed: Needs[Kept], part_id: str, data: bytes) -> bytes | int:
        """Return what is the same for many calls, or its place if it is too large to travel with each."""
        if len(data) <= _SMALL_PART:
            return data
        kept = self._parts.get(part_id)
        if kept is None:
            kept = self._parts[part_id] = Kept("the code of a task", None)
            kept.again = Again(same, lambda: data)
        return needed.place(kept)

    # -- arguments -----------------------------------------------------------------------------------------------

    def _call(self, work: Work, loans: list[_Loan]) -> bytes:
        what = f"What task {work.name!r} is called with"
        arguments = {name: self._lent(value, what, loans) for name, value in work.arguments.items()}
        call = self._courier.call(work)._replace(arguments=arguments)
        return self._pickler.dump(tuple(call), what, None, work.arguments)

    def _lent(self, value: Any, what: str, loans: list[_Loan]) -> Any:
        """Return what travels in the place of an argument: itself, or what stands for it if it is large."""
        if isinstance(value, ResultReference):
            return value
        loan = self._loans.get(id(value))
        if loan is None:
            if approximate_size(value, _LARGE) <= _LARGE:
                return value
            loan = self._loans[id(value)] = _Loan(value)
        loan.users += 1
        loans.append(loan)
        if loan.kept is None and not loan.refused and (loan.users > 1 or approximate_size(value, _HUGE) > _HUGE):
            self._lend(loan, what)
        return value if loan.kept is None else loan

    def _lend(self, loan: _Loan, what: str) -> None:
        value = loan.value
        with noted() as inside:
            data = self._pickler.dump(value, what, None, {"argument": value})
        # What stands for results would mean another place in each call.
        if inside.things:
            loan.refused = True
            return
        kept = Kept("an argument", None)
        kept.again = Again(same, lambda: self._pickler.dump(value, what))
        if len(data) > _HUGE:
            self._upload(kept, data)
        loan.kept = kept

    def _return(self, loans: list[_Loan]) -> None:
        for loan in loans:
            loan.users -= 1
            if loan.users <= 0:
                self._loans.pop(id(loan.value), None)
        loans.clear()


class _Loan:
    """A large argument while work is on its way that needs it; pickled as the place where its own pickle will be."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.users = 0
        self.kept: Kept | None = None
        self.refused = False

    def __reduce__(self) -> tuple[Any, ...]:
        assert self.kept is not None
        return lent, (needs().place(self.kept),)
