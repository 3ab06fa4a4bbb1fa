"""LangChain: tools that work in a session.

Example:
    ::

        with AgentBayToolkit() as toolkit:
            agent = create_agent("anthropic:claude-opus-5-5", tools=toolkit.get_tools())
            agent.invoke({"messages": [("user", "Plot a sine curve")]})
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.tools import BaseToolkit, StructuredTool, ToolException

from agentbay_async.errors import CodeError, ToolError, UsageError
from agentbay_integrations._blocking import BothWays
from agentbay_integrations._commands import end_of, run_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncAgentBay, AsyncSession, CodeOutput, CreateSessionParams
    from agentbay_integrations._sessions import SessionOwner

__all__ = ["AgentBayToolkit"]

_FRAMEWORK = "langchain"
_DEFAULT_TIMEOUT = 300
# Seconds for code: what one request may take in every session.
_CODE_TIMEOUT = 60
_OUTPUT_LIMIT = 50_000
_LARGEST_FILE = 256 * 1024


class AgentBayToolkit(BothWays, BaseToolkit):
    """Tools that run commands and code and work on files, all in one session.

    They work with ``invoke`` and ``ainvoke``. Use it as a context manager, ``with`` or
    ``async with``: at its end, a session that was made here is deleted.

    What a model can mend, such as a missing file, is a ``ToolException``, which the tool tells the
    model. A session that is gone raises :class:`~agentbay_async.SessionNotFoundError` and ends the
    agent.

    Args:
        session: A session of yours; it is never deleted here.
        session_id: The same by its id.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Its label ``framework`` is ``"langchain"``.
        run: The value of its label ``run``. Default: a random id.
        timeout: The most seconds of a command. Default: 5 minutes.
        output_limit: The most characters of a stream that the model gets; of a longer one the end
            is kept. Default: 50000.

    Raises:
        ValueError: A limit is not above 0, or both `session` and `session_id` are given.
    """

    def __init__(
        self,
        session: AsyncSession | None = None,
        *,
        session_id: str | None = None,
        bay: AsyncAgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        timeout: float = _DEFAULT_TIMEOUT,
        output_limit: int = _OUTPUT_LIMIT,
    ) -> None:
        if timeout <= 0 or output_limit <= 0:
            raise ValueError("timeout and output_limit must be above 0")
        super().__init__()
        self._own(
            _FRAMEWORK, session=session, session_id=session_id, bay=bay, params=params, run=run
        )
        self._functions = _Functions(self._owner, timeout, output_limit)

    def get_tools(self) -> list[Any]:
        """Return the tools: run_command, run_code, and four for files.

        ``run_command`` and ``run_code`` have an artifact: exit code and truncation, or the outputs
        of the code.
        """
        functions = self._functions
        return [
            self._tool(functions.run_command, "content_and_artifact"),
            self._tool(functions.run_code, "content_and_artifact"),
            self._tool(functions.read_file),
            self._tool(functions.write_file),
            self._tool(functions.edit_file),
            self._tool(functions.list_files),
        ]

    def _tool(
        self,
        function: Callable[..., Awaitable[Any]],
        response: Literal["content", "content_and_artifact"] = "content",
    ) -> Any:
        @wraps(function)
        async def coroutine(**arguments: Any) -> Any:
            try:
                return await function(**arguments)
            except (ToolError, UsageError) as error:
                raise ToolException(str(error)) from error

        def blocking(**arguments: Any) -> Any:
            return self._thread.call(coroutine(**arguments))

        tool = StructuredTool.from_function(
            coroutine=coroutine,
            parse_docstring=True,
            response_format=response,
            handle_tool_error=True,
        )
        tool.func = blocking
        return tool


class _Functions:
    """What the tools do. The framework shows signatures and docstrings to the model.

    It reads the annotations at run time, so they name no class of ours.
    """

    def __init__(self, owner: SessionOwner, timeout: float, output_limit: int) -> None:
        self._owner = owner
        self._timeout = timeout
        self._limit = output_limit

    async def run_command(self, command: str, cwd: str | None = None) -> tuple[str, dict[str, Any]]:
        """Run a shell command in the sandbox and wait for its end.

        Args:
            command: A line for sh.
            cwd: The working directory; by default the home directory.
        """
        session = await self._owner.get()
        done = await run_command(session, command, cwd=cwd, timeout=self._timeout)
        content = done.text(self._limit)
        if done.exit_code != 0:
            content = f"{content.rstrip()}\n[exit code {done.exit_code}]".lstrip()
        longest = max(len(done.stdout), len(done.stderr))
        return content or "(no output)", {
            "exit_code": done.exit_code,
            "timed_out": done.timed_out,
            "truncated": done.truncated or longest > self._limit,
        }

    async def run_code(
        self, code: str, language: str = "python"
    ) -> tuple[list[dict[str, Any]], list[Any]]:
        """Run code in an interpreter of the sandbox, which keeps its variables between calls.

        Args:
            code: The code.
            language: "python", "javascript", "r" or "java".
        """
        session = await self._owner.get()
        result = await session.code.run_code(code, language, timeout=_CODE_TIMEOUT)
        error = result.error
        if error is not None and not isinstance(error, CodeError):
            raise error
        if isinstance(error, CodeError) and not error.traceback and not error.name:
            raise error
        texts = [result.stdout, result.stderr]
        shown = [_block(one) for one in result.results]
        if isinstance(error, CodeError):
            texts.append(error.traceback or f"{error.name}: {error.value}")
        text = end_of("".join(filter(None, texts)), self._limit)
        blocks = [{"type": "text", "text": text}] if text else []
        blocks += [block for block in shown if block is not None]
        return blocks or [{"type": "text", "text": "(no output)"}], result.results

    async def read_file(self, path: str) -> str:
        """Read a text file of at most 256 KiB. Read parts of larger ones by commands.

        Args:
            path: The file.
        """
        files = (await self._owner.get()).file_system
        return (await files.read_file(path, max_size=_LARGEST_FILE)).unwrap()

    async def write_file(self, path: str, content: str) -> str:
        """Write a text file, and create missing directories. An existing file is replaced.

        Args:
            path: The file.
            content: All of its new content.
        """
        files = (await self._owner.get()).file_system
        (await files.write_file(path, content)).unwrap()
        return f"wrote {len(content.encode())} bytes to {path}"

    async def edit_file(self, path: str, old_text: str, new_text: str) -> str:
        """Replace the first occurrence of a text in a file; return the change as a diff.

        Args:
            path: The file.
            old_text: The text to replace, exactly as it is in the file.
            new_text: The text to put there.
        """
        files = (await self._owner.get()).file_system
        result = await files.edit_file(path, [{"oldText": old_text, "newText": new_text}])
        result.unwrap()
        return end_of(result.diff, self._limit)

    async def list_files(self, path: str = ".") -> str:
        """List the entries of a directory, one on each line; directories end with a slash.

        Args:
            path: The directory; by default the home directory.
        """
        files = (await self._owner.get()).file_system
        entries = (await files.list_directory(path)).unwrap()
        lines = [f"{entry.name}{'/' if entry.is_directory else ''}" for entry in entries]
        return end_of("\n".join(lines), self._limit) or "(empty)"


def _block(output: CodeOutput) -> dict[str, Any] | None:
    """Return an output of code as a content block of LangChain."""
    for format in ("png", "jpeg"):
        picture = getattr(output, format)
        if picture:
            # Some kernels break the lines.
            return {
                "type": "image",
                "base64": "".join(picture.split()),
                "mime_type": f"image/{format}",
            }
    text = output.text or output.markdown or output.html or output.latex
    return {"type": "text", "text": text} if text else None
