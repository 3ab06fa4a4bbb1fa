"""A notebook in a session: cells that share variables, results in several formats, errors.

AGENTBAY_ENDPOINT selects the service; without it, the sessions run on this machine. This needs
IPython: ``pip install "agentbay-async[local]"``.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from agentbay_async import AsyncAgentBay, CodeError, CreateSessionParams

if TYPE_CHECKING:
    from agentbay_async import AsyncSession

CELLS = [
    "temperatures = [17.5, 21.0, 19.2, 24.8]",
    "sum(temperatures) / len(temperatures)",
    """
from IPython.display import HTML, JSON, display
rows = "".join(f"<tr><td>{value}</td></tr>" for value in temperatures)
display(HTML(f"<table>{rows}</table>"))
display(JSON({"warmest": max(temperatures)}))
print("shown")
""",
    "temperatures[10]",
    "len(temperatures)",
]


async def run_cell(session: AsyncSession, number: int, code: str) -> None:
    """Run one cell and print its output, as a notebook would show it."""
    result = await session.code.run_code(code, timeout=30)
    if isinstance(result.error, CodeError):
        print(f"[{number}] {result.error.name}: {result.error.value}", flush=True)
        return
    outcome = result.unwrap()
    for text in outcome.logs.stdout:
        print(f"[{number}] wrote {text.strip()}", flush=True)
    for shown in outcome.results:
        # The richest format that this program can show.
        form = next(name for name in ("html", "json", "text") if name in shown.formats())
        print(f"[{number}] {form}: {getattr(shown, form)}", flush=True)


async def main() -> None:
    """Run the cells one after the other; their variables last as long as the session."""
    endpoint = os.environ.get("AGENTBAY_ENDPOINT", "local")
    params = CreateSessionParams(image_id="code_latest")
    async with AsyncAgentBay(endpoint=endpoint) as bay, bay.session(params) as session:
        for number, code in enumerate(CELLS, 1):
            await run_cell(session, number, code)

        print("output of a loop, as it arrives:", flush=True)
        async for event in session.code.stream("for value in temperatures: print(value)"):
            if event.kind == "stdout":
                print(event.text, end="", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
