"""Benchmark of desktops: start, screenshots, clicks and text, and several desktops at once.

It needs the image `linux_latest` with its layer (`agentbay image build linux_latest`), or a layer
given by ``--layer``.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay
from agentbay_local import Image, LocalService
from support.ledger import temporary_ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import AsyncSession

_TEXT = "The quick brown fox jumps over the lazy dog. " * 2 + "Größe 世界"
# A terminal that echoes what it gets, clicks included, so that each click changes the screen.
_ECHO = "xterm -geometry 80x24 -e sh -c \"printf '\\033[?1000h\\033[?1006h'; exec cat\""


async def _seconds(work: Awaitable[object]) -> float:
    start = time.perf_counter()
    await work
    return time.perf_counter() - start


async def _first_call(bay: AsyncAgentBay) -> float:
    async with bay.session() as session:
        (await session.command.run("true")).unwrap()
        return await _seconds(session.computer.get_screen_size())


async def _click_until_visible(session: AsyncSession, x: int, y: int) -> float:
    before = (await session.computer.beta_take_screenshot()).unwrap().data
    start = time.perf_counter()
    (await session.computer.click_mouse(x, y)).unwrap()
    while (await session.computer.beta_take_screenshot()).unwrap().data == before:
        continue
    return time.perf_counter() - start


async def _open_terminal(session: AsyncSession) -> tuple[int, int]:
    (await session.computer.start_app(_ECHO)).unwrap()
    while not (windows := (await session.computer.list_root_windows()).unwrap()):
        continue
    window = windows[0]
    x, y = window.absolute_upper_left_x + 50, window.absolute_upper_left_y + 50
    # The first click waits for the terminal to listen.
    before = (await session.computer.beta_take_screenshot()).unwrap().data
    while (await session.computer.beta_take_screenshot()).unwrap().data == before:
        (await session.computer.click_mouse(x, y)).unwrap()
    return x, y


async def measure(bay: AsyncAgentBay, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each operation."""
    samples = {"first call, which starts the display": [await _first_call(bay) for _ in range(5)]}
    async with bay.session() as session:
        computer = session.computer
        x, y = await _open_terminal(session)
        operations: dict[str, Callable[[], Awaitable[object]]] = {
            "screenshot, PNG": computer.beta_take_screenshot,
            "screenshot, JPEG": lambda: computer.beta_take_screenshot("jpeg"),
            "screenshot with a URL": computer.screenshot,
            "move the mouse": lambda: computer.move_mouse(x, y),
            "click": lambda: computer.click_mouse(x, y),
            "press two keys": lambda: computer.press_keys(["Ctrl", "l"]),
            f"type {len(_TEXT)} characters": lambda: computer.input_text(_TEXT),
            "list windows": computer.list_root_windows,
        }
        for name, operation in operations.items():
            samples[name] = [await _seconds(operation()) for _ in range(rounds)]
        name = "click until a screenshot shows its effect"
        samples[name] = [await _click_until_visible(session, x, y) for _ in range(rounds)]
    return samples


async def _open_desktop(bay: AsyncAgentBay) -> tuple[AsyncSession, dict[str, float]]:
    """Create a session with a terminal on its screen; return the times since, and megabytes."""
    start = time.perf_counter()
    session = (await bay.create()).unwrap()
    (await session.computer.start_app("xterm")).unwrap()
    while not (await session.computer.list_root_windows()).unwrap():
        continue
    opened = time.perf_counter() - start
    (await session.computer.beta_take_screenshot()).unwrap()
    pictured = time.perf_counter() - start
    used = ((await session.get_metrics()).unwrap().mem_used or 0) / 2**20
    return session, {"seconds to a window": opened, "to a picture": pictured, "MB": used}


async def show_together(bay: AsyncAgentBay, count: int) -> None:
    """Open desktops one after the other, and then as many at once; print medians and ranges."""
    alone = [await _open_desktop(bay) for _ in range(count)]
    await asyncio.gather(*(session.delete() for session, _ in alone))
    together = await asyncio.gather(*(_open_desktop(bay) for _ in range(count)))
    await asyncio.gather(*(session.delete() for session, _ in together))
    print(f"\n| {count} desktops | one after the other | at once |\n| --- | --- | --- |")
    for name in alone[0][1]:
        columns = [_spread([one[name] for _, one in found]) for found in (alone, together)]
        print(f"| {name} | {' | '.join(columns)} |")


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def show(samples: dict[str, list[float]]) -> None:
    """Print the median and the slowest of each operation, in milliseconds."""
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print("| operation | median ms | slowest ms | runs |\n| --- | --- | --- | --- |")
    for name, times in samples.items():
        median, most = statistics.median(times) * 1000, max(times) * 1000
        print(f"| {name} | {median:.0f} | {most:.0f} | {len(times)} |")


async def _main(options: argparse.Namespace) -> None:
    images = []
    if options.layer:
        layers = [options.layer]
        images = [Image("linux_latest", layers=layers, features=["shell", "code", "desktop"])]
    async with (
        LocalService(images=images) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        show(await measure(bay, options.rounds))
        await show_together(bay, options.together)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layer", type=Path, help="a directory that has the programs of a desktop")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--together", type=int, default=10, help="desktops at once (10)")
    with temporary_ledger():
        asyncio.run(_main(parser.parse_args()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
