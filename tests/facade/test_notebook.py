"""The blocking API in a Jupyter kernel, which runs its cells inside an event loop."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local import LocalService

if TYPE_CHECKING:
    from collections.abc import Iterator

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kernels are interrupted otherwise")

#: Seconds after which a cell counts as hung, on a busy machine too.
_LIMIT = 180

_CLIENT = """\
from agentbay import AgentBay
key, endpoint = {key!r}, {endpoint!r}
bay = AgentBay(key, endpoint=endpoint)
session = bay.create().session
"""


class Notebook:
    """A kernel that runs cells."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client

    def run(self, code: str, *, interrupt_at: str = "") -> tuple[list[str], list[str]]:
        """Run a cell; return its lines on stdout, and the lines of errors and of stderr."""
        out, errors = "", ""

        def collect(message: dict[str, Any]) -> None:
            nonlocal out, errors
            content = message["content"]
            if message["msg_type"] == "stream" and content["name"] == "stdout":
                out += content["text"]
                if interrupt_at and interrupt_at in content["text"]:
                    self._manager.interrupt_kernel()
            elif message["msg_type"] == "stream":
                errors += content["text"]
            elif message["msg_type"] == "error":
                errors += content["ename"]

        self._client.execute_interactive(code, output_hook=collect, timeout=_LIMIT)
        return out.splitlines(), errors.splitlines()


@pytest.fixture
def service() -> Iterator[LocalService]:
    """Return a service without isolation: these sessions run no foreign code."""
    with LocalService(isolation="none") as service:
        yield service


@pytest.fixture
def notebook(service: LocalService) -> Iterator[Notebook]:
    """Start a kernel that has a client and a session."""
    manager, client = jupyter_client.manager.start_new_kernel(startup_timeout=_LIMIT)
    try:
        started = Notebook(manager, client)
        code = _CLIENT.format(key=service.api_key, endpoint=service.endpoint)
        assert started.run(code) == ([], [])
        yield started
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_cells_block_without_a_warning(notebook: Notebook) -> None:
    """Calls, loops and blocks work as they do in a script."""
    code = """
        print(session.set_labels({"cell": "1"}).success)
        print([found.get_labels().data for found in bay.list({"cell": "1"})])
        with bay.session() as second:
            print(second.session_id != session.session_id)
        print(bay.list().total_count)
    """
    lines = ["True", "[{'cell': '1'}]", "True", "1"]
    assert notebook.run(dedent(code)) == (lines, [])


def test_client_works_after_an_interrupted_cell(notebook: Notebook) -> None:
    """The session of the cell is deleted."""
    code = """
        with bay.session() as second:
            second.command.run("true")  # Python loses an interrupt that arrives in an import
            print("begun", flush=True)
            second.command.run("sleep 60")
    """
    assert notebook.run(dedent(code), interrupt_at="begun") == (["begun"], ["KeyboardInterrupt"])
    assert notebook.run("print(bay.list().total_count)") == (["1"], [])


def test_async_cells_and_blocking_ones_share_a_kernel(notebook: Notebook) -> None:
    """`await` at the top level uses the kernel's loop, blocking calls the private one."""
    code = """
        from agentbay_async import AsyncAgentBay
        async with AsyncAgentBay(key, endpoint=endpoint) as other:
            print((await other.get(session.session_id)).session.session_id == session.session_id)
        print(session.delete().success)
    """
    assert notebook.run(dedent(code)) == (["True", "True"], [])


_BLOCKING_CELLS = (
    "bay.create_many(CreateSessionParams(), 2, progress=True).success",
    "bay.list().first()",
    "session.command.run('echo one; echo two')",
    "session.code.run_code(\"from IPython.display import HTML; HTML('<b>1</b>')\")",
    "bay.list(labels={'a': 'b'})",
)
_ASYNC_CELLS = (
    "other = AsyncAgentBay(key, endpoint=endpoint)",
    "await other.create_many(CreateSessionParams(), 2, progress=True)",
    "await other.list()",
    "found = (await other.get(session.session_id)).session; await found.command.run('echo one')",
    "await other.aclose()",
)


@pytest.mark.slow
def test_both_styles_show_tables_pictures_and_progress(service: LocalService) -> None:
    """In the outputs of their cells, and without a line on stderr."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    start = _CLIENT.replace(
        "bay.create()", "bay.create(CreateSessionParams(image_id='code_latest'))"
    )
    start = start.format(key=service.api_key, endpoint=service.endpoint)
    imports = "from agentbay import CreateSessionParams; from agentbay_async import AsyncAgentBay\n"
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_code_cell(code)
        for code in (imports + start, *_BLOCKING_CELLS, *_ASYNC_CELLS, "bay.close()")
    ]
    nbclient.NotebookClient(book, timeout=_LIMIT, kernel_name="python3").execute()
    outputs = [one for cell in book.cells for one in cell.outputs]
    assert not [one for one in outputs if one.output_type in ("stream", "error")]
    plain, html = (
        [one.data[kind] for one in outputs if kind in one.data]
        for kind in ("text/plain", "text/html")
    )
    assert html.count("<b>1</b>") == 1
    assert len([text for text in html if text.startswith('<progress value="2" max="2">')]) == 2
    tables = [text for text in html if text.startswith("<table><caption>")]
    assert [text.count("<tr>") - 1 for text in tables] == [3, -1, 5]
    assert [text for text in plain if text.startswith("CommandResult(exit_code=0, stdout='one'")]
    assert "SessionListing(labels={'a': 'b'})" in plain
