"""What a name of the module stands for, by the identity of the object: what may be called, what is refused and why."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from datetime import date, datetime
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, TypeAlias, assert_never, assert_type, cast

import flowgraph
from flowgraph_compiler.build.context import MISSING, Context
from flowgraph_compiler.declarations import FlowDecl, StepDecl
from flowgraph_compiler.vocabulary import LAZY_FUNCTIONS, PURE_FUNCTIONS, PURE_TYPES

_PURE = {id(function): name for name, function in PURE_FUNCTIONS.items()}
_LAZY = {id(function): name for name, function in LAZY_FUNCTIONS.items()}
_TYPES = {id(cls): name for name, cls in PURE_TYPES.items()}
_TYPING = {id(cast): "cast", id(assert_type): "assert_type", id(assert_never): "assert_never"}

AWAITED = ("parallel", "fan_out", "settle", "race", "sleep", "sleep_until", "wait_for", "send", "start")
RECORDED = ("now", "uuid", "run_info")
SCOPES = ("timeout", "saga")
_PRIMITIVES = {id(getattr(flowgraph, name)): name for name in (*AWAITED, *RECORDED, *SCOPES) if hasattr(flowgraph, name)}

_EFFECTS = frozenset(
    [
        "asyncio",
        "builtins",
        "aiohttp",
        "boto3",
        "concurrent",
        "ctypes",
        "fcntl",
        "getpass",
        "glob",
        "http",
        "httpx",
        "io",
        "locale",
        "logging",
        "multiprocessing",
        "os",
        "pathlib",
        "platform",
        "posix",
        "psycopg",
        "queue",
        "random",
        "redis",
        "requests",
        "secrets",
        "select",
        "shutil",
        "signal",
        "smtplib",
        "socket",
        "sqlalchemy",
        "sqlite3",
        "sqlmodel",
        "ssl",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "urllib3",
    ]
)
"""Modules whose functions have effects or give another answer each time."""

_IMPURE_BUILTINS = frozenset(
    [
        "print",
        "open",
        "input",
        "id",
        "hash",
        "breakpoint",
        "exec",
        "eval",
        "globals",
        "locals",
        "vars",
        "__import__",
        "setattr",
        "delattr",
    ]
)
_CLOCKS = {(datetime, "now"), (datetime, "utcnow"), (datetime, "today"), (date, "today"), (datetime, "utcfromtimestamp")}
_ADVICE = {
    "asyncio.gather": "use 'parallel(...)'",
    "asyncio.wait": "use 'parallel(...)' or 'race(...)'",
    "asyncio.create_task": "use 'parallel(...)'",
    "asyncio.ensure_future": "use 'parallel(...)'",
    "asyncio.sleep": "use 'sleep(\"5s\")' of flowgraph",
    "asyncio.wait_for": "give the step a 'timeout='",
    "asyncio.to_thread": "make it a sync '@step': it runs in a thread",
    "uuid.uuid4": "use 'uuid()' of flowgraph",
    "uuid.uuid1": "use 'uuid()' of flowgraph",
    "time.time": "use 'now()' of flowgraph",
    "time.monotonic": "use 'now()' of flowgraph",
    "time.sleep": "use 'await sleep(\"5s\")' of flowgraph",
}
TO_STEP = "move it into a '@step'"


@dataclass(frozen=True)
class Durable:
    """A step, subflow, workflow or `@pure` function. `options`: the call of `.with_(...)` that comes before the step's own."""

    decl: StepDecl | FlowDecl
    options: ast.Call | None = None

    @property
    def kind(self) -> str:
        """`step`, `subflow`, `workflow` or `pure`."""
        return "step" if isinstance(self.decl, StepDecl) else self.decl.kind


@dataclass(frozen=True)
class Primitive:
    """A primitive of `flowgraph` by name."""

    name: str


@dataclass(frozen=True)
class Function:
    """A listed pure function, or one that makes an iterator (`lazy`)."""

    name: str
    lazy: bool = False


@dataclass(frozen=True)
class Typing:
    """`cast`, `assert_type` or `assert_never`: nothing but their argument at run time."""

    name: str


@dataclass(frozen=True)
class Class:
    """A class that is called."""

    cls: type


@dataclass(frozen=True)
class ClassMethod:
    """A method named through its class: `datetime.fromisoformat`, `str.lower`."""

    cls: type
    name: str


@dataclass(frozen=True)
class Refused:
    """Something that a workflow may not call: with the code, what it is, and what to do instead."""

    code: str
    message: str
    help: str


@dataclass(frozen=True)
class Misdeclared:
    """A step or flow whose declaration the reader refused: there is a finding already."""

    text: str


@dataclass(frozen=True)
class OnValue:
    """A method of a value that is known only when the workflow runs."""

    receiver: ast.expr
    name: str


Callee: TypeAlias = Durable | Primitive | Function | Typing | Class | ClassMethod | Misdeclared | Refused | OnValue


@dataclass(frozen=True)
class Static:
    """An object that an expression stands for at compile time, with its text."""

    value: Any
    text: str


def static(context: Context, node: ast.expr) -> Static | None:
    """What a global name, or an attribute of a module or class, stands for; None for what is known only at run time."""
    match node:
        case ast.Name(id=name) if context.is_global(name):
            return Static(context.lookup(name), name)
        case ast.Attribute(value=inner, attr=attr):
            owner = static(context, inner)
            if owner is None or not isinstance(owner.value, ModuleType | type) or attr.startswith("_"):
                return None
            return Static(getattr(owner.value, attr, MISSING), f"{owner.text}.{attr}")
        case _:
            return None


def callee(context: Context, node: ast.expr) -> Callee:
    """What a call calls."""
    if isinstance(node, ast.Attribute):
        owner = static(context, node.value)
        if owner is not None and isinstance(owner.value, type):
            return _of_class(owner.value, node.attr, f"{owner.text}.{node.attr}")
    found = static(context, node)
    if found is not None:
        return classify(context, found)
    if isinstance(node, ast.Attribute):
        return _on_value(context, node)
    if isinstance(node, ast.Name):
        return _local(context, node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "with_":
        return _with_options(context, node, node.func.value)
    return Refused(
        "FG112", f"'{ast.unparse(node)}' is called", "call a step, a subflow, a class or a listed pure function by its name"
    )


def _with_options(context: Context, node: ast.Call, step: ast.expr) -> Callee:
    found = callee(context, step)
    if isinstance(found, Durable) and found.kind == "step" and found.options is None:
        return Durable(found.decl, node)
    text = ast.unparse(step)
    return Refused("FG112", f"'{text}' has no '.with_(...)'", "only a step has, once: step.with_(retries=0)(...)")


def classify(context: Context, found: Static) -> Callee:
    """What an object is when it is called."""
    value, text = found.value, found.text
    if value is MISSING:
        return Refused("FG210", f"name '{text}' is not defined", "import or define it")
    decl = context.session.declared(value)
    if decl is not None:
        return Durable(decl)
    if is_refused_durable(value) or hasattr(value, "__flowgraph_pure__"):
        return Misdeclared(text)
    key = id(value)
    if key in _PRIMITIVES:
        return Primitive(_PRIMITIVES[key])
    if key in _PURE or key in _LAZY:
        return Function(_PURE.get(key) or _LAZY[key], lazy=key in _LAZY)
    if key in _TYPING:
        return Typing(_TYPING[key])
    if isinstance(value, type):
        return Class(value)
    return _foreign(value, text)


def is_refused_durable(value: object) -> bool:
    """Whether an object is a step or flow, declared well or not."""
    return isinstance(value, flowgraph.Step | flowgraph.Subflow | flowgraph.Workflow)


def is_primitive(value: object) -> bool:
    """Whether an object is one of the primitives of `flowgraph`."""
    return id(value) in _PRIMITIVES


def type_name(cls: type) -> str | None:
    """The name of a listed pure type, or None."""
    return _TYPES.get(id(cls))


def _of_class(cls: type, name: str, text: str) -> Callee:
    if (cls, name) in _CLOCKS:
        return Refused("FG140", f"'{text}()' reads the clock", "use 'now()' of flowgraph")
    member = inspect.getattr_static(cls, name, None)
    if isinstance(member, type):
        return Class(member)
    if type_name(cls) is not None:
        return ClassMethod(cls, name)
    return Refused("FG112", f"'{text}' runs code of class '{cls.__name__}'", f"call the constructor, or {TO_STEP}")


def _on_value(context: Context, node: ast.Attribute) -> Callee:
    owner = static(context, node.value)
    if owner is not None:
        home = type(owner.value).__module__.partition(".")[0]
        if home in _EFFECTS - {"builtins"}:
            return Refused("FG140", f"'{ast.unparse(node)}' has an effect outside the workflow", TO_STEP)
    return OnValue(node.value, node.attr)


def _local(context: Context, name: str) -> Callee:
    value = context.lookup(name)
    if is_refused_durable(value) or is_primitive(value):
        if len(context.bindings.get(name, ())) > context.is_parameter(name):
            return Misdeclared(name)  # the assignment has its finding
        return Refused("FG111", f"'{name}' is a local name here and hides the one of the module", "rename the local")
    return Refused(
        "FG112", f"'{name}' is a variable and cannot be called", "call a step, a subflow or a listed pure function by its name"
    )


def _made_a_step(text: str) -> str:
    return f"call it in a '@step', or add '@step' to '{text}'" if "." in text else f"add '@step' to '{text}'"


def _foreign(value: Any, text: str) -> Refused:
    home = getattr(value, "__module__", None) or ""
    package = home.partition(".")[0]  # asyncio's own names stand in 'asyncio.tasks' and others
    name = getattr(value, "__name__", text)
    advice = _ADVICE.get(f"{home}.{name}") or _ADVICE.get(f"{package}.{name}")
    if inspect.iscoroutinefunction(value) or home.startswith("asyncio"):
        return Refused("FG110", f"'{text}' is not a step", advice or _made_a_step(text))
    if _has_effects(value, home):
        return Refused("FG140", f"'{text}' has an effect or gives another answer each time", advice or TO_STEP)
    if callable(value) and not isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return Refused("FG140", f"'{text}' is an object of the module with a state of its own", TO_STEP)
    if not callable(value):
        return Refused("FG112", f"'{text}' cannot be called", "call a step, a subflow or a listed pure function by its name")
    return Refused(
        "FG112",
        f"'{text}' is neither a step nor a listed pure function",
        f"add '@step' (effects) or '@pure' (none) to '{text}'",
    )


def _has_effects(value: Any, home: str) -> bool:
    root = (home or type(getattr(value, "__self__", None)).__module__).partition(".")[0]
    if root == "builtins":
        return getattr(value, "__name__", "") in _IMPURE_BUILTINS
    return (
        root in _EFFECTS
        or (root == "uuid" and getattr(value, "__name__", "") in ("uuid1", "uuid4", "getnode"))
        or root in ("_io", "_random")
    )
