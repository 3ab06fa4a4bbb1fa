"""Commands, code and terminals for the official client, async."""

import asyncio
import time
from typing import Any

from agentbay import AsyncAgentBay, AsyncSession, CreateSessionParams

DEADLINE = 60


async def commands(session: AsyncSession) -> None:
    """By the direct channel and by the API; at once, with variables, with a time limit."""
    assert session.link_url and session.token and session.ws_url
    assert "resourceId=" in session.resource_url
    assert {tool.name: tool.server for tool in session.mcpTools}["shell"] == "wuying_shell"
    assert "run_code" in {tool.name for tool in session.mcpTools}
    outputs = await asyncio.gather(
        *(session.command.run(f"sleep 0.2; echo {number}") for number in range(4))
    )
    assert [output.stdout for output in outputs] == ["0\n", "1\n", "2\n", "3\n"], outputs
    link, session.link_url = session.link_url, ""
    for way in ("", link):
        session.link_url = way
        done = await session.command.run('echo "$A"; pwd; echo e >&2; exit 3', envs={"A": "b  c"})
        assert (done.exit_code, done.stdout, done.stderr) == (3, "b  c\n/home/wuying\n", "e\n")
        late = await session.command.run("sleep 30", timeout_ms=300)
        assert not late.success and late.error_message and not late.output, late
        nul = await session.command.run(r"printf 'a\000b'")
        assert nul.stdout == "a\0b", nul


async def code(session: AsyncSession) -> None:
    """State across calls, results and errors, whole and streamed."""
    first = await session.code.run_code("x = 20\nprint('out')\nx * 2 + 2", "Python3")
    assert first.success and first.result == "42" and first.logs.stdout == ["out\n"], first
    assert first.execution_count == 1 and first.execution_time > 0, first
    failed = await session.code.run_code("1 / 0", "py")
    assert not failed.success and "ZeroDivisionError" in failed.error_message, failed
    late = await session.code.run_code("while True: pass", "python", timeout_s=1)
    assert not late.success and "longer than 1 s" in late.error_message, late
    typo = await session.code.run_code("x =", "python")
    assert not typo.success and "SyntaxError" in typo.error_message, typo
    html = "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nx"
    shown = await session.code.run_code(html, "python")
    assert [one.html for one in shown.results if one.html] == ["<b>x</b>"], shown
    assert shown.result == "20", shown
    check_java(await session.code.run_code("1", "java"))

    heard: list[str] = []
    complaints: list[str] = []
    streamed = await session.code.run_code(
        "import sys\nfor n in range(3): print(n)\nprint('e', file=sys.stderr)\nx + 1",
        "python",
        stream_beta=True,
        on_stdout=heard.append,
        on_stderr=complaints.append,
    )
    assert streamed.success and streamed.result == "21", streamed
    # In chunks of any size.
    assert ("".join(heard), "".join(complaints)) == ("0\n1\n2\n", "e\n"), (heard, complaints)
    errors: list[object] = []
    failed = await session.code.run_code(
        "raise ValueError('no')", "python", stream_beta=True, on_error=errors.append
    )
    assert not failed.success and failed.error.name == "ValueError" and errors, failed
    large = await session.code.run_code("print('é' * 1_000_000)", "python", stream_beta=True)
    assert "".join(large.logs.stdout) == "é" * 1_000_000 + "\n"
    check_java(await session.code.run_code("1", "java", stream_beta=True))


def check_java(java: Any) -> None:
    """The local service runs it where the machine has it, and says what is missing elsewhere."""
    if java.success:
        assert java.result == "1", java
    else:
        assert "java is not installed" in java.error_message, java


async def terminals(session: AsyncSession) -> None:
    """Open, type, resize, list, attach again, kill."""
    output = bytearray()
    pty = await session.pty.create(
        cols=90, rows=30, cwd="/tmp", envs={"A": "b"}, shell="/bin/sh", on_data=output.extend
    )
    await pty.send_input(b"stty size; pwd; echo $A $TERM\n")
    await comes(output, b"30 90\r\n/tmp\r\nb xterm-256color\r\n")
    await pty.resize(100, 40)
    await pty.send_input("stty size; echo 汉\n".encode())
    await comes(output, "40 100\r\n汉\r\n".encode())
    assert [one.pty_session_id for one in await session.pty.list()] == [pty.pty_session_id]

    pty.disconnect()
    again = bytearray()
    pty = await session.pty.connect(pty.pty_session_id, on_data=again.extend)
    await comes(again, bytes(output))
    await pty.send_input(b"exit 3\n")
    assert await pty.wait(DEADLINE) == 3
    assert not await session.pty.list()

    killed = await session.pty.create(on_data=output.extend)
    await killed.send_input(b"sleep 1000\n")
    await killed.kill()
    assert await killed.wait(DEADLINE) == 137
    first = bytearray()
    quick = await session.pty.create(shell="/bin/echo first", on_data=first.extend)
    assert await quick.wait(DEADLINE) == 0
    assert first == b"first\r\n", first


async def comes(output: bytearray, wanted: bytes) -> None:
    """Wait until a terminal has shown something."""
    end = time.monotonic() + DEADLINE
    while wanted not in output:
        assert time.monotonic() < end, (wanted, bytes(output))
        await asyncio.sleep(0.02)


async def main() -> None:
    """Do all of it in one session."""
    bay = AsyncAgentBay()
    session = (await bay.create(CreateSessionParams(image_id="linux_latest"))).session
    await commands(session)
    await code(session)
    await terminals(session)
    assert (await bay.delete(session)).success
    print("conforms")


asyncio.run(main())
