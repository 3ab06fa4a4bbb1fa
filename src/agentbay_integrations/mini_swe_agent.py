"""mini-SWE-agent: a session as the environment of an agent.

Example:
    ::

        mini --environment-class agentbay_integrations.mini_swe_agent.AgentBayEnvironment
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shlex
import subprocess
import threading
import weakref
from typing import TYPE_CHECKING, Any

from minisweagent.exceptions import Submitted
from minisweagent.utils.serialize import recursive_merge
from pydantic import BaseModel, ConfigDict, Field

from agentbay_async import (
    AgentBayError,
    CommandError,
    CreateSessionParams,
    InvalidArgumentError,
)
from agentbay_integrations._sessions import BlockingSessionOwner

if TYPE_CHECKING:
    from collections.abc import Callable

    import agentbay

__all__ = ["AgentBayEnvironment", "AgentBayEnvironmentConfig"]

logger = logging.getLogger("minisweagent.environment")

_FRAMEWORK = "mini-swe-agent"
_SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
_UNAME = ("system", "node", "release", "version", "machine")


class AgentBayEnvironmentConfig(BaseModel):
    """The settings of an environment, as in a configuration file.

    Attributes:
        image_id: The image of the session; ``None`` takes the service's default.
        labels: Labels of the session, besides ``framework`` and ``run``.
        cwd: The working directory. Default: the home directory.
        env: Variables of each command.
        forward_env: Names of variables of this program to pass on; `env` comes first.
        timeout: Seconds for a command.
        interpreter: The program that gets a command as its last argument.
    """

    model_config = ConfigDict(extra="forbid")

    image_id: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    cwd: str = ""
    env: dict[str, str] = Field(default_factory=dict)
    forward_env: list[str] = Field(default_factory=list)
    timeout: int = Field(default=30, gt=0)
    interpreter: list[str] = ["bash", "-c"]


class AgentBayEnvironment:
    """Runs an agent's commands in a session.

    The first command creates the session. :meth:`cleanup`, leaving a ``with`` block, the end of the
    object and the end of the program delete it.

    Args:
        session: A session of yours; it is never deleted here.
        bay: The client. Default: one with the settings of the environment.
        params: The parameters of a new session, instead of ``image_id`` and ``labels``.
        run: The value of its label ``run``. Default: a random id.
        config_class: The class of the settings.
        settings: The settings, by the names of :class:`AgentBayEnvironmentConfig`.

    Raises:
        ValueError: A setting is unknown or invalid.

    Example:
        ::

            with AgentBayEnvironment(timeout=60) as environment:
                DefaultAgent(model, environment, **templates).run("Fix the bug")
    """

    def __init__(
        self,
        *,
        session: agentbay.Session | None = None,
        bay: agentbay.AgentBay | None = None,
        params: CreateSessionParams | None = None,
        run: str | None = None,
        config_class: type[AgentBayEnvironmentConfig] = AgentBayEnvironmentConfig,
        **settings: Any,  # of a configuration file; the class checks them
    ) -> None:
        self.config = config_class(**settings)
        if params is None:
            params = CreateSessionParams(image_id=self.config.image_id, labels=self.config.labels)
        self._owner = BlockingSessionOwner(
            _FRAMEWORK, session=session, bay=bay, params=params, run=run
        )
        self._uname: dict[str, str] = {}
        # The framework's own programs never clean up.
        self._close = functools.partial(_close, self._owner)
        weakref.finalize(self, _finalize, self._owner, self._close).atexit = False

    def __enter__(self) -> AgentBayEnvironment:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.cleanup()

    def execute(
        self, action: dict[str, Any], cwd: str = "", *, timeout: int | None = None
    ) -> dict[str, Any]:
        """Run the command of an action; return its output and exit code as the framework wants.

        Args:
            action: Its ``command`` is run.
            cwd: Another working directory.
            timeout: Other seconds.

        Raises:
            Submitted: The command has submitted the agent's work.
            AgentBayError: There is no session, and none can be created.
        """
        session = self._session()
        limit = timeout or self.config.timeout
        command = action.get("command", "")
        try:
            output = self._run(session, command, cwd or self.config.cwd, limit)
        except AgentBayError as error:
            output = _failed("", error)
        lines = output["output"].lstrip().splitlines(keepends=True)
        if lines and lines[0].strip() == _SUBMIT and output["returncode"] == 0:
            work = "".join(lines[1:])
            extra = {"exit_status": "Submitted", "submission": work}
            raise Submitted({"role": "exit", "content": work, "extra": extra})
        return output

    def _session(self) -> agentbay.Session:
        new = self._owner.session is None
        session = self._owner.get()
        if new:
            # Now, so that it runs before the client's own functions for the end of a program.
            atexit.register(self._close)
        return session

    def _run(
        self, session: agentbay.Session, command: str, cwd: str, limit: float
    ) -> dict[str, Any]:
        # Both streams in one, in the order of writing.
        line = f"{shlex.join([*self.config.interpreter, command])} 2>&1"
        variables = {n: value for n in self.config.forward_env if (value := os.getenv(n))}
        variables |= self.config.env
        result = _run_for(session, line, limit, cwd or None, variables)
        error = result.error
        if error is not None and not (isinstance(error, CommandError) and error.ran):
            raise error
        if result.timed_out:
            return _failed(result.stdout, subprocess.TimeoutExpired(command, limit))
        return {"output": result.stdout, "returncode": result.exit_code, "exception_info": ""}

    def get_template_vars(self, **kwargs: Any) -> dict[str, Any]:
        """Return the settings, and what ``uname`` says of the session, for prompts."""
        if not self._uname:
            found = self._session().command.run("for o in s n r v m; do uname -$o; done")
            self._uname = dict(zip(_UNAME, found.unwrap().stdout.splitlines(), strict=True))
        return recursive_merge(self.config.model_dump(), self._uname, kwargs)

    def serialize(self) -> dict[str, Any]:
        """Return the settings, for the file of a trajectory; without the values of variables."""
        settings = self.config.model_dump(mode="json")
        settings["env"] = sorted(self.config.env)
        kind = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"info": {"config": {"environment": settings, "environment_type": kind}}}

    def cleanup(self) -> None:
        """Delete the session, if it was made here.

        Raises:
            AgentBayError: It could not be deleted.
        """
        self._owner.close()
        atexit.unregister(self._close)


def _run_for(
    session: agentbay.Session,
    line: str,
    limit: float,
    cwd: str | None,
    envs: dict[str, str],
) -> agentbay.CommandResult:
    try:
        return session.command.run(line, cwd=cwd, envs=envs, timeout=limit)
    except InvalidArgumentError:
        # The session may have no address of its own, so that no request lasts that long. With a
        # callback there is no limit. What else is wrong is found again.
        return session.command.run(
            line, cwd=cwd, envs=envs, timeout=limit, on_stdout=lambda _text: None
        )


def _failed(output: str, error: Exception) -> dict[str, Any]:
    return {
        "output": output,
        "returncode": -1,
        "exception_info": f"An error occurred while executing the command: {error}",
        "extra": {"exception_type": type(error).__name__, "exception": str(error)},
    }


def _finalize(owner: BlockingSessionOwner, close: Callable[[], None]) -> None:
    atexit.unregister(close)
    if owner.session is not None:
        # The garbage collector runs on any thread, such as that of an event loop.
        threading.Thread(target=close, name="agentbay-cleanup").start()


def _close(owner: BlockingSessionOwner) -> None:
    try:
        owner.close()
    except AgentBayError as error:
        # Nobody is there to catch it; the session's lifetime ends it.
        logger.warning("a session of %s may be left: %s", _FRAMEWORK, error)
