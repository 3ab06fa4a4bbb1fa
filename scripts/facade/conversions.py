"""Code that converts values between the async and the blocking form.

The annotation alone decides, when the code is generated: nothing inspects values at run time. Each
conversion maps the source text of a value to the source text of the converted value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING

from facade.annotations import (
    CONTEXT_MANAGERS,
    ITERATORS,
    is_async_iterable,
    is_callable,
    last_name,
    union_members,
)
from facade.rules import SourceError, error_at
from facade.source import Name

if TYPE_CHECKING:
    from facade.annotations import Annotations

Conversion = Callable[[str], str]


def result_conversion(annotations: Annotations, annotation: ast.expr) -> Conversion:
    """Return the conversion of a returned value to the blocking form."""
    node = annotations.expand(annotation)
    name = annotations.async_class(node)
    if name:
        annotations.rules.add("result of an async class")
        blocking = annotations.use(annotations.blocking_class(name))
        return lambda value: f"_facade.wrap({blocking}, {value})"
    if not annotations.is_async(node):
        return lambda value: value
    if isinstance(node, ast.Subscript):
        return _generic_result(annotations, node)
    raise _no_rule(annotations, node, "return")


def _generic_result(annotations: Annotations, node: ast.Subscript) -> Conversion:
    owner = last_name(node.value)
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
    if owner in ITERATORS:
        annotations.rules.add("async iterator")
        return _wrapped_in(annotations, "BlockingIterator", inner)
    if owner in CONTEXT_MANAGERS:
        annotations.rules.add("async context manager")
        return _wrapped_in(annotations, "BlockingContext", inner)
    found, held = annotations.find(node.value), annotations.async_class(inner)
    if found and found.module.startswith(annotations.source.package) and held:
        annotations.rules.add("result that holds an async class")
        blocking = annotations.use(annotations.blocking_class(held))
        return lambda value: f"{value}.map(lambda item: _facade.wrap({blocking}, item))"
    raise _no_rule(annotations, node, "return")


def _wrapped_in(annotations: Annotations, kind: str, inner: ast.expr) -> Conversion:
    item = result_conversion(annotations, inner)("item")
    annotations.use(Name(f"{annotations.package}._lasting", kind))
    # An outcome may hold a session that the caller has to delete. Reading ahead could lose it.
    holds_async = isinstance(inner, ast.Subscript) and annotations.is_async(inner)
    options = ", read_ahead=False" if holds_async else ""
    return lambda value: f"{kind}({value}, lambda item: {item}{options})"


def part_conversion(annotations: Annotations, annotation: ast.expr) -> tuple[str, Conversion]:
    """Return an import and a conversion for an object that another object holds.

    The import stands inside the property, so that importing the client does not import every
    service.
    """
    name = annotations.async_class(annotations.expand(annotation))
    if name is None:
        return "", result_conversion(annotations, annotation)
    annotations.rules.add("part")
    blocking = annotations.blocking_class(name)
    return (
        f"from {blocking.module} import {blocking.attr}",
        lambda value: f"_facade.part(self, {blocking.attr}, {value})",
    )


def argument_conversion(annotations: Annotations, annotation: ast.expr) -> Conversion:
    """Return the conversion of an argument to the async form."""
    node = annotations.expand(annotation)
    if not annotations.is_async(node):
        return lambda name: name
    members = union_members(node)
    if any(map(is_async_iterable, members)):
        annotations.rules.add("iterable argument")
        return "_facade.each({})".format
    async_members = [member for member in members if annotations.is_async(member)]
    optional = any(ast.unparse(member) == "None" for member in members)
    callback = async_members[0]
    if is_callable(callback) and len(members) == 1 + optional:
        annotations.rules.add("callback")
        code = f'_facade.in_worker({_callback(annotations, callback)}, {{0}}, "{{0}}")'
        return _unless_none(code) if optional else code.format
    if all(map(annotations.async_class, async_members)):
        annotations.rules.add("argument of an async class")
        return _unwrapping(always=len(members) == len(async_members))
    raise _no_rule(annotations, annotation, "accept")


def _callback(annotations: Annotations, node: ast.expr) -> str:
    """Return the code of a callback: it gets blocking objects for async ones."""
    assert isinstance(node, ast.Subscript)
    assert isinstance(node.slice, ast.Tuple)
    parameters = node.slice.elts[0]
    annotated = parameters.elts if isinstance(parameters, ast.List) else []
    if not any(map(annotations.async_class, annotated)):
        return "{0}"
    annotations.rules.add("callback that gets an async class")
    names = [f"arg{number}" for number in range(len(annotated))]
    converted = [
        result_conversion(annotations, part)(name)
        for part, name in zip(annotated, names, strict=True)
    ]
    return f"lambda {', '.join(names)}: {{0}}({', '.join(converted)})"


def _unless_none(code: str) -> Conversion:
    return lambda name: f"None if {name} is None else {code.format(name)}"


def _unwrapping(*, always: bool) -> Conversion:
    if always:
        return "_facade.unwrap({})".format
    return "_facade.unwrap({0}) if isinstance({0}, _facade.Facade) else {0}".format


def _no_rule(annotations: Annotations, node: ast.expr, verb: str) -> SourceError:
    path = annotations.module.path
    return error_at(path, node, f"no rule to {verb} {ast.unparse(node)}")
