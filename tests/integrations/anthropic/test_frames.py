"""Pages whose frames go away, and that disturb the reading; the frames are those of a test."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import playwright.async_api
import pytest
from anthropic.tools import ToolError

from agentbay_integrations.anthropic._documents import FRAME_LEFT_OUT, Documents
from agentbay_integrations.anthropic._page_members import PAGE_MEMBERS
from agentbay_integrations.anthropic._tab import Tab

GONE = playwright.async_api.Error("Frame was detached")


class Frame:
    """A frame, whose document shows its name and the frames in it; also the handles of both.

    Args:
        name: Its name.
        children: The frames in it.
        problem: What reading its document raises.
        lost: What looking up its element raises.
        answers: What its script answers instead, by a word of the call.
    """

    def __init__(
        self,
        name: str,
        *children: Frame,
        problem: Exception | None = None,
        lost: Exception | None = None,
        answers: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.child_frames = list(children)
        self.looked_up = 0
        self._problem = problem
        self._lost = lost
        self._answers = answers or {}

    @property
    def frames(self) -> list[Frame]:
        """The frame and all in it."""
        return [self, *itertools.chain.from_iterable(one.frames for one in self.child_frames)]

    async def evaluate_handle(self, _: str, argument: int) -> Any:
        """Return what reads the document; or an element."""
        if self._problem is not None:
            raise self._problem
        return self

    def is_detached(self) -> bool:
        """Return that it is still there."""
        return False

    def as_element(self) -> Frame:
        """Return the element."""
        return self

    async def frame_element(self) -> Frame:
        """Return the element that shows the frame."""
        self.looked_up += 1
        if self._lost is not None:
            raise self._lost
        return self

    async def evaluate(self, call: str, argument: Any = None) -> Any:
        """Answer a call of the script."""
        for word, answer in self._answers.items():
            if word in call:
                return answer
        if "refOf" in call:
            return argument.name
        if "find" in call:
            return [[1, f"button {self.name}"]]
        lines = [[0, f"heading {self.name}", None]]
        lines += [[0, f"iframe {one.name}", one.name] for one in self.child_frames]
        return {"lines": lines, "cut": False}


async def run(member: str, main: Frame, **given: Any) -> str:
    """Run a member on a page with a main frame."""
    page: Any = SimpleNamespace(main_frame=main, frames=main.frames)
    documents = Documents(page, itertools.count(1))
    connected: Any = SimpleNamespace(tab=lambda _: SimpleNamespace(page=page, documents=documents))
    values = {"tab_id": None, "ref": None, "depth": None, "filter": "all", "query": "a", **given}
    return str(await PAGE_MEMBERS[member](connected, SimpleNamespace(**values)))


async def test_a_frame_that_goes_away_is_left_out() -> None:
    """The rest of the page is read, and a line tells of it."""
    main = Frame("main", Frame("one", problem=GONE), Frame("two"))
    lines = (await run("read_page", main)).splitlines()
    assert lines == [
        "heading main",
        "iframe one",
        f"  {FRAME_LEFT_OUT}",
        "iframe two",
        "  heading two",
    ]
    found = (await run("find", main)).splitlines()
    assert found == ["button main", "button two", FRAME_LEFT_OUT]


async def test_a_frame_without_an_element_is_left_out() -> None:
    """It was detached before its element was looked up."""
    main = Frame("main", Frame("one", lost=GONE), Frame("two"))
    lines = (await run("read_page", main)).splitlines()
    assert lines == ["heading main", "iframe one", "iframe two", "  heading two", FRAME_LEFT_OUT]


@pytest.mark.parametrize("member", ["read_page", "find"])
async def test_a_page_that_goes_away_is_an_error(member: str) -> None:
    """There is nothing else to read."""
    with pytest.raises(playwright.async_api.Error, match="detached"):
        await run(member, Frame("main", Frame("one"), problem=GONE))


async def test_no_more_frames_are_looked_up_than_are_read() -> None:
    """Each takes two round trips; the main frame is the first of thirty."""
    children = [Frame(f"f{number}") for number in range(100)]
    text = await run("read_page", Frame("main", *children))
    assert text.count("  heading") == 29
    assert sum(one.looked_up for one in children) == 29


LINE = [0, "a", None]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"lines": 5},
        {"lines": ["abc"]},
        {"lines": [[0, "a"]]},
        {"lines": [["0", "a", None]]},
        {"lines": [[-1, "a", None]]},
        {"lines": [[0.5, "a", None]]},
        {"lines": [[0, 5, None]]},
        {"lines": [[0, "a", []]]},
        {"lines": [LINE, None]},
    ],
)
async def test_a_tree_of_a_wrong_shape_is_told(answer: object) -> None:
    """The page has replaced what the script uses."""
    with pytest.raises(ToolError, match="disturbed"):
        await run("read_page", Frame("main", answers={"tree": answer}))


@pytest.mark.parametrize(
    "lines",
    [[[10**9, "a", None]], [[0, "a" * 10**6, None]], [LINE] * 10**5],
    ids=["depth", "text", "count"],
)
async def test_a_tree_that_is_too_large_is_cut(lines: list[Any]) -> None:
    """An indent is no way around the limit."""
    answer = {"lines": [LINE, *lines], "cut": False}
    text = await run("read_page", Frame("main", answers={"tree": answer}))
    assert len(text) <= 50_000
    assert text.startswith("a\n")
    assert "[cut at 50,000 characters" in text


@pytest.mark.parametrize(
    "answer", [None, [1], [[1]], [["1", "a"]], [[float("nan"), "a"]], [[1, None]], [[True, "a"]]]
)
async def test_found_elements_of_a_wrong_shape_are_told(answer: object) -> None:
    """Those of a frame that disturbs it are left out."""
    bad = Frame("bad", answers={"find": answer})
    with pytest.raises(ToolError, match="disturbed"):
        await run("find", bad)
    assert await run("find", Frame("main", bad)) == f"button main\n{FRAME_LEFT_OUT}"


async def test_found_elements_are_bounded() -> None:
    """In number and in length."""
    answer = [[1, "a" * 10**6]] * 1000
    lines = (await run("find", Frame("main", answers={"find": answer}))).splitlines()
    assert [len(line) for line in lines] == [4096] * 20


async def test_texts_and_sizes_of_a_wrong_shape_are_told() -> None:
    """A page can name its own width."""
    assert len(await run("get_page_text", Frame("main", answers={"text": "a" * 10**6}))) == 50_000
    with pytest.raises(ToolError, match="disturbed"):
        await run("get_page_text", Frame("main", answers={"text": 5}))
    page: Any = Frame("main", answers={"innerWidth": ["wide", 720]})
    page.on = lambda *_: None
    with pytest.raises(ToolError, match="disturbed"):
        await Tab("tab_1", page, itertools.count(1)).viewport()


FORM = {"tag": "select", "type": "", "option": None, "options": ["a" * 500] * 500, "more": 3}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [({}, "and 3 more"), ({"option": "0"}, "disturbed"), ({"options": [1]}, "disturbed")],
)
async def test_a_form_of_a_wrong_shape_is_told(wrong: dict[str, Any], problem: str) -> None:
    """And one with too much is cut."""
    main = Frame("main", answers={"form": {**FORM, **wrong}})
    page: Any = SimpleNamespace(main_frame=main, frames=main.frames)
    documents = Documents(page, itertools.count(1))
    await documents.find(["a"], "a", 1)
    connected: Any = SimpleNamespace(tab=lambda _: SimpleNamespace(documents=documents))
    given = SimpleNamespace(tab_id=None, target=SimpleNamespace(ref="ref_1_1"), value="x")
    with pytest.raises(ToolError, match=problem) as caught:
        await PAGE_MEMBERS["form_input"](connected, given)
    assert len(str(caught.value)) < 6000
