"""The lines of a program for the official client that would behave otherwise with this library.

Nothing of the program is run, except that values which it writes out are made, to learn whether
this library accepts them.
"""

from __future__ import annotations

import ast
import json
from fnmatch import fnmatchcase
from functools import cache
from importlib import import_module, resources
from importlib.util import find_spec
from inspect import Parameter, getattr_static, signature
from typing import TYPE_CHECKING, Any

import attrs

import agentbay
from agentbay import AgentBayError, Result, Session, SessionId, UsageError
from agentbay_cli.migrate.inference import (
    Function,
    Instance,
    Method,
    Type,
    Types,
    element,
    exported,
    member,
    names_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "check"]

_PACKAGES = ("agentbay",)

#: Whether the result of a name succeeded.
Facts = dict[str, bool]


@attrs.frozen(order=True)
class Finding:
    """A place of a program that would behave otherwise.

    Attributes:
        line: Its line, from 1.
        column: Its column, from 1.
        message: What would be otherwise, and what to write instead.
    """

    line: int
    column: int
    message: str


def check(source: str | bytes) -> list[Finding]:
    """Return what would behave otherwise in a program, in the order of its lines.

    Raises:
        SyntaxError: It is no Python of the version that runs this.

    Example:
        >>> program = '''
        ... from agentbay import AgentBay
        ... result = AgentBay().get("s-1")
        ... if result.session is None:
        ...     print("gone")
        ... '''
        >>> [finding.line for finding in check(program)]
        [4]
    """
    checker = _Checker()
    checker.visit(ast.parse(source))
    return sorted(checker.found)


class _Checker(ast.NodeVisitor):
    """Follows the types of names, and which results are known to have succeeded or failed."""

    def __init__(self) -> None:
        self.types = Types()
        #: Whether the result of a name succeeded, where a test before tells it.
        self.facts: Facts = {}
        #: Names that hold the value of a result which nobody tested, and where they got it.
        self.untested: dict[str, ast.Attribute] = {}
        self.found: set[Finding] = set()

    def note(self, node: ast.expr | ast.stmt, message: str) -> None:
        """Add a finding at a node."""
        self.found.add(Finding(node.lineno, node.col_offset + 1, message))

    # Names of the program.

    def visit_Import(self, node: ast.Import) -> None:
        """Remember the package; name what a module of the official client is here."""
        for alias in node.names:
            if alias.name in _PACKAGES:
                self.types.names[alias.asname or alias.name] = agentbay
            elif alias.name.split(".")[0] in _PACKAGES and not _is_module(alias.name):
                self.note(node, f"there is no module `{alias.name}`; import names from `agentbay`")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Remember classes; name what is not here."""
        if node.level or (node.module or "").split(".")[0] not in _PACKAGES:
            return
        for alias in node.names:
            known = member(agentbay, alias.name)
            self.types.names[alias.asname or alias.name] = known
            self._check_import(node, node.module or "", alias.name)

    def _check_import(self, node: ast.ImportFrom, module: str, name: str) -> None:
        if name == "*" or (_is_module(module) and hasattr(import_module(module), name)):
            return
        missing = "" if exported(name) else _explain([name])
        if missing:
            self.note(node, missing)
        elif not _is_module(module):
            cure = f"`from agentbay import {name}`" if exported(name) else "names of `agentbay`"
            self.note(node, f"there is no module `{module}`; write {cure}")

    def visit_Assign(self, node: ast.Assign) -> None:
        """Give the targets the type of the value."""
        self.visit(node.value)
        for target in node.targets:
            self._bind(target, self.types.of(node.value), node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Give the target the type of the value, or else that of the annotation."""
        if node.value:
            self.visit(node.value)
        known = self.types.of(node.value) if node.value else None
        self._bind(node.target, known or self.types.annotated(node.annotation), node.value)

    def _bind(self, target: ast.expr, known: Type, value: ast.expr | None = None) -> None:
        if isinstance(target, (ast.Tuple, ast.List)):
            for part in target.elts:
                self._bind(part, None)
            return
        name = ast.unparse(target)
        self.types.names[name] = known
        self.facts.pop(name, None)
        self.untested.pop(name, None)
        if isinstance(value, ast.Attribute) and self._is_untested(value):
            self.untested[name] = value

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """Give the target the type of an element."""
        self.visit(node.iter)
        self._bind(node.target, element(self.types.of(node.iter)))
        self._block([*node.body])
        self._block(node.orelse)

    visit_AsyncFor = visit_For  # noqa: N815  # NodeVisitor calls it so

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        for part in node.generators:
            self.visit(part.iter)
            self._bind(part.target, element(self.types.of(part.iter)))
            for test in part.ifs:
                self._test(test)
        self.visit(node.elt)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = _comprehension  # noqa: N815  # NodeVisitor calls it so

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        """Give the names of a block what entering returns."""
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars:
                self._bind(item.optional_vars, self.types.of(item.context_expr))
        self._block(node.body)

    visit_AsyncWith = visit_With  # noqa: N815  # NodeVisitor calls it so

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Read the constructor first: it tells what `self` holds."""
        for part in sorted(node.body, key=lambda one: getattr(one, "name", "") != "__init__"):
            self.visit(part)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function with names of its own; what it gives `self` stays known."""
        self.types.names[node.name] = Function(self.types.annotated(node.returns))
        outer, facts, untested = dict(self.types.names), self.facts, self.untested
        self.facts, self.untested = {}, {}
        given = node.args
        for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
            self.types.names[argument.arg] = self.types.annotated(argument.annotation)
        for part in node.body:
            self.visit(part)
        fields = {name: one for name, one in self.types.names.items() if name.startswith("self.")}
        self.types.names = {**outer, **fields}
        self.facts, self.untested = facts, untested

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # NodeVisitor calls it so

    # What is known of a result.

    def _facts(self, test: ast.expr) -> tuple[Facts, Facts]:
        """Return what is known if a test is true, and if it is false."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self._facts(test.operand)[::-1]
        if isinstance(test, ast.BoolOp):
            sides = [self._facts(part) for part in test.values]
            is_and = isinstance(test.op, ast.And)
            all_of = {key: fact for side in sides for key, fact in side[not is_and].items()}
            return (all_of, {}) if is_and else ({}, all_of)
        if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.Is, ast.Eq)):
            pair, other = self._facts(test.left), ast.unparse(test.comparators[0])
            return {"True": pair, "False": pair[::-1]}.get(other, ({}, {}))
        return self._fact(test)

    def _fact(self, test: ast.expr) -> tuple[Facts, Facts]:
        """Return the same of a test that is a name or an attribute."""
        attribute = test.attr if isinstance(test, ast.Attribute) else ""
        holder = test.value if isinstance(test, ast.Attribute) else test
        if not _is_result(self.types.of(holder)):
            return {}, {}
        name = ast.unparse(holder)
        if attribute in ("", "success"):
            return {name: True}, {name: False}
        told = attribute in ("error", "error_message")
        return ({name: False}, {name: True}) if told else ({}, {})

    def _block(self, statements: Iterable[ast.stmt], more: Facts | None = None) -> None:
        """Read statements that run if `more` is true."""
        before = dict(self.facts)
        self.facts = {**before, **(more or {})}
        for part in statements:
            self.visit(part)
        # What the block has bound anew, or learned of, holds within it only.
        self.facts = {key: fact for key, fact in before.items() if self.facts.get(key) == fact}

    def visit_If(self, node: ast.If) -> None:
        """Read both branches with what the test tells."""
        self._test(node.test)
        if_true, if_false = self._facts(node.test)
        self._block(node.body, if_true)
        self._block(node.orelse, if_false)
        if _ends(node.body):
            self.facts.update(if_false)
        if node.orelse and _ends(node.orelse):
            self.facts.update(if_true)

    def visit_While(self, node: ast.While) -> None:
        """Read the body with what the test tells."""
        self._test(node.test)
        self._block(node.body, self._facts(node.test)[0])
        self._block(node.orelse)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Read both values with what the test tells."""
        self._test(node.test)
        before = dict(self.facts)
        for value, more in zip((node.body, node.orelse), self._facts(node.test), strict=True):
            self.facts = {**before, **more}
            self.visit(value)
        self.facts = before

    def visit_Assert(self, node: ast.Assert) -> None:
        """Read what follows with what the test tells."""
        self._test(node.test)
        self.facts.update(self._facts(node.test)[0])

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Read each operand with what those before it tell."""
        self._test(node)

    def _test(self, node: ast.expr) -> None:
        """Read an expression of which only the truth matters."""
        if isinstance(node, ast.BoolOp):
            before = dict(self.facts)
            for part in node.values:
                self._test(part)
                self.facts.update(self._facts(part)[isinstance(node.op, ast.Or)])
            self.facts = before
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            self._test(node.operand)
        elif isinstance(node, ast.Compare) and _is_none(node.comparators[0]):
            self._test(node.left)
        else:
            self._truth(node)

    def _truth(self, node: ast.expr) -> None:
        """Read an operand of a test, or of a comparison with None."""
        origin = self.untested.get(ast.unparse(node))
        if origin is not None:
            self.note(
                origin,
                f"`{_shown(origin)}` of a failed result raises its error, so that line"
                f" {node.lineno} never sees None; test `{_shown(origin.value)}.success`",
            )
        if isinstance(node, ast.Attribute) and self._is_untested(node):
            self.visit(node.value)
            shown = _shown(node.value)
            self.note(
                node,
                f"`{shown}.{node.attr}` of a failed result raises its error and is never None;"
                f" test `{shown}.success`",
            )
        else:
            self.visit(node)

    def _is_untested(self, node: ast.Attribute) -> bool:
        """Whether this is the value of a result that may have failed."""
        known = self.types.of(node.value)
        raises = isinstance(known, Instance) and _raises(known.kind, node.attr)
        return raises and not self.facts.get(ast.unparse(node.value), False)

    # Names and values of this library.

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Name values that are read after a failure, and names that are not here."""
        self.visit(node.value)
        known = self.types.of(node.value)
        shown = ast.unparse(node.value)
        if isinstance(known, Instance):
            if _raises(known.kind, node.attr) and self.facts.get(shown) is False:
                self.note(
                    node,
                    f"`{shown}.{node.attr}` of a failed result raises its error;"
                    f" read `{shown}.error_message`",
                )
            self._check_member(node, known.kind)

    def _check_member(self, node: ast.Attribute, kind: type) -> None:
        names = names_of(kind)
        for name in names:
            if ours := _table()["deprecated"].get(f"{name}.{node.attr}"):
                self.note(node, f"`{node.attr}` is deprecated and warns; write `{ours}`")
                return
        if member(Instance(kind), node.attr) is None and not hasattr(kind, node.attr):
            missing = _explain([f"{name}.{node.attr}" for name in names])
            if missing:
                self.note(node, missing)

    def visit_Call(self, node: ast.Call) -> None:
        """Name parameters that are not here, and values that are refused."""
        self.generic_visit(node)
        known = self.types.of(node.func)
        if isinstance(known, (Method, type)):
            self._check_keywords(node, known)
        if isinstance(known, type) and attrs.has(known):
            self._check_value(node)
        if ast.unparse(node.func) == "isinstance" and len(node.args) == 2:
            self._check_isinstance(node, *node.args)

    def _check_keywords(self, node: ast.Call, known: Method | type) -> None:
        function = known.function if isinstance(known, Method) else known
        given = _parameters(function)
        if given is None:
            return
        if isinstance(known, Method):
            places = [f"{name}.{known.name}" for name in names_of(known.owner.kind)]
        else:
            places = names_of(known)
        for keyword in node.keywords:
            if keyword.arg and keyword.arg not in given:
                missing = _explain([f"{place}({keyword.arg})" for place in places])
                if missing:
                    self.note(keyword.value, missing)

    def _check_value(self, node: ast.Call) -> None:
        try:
            self._made(node)
        except UsageError as error:
            self.note(node, f"this raises before anything is sent: {error}")
        except Exception:
            # A call that fails in another way is a mistake for the official client, too.
            return

    def _made(self, node: ast.expr) -> Any:
        """Return what an expression of constants and values of this library stands for.

        Raises:
            ValueError: It is another kind of expression.
        """
        known = self.types.of(node.func) if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(known, type) and attrs.has(known):
            if any(keyword.arg is None for keyword in node.keywords):
                raise ValueError("keywords that are not written out")
            keywords = {str(one.arg): self._made(one.value) for one in node.keywords}
            return known(*map(self._made, node.args), **keywords)
        if isinstance(node, (ast.List, ast.Tuple)):
            return [self._made(part) for part in node.elts]
        if isinstance(node, ast.Attribute):
            kind = self.types.of(node.value)
            if isinstance(kind, type):
                return getattr(kind, node.attr)
        return ast.literal_eval(node)

    def _check_isinstance(self, node: ast.Call, value: ast.expr, kind: ast.expr) -> None:
        known = self.types.of(value)
        is_id = isinstance(known, Instance) and known.kind is SessionId
        if is_id and ast.unparse(kind) == "dict":
            shown = ast.unparse(value)
            self.note(node, f"`{shown}` is a text, which also answers to `{shown}['sessionId']`")

    def visit_Expr(self, node: ast.Expr) -> None:
        """Name a delete that may be refused, where nobody looks at its result."""
        self.visit(node.value)
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        known = self.types.of(call.func) if isinstance(call, ast.Call) else None
        if not (isinstance(call, ast.Call) and isinstance(known, Method)):
            return
        is_delete = known.name == "delete" and known.owner.kind in (agentbay.AgentBay, Session)
        if is_delete and any(
            one.arg == "sync_context" and ast.unparse(one.value) == "True" for one in call.keywords
        ):
            self.note(
                node,
                "a session whose files could not be saved is not deleted; look at the result, or"
                " pass `force=True`",
            )


def _shown(node: ast.expr) -> str:
    """Return the text of an expression, with `...` for what is passed in a call."""
    if isinstance(node, ast.Await):
        return _shown(node.value)
    if isinstance(node, ast.Attribute):
        return f"{_shown(node.value)}.{node.attr}"
    return f"{_shown(node.func)}(...)" if isinstance(node, ast.Call) else ast.unparse(node)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _ends(statements: list[ast.stmt]) -> bool:
    """Whether what follows a block does not run after it."""
    return isinstance(statements[-1], (ast.Return, ast.Raise, ast.Continue, ast.Break)) or (
        isinstance(statements[-1], ast.Expr)
        and ast.unparse(statements[-1].value).startswith(("sys.exit(", "exit(", "pytest.fail("))
    )


def _is_result(known: Type) -> bool:
    return isinstance(known, Instance) and issubclass(known.kind, Result)


@cache
def _raises(kind: type, name: str) -> bool:
    """Whether an attribute of a failed result always raises its error."""
    if not issubclass(kind, Result):
        return False
    if getattr_static(kind, "failed") is not getattr_static(Result, "failed"):
        # Such a result may have a value although it failed, as that of a command has.
        return False
    try:
        getattr(kind.failed(AgentBayError("a failure")), name)
    except AgentBayError:
        return True
    except AttributeError:
        return False
    return False


@cache
def _parameters(function: Any) -> frozenset[str] | None:
    """Return the names of parameters; ``None`` if a function takes any."""
    try:
        given = signature(function).parameters
    except (TypeError, ValueError):
        return None
    takes_any = any(one.kind is Parameter.VAR_KEYWORD for one in given.values())
    return None if takes_any else frozenset(given)


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _explain(names: Iterable[str]) -> str:
    """Return what the table says of a name that is not here, or an empty text."""
    for name in names:
        for pattern, why in _table()["missing"].items():
            if name == pattern or ("*" in pattern and fnmatchcase(name, pattern)):
                return f"`{name}` is not here. {why}"
    return ""


@cache
def _table() -> dict[str, dict[str, str]]:
    """Return the names that scripts/official_names.py writes, from the tables of the project."""
    text = (
        resources.files("agentbay_cli.migrate").joinpath("official_names.json").read_text("utf-8")
    )
    table: dict[str, dict[str, str]] = json.loads(text)
    return table
