"""Count the functions and modules that one warm call passes, on the client and on the service.

The service runs on a thread of this process, so one profile function sees both sides. Counted are
distinct functions of ``agentbay_async`` on the client's thread, and of ``agentbay_local`` on all
others: closures too, and of generated methods those of each class. Comprehensions are left out:
since Python 3.12 they have no frame. Of several calls those functions count that each has passed,
because the service may do other work at the same time.

A hop that carries meaning is fine; one that only forwards, or whose work is needed only in rare
cases, belongs off this path. ``--check`` fails above the limits below, and a test runs it.

Example:
    ::

        python benchmarks/count_hops.py --list create
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any

from agentbay_async import AsyncAgentBay, AsyncSession, CreateSessionParams
from agentbay_local import LocalService
from support.ledger import temporary_ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import CodeType, FrameType

_CLIENT, _SERVICE = "agentbay_async", "agentbay_local"
_NOT_FUNCTIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>", "<module>"})
_WARM_UP = 5
_COUNTED = 5

_LIMITS = {
    ("create", "client"): (45, 14),
    ("create", "service"): (63, 21),
    ("shell", "service"): (70, 20),
}
"""The most functions and modules that a call may pass."""

Call = tuple[str, str]


class Counter:
    """Collects the functions that are entered while it is active."""

    def __init__(self) -> None:
        self.client: set[Call] = set()
        self.service: set[Call] = set()
        self._active = False

    def profile(self, frame: FrameType, event: str, _argument: object) -> None:
        """Handle an event of the profiler."""
        if not self._active or event != "call" or frame.f_code.co_name in _NOT_FUNCTIONS:
            return
        module = frame.f_globals.get("__name__", "")
        package = module.partition(".")[0]
        on_client = threading.current_thread() is threading.main_thread()
        if package == (_CLIENT if on_client else _SERVICE):
            (self.client if on_client else self.service).add((module, _name(frame.f_code)))

    async def count(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Collect the functions of one call instead of others, and return its result."""
        self.client, self.service = set(), set()
        self._active = True
        try:
            return await call()
        finally:
            self._active = False


def _name(code: CodeType) -> str:
    # attrs puts the class of a generated method into the name of its file.
    generated = code.co_filename.startswith("<attrs generated")
    owner = code.co_filename.strip("<>").rpartition(".")[2] + "." if generated else ""
    return f"{owner}{getattr(code, 'co_qualname', code.co_name)}"


def _report(name: str, side: str, calls: set[Call], *, listed: bool) -> bool:
    """Print a count; return whether it is within its limit."""
    functions, modules = len(calls), len({module for module, _function in calls})
    most = _LIMITS.get((name, side), (functions, modules))
    exceeded = functions > most[0] or modules > most[1]
    note = f" (the limit is {most[0]} in {most[1]})" if exceeded else ""
    print(f"{name:8} {side:8} {functions:3} functions in {modules:2} modules{note}")
    if listed:
        for module, function in sorted(calls):
            print(f"    {module}: {function}")
    return not exceeded


async def _measure(counter: Counter, service: LocalService, options: argparse.Namespace) -> bool:
    """Count and print the calls; return whether all are within their limits."""
    async with (
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session() as used,
    ):
        params = CreateSessionParams()
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "create": lambda: bay.create(params),
            "shell": lambda: used.command.run("true"),
        }
        within = True
        for name in options.calls or calls:
            for _ in range(_WARM_UP):
                await _clean_up(await calls[name]())
            found = []
            for _ in range(_COUNTED):
                await _clean_up(await counter.count(calls[name]))
                found.append((counter.client, counter.service))
            for side, sets in zip(("client", "service"), zip(*found, strict=True), strict=True):
                within &= _report(name, side, set.intersection(*sets), listed=options.list)
    return within


async def _clean_up(result: Any) -> None:
    if isinstance(value := result.unwrap(), AsyncSession):
        (await value.delete()).unwrap()


def main() -> None:
    """Count, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("calls", nargs="*", metavar="CALL", help="create, shell; default: both")
    parser.add_argument("--list", action="store_true", help="print every function")
    parser.add_argument("--check", action="store_true", help="fail if a count is above its limit")
    options = parser.parse_args()
    if unknown := set(options.calls) - {"create", "shell"}:
        parser.error(f"unknown call: {', '.join(sorted(unknown))}")
    counter = Counter()
    threading.setprofile(counter.profile)
    sys.setprofile(counter.profile)
    with temporary_ledger(), LocalService() as service:
        within = asyncio.run(_measure(counter, service, options))
    if options.check and not within:
        sys.exit("A call passes more functions or modules than benchmarks/count_hops.py allows.")


if __name__ == "__main__":
    main()
