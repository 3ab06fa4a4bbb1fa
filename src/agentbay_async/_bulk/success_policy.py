"""How many sessions of a run must succeed."""

from __future__ import annotations

import attrs

from agentbay_async import _check
from agentbay_async.errors import InvalidArgumentError

_POLICIES = ("best_effort", "all_or_nothing")


@attrs.frozen
class SuccessPolicy:
    """How many must succeed, lest all be rolled back.

    Attributes:
        every: Whether none may fail.
        least: How many must succeed.
    """

    every: bool = False
    least: int = 0

    @classmethod
    def of(cls, on_outcome: str, min_success: int | None, size: int | None) -> SuccessPolicy:
        """Return the demand of a caller.

        Raises:
            InvalidArgumentError: There is no such policy, or it can never be met.
        """
        if on_outcome not in _POLICIES:
            raise InvalidArgumentError(
                f"on_outcome must be one of {', '.join(_POLICIES)}, not {on_outcome!r}"
            )
        if min_success is None:
            return cls(every=on_outcome == "all_or_nothing")
        if on_outcome == "all_or_nothing":
            raise InvalidArgumentError(
                "min_success and on_outcome='all_or_nothing' exclude each other"
            )
        least = _check.positive_int(min_success, "min_success")
        if size is not None and least > size:
            raise InvalidArgumentError(f"min_success must be at most {size}, not {least}")
        return cls(least=least)

    @property
    def any(self) -> bool:
        """Whether anything is demanded."""
        return self.every or self.least > 0

    def hopeless(self, failed: int, size: int | None) -> bool:
        """Whether it can no longer be met."""
        if self.every:
            return failed > 0
        return size is not None and size - failed < self.least

    def met(self, done: int, failed: int) -> bool:
        """Whether it is met in the end."""
        return not failed if self.every else done >= self.least
