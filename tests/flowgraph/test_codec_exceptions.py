"""Exceptions as data: what survives, and what stands for a class that is gone."""

import dataclasses

import pytest
from pydantic import BaseModel, ValidationError

from flowgraph.codec import TypeRegistry, copy_value, decode, dumps, encode, error_names
from flowgraph.errors import CodecError, FailureInfo, ForeignError, LimitExceeded, NonRetriable, RetryAfter, capture_traceback


class Declined(NonRetriable):
    def __init__(self, card: str, code: int) -> None:
        super().__init__(f"card {card} declined")
        self.card = card
        self.code = code
        self.connection = lambda: None


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("broken")


class Number(BaseModel):
    n: int


class Slotted(ValueError):
    __slots__ = ("code", "unset")

    def __init__(self, code: int | None) -> None:
        self.code = code


@dataclasses.dataclass(frozen=True)
class Told(Exception):
    reason: str


TYPES = TypeRegistry(Declined, Mute, Slotted, Told)


def there_and_back(error: BaseException) -> BaseException:
    read = decode(encode(error), TYPES)
    assert isinstance(read, BaseException)
    assert dumps(read) == dumps(error)
    return read


def test_type_arguments_attributes_cause_notes_and_traceback_survive() -> None:
    error = Declined("4711", 5)
    error.add_note("second try")
    try:
        raise error from KeyError("bank")
    except Declined as caught:
        capture_traceback(caught)
    read = there_and_back(error)
    assert isinstance(read, Declined)
    assert (str(read), read.card, read.code) == ("card 4711 declined", "4711", 5)
    assert read.__notes__ == ["second try"]
    assert isinstance(read.__cause__, KeyError)
    assert encode(read)["traceback"].strip().endswith('raise error from KeyError("bank")')


def test_what_cannot_be_stored_of_an_error_is_left_out_never_the_error() -> None:
    read = there_and_back(Declined("1", 2))
    assert not hasattr(read, "connection")
    odd = copy_value(ValueError(print))
    assert odd.args == ("<built-in function print>",)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", "a.txt"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        KeyError("k"),
        StopIteration(3),
        SystemExit(2),
        ImportError("no", name="x", path="y"),
        SyntaxError("bad", ("f.py", 1, 2, "text", 1, 3)),
        ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
        RetryAfter("30s", "wait"),
        CodecError("no", "value.x"),
        LimitExceeded("result", 10, 20),
        OSError(),
        Exception(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_python_and_of_ours_look_the_same_afterwards(error: BaseException) -> None:
    read = there_and_back(error)
    assert type(read) is type(error)
    assert str(read) == str(error)
    assert repr(read) == repr(error)


def test_a_broken_str_does_not_hide_the_error() -> None:
    assert type(there_and_back(Mute("x"))) is Mute


def test_a_class_that_is_gone_is_stood_for_and_matched_by_name() -> None:
    tree = encode(Declined("1", 2))
    read = decode(tree, TypeRegistry())
    assert isinstance(read, ForeignError)
    assert str(read) == "card 1 declined"
    assert error_names(read) == ["Declined", "NonRetriable", "Exception", "BaseException"]
    assert (read.original_args, vars(read)["card"]) == (("card 1 declined",), "1")
    assert encode(read) == tree


def test_a_class_that_only_its_constructor_can_make_is_stood_for_too() -> None:
    with pytest.raises(ValidationError) as caught:
        Number.model_validate({"n": "x"})
    read = copy_value(caught.value)
    assert isinstance(read, ForeignError)
    assert error_names(read)[:2] == ["ValidationError", "ValueError"]
    assert str(read) == str(caught.value)


def test_text_that_no_database_takes_is_escaped_in_errors() -> None:
    error = ValueError("\ud800")
    error.add_note("\udfff")
    text = dumps(error)
    assert text.encode()
    assert dumps(decode(encode(error), TYPES)) == text


def test_cycles_through_errors_end() -> None:
    error = Declined("1", 2)
    error.__cause__ = error
    vars(error)["self"] = [error]
    read = there_and_back(error)
    assert read.__cause__ is read
    assert vars(read)["self"][0] is read


def test_the_failure_info_travels_with_the_error() -> None:
    error = ValueError("x")
    vars(error)["flowgraph"] = FailureInfo("pay", 3, "run_1")
    assert vars(there_and_back(error))["flowgraph"] == FailureInfo("pay", 3, "run_1")


def test_sharing_inside_an_attribute_that_is_dropped_leaves_no_trace() -> None:
    shared = [1]
    error = ValueError("x")
    vars(error)["dropped"] = [shared, shared, print]
    assert encode([error, shared]) == [encode(ValueError("x")), [1]]


@pytest.mark.parametrize("code", [3, None])
def test_the_authors_slots_survive(code: int | None) -> None:
    read = there_and_back(Slotted(code))
    assert isinstance(read, Slotted)
    assert read.code == code
    assert not hasattr(read, "unset")


def test_a_frozen_dataclass_that_is_an_exception_survives() -> None:
    read = there_and_back(Told("why"))
    assert isinstance(read, Told)
    assert (read.reason, read.args) == ("why", ("why",))


def test_two_exceptions_of_one_name_in_a_chain_are_both_kept() -> None:
    """Libraries wrap errors in their own of the same name (`JSONDecodeError`): neither may make the other impossible to store."""

    def declined() -> type[Exception]:
        class Declined(ValueError):
            pass

        return Declined

    error = Declined("1", 2)
    error.__cause__ = declined()("theirs")
    read = there_and_back(error)
    assert isinstance(read, Declined)
    assert isinstance(read.__cause__, ForeignError)
    assert (str(read.__cause__), error_names(read.__cause__)[:2]) == ("theirs", ["Declined", "ValueError"])
    assert isinstance(copy_value(error).__cause__, ForeignError)


def test_a_chain_that_is_too_long_is_cut_and_the_error_kept() -> None:
    error = first = ValueError("0")
    for n in range(1, 400):
        error.__cause__ = ValueError(str(n))
        error = error.__cause__
    read: BaseException | None = there_and_back(first)
    length = 0
    while read is not None:
        length, last, read = length + 1, read, read.__cause__
    assert 100 < length < 400
    assert str(last) == str(length - 1)
