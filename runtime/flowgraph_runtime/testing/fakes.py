"""Stand-ins for steps, and a record of what the steps were called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from flowgraph import NonRetriable, Step
from flowgraph.codec import TypeRegistry, copy_value
from flowgraph_compiler.declarations import StepDecl
from flowgraph_runtime.registry import Registry

Fakes: TypeAlias = Mapping[Step[..., Any], Any]
"""Steps to what stands in for them: a function (called with the step's arguments), an exception (raised), `in_turn(...)`, or else
the result itself."""


class BadFake(NonRetriable):
    """A fake gave what the step is not declared to give: a machine that got it would go on with a value of the wrong type."""


class in_turn:  # noqa: N801  (reads as a function: steps={charge: in_turn(Timeout(), "paid")})
    """A fake with an outcome for each attempt: a result, an exception or a function; the last one stays."""

    def __init__(self, *outcomes: Any) -> None:
        if not outcomes:
            raise ValueError("in_turn() needs an outcome")
        self._left = list(outcomes)

    def next(self) -> Any:
        """Return the outcome of the next attempt."""
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


class Recorder:
    """The steps of one engine: which are faked, and every call of each."""

    def __init__(self, registry: Registry, fakes: Fakes) -> None:
        self._calls: dict[str, list[tuple[Any, ...]]] = {step.name: [] for step in registry.steps.values()}
        self.raised: dict[str, type[BaseException]] = {"BadFake": BadFake}
        by_name = {self._known(step): fake for step, fake in fakes.items()}
        for name, declared in list(registry.steps.items()):
            registry.steps[name] = self._recorded(declared, by_name)

    def calls(self, step: Step[..., Any]) -> list[tuple[Any, ...]]:
        """Return the arguments of every attempt of the step, in the order of its parameters, defaults filled in."""
        return list(self._calls[self._known(step)])

    def _known(self, step: Step[..., Any]) -> str:
        if step.name not in self._calls:
            raise LookupError(f"no served workflow has a step '{step.name}': the steps are {', '.join(sorted(self._calls))}")
        return step.name

    def _recorded(self, declared: StepDecl, fakes: Mapping[str, Any]) -> StepDecl:
        faked = declared.name in fakes
        run = _faked(declared, fakes[declared.name]) if faked else declared.step.fn
        signature = inspect.signature(declared.step.fn)

        def noted(*args: Any, **kwargs: Any) -> Any:
            self._note(declared.name, signature, args, kwargs)
            return self._watched(run(*args, **kwargs)) if is_async else self._tried(run, args, kwargs)

        is_async = faked or declared.is_async
        return replace(declared, step=Step(noted, declared.step.options), is_async=is_async)

    def _note(self, name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self._calls[name].append(copy_value(tuple(bound.arguments.values())))

    async def _watched(self, running: Any) -> Any:
        try:
            return await running
        except Exception as error:
            self._raised(error)
            raise

    def _tried(self, run: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return run(*args, **kwargs)
        except Exception as error:
            self._raised(error)
            raise

    def _raised(self, error: Exception) -> None:
        self.raised.update((cls.__name__, cls) for cls in type(error).__mro__ if issubclass(cls, BaseException))

    def types(self, known: TypeRegistry) -> TypeRegistry:
        """Return the served classes and those of the exceptions that steps have raised."""
        served = list(known)
        names = {cls.__name__ for cls in served}
        return TypeRegistry(*served, *(cls for name, cls in self.raised.items() if name not in names))


def _faked(declared: StepDecl, fake: Any) -> Callable[..., Any]:
    check = _checker(declared)

    async def play(*args: Any, **kwargs: Any) -> Any:
        outcome: Any = fake.next() if isinstance(fake, in_turn) else fake
        if isinstance(outcome, BaseException) or _is_error(outcome):
            raise outcome
        if callable(outcome):
            outcome = outcome(*args, **kwargs)
            outcome = await outcome if inspect.isawaitable(outcome) else outcome
        check(outcome)
        return outcome

    return play


def _is_error(outcome: object) -> bool:
    return isinstance(outcome, type) and issubclass(outcome, BaseException)


def _checker(declared: StepDecl) -> Callable[[object], None]:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(declared.result)
    except (PydanticSchemaGenerationError, PydanticUserError):  # a class that pydantic does not know is not checked
        return lambda _: None

    def check(outcome: object) -> None:
        try:
            adapter.validate_python(outcome, strict=True)
        except ValidationError as error:
            first = next(_faults(error))
            raise BadFake(f"the fake of step '{declared.name}' gave {outcome!r}: {first}") from None

    return check


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        yield ".".join(map(str, fault["loc"])) + (": " if fault["loc"] else "") + fault["msg"]
