"""Every method of every blocking class, called once: its async twin gets exactly the arguments."""

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
    """Stands for an async object: notes the calls, and answers each with the same object."""

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
    """Whatever a method returns: a result whose parts can be changed, a source, a manager."""

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


def _aio(kind: type[Facade[Any]]) -> type:
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
        and hasattr(_aio(kind), _source_name(name))
    ]


def _source_name(name: str) -> str:
    renamed = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
    return renamed.get(name, "__aiter__" if name == "__iter__" else name)


def _argument(parameter: inspect.Parameter) -> tuple[object, object]:
    """Return what to pass for a parameter, and what must arrive."""
    annotation = str(parameter.annotation)
    for kind in _facades():
        if kind.__name__ in annotation.replace("|", " ").split():
            aio = _Double(_aio(kind))
            return _facade.wrap(kind, aio), aio
    value = (lambda *_given: None) if "Callable[" in annotation else object()
    return value, value


def _check_arrived(annotation: str, wanted: object, arrived: Any) -> None:
    if "Callable[" not in annotation:
        assert arrived is wanted
        return
    assert inspect.iscoroutinefunction(arrived)
    taken = re.findall(r"Callable\[\[(.*?)\]", annotation)[0]
    given = [object()] * len(taken.split(",")) if taken else []
    assert _portal.run(arrived(*given)) is None


@pytest.mark.parametrize(("kind", "name"), _methods())
def test_a_method_hands_its_arguments_to_the_async_one(kind: type[Facade[Any]], name: str) -> None:
    """Each argument arrives under its own name; blocking objects arrive as async ones."""
    double = _Double(_aio(kind))
    facade = _facade.wrap(kind, double)
    method = getattr(facade, name)
    parameters = inspect.signature(method).parameters
    arguments = {key: _argument(parameter) for key, parameter in parameters.items()}
    _call(method, parameters, arguments)
    ((called, arrived),) = double.calls
    # Two names of one method arrive under the first.
    assert getattr(double.kind, called) is getattr(double.kind, _source_name(name))
    assert arrived.keys() == arguments.keys()
    for key, (_, wanted) in arguments.items():
        wanted = (wanted,) if parameters[key].kind is inspect.Parameter.VAR_POSITIONAL else wanted
        if isinstance(wanted, tuple):
            assert arrived[key] == wanted
        else:
            _check_arrived(str(parameters[key].annotation), wanted, arrived[key])


def _call(
    method: Callable[..., Any],
    parameters: Any,
    arguments: dict[str, tuple[object, object]],
) -> Any:
    named = (inspect.Parameter.KEYWORD_ONLY,)
    args = [value for key, (value, _) in arguments.items() if parameters[key].kind not in named]
    kwargs = {key: value for key, (value, _) in arguments.items() if parameters[key].kind in named}
    return method(*args, **kwargs)


def test_every_blocking_class_is_looked_at() -> None:
    """The walk finds what everybody knows is there."""
    assert {kind.__name__ for kind in _facades()} >= {"AgentBay", "Session", "Command"}
    assert len(_methods()) > 30


class _Listing:
    """Stands for an async listing: counts how often it is awaited."""

    def __init__(self, sessions: list[object]) -> None:
        self.sessions = sessions
        self.awaited = 0

    def __await__(self) -> Generator[Any, None, Any]:
        self.awaited += 1
        yield from asyncio.sleep(0).__await__()
        page = agentbay.SessionPage(self.sessions, "next", 10, 11)
        return agentbay.SessionListResult.ok(page, "a-request")


def test_a_listing_reads_its_first_page_once_when_it_is_looked_at() -> None:
    """Nothing is sent before; then every field comes from the one answer."""
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


def test_a_property_is_the_same_object_each_time() -> None:
    """`session.command is session.command`, for as long as somebody holds it."""
    with agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9") as bay:
        assert bay.context is bay.context
        assert isinstance(bay.context, agentbay.ContextService)


def test_a_blocking_object_shows_what_it_is_without_the_other_colour() -> None:
    """The repr is that of the async object under the blocking name, and tells no secret."""
    bay = agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9")
    assert repr(bay) == "AgentBay('http://127.0.0.1:9')"


def test_a_blocking_object_does_not_pickle() -> None:
    """It holds connections; the error says what to send instead."""
    import pickle

    with pytest.raises(TypeError, match="send its id"):
        pickle.dumps(agentbay.AgentBay("a-key", endpoint="http://127.0.0.1:9"))
