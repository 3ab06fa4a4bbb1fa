"""A child process that measures a service from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.child import LineChild

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Probe:
    """A child process that takes samples during a ``with`` block.

    Args:
        module: The module that it runs. It answers each line with the samples since the last one.
        arguments: Its command-line arguments.
        variables: Environment variables beside those of this process.
    """

    def __init__(self, module: str, *arguments: str, **variables: str) -> None:
        self._module = module
        self._arguments = arguments
        self._variables = variables

    def __enter__(self) -> Self:
        self._child = LineChild.of_module(self._module, *self._arguments, **self._variables)
        self.read_latencies()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.close()

    def read_latencies(self) -> list[float]:
        """Return the latency in seconds of each sample since the last call.

        Raises:
            ChildFailedError: A sample failed, or took longer than two minutes.
        """
        seconds: list[float] = self._child.ask({})["seconds"]
        return seconds
