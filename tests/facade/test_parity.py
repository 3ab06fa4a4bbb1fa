"""The two packages compared at run time: modules, exports, members, signatures, docstrings."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re

import pytest

import agentbay
import agentbay_async
from agentbay._facade import Facade

#: Names that only the blocking package has.
_OWN = {"BlockingIterator"}


def _modules(package: str) -> list[str]:
    root = importlib.import_module(package)
    found = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")]
    return [name for name in found if not any(part.startswith("_") for part in name.split("."))]


def _async_classes() -> list[type]:
    return [
        value
        for name in _modules("agentbay_async")
        for value in vars(importlib.import_module(name)).values()
        if isinstance(value, type)
        and value.__module__ == name
        and value.__name__.startswith("Async")
    ]


_CLASSES = _async_classes()

#: Results of awaiting an object: its blocking class has their members too.
_AWAITED = (agentbay_async.SessionListResult, agentbay_async.BulkResult)


def _blocking_class(kind: type) -> type:
    module = kind.__module__.replace("agentbay_async", "agentbay", 1)
    found = getattr(importlib.import_module(module), kind.__name__.removeprefix("Async"))
    assert isinstance(found, type)
    return found


def _public(kind: type) -> dict[str, object]:
    """Return the public methods and properties of a class."""
    return {
        name: value
        for name, value in vars(kind).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }


_METHODS = [
    pytest.param(kind, name, value, id=f"{kind.__name__}.{name}")
    for kind in _CLASSES
    for name, value in _public(kind).items()
    if not inspect.isclass(value)
]


def _to_blocking(annotation: object) -> str:
    """Convert an annotation to its blocking form, independently of the generator."""
    text = str(annotation)
    text = re.sub(r"\bAwaitable\[(\w+)\] \| \1\b", r"\1", text)
    text = re.sub(r"\bAwaitable\[(\w+)\]", r"\1", text)
    text = re.sub(r" \| AsyncIterable\[.*?\](?=$| \|)", "", text)
    text = re.sub(r"\b(AsyncIterator|AsyncGenerator|ClosingIterator)\b", "BlockingIterator", text)
    return re.sub(r"\bAsync([A-Z]\w*)", r"\1", text)


def _words(text: str | None) -> list[str]:
    """Return the words that both forms of a docstring share."""
    text = re.sub(r"\bAsync(?=[A-Z])", "", text or "")
    text = text.replace("agentbay_async", "agentbay").replace("aclose", "close")
    return [word for word in re.findall(r"\w+", text) if word not in ("await", "async")]


def _member(kind: type, name: str) -> object:
    return inspect.getattr_static(_blocking_class(kind), "close" if name == "aclose" else name)


def test_async_classes_are_found() -> None:
    """The comparisons below compare something."""
    names = {kind.__name__ for kind in _CLASSES}
    assert names >= {"AsyncAgentBay", "AsyncSession", "AsyncCommand", "AsyncFileSystem"}


def test_both_packages_have_the_same_modules() -> None:
    """`agentbay.x` exists exactly if `agentbay_async.x` does."""
    expected = [
        name.replace("agentbay_async", "agentbay", 1) for name in _modules("agentbay_async")
    ]
    assert _modules("agentbay") == expected


def test_blocking_package_exports_all_async_names_and_the_blocking_classes() -> None:
    """A name of both packages is the same object."""
    blocking = {name.removeprefix("Async") for name in agentbay_async.__all__}
    assert set(agentbay.__all__) == set(agentbay_async.__all__) | blocking | _OWN
    for name in agentbay.__all__:
        assert getattr(agentbay, name) is not None
    for name in agentbay_async.__all__:
        assert getattr(agentbay, name) is getattr(agentbay_async, name)


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_class_has_a_blocking_class_with_the_same_docstring(kind: type) -> None:
    """The blocking class does not inherit from the async one."""
    blocking = _blocking_class(kind)
    assert issubclass(blocking, Facade)
    assert not issubclass(blocking, kind)
    assert _words(blocking.__doc__) == _words(kind.__doc__)


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_blocking_class_has_no_further_members(kind: type) -> None:
    """Each is a member of the async class, or of the result of awaiting it."""
    offered = {"close" if name == "aclose" else name for name in dir(kind)}
    if hasattr(kind, "__await__"):
        offered |= {name for result in _AWAITED for name in [*dir(result), *_documented(result)]}
    assert set(_public(_blocking_class(kind))) <= offered | set(_documented(kind))


def _documented(kind: type) -> list[str]:
    return re.findall(r"^\s+(\w+): ", (kind.__doc__ or "").partition("Attributes:")[2], re.M)


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_every_documented_attribute_can_be_read(kind: type) -> None:
    """Each entry of `Attributes:` is a property of the blocking class."""
    section = (kind.__doc__ or "").partition("Attributes:")[2].partition("\n\n")[0]
    for name in re.findall(r"^        (\w+): ", section, re.M):
        assert isinstance(_member(kind, name), property), name


@pytest.mark.parametrize(("kind", "name", "value"), _METHODS)
def test_member_has_the_same_signature_and_docstring(kind: type, name: str, value: object) -> None:
    """Names, kinds, defaults and annotations of the parameters, and the returned type."""
    blocking = _member(kind, name)
    assert isinstance(blocking, property) == isinstance(value, property)
    if isinstance(value, property) and isinstance(blocking, property):
        value, blocking = value.fget, blocking.fget
    assert callable(value)
    assert callable(blocking)
    theirs, ours = inspect.signature(value), inspect.signature(blocking)
    assert [
        (each.name, each.kind, each.default, _to_blocking(each.annotation))
        for each in theirs.parameters.values()
    ] == [
        (each.name, each.kind, each.default, str(each.annotation))
        for each in ours.parameters.values()
    ]
    returned = _to_blocking(theirs.return_annotation)
    if hasattr(value, "__wrapped__") and str(ours.return_annotation).startswith("Abstract"):
        returned = returned.replace("BlockingIterator", "AbstractContextManager")
    assert str(ours.return_annotation) == returned
    assert _words(inspect.getdoc(blocking)) == _words(inspect.getdoc(value))


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_blocking_class_mentions_no_async_names(kind: type) -> None:
    """Neither in annotations nor in docstrings."""
    blocking = _blocking_class(kind)
    members = [
        value.fget if isinstance(value, property) else value for value in vars(blocking).values()
    ]
    for member in [blocking, *filter(inspect.isfunction, members)]:
        texts = [inspect.getdoc(member) or ""]
        if inspect.isfunction(member):
            texts += map(str, member.__annotations__.values())
        assert not re.search(
            r"\bA(sync[A-Z]|waitable)|\bCoroutine\b|agentbay_async", " ".join(texts)
        )


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_a_class_inside_a_class_is_the_blocking_one(kind: type) -> None:
    """Such as ``Agent.Mobile``."""
    for name, value in _public(kind).items():
        if inspect.isclass(value):
            assert _member(kind, name) is _blocking_class(value)


@pytest.mark.parametrize("kind", _CLASSES, ids=lambda kind: kind.__name__)
def test_aliases_stay_aliases(kind: type) -> None:
    """Two names of one async method are two names of one blocking method."""
    members = _public(kind)
    for name, value in members.items():
        for other, same in members.items():
            if value is same:
                assert _member(kind, name) is _member(kind, other), (name, other)
