"""Print the public names of a client as JSON. It runs under any client's own interpreter.

    python dump.py PACKAGE

Names, and no values: exports, and for each class its members, with the parameters of methods and
constructors. Only the standard library is needed.
"""

import ast
import enum
import importlib
import inspect
import json
import pkgutil
import sys
import textwrap

#: Modules of the official client that no program is meant to see.
_INTERNAL = ("_internal", "eval", "utils", "api", "base_service", "token_manager", "trace_manager")


def dump(package):
    """Return the public names of a package."""
    root = importlib.import_module(package)
    names = getattr(root, "__all__", None) or dir(root)
    exports = {name: getattr(root, name) for name in [*names, *dir(root)] if name[0] != "_"}
    exports = {name: value for name, value in exports.items() if not inspect.ismodule(value)}
    found = {name: value for name, value in _modules(package).items() if name not in exports}
    classes = {**exports, **found}
    return {
        "exports": sorted(exports),
        "functions": {
            name: _parameters(value)
            for name, value in sorted(exports.items())
            if inspect.isfunction(value)
        },
        "classes": {
            name: _class(value, package)
            for name, value in sorted(classes.items())
            if inspect.isclass(value)
        },
    }


def _modules(package):
    """Return the public classes of all modules, by name."""
    root = importlib.import_module(package)
    found = {}
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if set(module.name.split(".")) & set(_INTERNAL) or module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            own = inspect.isclass(value) and (value.__module__, value.__name__) == (
                module.name,
                name,
            )
            # Of two classes with one name, the async one comes first.
            if own and name[0] != "_":
                found.setdefault(name, value)
    return found


def _class(kind, package):
    family = package.partition("_")[0]
    homes = [base for base in kind.__mro__ if base.__module__.partition(".")[0].startswith(family)]
    members = {}
    for home in homes:
        for name, value in vars(home).items():
            members.setdefault(name, _member(value))
        for name in [*getattr(home, "__annotations__", ()), *_assigned(home)]:
            members.setdefault(name, {"kind": "attribute"})
    is_enum = issubclass(kind, enum.Enum)
    return {
        "kind": "enum" if is_enum else "error" if issubclass(kind, Exception) else "class",
        "bases": [base.__name__ for base in kind.__mro__],
        "module": kind.__module__,
        "constructor": [] if is_enum else _parameters(_constructor(kind))[1:],
        "values": {one.name: repr(one.value) for one in kind} if is_enum else {},
        "members": {name: members[name] for name in sorted(members) if name[0] != "_"},
    }


def _constructor(kind):
    """Return the function that takes the arguments: of a named tuple, it is ``__new__``."""
    return kind.__new__ if issubclass(kind, tuple) else kind.__init__


def _member(value):
    if isinstance(value, (staticmethod, classmethod)):
        skipped = isinstance(value, classmethod)
        return {"kind": "method", "parameters": _parameters(value.__func__)[skipped:]}
    if inspect.isfunction(value):
        return {"kind": "method", "parameters": _parameters(value)[1:]}
    return {"kind": "attribute"}


def _parameters(function):
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return [["self", "POSITIONAL_ONLY", ""]]
    return [
        [one.name, one.kind.name, "" if one.default is one.empty else _default(one.default)]
        for one in signature.parameters.values()
    ]


def _default(value):
    if type(value).__name__ in ("_HAS_DEFAULT_FACTORY_CLASS", "_Nothing"):
        return "<factory>"
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(float(value))
    return repr(value)


def _assigned(kind):
    """Return the attributes that the constructor sets."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError, SyntaxError):
        return []
    return [
        target.attr
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and function.name == "__init__"
        for node in ast.walk(function)
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
    ]


if __name__ == "__main__":
    json.dump(dump(sys.argv[1]), sys.stdout)
