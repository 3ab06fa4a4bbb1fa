"""The generator: each async construct gets its blocking form, or an error."""

from __future__ import annotations

import ast
import re
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Convert = Callable[..., str]

pytestmark = pytest.mark.usefixtures("scripts")

_RESULTS = '''
"""Values."""
from __future__ import annotations
from typing import Generic, TypeVar
S = TypeVar("S")
T = TypeVar("T")
PAGE = 10

class Base(Generic[T]):
    """A base.

    Attributes:
        request_id: The id of
            the request.
    """
    request_id: str = ""
    _value: T | None = None
    def unwrap(self) -> T:
        """Return the value."""

class Found(Base[list[S]], Generic[S]):
    """Things."""
    @property
    def things(self) -> list[S]:
        """All things."""
    @classmethod
    def none(cls) -> Found[S]:
        """Make an empty one."""
    def map(self, change: object) -> Found[S]:
        """Change all things."""

class _Hidden:
    """Not for users."""
'''

_HEAD = """
from __future__ import annotations
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, overload
from agentbay_async._inner import Api, Clock, Report, reports
from agentbay_async.results import PAGE, Found
if TYPE_CHECKING:
    from agentbay_async.part import AsyncPart
_SECRET = object()
_LIMIT = 2.5
"""

_CLASS = '''
class AsyncThing:
    """A thing.

    Attributes:
        size: How big.
    """
'''

_STUB = """
from agentbay_async._inner import Clock as Clock
from agentbay_async.part import AsyncPart as AsyncPart
from agentbay_async.results import Found as Found
"""

_INNER = """
from collections.abc import Awaitable, Callable
Report = Callable[[int], Awaitable[None] | None]
class Api: ...
class Clock: ...
def reports(kind): ...
"""

_PART = '''
"""Parts."""
class AsyncPart:
    """A part."""
'''


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), "utf-8")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a small async package."""
    folder = tmp_path / "agentbay_async"
    files = {"__init__.py": "", "__init__.pyi": _STUB, "_inner.py": _INNER}
    files |= {"part.py": _PART, "results.py": _RESULTS}
    _write(folder, files)
    return folder


@pytest.fixture
def convert(source: Path) -> Convert:
    """Return a function that converts the body of a class `AsyncThing`."""

    def convert(body: str, bases: str = "") -> str:
        text = _CLASS.replace("AsyncThing:", f"AsyncThing({bases}):" if bases else "AsyncThing:")
        text += textwrap.indent(textwrap.dedent(body), "    ")
        _write(source, {"thing.py": _HEAD + text})
        return _normalized(_generate(source)["thing.py"])

    return convert


def _generate(source: Path) -> dict[str, str]:
    # Not at the top of the file: the fixture `scripts` makes the generator importable.
    from facade.modules import Writer
    from facade.rules import UsedRules
    from facade.source import Source

    return Writer(Source(source), "agentbay", UsedRules()).write()


def _normalized(text: str) -> str:
    return ast.unparse(ast.parse(textwrap.dedent(text)))


_CONSTRUCTS = {
    "async method": (
        "async def get(self, name: str, /, size: int = 3, *rest: int, key: bool, **more: Any)"
        " -> int: ...",
        """
        def get(self, name: str, /, size: int=3, *rest: int, key: bool, **more: Any) -> int:
            return _portal.run(self._aio.get(name, size, *rest, key=key, **more))
        """,
    ),
    "async method without a value": (
        "async def close(self) -> None: ...",
        """
        def close(self) -> None:
            _portal.run(self._aio.close())
        """,
    ),
    "aclose": (
        "async def aclose(self) -> None: ...",
        """
        def close(self) -> None:
            _portal.run(self._aio.aclose())
        """,
    ),
    "plain method": (
        "def name(self, *, default: int = PAGE) -> str: ...",
        """
        def name(self, *, default: int=PAGE) -> str:
            return self._aio.name(default=default)
        """,
    ),
    "member as a default": (
        "def wait(self, limit: float = Found.LIMIT) -> None: ...",
        """
        def wait(self, limit: float=Found.LIMIT) -> None:
            self._aio.wait(limit)
        """,
    ),
    "private constant as a default": (
        "def wait(self, limit: float = _LIMIT) -> None: ...",
        """
        def wait(self, limit: float=2.5) -> None:
            self._aio.wait(limit)
        """,
    ),
    "private decorator": (
        "@reports(Found)\nasync def get(self) -> int: ...",
        """
        def get(self) -> int:
            return _portal.run(self._aio.get())
        """,
    ),
    "resource result": (
        "async def part(self) -> AsyncPart: ...",
        """
        def part(self) -> Part:
            return _facade.wrap(Part, _portal.run(self._aio.part()))
        """,
    ),
    "quoted annotation": (
        "async def part(self) -> 'AsyncPart': ...",
        """
        def part(self) -> Part:
            return _facade.wrap(Part, _portal.run(self._aio.part()))
        """,
    ),
    "literal": (
        "def mode(self, mode: Literal['AsyncPart']) -> None: ...",
        """
        def mode(self, mode: Literal['AsyncPart']) -> None:
            self._aio.mode(mode)
        """,
    ),
    "property": (
        "@property\ndef part(self) -> AsyncPart: ...",
        """
        @property
        def part(self) -> Part:
            from agentbay.part import Part

            return _facade.part(self, Part, self._aio.part)
        """,
    ),
    "attribute": (
        "def __init__(self, api: Api, size: int) -> None:\n    self.size = size\n    self._x = 1",
        """
        @property
        def size(self) -> int:
            '''How big.'''
            return self._aio.size
        """,
    ),
    "constructor": (
        "def __init__(self, part: AsyncPart, clock: Clock | None = None) -> None: ...",
        """
        def __init__(self, part: Part, clock: Clock | None=None) -> None:
            super().__init__(AsyncThing(_facade.unwrap(part), clock))
        """,
    ),
    "result that carries a resource": (
        "async def find(self) -> Found[AsyncPart]: ...",
        """
        def find(self) -> Found[Part]:
            return _portal.run(self._aio.find()).map(lambda item: _facade.wrap(Part, item))
        """,
    ),
    "resource argument": (
        "async def drop(self, part: AsyncPart | str, *, other: AsyncPart) -> None: ...",
        """
        def drop(self, part: Part | str, *, other: Part) -> None:
            _portal.run(self._aio.drop(
                _facade.unwrap(part) if isinstance(part, _facade.Facade) else part,
                other=_facade.unwrap(other)))
        """,
    ),
    "callback": (
        "async def go(self, tell: Callable[[int], Awaitable[None] | None] | None = None)"
        " -> None: ...",
        """
        def go(self, tell: Callable[[int], None] | None=None) -> None:
            _portal.run(
                self._aio.go(None if tell is None else _facade.in_worker(tell, tell, "tell"))
            )
        """,
    ),
    "callback behind a name": (
        "async def go(self, tell: Report) -> None: ...",
        """
        def go(self, tell: Callable[[int], None]) -> None:
            _portal.run(self._aio.go(_facade.in_worker(tell, tell, "tell")))
        """,
    ),
    "async generator": (
        "async def parts(self) -> AsyncIterator[AsyncPart]:\n    yield",
        """
        def parts(self) -> BlockingIterator[Part]:
            return BlockingIterator(self._aio.parts(), lambda item: _facade.wrap(Part, item))
        """,
    ),
    "iterated class": (
        "def __aiter__(self) -> AsyncIterator[int]: ...",
        """
        def __iter__(self) -> BlockingIterator[int]:
            return BlockingIterator(self._aio.__aiter__(), lambda item: item)
        """,
    ),
    "async context manager": (
        "@asynccontextmanager\nasync def use(self, n: int) -> AsyncIterator[AsyncPart]:\n    yield",
        """
        def use(self, n: int) -> AbstractContextManager[Part]:
            return BlockingContext(self._aio.use(n), lambda item: _facade.wrap(Part, item))
        """,
    ),
    "client context": (
        "async def __aenter__(self) -> AsyncThing: ...\n"
        "async def __aexit__(self, *raised: object) -> None: ...",
        """
        def __enter__(self) -> Self:
            _ = _portal.run(self._aio.__aenter__())
            return self

        def __exit__(self, *raised: object) -> None:
            _portal.run(self._aio.__aexit__(*raised))
        """,
    ),
    "callback that gets a resource": (
        "def do(self, fn: Callable[[AsyncThing, int], Awaitable[None]]) -> int: ...",
        """
        def do(self, fn: Callable[[Thing, int], None]) -> int:
            return self._aio.do(
                _facade.in_worker(lambda arg0, arg1: fn(_facade.wrap(Thing, arg0), arg1), fn, "fn")
            )
        """,
    ),
    "iterable argument": (
        "def take(self, things: AsyncThing | Iterable[AsyncThing] | AsyncIterable[AsyncThing])"
        " -> int: ...",
        """
        def take(self, things: Thing | Iterable[Thing]) -> int:
            return self._aio.take(_facade.each(things))
        """,
    ),
    "alias": (
        "async def run(self) -> int: ...\ngo = start = run",
        """
        def run(self) -> int:
            return _portal.run(self._aio.run())
        go = start = run
        """,
    ),
    "overload": (
        "@overload\nasync def get(self, n: int) -> int: ...\n"
        "@overload\nasync def get(self, n: str) -> str: ...\n"
        "async def get(self, n: Any) -> Any: ...",
        """
        @overload
        def get(self, n: int) -> int: ...
        @overload
        def get(self, n: str) -> str: ...
        def get(self, n: Any) -> Any:
            return _portal.run(cast('Callable[..., Coroutine[Any, Any, Any]]', self._aio.get)(n))
        """,
    ),
}


@pytest.mark.parametrize(("body", "expected"), _CONSTRUCTS.values(), ids=_CONSTRUCTS)
def test_construct_gets_its_blocking_form(convert: Convert, body: str, expected: str) -> None:
    """Compared character by character, formatting aside."""
    assert textwrap.indent(_normalized(expected), "    ") in convert(body)


def test_awaitable_class_gets_the_members_of_its_result(convert: Convert) -> None:
    """Fields, properties and methods without arguments, with type variables filled in."""
    text = convert("def __await__(self) -> Generator[Any, None, Found[AsyncPart]]: ...")
    for line in [
        "_awaited: Found[Part]",
        "_portal.run(_facade.as_coroutine(self._aio)).map(lambda item: _facade.wrap(Part, item))",
        "def request_id(self) -> str:\n        '''The id of the request.'''".replace("'''", '"""'),
        "def unwrap(self) -> list[Part]:",
        "def things(self) -> list[Part]:",
        "return self._result().things",
    ]:
        assert line in text
    assert "def map(" not in text
    assert "def none(" not in text
    assert "_value" not in text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("async def get(self) -> set[AsyncPart]: ...", "no rule to return set"),
        ("async def get(self) -> AsyncPart | None: ...", "no rule to return AsyncPart | None"),
        ("async def put(self, parts: list[AsyncPart]) -> None: ...", "no rule to accept"),
        ("async def put(self, part) -> None: ...", "annotate part"),
        ("async def put(self): ...", "annotate what put returns"),
        ("async def put(self, n: int = _SECRET) -> None: ...", "the default _SECRET is private"),
        ("@staticmethod\ndef make() -> int: ...", "no rule for @staticmethod"),
        ("def __getattr__(self, name: str) -> int: ...", "no rule for __getattr__"),
        ("LIMIT = 3", "only a second name"),
        ("limit: int", "no rule for this"),
        ("def __init__(self, api: Api) -> None:\n    self.size = 1", "annotate size"),
        ("def __init__(self, api: Api, x: int) -> None:\n    self.x = x", "describe it under"),
    ],
)
def test_construct_without_a_rule_is_an_error(convert: Convert, body: str, reason: str) -> None:
    """The error names the file and the line."""
    from facade.rules import SourceError

    with pytest.raises(SourceError, match=r"agentbay_async/thing\.py:\d+: .*" + re.escape(reason)):
        convert(body)


@pytest.mark.parametrize("base", ["AsyncPart", "Api", "Found", "dict"])
def test_base_is_an_error(convert: Convert, base: str) -> None:
    """Its blocking class would have to be a base of the blocking class: there is no such rule."""
    from facade.rules import SourceError

    with pytest.raises(SourceError, match=rf"thing\.py:\d+: no rule for the base {base}"):
        convert("async def own(self) -> int: ...", bases=base)


def test_constructor_with_private_parameters_is_left_out(convert: Convert) -> None:
    """Only the library creates such objects."""
    assert "__init__" not in convert("def __init__(self, api: Api) -> None: ...")


def test_declared_attribute_of_the_constructor_is_not_an_error(convert: Convert) -> None:
    """A class may declare the type of an attribute that its constructor sets."""
    body = "_size: int\ndef __init__(self, api: Api) -> None:\n    self._size = 1"
    assert "_size" not in convert(body)


def test_private_members_are_left_out(convert: Convert) -> None:
    """Methods, aliases and slots."""
    text = convert("async def _get(self) -> int: ...\n_again = _get\n__slots__ = ('_api',)")
    assert "_get" not in text
    assert "__slots__ = ()" in text


def test_imports_for_annotations_do_not_run(convert: Convert) -> None:
    """They stand under TYPE_CHECKING; those of defaults do not."""
    text = convert(
        "def put(self, a: os.PathLike[str], n: int = PAGE + 1) -> Mapping[str, int]: ..."
    )
    head, _, rest = text.partition("if TYPE_CHECKING:")
    assert "from agentbay_async.results import PAGE" in head
    assert "import os" in rest
    assert "from collections.abc import Mapping" in rest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Use `await s.run()`; one may await it.", "Use `s.run()`; one may await it."),
        (
            "An async call::\n\n    await s.run()\n\nawait",
            "An async call::\n\n    s.run()\n\nawait",
        ),
        (">>> (await s.run()).x", ">>> s.run().x"),
        (">>> print((await s.get(f(1))).x)", ">>> print(s.get(f(1)).x)"),
        (">>> print(await s.run())", ">>> print(s.run())"),
        ("```\nasync with s as t:\n```", "```\nwith s as t:\n```"),
        (">>> import asyncio\n>>> asyncio.run(main())", ">>> main()"),
        ("See :class:`~agentbay_async.part.AsyncPart`.", "See :class:`~agentbay.part.Part`."),
    ],
)
def test_docstring_is_converted(text: str, expected: str) -> None:
    """Code loses its awaits, prose keeps its words, names are those of the blocking package."""
    from facade import docstrings

    names = {"AsyncPart": "Part", "agentbay_async": "agentbay"}
    assert docstrings.to_blocking(text, names) == expected


def test_module_of_values_is_re_exported(source: Path) -> None:
    """The same objects; private names and type variables are left out."""
    text = _generate(source)["results.py"]
    assert [line for line in text.splitlines() if " as " in line] == [
        f"from agentbay_async.results import {name} as {name}" for name in ("Base", "Found", "PAGE")
    ]


def test_package_exports_the_blocking_and_the_async_classes(source: Path) -> None:
    """Users import both from one package."""
    texts = _generate(source)
    assert [line for line in texts["__init__.pyi"].splitlines() if line.startswith("from")] == [
        "from agentbay._lasting import BlockingIterator as BlockingIterator",
        "from agentbay.part import Part as Part",
        "from agentbay_async._inner import Clock as Clock",
        "from agentbay_async.part import AsyncPart as AsyncPart",
        "from agentbay_async.results import Found as Found",
    ]
    assert "attach_stub(__name__)" in texts["__init__.py"]
    assert "_inner.py" not in texts
