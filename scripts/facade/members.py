"""Turns the members of an async class into those of its blocking twin."""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from facade import docs
from facade.layout import (
    FUNCTIONS,
    attribute_docs,
    every_argument,
    forwarded,
    indented,
    is_docstring,
    is_generator,
    names_in,
    own_attribute,
    quoted,
)
from facade.rules import at
from facade.source import Name, is_public

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facade.colours import Colours
    from facade.layout import Function

#: Special methods that every facade has already, or that another rule looks at.
_SKIPPED = {"__repr__", "__del__", "__eq__", "__hash__", "__await__"}
_RENAMED = {"__aexit__": "__exit__", "__aiter__": "__iter__", "aclose": "close"}
_DECORATORS = {"property", "overload", "asynccontextmanager"}
_ENTER = (
    "def __enter__(self) -> Self:\n    _ = _portal.run(self._aio.__aenter__())\n    return self"
)


@dataclass
class Members:
    """Writes the members of one class.

    Attributes:
        kind: The async class.
        colours: The annotations of its module.
        words: What docstrings say in place of a word.
        made: What the constructor sets; that of the class itself, where this is one of its bases.
    """

    kind: ast.ClassDef
    colours: Colours
    words: dict[str, str]
    made: set[str]

    def write(self) -> Iterator[str]:
        """Yield the blocking form of each public member."""
        for node in self.kind.body:
            if isinstance(node, FUNCTIONS):
                yield from self._function(node)
            elif isinstance(node, ast.Assign):
                yield from self._alias(node)
            elif not (is_docstring(node) or self._declares(node)):
                raise at(self._path, node, "no rule for this in the class of a resource")

    def _declares(self, node: ast.stmt) -> bool:
        """Whether it only says of what type something is that the constructor sets."""
        if not isinstance(node, ast.AnnAssign) or node.value is not None:
            return False
        return ast.unparse(node.target) in self.made

    @property
    def _path(self) -> str:
        return self.colours.module.path

    def doc(self, node: ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef) -> str:
        """Return the docstring of a definition, turned and quoted, or nothing."""
        text = ast.get_docstring(node)
        return quoted(docs.turn(text, self.words)) if text else ""

    def _function(self, node: Function) -> Iterator[str]:
        name = node.name
        if name in _SKIPPED or (name.startswith("_") and not name.startswith("__")):
            return
        if name == "__init__":
            yield from self._attributes(node)
            yield from self._constructor(node)
        elif name == "__aenter__":
            self.colours.uses.note("client context")
            self.colours.imports.typing["Self"] = Name("typing_extensions", "Self")
            yield _ENTER
        elif name.startswith("__") and name not in _RENAMED:
            raise at(self._path, node, f"no rule for {name}")
        else:
            yield self._decorated(node)

    def _decorated(self, node: Function) -> str:
        names = self._decorators(node)
        if "property" in names:
            return self._property(node)
        if "overload" in names:
            return self._overload(node)
        return self._method(node)

    def _decorators(self, node: Function) -> list[str]:
        """Return the decorators that mean something here; private ones are the library's own."""
        names: list[str] = []
        for decorator in node.decorator_list:
            call = decorator.func if isinstance(decorator, ast.Call) else decorator
            found = self.colours.find(call)
            if ast.unparse(decorator) in _DECORATORS:
                names.append(ast.unparse(decorator))
            elif found is None or is_public(found.module):
                raise at(self._path, node, f"no rule for @{ast.unparse(decorator)}")
        return names

    def _alias(self, node: ast.Assign) -> Iterator[str]:
        targets = [ast.unparse(target) for target in node.targets]
        if all(target.startswith("_") for target in targets):
            return
        if not isinstance(node.value, ast.Name):
            raise at(self._path, node, "only a second name of a member can be assigned here")
        self.colours.uses.note("alias")
        yield " = ".join([*targets, node.value.id])

    def _attributes(self, init: Function) -> Iterator[str]:
        parameters = {arg.arg: arg.annotation for arg in every_argument(init.args)}
        described = attribute_docs(ast.get_docstring(self.kind) or "")
        for node in init.body:
            name = own_attribute(node)
            if not name or name.startswith("_"):
                continue
            annotation = getattr(node, "annotation", None)
            value = getattr(node, "value", None)
            if annotation is None and isinstance(value, ast.Name):
                annotation = parameters.get(value.id)
            if annotation is None or name not in described:
                raise at(self._path, node, f"annotate {name}, and describe it under Attributes:")
            self.colours.uses.note("attribute")
            doc = quoted(docs.turn(described[name], self.words))
            yield self._read_only(name, annotation, doc)

    def _property(self, node: Function) -> str:
        self.colours.uses.note("property")
        return self._read_only(node.name, self._returns(node), self.doc(node))

    def _read_only(self, name: str, annotation: ast.expr, doc: str) -> str:
        load, code = self.colours.held(annotation)
        head = f"@property\ndef {name}(self) -> {self.colours.text(annotation)}:"
        return indented(head, doc, load, f"return {code(f'self._aio.{name}')}")

    def _constructor(self, node: Function) -> Iterator[str]:
        """Yield nothing for a class that only the library makes."""
        if any(self._is_internal(arg.annotation) for arg in every_argument(node.args)):
            return
        self.colours.uses.note("constructor")
        made = f"{self.kind.name}({self._forwarded(node)})"
        head = f"def __init__({self._signature(node)}) -> None:"
        yield indented(head, self.doc(node), f"super().__init__({made})")

    def _is_internal(self, annotation: ast.expr | None) -> bool:
        names = names_in(self.colours.expand(annotation)) if annotation else []
        found = [self.colours.find(name) for name in names]
        return any(name is not None and self.colours.source.face(name) is None for name in found)

    def _method(self, node: Function) -> str:
        returns = self._returns(node)
        call = f"{self._receiver(node, returns)}({self._forwarded(node)})"
        if isinstance(node, ast.AsyncFunctionDef) and not is_generator(node):
            self.colours.uses.note("async method")
            call = f"_portal.run({call})"
        else:
            self.colours.uses.note("iterated class" if "__" in node.name else "plain method")
        body = self.colours.result(returns)(call)
        name, shown = _RENAMED.get(node.name, node.name), self.colours.text(returns)
        head = f"def {name}({self._signature(node)}) -> {shown}:"
        return indented(head, self.doc(node), body if shown == "None" else f"return {body}")

    def _overload(self, node: Function) -> str:
        self.colours.uses.note("overload")
        self.colours.run_time(Name("typing", "overload"))
        shown = self.colours.text(self._returns(node))
        return f"@overload\ndef {node.name}({self._signature(node)}) -> {shown}: ..."

    def _receiver(self, node: Function, returns: ast.expr) -> str:
        """Return what is called; a type checker matches one body with none of many overloads."""
        if not self._is_overloaded(node.name):
            return f"self._aio.{node.name}"
        for name in ("Callable", "Coroutine"):
            self.colours.imports.typing[name] = Name("collections.abc", name)
        self.colours.imports.typing["Any"] = Name("typing", "Any")
        self.colours.run_time(Name("typing", "cast"))
        kind = f"Callable[..., Coroutine[Any, Any, {self.colours.text(returns)}]]"
        return f'cast("{kind}", self._aio.{node.name})'

    def _is_overloaded(self, name: str) -> bool:
        return any(
            isinstance(node, FUNCTIONS)
            and node.name == name
            and "overload" in self._decorators(node)
            for node in self.kind.body
        )

    def _returns(self, node: Function) -> ast.expr:
        if node.returns is None:
            raise at(self._path, node, f"annotate what {node.name} returns")
        decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
        if "asynccontextmanager" in decorators and isinstance(node.returns, ast.Subscript):
            manager = ast.Name("AbstractAsyncContextManager")
            return ast.Subscript(manager, node.returns.slice)
        return node.returns

    def _signature(self, node: Function) -> str:
        arguments = copy.deepcopy(node.args)
        for arg in every_argument(arguments)[1:]:
            arg.annotation = self.colours.turn(self._annotation(arg))
        arguments.defaults = [self._default(default) for default in arguments.defaults]
        arguments.kw_defaults = [
            default and self._default(default) for default in arguments.kw_defaults
        ]
        return ast.unparse(arguments)

    def _annotation(self, arg: ast.arg) -> ast.expr:
        if arg.annotation is None:
            raise at(self._path, arg, f"annotate {arg.arg}")
        return arg.annotation

    def _default(self, default: ast.expr) -> ast.expr:
        """Return a default, imported if users may import it, else as the constant that it is."""
        for part in names_in(default):
            name = self.colours.find(part) if isinstance(part, ast.Name) else None
            face = name and self.colours.source.face(name)
            if name is None:
                continue
            if face is not None and not face.attr.startswith("_"):
                self.colours.run_time(face)
                continue
            value = getattr(self.colours.source.definition(name), "value", None)
            if part is not default or not isinstance(value, ast.Constant):
                raise at(self._path, default, f"the default {ast.unparse(default)} is private")
            return value
        return default

    def _forwarded(self, node: Function) -> str:
        codes = {
            arg.arg: self.colours.argument(self._annotation(arg))(arg.arg)
            for arg in every_argument(node.args)[1:]
        }
        return forwarded(node.args, codes)
