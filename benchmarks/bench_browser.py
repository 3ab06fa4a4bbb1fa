"""Benchmark of browsers: from the create to a connected browser, and ten of them at once.

See the README beside this file. It needs the image `browser_latest` (`agentbay image build
browser_latest`) and Playwright (`pip install playwright`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
from playwright.async_api import async_playwright

from agentbay_async import AsyncAgentBay, BrowserOption, CreateSessionParams
from agentbay_local import LocalService
from agentbay_local.images import parse_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.async_api import Browser, Playwright

    from agentbay_async import AsyncSession

CONNECTED_MOST = 1.2
PAGE = "<!doctype html><title>page</title>" + "<p>some text</p>" * 200


@attrs.frozen
class Round:
    """Seconds from the create to each step, and the memory of the session at the end.

    Attributes:
        created: The session is created.
        started: Its browser runs.
        connected: Playwright is connected to it.
        opened: A page is open.
        pictured: The page is pictured.
        megabytes: Memory of the session.
    """

    created: float
    started: float
    connected: float
    opened: float
    pictured: float
    megabytes: float


@attrs.define
class Bench:
    """A client and Playwright.

    Attributes:
        bay: The client.
        playwright: Playwright, whose own start does not count.
    """

    bay: AsyncAgentBay
    playwright: Playwright

    async def run(self) -> Round:
        """Use one browser in a new session."""
        begun = time.perf_counter()
        times = []
        params = CreateSessionParams(image_id="browser_latest")
        async with self.bay.session(params) as session:
            times.append(time.perf_counter() - begun)
            (await session.browser.initialize(BrowserOption())).unwrap()
            times.append(time.perf_counter() - begun)
            browser = await self._connect(session)
            times.append(time.perf_counter() - begun)
            page = await browser.contexts[0].new_page()
            await page.set_content(PAGE)
            times.append(time.perf_counter() - begun)
            await page.screenshot()
            times.append(time.perf_counter() - begun)
            used = (await session.get_metrics()).unwrap().mem_used
            await browser.close()
        created, started, connected, opened, pictured = times
        return Round(created, started, connected, opened, pictured, (used or 0) / 1e6)

    async def _connect(self, session: AsyncSession) -> Browser:
        url = await session.browser.get_endpoint_url()
        return await self.playwright.chromium.connect_over_cdp(url)


def show(title: str, rounds: Sequence[Round]) -> None:
    """Print the median and the range of each figure."""
    print(f"\n{title}, {len(rounds)} browsers")
    for field in attrs.fields(Round):
        values = sorted(getattr(one, field.name) for one in rounds)
        unit = "MB" if field.name == "megabytes" else "s "
        median = statistics.median(values)
        print(f"  {field.name:10} {median:8.2f} {unit} [{values[0]:.2f} to {values[-1]:.2f}]")


async def measure(arguments: argparse.Namespace) -> tuple[list[Round], list[Round]]:
    """Measure single browsers, and several at once."""
    images = [parse_image(text) for text in arguments.image]
    async with (
        LocalService(images=images) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        async_playwright() as playwright,
    ):
        bench = Bench(bay, playwright)
        await bench.run()  # the first one reads Chromium from the disk
        singles = [await bench.run() for _ in range(arguments.rounds)]
        show("One after the other", singles)
        begun = time.perf_counter()
        together = await asyncio.gather(*(bench.run() for _ in range(arguments.together)))
        show("At once", together)
        print(f"  all        {time.perf_counter() - begun:8.2f} s")
    return singles, together


def main() -> int:
    """Measure, print, and with ``--check`` fail if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="browsers one after the other (10)")
    parser.add_argument("--together", type=int, default=10, help="browsers at once (10)")
    parser.add_argument(
        "--image", action="append", default=[], help="NAME=DIR, as `agentbay local`"
    )
    parser.add_argument("--check", action="store_true", help="exit with 1 if the target is missed")
    parser.add_argument("--json", type=Path, help="save every sample")
    arguments = parser.parse_args()
    singles, together = asyncio.run(measure(arguments))
    if arguments.json:
        samples = {"singles": singles, "together": together}
        text = json.dumps(
            {name: [attrs.asdict(one) for one in found] for name, found in samples.items()}
        )
        arguments.json.write_text(text, "utf-8")
    median = statistics.median(one.connected for one in singles)
    met = median <= CONNECTED_MOST
    print(f"\nconnected: {median:.2f} s of {CONNECTED_MOST} s: {'met' if met else 'MISSED'}")
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
