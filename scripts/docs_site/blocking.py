"""Write the blocking form of an async example of the documents, by the rules of the facade."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import NamedTuple

#: Names of the async form, and what stands for them in the blocking form.
_NAMES = {
    "agentbay_async": "agentbay",
    "aadvance": "advance",
    "aclose": "close",
    "aiter": "iter",
    "anext": "next",
    "async_api": "sync_api",
    "async_playwright": "sync_playwright",
}
_TO_THREAD = "asyncio.to_thread("


class NoBlockingFormError(Exception):
    """An example uses something that has no blocking form."""


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


def to_blocking(code: str) -> str:
    """Return a program for `agentbay` that does what `code` does with `agentbay_async`.

    `code` is a whole program, whose last statement may be ``asyncio.run(main())``. The result has
    no coroutines: the body of ``main`` stands on the level of the module.

    Raises:
        NoBlockingFormError: `code` uses asyncio for more than running ``main``.
    """
    edited = _edited(code, _edits(code))
    lifted = _lift_main(edited)
    if _uses_asyncio(lifted):
        raise NoBlockingFormError("the example uses asyncio; mark its block without `both`")
    return format_code(lifted)


def format_code(code: str) -> str:
    """Return the program with sorted imports, in the project's format."""
    ruff = (sys.executable, "-m", "ruff")
    options = ("--isolated", "--line-length=100", "--quiet")
    rules = ("--select=I,F401", "--fix")
    for command in (("check", *rules, *options, "-"), ("format", *options, "-")):
        done = subprocess.run([*ruff, *command], input=code, capture_output=True, text=True)
        if done.returncode:
            raise NoBlockingFormError(done.stdout + done.stderr)
        code = done.stdout
    return code


def _edits(code: str) -> list[_Edit]:
    """Return the replacements that take `async`, `await` and async names out of a program."""
    position = _Positions(code)
    edits = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef):
            start = position.of(node)
            edits.append(_Edit(start, start + len("async "), ""))
        elif isinstance(node, ast.comprehension) and node.is_async:
            start = code.rindex("async", 0, position.of(node.target))
            edits.append(_Edit(start, start + len("async "), ""))
        elif isinstance(node, ast.Await) and ast.unparse(node.value).startswith(_TO_THREAD):
            edits.append(_in_this_thread(node, position))
        elif isinstance(node, ast.Await):
            start, end = position.of(node), position.end_of(node)
            edits.append(_Edit(start, position.of(node.value), ""))
            if _is_bulk_run(node.value):
                edits.append(_Edit(end, end, ".run()"))
            # Nobody writes `(call()).field`, which `(await call()).field` would become.
            before = re.search(r"(?<![\w)\]])\(\s*$", code[:start])
            after = re.match(r"\s*\)(?=\.)", code[end:])
            if before and after:
                edits += [_Edit(before.start(), start, ""), _Edit(end, end + after.end(), "")]
    words = re.finditer(r"\b(Async(?=[A-Z])\w+|" + "|".join(_NAMES) + r")\b", code)
    return edits + [_Edit(*word.span(), _blocking_name(word[0])) for word in words]


def _in_this_thread(node: ast.Await, position: _Positions) -> _Edit:
    """Return the edit that calls a function instead of passing it to ``asyncio.to_thread``."""
    assert isinstance(node.value, ast.Call)
    function, *arguments = node.value.args
    end = position.of(arguments[0]) if arguments else position.end_of(node) - 1
    return _Edit(position.of(node), end, f"{ast.unparse(function)}(")


def _is_bulk_run(node: ast.expr) -> bool:
    """Whether a call makes a bulk run, which a blocking program waits for by ``run()``."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"create_many", "delete_many"}
    )


def _blocking_name(name: str) -> str:
    return _NAMES.get(name, name.removeprefix("Async"))


class _Positions:
    """Positions of nodes in the text; `ast` counts bytes from the start of a line."""

    def __init__(self, code: str) -> None:
        self._lines = [line.encode() for line in code.splitlines(keepends=True)]
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line.decode()))

    def of(self, node: ast.expr | ast.stmt) -> int:
        """Return the index of the first character of a node."""
        return self._index(node.lineno, node.col_offset)

    def end_of(self, node: ast.expr) -> int:
        """Return the index after the last character of a node."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._index(node.end_lineno, node.end_col_offset)

    def _index(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1][:column].decode())


def _edited(code: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        code = code[: edit.start] + edit.text + code[edit.end :]
    return code


def _lift_main(code: str) -> str:
    """Put the body of ``main`` where ``asyncio.run(main())`` stands, and nothing else."""
    body = ast.parse(code).body
    if not body or ast.unparse(body[-1]) != "asyncio.run(main())":
        return code
    [main] = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    if any(isinstance(node, ast.Return) for node in ast.walk(main)):
        raise NoBlockingFormError("main returns; the body of a module cannot")
    lines = code.splitlines()
    inner = _dedented(lines, main)
    outer = lines[: main.lineno - 1] + lines[main.end_lineno : body[-1].lineno - 1]
    return "\n".join([*outer, "", *inner, ""])


def _dedented(lines: list[str], function: ast.FunctionDef) -> list[str]:
    """Return the lines of a function's body, without its docstring, one level further left."""
    inside = {
        number
        for node in ast.walk(function)
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno
        for number in range(node.lineno + 1, node.end_lineno + 1)
    }
    start = function.lineno
    if ast.get_docstring(function) is not None:
        start = function.body[0].end_lineno or start
    return [
        line if number in inside else line.removeprefix("    ")
        for number, line in enumerate(lines[: function.end_lineno], 1)
        if number > start
    ]


def _uses_asyncio(code: str) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == "asyncio" for node in ast.walk(ast.parse(code))
    )
