"""The pages of a listing of extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncExtensionsService, PageTokenError

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay


def _page(first: int, size: int = 100) -> list[dict[str, str]]:
    return [{"FileName": f"ext_{number}.zip"} for number in range(first, first + size)]


@pytest.fixture
def extensions(bay: AsyncAgentBay, scripted: Script) -> AsyncExtensionsService:
    """Give a service with a context."""
    scripted.ok("GetContext", {"Id": "c-1", "Name": "mine"})
    return AsyncExtensionsService(bay, "mine")


async def test_a_listing_has_the_extensions_of_all_pages(
    extensions: AsyncExtensionsService, scripted: Script
) -> None:
    """A page that is not full is the last."""
    for page in (_page(0), _page(100), _page(200, 1)):
        scripted.ok("DescribeContextFiles", page)
    assert len(await extensions.list()) == 201
    forms = scripted.forms("DescribeContextFiles")
    assert [form["PageNumber"] for form in forms] == ["1", "2", "3"]


async def test_an_empty_page_is_the_last(
    extensions: AsyncExtensionsService, scripted: Script
) -> None:
    """The number of extensions may be that of full pages."""
    for page in (_page(0), []):
        scripted.ok("DescribeContextFiles", page)
    assert len(await extensions.list()) == 100


async def test_an_extension_of_two_pages_is_listed_once(
    extensions: AsyncExtensionsService, scripted: Script
) -> None:
    """Pages shift when another program adds one meanwhile."""
    for page in (_page(0), _page(99, 1)):
        scripted.ok("DescribeContextFiles", page)
    assert len(await extensions.list()) == 100


async def test_a_listing_that_repeats_a_page_is_an_error(
    extensions: AsyncExtensionsService, scripted: Script
) -> None:
    """It would never end."""
    for _ in range(2):
        scripted.ok("DescribeContextFiles", _page(0))
    with pytest.raises(PageTokenError, match="repeated"):
        await extensions.list()
