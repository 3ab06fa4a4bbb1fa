"""smolagents: the code of an agent runs in a session.

Example:
    ::

        with AgentBayExecutor() as executor:
            agent = CodeAgent(tools=[], model=model, executor=executor)
            agent.run("What is the 20th Fibonacci number?")
"""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeVar

import PIL.Image
from smolagents.local_python_executor import CodeOutput
from smolagents.monitoring import AgentLogger, LogLevel
from smolagents.remote_executors import RemotePythonExecutor
from smolagents.utils import AgentError, truncate_content

from agentbay_async.errors import CodeError
from agentbay_integrations._sessions import BlockingSessionOwner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from smolagents import FinalAnswerTool

    import agentbay
    from agentbay_async import CodeResult, CreateSessionParams

__all__ = ["AgentBayExecutor"]

S = TypeVar("S")

_FRAMEWORK = "smolagents"
_DEFAULT_TIMEOUT = 300.0
# In the interpreter of the session, which may be another than that of its shell.
_INSTALL = """\
def _install():
    import subprocess, sys
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--retries", "2"]
    done = subprocess.run([*pip, *{packages!r}], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
_install()
del _install
"""
# Characters, as the framework's local executor has them.
_LOGS_LIMIT = 50_000
# The name of the class that the framework makes of the tool.
_PATCHED = "_FinalAnswerTool"
_FORMATS = ("json", "html", "markdown", "latex", "svg", "text")


class AgentBayExecutor(RemotePythonExecutor):
    """The Python interpreter of a session as the executor of a ``CodeAgent``.

    It keeps variables between the steps of the agent. Use it as a context manager, or the agent: at
    its end, a session that was made here is deleted.

    Args:
        additional_imports: Packages to install, with pip in the session, before the first code.
        logger: The logger of the agent. Default: a quiet one.
        session: A session of yours; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session. Its label ``framework`` is ``"smolagents"``. The
            cloud has an interpreter in the image ``"code_latest"``.
        run: The value of its label ``run``. Default: a random id.
        timeout: Seconds for the code of one step. Default: 5 minutes.
        max_print_outputs_length: Characters of printed output that the model gets; from a longer
            one the middle is left out. Default: 50000.
        allow_pickle: Whether variables and answers that are not JSON travel as pickles. A pickle of
            the session runs code here: only for code that you trust.

    Raises:
        ValueError: A limit is not above 0.
    """

    def __init__(
        self,
        additional_imports: Sequence[str] = (),
        logger: AgentLogger | None = None,
        *,
        session: agentbay.Session | None = None,
        bay: agentbay.AgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        timeout: float = _DEFAULT_TIMEOUT,
        max_print_outputs_length: int = _LOGS_LIMIT,
        allow_pickle: bool = False,
    ) -> None:
        if timeout <= 0 or max_print_outputs_length <= 0:
            raise ValueError("timeout and max_print_outputs_length must be above 0")
        logger = AgentLogger(level=LogLevel.ERROR) if logger is None else logger
        super().__init__(list(additional_imports), logger, allow_pickle)
        self._owner = BlockingSessionOwner(
            _FRAMEWORK, session=session, bay=bay, params=params, run=run
        )
        self._timeout = timeout
        self._logs_limit = max_print_outputs_length
        self._to_install = list(additional_imports)

    def run_code_raise_errors(self, code: str) -> CodeOutput:
        """Run code in the session.

        Raises:
            AgentError: The code failed, or its time was over; the model gets the text.
            AgentBayError: It could not be run.
        """
        if self._to_install:
            packages, self._to_install = self._to_install, []
            self.installed_packages += self.install_packages(packages)
        # With a callback the output is a stream, which may last for longer than one request.
        result = self._owner.get().code.run_code(
            code, timeout=self._timeout, on_stdout=lambda _text: None
        )
        error = result.error
        if error is None:
            return CodeOutput(_main_value(result), self._logs(result), is_final_answer=False)
        if not isinstance(error, CodeError):
            raise error
        if error.name == self.FINAL_ANSWER_EXCEPTION:
            answer = self._deserialize_final_answer(error.value, self.allow_pickle)
            return CodeOutput(answer, self._logs(result), is_final_answer=True)
        logs = self._logs(result) if error.name else ""
        reason = error.traceback or str(error)
        raise AgentError(f"{logs}\n{reason}".lstrip(), self.logger) from error

    def install_packages(self, additional_imports: list[str]) -> list[str]:
        """Install packages with pip in the session, and return them; those that are there stay.

        Raises:
            AgentError: They could not be installed.
        """
        if not additional_imports:
            return []
        try:
            self.run_code_raise_errors(_INSTALL.format(packages=additional_imports))
        except AgentError as error:
            text = f"pip could not install {', '.join(additional_imports)}: {error}"
            raise AgentError(text, self.logger) from error
        return additional_imports

    def cleanup(self) -> None:
        """Delete the session, if it was made here; the agent calls this at its end."""
        self._owner.close()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cleanup()

    def _patch_final_answer_with_exception(self, final_answer_tool: FinalAnswerTool) -> None:
        # The framework does it for each run; the second time, the tool would call itself.
        if type(final_answer_tool).__name__ != _PATCHED:
            super()._patch_final_answer_with_exception(final_answer_tool)

    def _logs(self, result: CodeResult) -> str:
        logs: str = truncate_content(result.stdout + result.stderr, self._logs_limit)
        return logs


def _main_value(result: CodeResult) -> Any:
    """Return the value of the last expression: a picture, or its best other format."""
    for output in result.results:
        if not output.is_main_result:
            continue
        picture = output.png or output.jpeg
        if picture:
            return PIL.Image.open(BytesIO(b64decode(picture)))
        for format in _FORMATS:
            value = getattr(output, format)
            if value is not None:
                return value
    return None
