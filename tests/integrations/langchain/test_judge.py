"""LangChain's suites for tools, unit and integration, on every tool of the toolkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from langchain_tests.integration_tests import ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests

from agentbay_async import AsyncAgentBay
from agentbay_integrations.langchain import AgentBayToolkit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.tools import BaseTool

    from agentbay_local import LocalService

EXAMPLES: dict[str, dict[str, Any]] = {
    "run_command": {"command": "echo hi; exit 3", "cwd": "/tmp"},
    "run_code": {"code": "6 * 7", "language": "python"},
    "read_file": {"path": "/tmp/a"},
    "write_file": {"path": "/tmp/new/b", "content": "x"},
    "edit_file": {"path": "/tmp/a", "old_text": "old", "new_text": "new"},
    "list_files": {"path": "/tmp"},
}


@pytest.fixture(scope="module")
def tools(shared_service: LocalService) -> Iterator[dict[str, BaseTool]]:
    """Make the tools, and a file that the examples work on."""
    bay = AsyncAgentBay(shared_service.api_key, endpoint=shared_service.endpoint)
    with AgentBayToolkit(bay=bay) as toolkit:
        tools = {tool.name: tool for tool in toolkit.get_tools()}
        tools["write_file"].invoke({"path": "/tmp/a", "content": "old " * 9})
        yield tools


@pytest.fixture(scope="class", params=EXAMPLES)
def _select(request: pytest.FixtureRequest, tools: dict[str, BaseTool]) -> None:
    request.cls.tool_under_test = tools[request.param]


@pytest.mark.usefixtures("_select")
class _EachTool:
    """Every tool, one by one, with an example of its arguments."""

    tool_under_test: ClassVar[BaseTool]

    @property
    def tool_constructor(self) -> BaseTool:
        return self.tool_under_test

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return EXAMPLES[self.tool_under_test.name]


class TestUnit(_EachTool, ToolsUnitTests):
    """What needs no session."""


class TestIntegration(_EachTool, ToolsIntegrationTests):
    """Calls, blocking and async."""
