"""What can go wrong in the engine itself, as against in a workflow."""

from __future__ import annotations


class ProgramError(Exception):
    """A machine that this engine refuses to load: it names something outside the vocabulary or that the deployed code lacks."""


class JournalMismatch(Exception):
    """Folding a run's journal led to another decision than the one that was committed: the run must not go on."""

    def __init__(self, run_id: str, seq: int, expected: int, found: int) -> None:
        super().__init__(
            f"run {run_id}: input {seq} of the journal now leads to other commands (digest {found:08x}) than were committed "
            f"({expected:08x})"
        )
        self.run_id = run_id
        self.seq = seq
        self.expected = expected
        self.found = found


class NotReopenable(Exception):
    """A failed run cannot go on from a step: its own code raised, and would raise the same again, or a run that it called failed
    (`child`), or a saga has undone by `compensation` what came before the step, or beside the step it waits for something that
    was `carried` over from another machine."""

    def __init__(
        self, run_id: str, step: str | None, child: str | None = None, compensation: str | None = None, *, carried: bool = False
    ) -> None:
        reason = f"the failure of step '{step}' is not in its journal" if step else "its own code has failed, not a step"
        if child is not None:
            reason = f"it was step '{step}' of run {child} that failed, which it called or was told of"
        elif compensation is not None:
            reason = f"after the failure of step '{step}' a saga has undone what came before it (by step '{compensation}')"
        elif carried:
            reason = f"beside step '{step}' it waits for something that it has begun before it was moved to its machine"
        super().__init__(f"run {run_id} cannot be retried: {reason}; start a new run")
        self.run_id = run_id
        self.step = step


class TransitionTooLong(Exception):
    """The error of a run whose pure code exceeded the operation budget or a size cap between two suspensions."""


class Exhausted(BaseException):
    """Leaves the workflow's code when its budget is used up. Not an `Exception`, and compiled handlers let it pass: no user code
    catches it. The run's error is a `TransitionTooLong` of the same text."""
