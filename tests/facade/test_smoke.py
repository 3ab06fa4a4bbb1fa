"""Every method of every blocking class, called once: the async method gets its arguments."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import agentbay
from agentbay import _facade, _portal
from agentbay._facade import Facade

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


class _Double:
    """A test double of an async object: records the calls, and returns the same object."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.answer = _Answer()
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.kind, name)
        call = partial(self._call, name, inspect.signature(method))
        return partial(_later, call) if _is_coroutine(method) else call

    def _call(self, name: str, signature: inspect.Signature, *args: Any, **kwargs: Any) -> _Answer:
        bound = signature.bind(self, *args, **kwargs)
        self.calls.append((name, dict(list(bound.arguments.items())[1:])))
        return self.answer


class _Answer:
    """A return value for any method: it can be mapped, as a result can, and awaited."""

    def __await__(self) -> Generator[None, None, _Answer]:
        yield
        return self

    def map(self, change: Callable[[object], object]) -> _Answer:
        assert callable(change)
        return self


async def _later(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    await asyncio.sleep(0)
    return call(*args, **kwargs)


def _is_coroutine(method: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(method)


def _facades() -> list[type[Facade[Any]]]:
    for module in pkgutil.walk_packages(agentbay.__path__, "agentbay."):
        importlib.import_module(module.name)
    return [kind for kind in Facade.__subclasses__() if kind.__module__.startswith("agentbay.")]


def _async_class(kind: type[Facade[Any]]) -> type:
    module = importlib.import_module(kind.__module__.replace("agentbay", "agentbay_async", 1))
    found = getattr(module, f"Async{kind.__name__}")
    assert isinstance(found, type)
    return found


def _methods() -> list[Any]:
    return [
        pytest.param(kind, name, id=f"{kind.__name__}.{name}")
        for kind in _facades()
        for name, member in vars(kind).items()
        if inspect.isfunction(member)
        and (name in ("__enter__", "__iter__", "__exit__") or not name.startswith("_"))
        and hasattr(_async_class(kind), _source_name(name))
    ]


def _source_name(name: str) -> str:
    renamed = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
    return renamed.get(name, "__aiter__" if name == "__iter__" else name)


def _argument(parameter: inspect.Parameter) -> tuple[object, object]:
    """Return the argument for a parameter, and the argument that the async method must get."""
    annotation = str(parameter.annotation)
    for kind in _facades():
        if kind.__name__ in annotation.replace("|", " ").split():
            aio = _Double(_async_class(kind))
            return _facade.wrap(kind, aio), aio
    value = (lambda *_given: None) if "Callable[" in annotation else object()
    return value, value


def _check_argument(annotation: str, expected: object, received: Any) -> None:
    if "Callable[" not in annotation:
        assert received is expected
        return
    assert inspect.iscoroutinefunction(received)
    taken = re.findall(r"Callable\[\[(.*?)\]", annotation)[0]
    given = [object()] * len(taken.split(",")) if taken else []
    assert _portal.run(received(*given)) is None


@pytest.mark.parametrize(("kind", "name"), _methods())
def test_method_passes_its_arguments_to_the_async_one(kind: type[Facade[Any]], name: str) -> None:
    """By the same name; blocking objects are passed as async ones."""
    double = _Double(_async_class(kind))
    facade = _facade.wrap(kind, double)
    method = getattr(facade, name)
    parameters = inspect.signature(method).parameters
    arguments = {key: _argument(parameter) for key, parameter in parameters.items()}
    _call(method, parameters, arguments)
    ((called, received),) = double.calls
    # An alias calls the method by its first name.
    assert getattr(double.kind, called) is getattr(double.kind, _source_name(name))
    assert received.keys() == arguments.keys()
    for key, (_, expected) in arguments.items():
        expected = (
            (expected,) if parameters[key].kind is inspect.Parameter.VAR_POSITIONAL else expected
        )
        if parameters[key].kind is inspect.Parameter.VAR_KEYWORD:
            expected = {key: expected}
        if isinstance(expected, (tuple, dict)):
            assert received[key] == expected
        else:
            _check_argument(str(parameters[key].annotation), expected, received[key])


def _call(
    method: Callable[..., Any],
    parameters: Any,
    arguments: dict[str, tuple[object, object]],
) -> Any:
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    args = [value for key, (value, _) in arguments.items() if parameters[key].kind not in named]
    kwargs = {key: value for key, (value, _) in arguments.items() if parameters[key].kind in named}
    return method(*args, **kwargs)


def test_blocking_classes_are_found() -> None:
    """The test above tests something."""
    assert {kind.__name__ for kind in _facades()} >= {"AgentBay", "Session", "Command"}
    assert len(_methods()) > 30


class _Listing:
    """A test double of an async listing: counts how often it is awaited."""

    def __init__(self, sessions: list[object]) -> None:
        self.sessions = sessions
        self.awaited = 0

    def __await__(self) -> Generator[Any, None, Any]:
        self.awaited += 1
        yield from asyncio.sleep(0).__await__()
        page = agentbay.SessionPage(self.sessions, "next", 10, 11)
        return agentbay.SessionListResult.ok(page, "a-request")


def test_listing_fetches_its_first_page_once_on_first_use() -> None:
    """All fields come from the same answer."""
    listing = _Listing([_Double(agentbay.AsyncSession)])
    blocking = _facade.wrap(agentbay.SessionListing, listing)
    assert listing.awaited == 0
    assert blocking.success
    assert (blocking.next_token, blocking.total_count, blocking.request_id) == (
        "next",
        11,
        "a-request",
    )
    assert isinstance(blocking.sessions[0], agentbay.Session)
    assert blocking.unwrap().sessions[0] is blocking.sessions[0]
    assert listing.awaited == 1


def test_property_returns_the_same_object_each_time() -> None:
    """`bay.context is bay.context`."""
    with agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9") as bay:
        assert bay.context is bay.context
        assert isinstance(bay.context, agentbay.ContextService)


def test_repr_has_the_blocking_name() -> None:
    """And it does not contain the API key."""
    bay = agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9")
    assert repr(bay) == "AgentBay('http://127.0.0.1:9')"


def test_blocking_object_cannot_be_pickled() -> None:
    """The error says what to send instead."""
    import pickle

    with pytest.raises(TypeError, match="send its id"):
        pickle.dumps(agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9"))
