"""What the documentation site is made of: the reference, and examples in both styles."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

import agentbay_async

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of the scripts that make the site."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return lambda name: importlib.import_module(f"docs_site.{name}")


def test_the_reference_describes_every_public_name_once(site: Any):
    """A new name needs a page: ``PAGES`` of ``scripts/docs_site/reference.py``."""
    text = "\n".join(site("reference").reference_pages().values())

    described = re.findall(r"^::: agentbay_async\.(\w+)$", text, re.MULTILINE)
    described += re.findall(r'<a id="agentbay_async\.(\w+)"></a>', text)

    assert sorted(described) == sorted(agentbay_async.__all__)


def test_pages_have_the_titles_that_other_documents_name(site: Any):
    """The pages of the same names are those of the library's first documents."""
    pages = site("reference").reference_pages()
    path = "reference/session-creation.md"
    pages[path] = (ROOT / "docs" / path).read_text("utf-8")

    titles = [pages[page].splitlines()[0] for page in site("reference").navigation()[1:4]]

    assert titles == [
        "# API Reference: AgentBay",
        "# API Reference: Session",
        "# Examples: Session Creation",
    ]


def test_an_unknown_module_has_no_page(site: Any):
    """So that a name cannot be left out of the reference."""
    with pytest.raises(LookupError, match=r"has NewThing of models\.novelties"):
        site("reference")._page_of("NewThing", "models.novelties")


def test_a_blocking_form_has_no_trace_of_coroutines(site: Any):
    """Each rule once."""
    code = '''\
import asyncio

from agentbay_async import AgentBayError, AsyncAgentBay


async def count(session, text):
    return (await session.command.run(text)).stdout


async def main() -> None:
    """Run it."""
    # This comment stays.
    async with AsyncAgentBay(endpoint="local") as bay, bay.session() as session:
        run = await bay.create_many(params, 2)
        print([each async for each in bay.list()], (await bay.list()).total_count)
        async for chunk in session:
            await asyncio.to_thread(print, "ü", chunk)
        first = await anext(aiter(session))
        text = """
    indented
"""
    await bay.aclose()


asyncio.run(main())
'''

    assert (
        site("blocking").to_blocking(code)
        == '''\
from agentbay import AgentBay


def count(session, text):
    return session.command.run(text).stdout


# This comment stays.
with AgentBay(endpoint="local") as bay, bay.session() as session:
    run = bay.create_many(params, 2).run()
    print([each for each in bay.list()], bay.list().total_count)
    for chunk in session:
        print("ü", chunk)
    first = next(iter(session))
    text = """
    indented
"""
bay.close()
'''
    )


def test_what_has_no_blocking_form_is_refused(site: Any):
    """Tasks of asyncio, for example; such a block stands without tabs."""
    code = "import asyncio\n\n\nasync def main() -> None:\n    await asyncio.gather()\n"

    with pytest.raises(site("blocking").NoBlockingFormError, match="uses asyncio"):
        site("blocking").to_blocking(code)


def test_a_main_that_returns_is_refused(site: Any):
    """Its body would stand on the level of the module."""
    code = "import asyncio\n\nasync def main():\n    return\n\n\nasyncio.run(main())\n"

    with pytest.raises(site("blocking").NoBlockingFormError, match="main returns"):
        site("blocking").to_blocking(code)


def test_docstrings_become_markdown(site: Any):
    """Roles become links to the reference, literal blocks get a fence."""
    text = site("markdown").to_markdown(
        "See :meth:`~agentbay_async.session.AsyncSession.delete` and :func:`~json.loads`.\n\n"
        "    ::\n\n        run()\n\n    >>> 1\n    1\n"
    )

    assert text == (
        "See [`AsyncSession.delete`][agentbay_async.AsyncSession.delete] and `json.loads`.\n\n"
        "    ```python\n    run()\n    ```\n\n    ```pycon\n    >>> 1\n    1\n    ```"
    )


def test_files_of_other_servers_are_found(site: Any, tmp_path: Path):
    """A page that loads one would not work offline; links are for the reader to follow."""
    (tmp_path / "page.html").write_text(
        '<a href="https://example.com/">link</a><script src="https://cdn.example.com/a.js">'
        '<a href="https://example.com/" data-md-component="source">stars</a>'
    )

    problems = site("site").site_problems(tmp_path)

    found = [line.rpartition(": ")[2] for line in problems if "loads from another server" in line]
    assert found == ['<script src="https://cdn.example.com/a.js', 'data-md-component="source"']
    assert "the reference lacks agentbay_async.AsyncAgentBay" in problems
