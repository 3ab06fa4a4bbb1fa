"""Blocking classes: the members of an async class, each in its blocking form."""

from __future__ import annotations

import ast
import copy
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from facade import docstrings
from facade.annotations import blocking_name
from facade.conversions import argument_conversion, part_conversion, result_conversion
from facade.docstrings import quote
from facade.rules import SourceError, error_at
from facade.source import Name, is_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facade.annotations import Annotations

Function = ast.FunctionDef | ast.AsyncFunctionDef

#: Special methods that `Facade` has already, or that another rule reads.
_SKIPPED = {"__repr__", "__del__", "__eq__", "__hash__", "__await__"}
_RENAMED = {"__aexit__": "__exit__", "__aiter__": "__iter__", "aclose": "close"}
_DECORATORS = {"property", "overload", "asynccontextmanager"}
# Public, but their work is done when the asynchronous method returns.
_ASYNC_ONLY = {"returns_result"}
_COROUTINE = "AwaitableCoroutine"
_ENTER = (
    "def __enter__(self) -> Self:\n    _ = _portal.run(self._aio.__aenter__())\n    return self"
)
_RESULT = """\
if not hasattr(self, "_awaited"):
    self._awaited = {value}
return self._awaited"""


def write_class(node: ast.ClassDef, annotations: Annotations, words: dict[str, str]) -> str:
    """Return the source text of the blocking class of an async one.

    Args:
        node: The async class.
        annotations: The annotations of its module.
        words: Replacements in docstrings.

    Raises:
        SourceError: A base or a member has no rule.
    """
    for base in node.bases:
        if not ast.unparse(base).startswith(f"{_COROUTINE}["):
            path = annotations.module.path
            raise error_at(path, base, f"no rule for the base {ast.unparse(base)}")
        annotations.rules.add("coroutine base")
    annotations.use(Name(annotations.module.name, node.name))
    members = [*AwaitedMembers(node, annotations, words).write()]
    slots = '"_awaited",' if members else ""
    members += Members(node, annotations, words, _set_by_constructor(node)).write()
    return block(
        f"class {blocking_name(node.name)}(_facade.Facade[{node.name}]):",
        _doc(node, words),
        f"\n\n__slots__ = ({slots})",
        *(f"\n\n{member}" for member in members),
    )


@dataclass
class Members:
    """The members of one async class.

    Attributes:
        node: The class.
        annotations: The annotations of its module.
        words: Replacements in docstrings.
        set_by_constructor: The attributes that the constructor sets.
    """

    node: ast.ClassDef
    annotations: Annotations
    words: dict[str, str]
    set_by_constructor: set[str]

    def write(self) -> Iterator[str]:
        """Yield the blocking form of each public member."""
        for node in self.node.body:
            if isinstance(node, Function):
                yield from self._function(node)
            elif isinstance(node, ast.Assign):
                yield from self._alias(node)
            elif not (_is_docstring(node) or self._is_declaration(node)):
                raise self._error(node, "no rule for this statement in an async class")

    def _is_declaration(self, node: ast.stmt) -> bool:
        """Whether a statement only declares the type of an attribute that the constructor sets."""
        if not isinstance(node, ast.AnnAssign) or node.value is not None:
            return False
        return ast.unparse(node.target) in self.set_by_constructor

    def _function(self, node: Function) -> Iterator[str]:
        name = node.name
        if name in _SKIPPED or (name.startswith("_") and not name.startswith("__")):
            return
        if name == "__init__":
            yield from self._attributes(node)
            yield from self._constructor(node)
        elif name == "__aenter__":
            self.annotations.rules.add("client context")
            self.annotations.imports.typing["Self"] = Name("typing_extensions", "Self")
            yield _ENTER
        elif name.startswith("__") and name not in _RENAMED:
            raise self._error(node, f"no rule for {name}")
        else:
            yield self._decorated(node)

    def _decorated(self, node: Function) -> str:
        decorators = self._decorators(node)
        if "property" in decorators:
            self.annotations.rules.add("property")
            return self._property(node.name, self._returns(node), _doc(node, self.words))
        if "overload" in decorators:
            return self._overload(node)
        return self._method(node)

    def _decorators(self, node: Function) -> list[str]:
        """Return the decorators that change the form; private ones concern the async side only."""
        names: list[str] = []
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            found = self.annotations.find(call)
            if ast.unparse(decorator) in _DECORATORS:
                names.append(ast.unparse(decorator))
            elif ast.unparse(call) not in _ASYNC_ONLY and (
                found is None or is_public(found.module)
            ):
                raise self._error(node, f"no rule for @{ast.unparse(decorator)}")
        return names

    def _alias(self, node: ast.Assign) -> Iterator[str]:
        targets = [ast.unparse(target) for target in node.targets]
        if all(target.startswith("_") for target in targets):
            return
        if not isinstance(node.value, ast.Name):
            raise self._error(node, "only a second name of a member can be assigned here")
        self.annotations.rules.add("alias")
        held = self.annotations.async_class(node.value)
        value = _RENAMED.get(node.value.id, node.value.id)
        if held:
            value = self.annotations.use(self.annotations.blocking_class(held))
        # `close = aclose` has only one name here.
        if others := [target for target in targets if target != value]:
            yield " = ".join([*others, value])

    def _attributes(self, init: Function) -> Iterator[str]:
        parameters = {arg.arg: arg.annotation for arg in _parameters(init.args)}
        described = docstrings.attributes(ast.get_docstring(self.node) or "")
        for node in init.body:
            name = _own_attribute(node)
            if not name or name.startswith("_"):
                continue
            annotation = getattr(node, "annotation", None)
            value = getattr(node, "value", None)
            if annotation is None and isinstance(value, ast.Name):
                annotation = parameters.get(value.id)
            if annotation is None or name not in described:
                raise self._error(node, f"annotate {name}, and describe it under Attributes:")
            self.annotations.rules.add("attribute")
            doc = quote(docstrings.to_blocking(described[name], self.words))
            yield self._property(name, annotation, doc)

    def _property(self, name: str, annotation: ast.expr, doc: str) -> str:
        load, conversion = part_conversion(self.annotations, annotation)
        head = f"@property\ndef {name}(self) -> {self.annotations.text(annotation)}:"
        return block(head, doc, load, f"return {conversion(f'self._aio.{name}')}")

    def _constructor(self, node: Function) -> Iterator[str]:
        """Yield the constructor, unless only the library creates such objects."""
        if any(self._is_internal(arg.annotation) for arg in _parameters(node.args)):
            return
        self.annotations.rules.add("constructor")
        created = f"{self.node.name}({self._arguments(node)})"
        head = f"def __init__({self._signature(node)}) -> None:"
        yield block(head, _doc(node, self.words), f"super().__init__({created})")

    def _is_internal(self, annotation: ast.expr | None) -> bool:
        names = _names_in(self.annotations.expand(annotation)) if annotation else []
        found = [self.annotations.find(name) for name in names]
        return any(name and self.annotations.source.public_home(name) is None for name in found)

    def _method(self, node: Function) -> str:
        returns = self._returns(node)
        call = f"{self._callee(node, returns)}({self._arguments(node)})"
        if isinstance(node, ast.AsyncFunctionDef) and not _is_generator(node):
            self.annotations.rules.add("async method")
            call = f"_portal.run({call})"
        elif _returns_awaitable(node):
            self.annotations.rules.add("awaitable method")
            call = f"_portal.run(_facade.awaited(lambda: {call}))"
            assert isinstance(returns, ast.Subscript)
            returns = returns.slice
        else:
            self.annotations.rules.add("iterable class" if "__" in node.name else "plain method")
        body = result_conversion(self.annotations, returns)(call)
        name, shown = _RENAMED.get(node.name, node.name), self.annotations.text(returns)
        head = f"def {name}({self._signature(node)}) -> {shown}:"
        return block(head, _doc(node, self.words), body if shown == "None" else f"return {body}")

    def _overload(self, node: Function) -> str:
        self.annotations.rules.add("overload")
        self.annotations.use(Name("typing", "overload"))
        shown = self.annotations.text(self._returns(node))
        return f"@overload\ndef {node.name}({self._signature(node)}) -> {shown}: ..."

    def _callee(self, node: Function, returns: ast.expr) -> str:
        """Return the code of the method to call.

        A type checker cannot match one body with several overloads, hence the cast.
        """
        if not self._is_overloaded(node.name):
            return f"self._aio.{node.name}"
        for name in ("Callable", "Coroutine"):
            self.annotations.imports.typing[name] = Name("collections.abc", name)
        self.annotations.imports.typing["Any"] = Name("typing", "Any")
        self.annotations.use(Name("typing", "cast"))
        method_type = f"Callable[..., Coroutine[Any, Any, {self.annotations.text(returns)}]]"
        return f'cast("{method_type}", self._aio.{node.name})'

    def _is_overloaded(self, name: str) -> bool:
        return any(
            isinstance(node, Function)
            and node.name == name
            and "overload" in self._decorators(node)
            for node in self.node.body
        )

    def _returns(self, node: Function) -> ast.expr:
        if node.returns is None:
            raise self._error(node, f"annotate what {node.name} returns")
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if "asynccontextmanager" in decorators and isinstance(node.returns, ast.Subscript):
            manager = ast.Name("AbstractAsyncContextManager")
            return ast.Subscript(manager, node.returns.slice)
        return node.returns

    def _signature(self, node: Function) -> str:
        arguments = copy.deepcopy(node.args)
        for arg in _parameters(arguments)[1:]:
            arg.annotation = self.annotations.to_blocking(self._annotation(arg))
        arguments.defaults = [self._default(default) for default in arguments.defaults]
        arguments.kw_defaults = [
            default and self._default(default) for default in arguments.kw_defaults
        ]
        return ast.unparse(arguments)

    def _annotation(self, arg: ast.arg) -> ast.expr:
        if arg.annotation is None:
            raise self._error(arg, f"annotate {arg.arg}")
        return arg.annotation

    def _default(self, default: ast.expr) -> ast.expr:
        """Return a default: a public name is imported, a private constant becomes its value."""
        for part in _names_in(default):
            name = self.annotations.find(part) if isinstance(part, ast.Name) else None
            if name is None:
                continue
            home = self.annotations.source.public_home(name)
            if home is not None and not home.attr.startswith("_"):
                self.annotations.use(home)
                continue
            value = getattr(self.annotations.source.definition(name), "value", None)
            if part is not default or not isinstance(value, ast.Constant):
                raise self._error(default, f"the default {ast.unparse(default)} is private")
            return value
        return default

    def _arguments(self, node: Function) -> str:
        """Return the arguments of a call that passes every parameter on, except `self`."""
        codes = {
            arg.arg: argument_conversion(self.annotations, self._annotation(arg))(arg.arg)
            for arg in _parameters(node.args)[1:]
        }
        positional = [*node.args.posonlyargs, *node.args.args][1:]
        parts = [codes[arg.arg] for arg in positional]
        if node.args.vararg:
            parts.append(f"*{node.args.vararg.arg}")
        parts += [f"{arg.arg}={codes[arg.arg]}" for arg in node.args.kwonlyargs]
        if node.args.kwarg:
            parts.append(f"**{node.args.kwarg.arg}")
        return ", ".join(parts)

    def _error(self, node: ast.AST, message: str) -> SourceError:
        return error_at(self.annotations.module.path, node, message)


@dataclass
class AwaitedMembers:
    """The members that a blocking class takes over from the result of awaiting the async object.

    A blocking program cannot write ``await``. The first use of any of these members awaits the
    object; then they show the fields, properties and methods without arguments of the result.

    Attributes:
        node: The async class.
        annotations: The annotations of its module.
        words: Replacements in docstrings.
    """

    node: ast.ClassDef
    annotations: Annotations
    words: dict[str, str]

    def write(self) -> Iterator[str]:
        """Yield the members; none for a class without ``__await__``."""
        returns = next(filter(None, map(_await_returns, self.node.body)), None)
        if returns is None:
            return
        if not isinstance(returns, ast.Subscript) or not isinstance(returns.slice, ast.Tuple):
            path = self.annotations.module.path
            raise error_at(path, self.node, "__await__ must return Generator[Any, Any, Value]")
        self.annotations.rules.add("awaitable class")
        result = returns.slice.elts[-1]
        shown = self.annotations.text(result)
        conversion = result_conversion(self.annotations, result)
        value = conversion("_portal.run(_facade.as_coroutine(self._aio))")
        yield f"_awaited: {shown}"
        yield block(f"def _result(self) -> {shown}:", _RESULT.format(value=value))
        own = {node.name for node in self.node.body if isinstance(node, Function)}
        members = dict(self._members(result, self.annotations))
        yield from (text for name, text in members.items() if name not in own)

    def _members(self, result: ast.expr, annotations: Annotations) -> Iterator[tuple[str, str]]:
        """Yield the name and the text of each public member of a value class, bases first."""
        owner = result.value if isinstance(result, ast.Subscript) else result
        name = annotations.find(owner)
        node = annotations.source.definition(name) if name else None
        if name is None or not isinstance(node, ast.ClassDef):
            return
        arguments = [annotations.to_blocking(part) for part in _type_arguments(result)]
        there = replace(
            annotations,
            module=annotations.source.modules[name.module],
            type_arguments=dict(zip(_type_parameters(node), arguments, strict=True)),
        )
        for base in node.bases:
            yield from self._members(base, there)
        described = docstrings.attributes(ast.get_docstring(node) or "")
        for statement in node.body:
            yield from self._member(statement, there, described)

    def _member(
        self, node: ast.stmt, annotations: Annotations, described: dict[str, str]
    ) -> Iterator[tuple[str, str]]:
        if isinstance(node, ast.AnnAssign) and not ast.unparse(node.target).startswith("_"):
            name = ast.unparse(node.target)
            doc = quote(docstrings.to_blocking(described.get(name, ""), self.words))
            head = f"@property\ndef {name}(self) -> {annotations.text(node.annotation)}:"
            yield name, block(head, doc, f"return self._result().{name}")
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            # A second name of a member.
            name = ast.unparse(node.targets[0])
            yield name, f"{name} = {node.value.id}"
        elif isinstance(node, ast.FunctionDef) and node.name == "__bool__":
            yield node.name, "def __bool__(self) -> bool:\n    return bool(self._result())"
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.returns:
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            if decorators not in ([], ["property"]) or len(_parameters(node.args)) > 1:
                return
            decorator, call = ("@property\n", "") if decorators else ("", "()")
            head = f"{decorator}def {node.name}(self) -> {annotations.text(node.returns)}:"
            body = f"return self._result().{node.name}{call}"
            yield node.name, block(head, _doc(node, self.words), body)


def _await_returns(node: ast.stmt) -> ast.expr | None:
    is_await = isinstance(node, ast.FunctionDef) and node.name == "__await__"
    return node.returns if is_await and isinstance(node, ast.FunctionDef) else None


def _type_arguments(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]


def _type_parameters(node: ast.ClassDef) -> list[str]:
    """Return the type variables of a class, which it must list with ``Generic[...]``."""
    for base in node.bases:
        if isinstance(base, ast.Subscript) and ast.unparse(base.value) == "Generic":
            return [ast.unparse(part) for part in _type_arguments(base)]
    return []


def _doc(node: Function | ast.ClassDef, words: dict[str, str]) -> str:
    """Return the converted docstring of a definition as source text, or an empty string."""
    text = ast.get_docstring(node)
    return quote(docstrings.to_blocking(text, words)) if text else ""


def block(head: str, *parts: str) -> str:
    """Return the source text of a compound statement; empty parts are left out."""
    return "\n".join([head, *(textwrap.indent(part, "    ") for part in parts if part)])


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    """Return all parameters, `self` first, in the order of the signature."""
    return [
        *arguments.posonlyargs,
        *arguments.args,
        *filter(None, [arguments.vararg]),
        *arguments.kwonlyargs,
        *filter(None, [arguments.kwarg]),
    ]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _returns_awaitable(node: Function) -> bool:
    """Whether a plain method starts something, and returns what may be awaited."""
    return isinstance(node.returns, ast.Subscript) and ast.unparse(node.returns.value) == (
        "Awaitable"
    )


def _is_generator(node: Function) -> bool:
    """Whether a function itself contains ``yield``; functions inside it do not count."""
    return any(isinstance(part, ast.Yield | ast.YieldFrom) for part in _own_nodes(node))


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


def _names_in(node: ast.expr) -> list[ast.expr]:
    return [part for part in ast.walk(node) if isinstance(part, ast.Name | ast.Attribute)]


def _own_attribute(node: ast.stmt) -> str:
    """Return the name that ``self.name = ...`` sets, or an empty string."""
    target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    is_own = isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    return target.attr if is_own and isinstance(target, ast.Attribute) else ""


def _set_by_constructor(node: ast.ClassDef) -> set[str]:
    constructors = [
        part for part in node.body if isinstance(part, Function) and part.name == "__init__"
    ]
    return {_own_attribute(line) for function in constructors for line in function.body}
