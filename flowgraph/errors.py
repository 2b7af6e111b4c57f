"""Every error that authors raise or catch, and the ones the language itself raises; texts are built from structured fields."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta

from flowgraph.durations import Duration, format_duration

TRACEBACK_ATTRIBUTE = "__traceback_text__"


@dataclass(frozen=True)
class FailureInfo:
    """What a failure handler finds in `error.flowgraph`; `step` is None (and `attempts` 0) for the body's own errors."""

    step: str | None
    attempts: int
    run_id: str


class NonRetriable(Exception):
    """Raised in a step: do not try again, the step has failed for good."""


class RetryAfter(Exception):
    """Raised in a step: try again after `delay` (a duration, or the moment itself), not after the backoff's delay.

    The attempt counts as one.
    """

    def __init__(self, delay: Duration | datetime, message: str = "") -> None:
        super().__init__(message or f"retry after {delay}")
        self.delay = delay


class StepFailed(Exception):
    """Base of the errors that the engine, not the step's own code, gives as a step's outcome."""


class StepTimeout(StepFailed, TimeoutError):
    """One attempt of a step took longer than its `timeout=`."""

    @classmethod
    def of(cls, step: str, limit: timedelta) -> StepTimeout:
        """Return the error of a step that was given so much time."""
        return cls(f"step '{step}' timed out after {format_duration(limit)}")


class StepInterrupted(StepFailed):
    """An `at_most_once` step was running when its process died; whether its effect happened is not known."""


class RunTimeout(Exception):
    """The run took longer than its workflow's `timeout=`; raised to handlers after the clean-up."""


class Cancelled(BaseException):
    """Raised at a wait of a cancelled run or branch. Clean up in `finally`, never swallow it."""


class CodecError(ValueError):
    """A value that cannot be stored, or a stored text that cannot be read; `reason` says what is wrong at `path`."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path

    def under(self, prefix: str) -> CodecError:
        """Return the same error, its path one level further out."""
        return CodecError(self.reason, prefix + self.path)


class RegistryError(ValueError):
    """Two different classes claim one persisted name."""


class LimitExceeded(ValueError):
    """A named limit (result, state, event or fan-out size) would be exceeded; checked before the effect, never retried."""

    def __init__(self, limit: str, allowed: int, found: int) -> None:
        super().__init__(f"{limit} is limited to {allowed:,}, found {found:,}")
        self.limit = limit
        self.allowed = allowed
        self.found = found


class NotInRun(RuntimeError):
    """A primitive of the workflow body was called where no run is."""


class NotInStep(RuntimeError):
    """`step_context()` or `resource()` was called where no step is running or nothing provides the resource."""


class ForeignError(Exception):
    """Stands for a stored exception whose class this code no longer has (or cannot build without running its constructor).

    `type_name` and `mro_names` are the original's, so handlers still match by name; `str()` is the original's text. `name_taken`:
    another class in the same document has the name.
    """

    def __init__(self, type_name: str, mro_names: tuple[str, ...], text: str) -> None:
        super().__init__(type_name, mro_names, text)
        self.type_name = type_name
        self.mro_names = mro_names
        self.text = text
        self.original_args: tuple[object, ...] = ()
        self.name_taken = False

    def __str__(self) -> str:
        return self.text


NEVER_RETRIED: tuple[type[Exception], ...] = (NonRetriable, CodecError, LimitExceeded, RegistryError, NotInRun)
"""Errors that another attempt cannot mend."""


def error_names(error: BaseException) -> list[str]:
    """Return the bare class names by which handlers match `error`, most specific first, `BaseException` last."""
    if isinstance(error, ForeignError):
        return list(error.mro_names)
    return [cls.__name__ for cls in type(error).__mro__ if cls is not object]


def capture_traceback(error: BaseException) -> None:
    """Keep the text of `error`'s traceback on it, so that it is stored with the error and survives decoding."""
    if error.__traceback__ is not None:
        vars(error)[TRACEBACK_ATTRIBUTE] = "".join(traceback.format_tb(error.__traceback__))


COMPENSATION_FAILED = "compensation failed"
"""Role of a compensation's failure in the note on the error that it should have undone."""


def compensation_failed(error: BaseException) -> bool:
    """Say whether a compensation has failed for good while `error` left its saga."""
    return any(str(note).startswith(f"{COMPENSATION_FAILED}: ") for note in getattr(error, "__notes__", ()))


def add_other_failure(error: BaseException, other: BaseException, role: str = "also failed") -> None:
    """Attach `other` to `error` as a note, such as `also failed: ValueError: no room`.

    Used for siblings in a group, compensations and handlers.
    """
    notes = vars(error).setdefault("__notes__", [])  # not `add_note`: the class may be a frozen dataclass
    notes.append(f"{role}: {error_names(other)[0]}: {other}")
