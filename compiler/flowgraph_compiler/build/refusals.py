"""What is not in the language: by the name of the `ast` node, what it is called and what to write instead."""

from __future__ import annotations

EXPRESSIONS: dict[str, tuple[str, str]] = {
    "Yield": ("'yield'", "collect a list and return it"),
    "YieldFrom": ("'yield from'", "collect a list and return it"),
    "TemplateStr": ("a template string", "write an f-string"),
}

STATEMENTS: dict[str, tuple[str, str]] = {
    "With": ("'with'", "open and use the resource inside one '@step'"),
    "AsyncWith": (
        "'async with' of anything but 'timeout(...)' and 'saga()'",
        "open and use the resource inside one '@step'",
    ),
    "AsyncFor": ("'async for'", "fetch a list in a '@step' and loop over it with 'for'"),
    "FunctionDef": ("a nested function", "make it a '@subflow' or a '@step' of the module"),
    "AsyncFunctionDef": ("a nested function", "make it a '@subflow' or a '@step' of the module"),
    "ClassDef": ("a nested class", "move it to the top level of the module"),
    "Import": ("'import' inside a workflow", "import at the top of the module"),
    "ImportFrom": ("'import' inside a workflow", "import at the top of the module"),
    "Global": ("'global'", "pass the value as an argument and return it"),
    "Nonlocal": ("'nonlocal'", "pass the value as an argument and return it"),
    "TypeAlias": ("a type alias inside a workflow", "move it to the top level of the module"),
}
