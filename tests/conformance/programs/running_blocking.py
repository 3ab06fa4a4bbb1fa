"""Commands, code and terminals for the official client, blocking."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agentbay import AgentBay, CreateSessionParams, Session

DEADLINE = 60


def commands(session: Session) -> None:
    """By the direct channel and by the API; at once, with variables, with a time limit."""
    assert session.link_url and session.token and session.ws_url
    assert "resourceId=" in session.resource_url
    assert {tool.name: tool.server for tool in session.mcpTools}["shell"] == "wuying_shell"
    assert "run_code" in {tool.name for tool in session.mcpTools}
    with ThreadPoolExecutor(4) as pool:
        outputs = list(pool.map(session.command.run, [f"sleep 0.2; echo {n}" for n in range(4)]))
    assert [output.stdout for output in outputs] == ["0\n", "1\n", "2\n", "3\n"], outputs
    link, session.link_url = session.link_url, ""
    for way in ("", link):
        session.link_url = way
        done = session.command.run('echo "$A"; pwd; echo e >&2; exit 3', envs={"A": "b  c"})
        assert (done.exit_code, done.stdout, done.stderr) == (3, "b  c\n/home/wuying\n", "e\n")
        late = session.command.run("sleep 30", timeout_ms=300)
        assert not late.success and late.error_message and not late.output, late
        nul = session.command.run(r"printf 'a\000b'")
        assert nul.stdout == "a\0b", nul


def code(session: Session) -> None:
    """State across calls, results and errors, whole and streamed."""
    first = session.code.run_code("x = 20\nprint('out')\nx * 2 + 2", "Python3")
    assert first.success and first.result == "42" and first.logs.stdout == ["out\n"], first
    assert first.execution_count == 1 and first.execution_time > 0, first
    failed = session.code.run_code("1 / 0", "py")
    assert not failed.success and "ZeroDivisionError" in failed.error_message, failed
    late = session.code.run_code("while True: pass", "python", timeout_s=1)
    assert not late.success and "longer than 1 s" in late.error_message, late
    typo = session.code.run_code("x =", "python")
    assert not typo.success and "SyntaxError" in typo.error_message, typo
    html = "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nx"
    shown = session.code.run_code(html, "python")
    assert [one.html for one in shown.results if one.html] == ["<b>x</b>"], shown
    assert shown.result == "20", shown
    check_java(session.code.run_code("1", "java"))

    heard: list[str] = []
    complaints: list[str] = []
    streamed = session.code.run_code(
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
    failed = session.code.run_code(
        "raise ValueError('no')", "python", stream_beta=True, on_error=errors.append
    )
    assert not failed.success and failed.error.name == "ValueError" and errors, failed
    large = session.code.run_code("print('é' * 1_000_000)", "python", stream_beta=True)
    assert "".join(large.logs.stdout) == "é" * 1_000_000 + "\n"
    check_java(session.code.run_code("1", "java", stream_beta=True))


def check_java(java: Any) -> None:
    """The local service runs it where the machine has it, and says what is missing elsewhere."""
    if java.success:
        assert java.result == "1", java
    else:
        assert "java is not installed" in java.error_message, java


def terminals(session: Session) -> None:
    """Open, type, resize, list, attach again, kill."""
    output = bytearray()
    pty = session.pty.create(
        cols=90, rows=30, cwd="/tmp", envs={"A": "b"}, shell="/bin/sh", on_data=output.extend
    )
    pty.send_input(b"stty size; pwd; echo $A $TERM\n")
    comes(output, b"30 90\r\n/tmp\r\nb xterm-256color\r\n")
    pty.resize(100, 40)
    pty.send_input("stty size; echo 汉\n".encode())
    comes(output, "40 100\r\n汉\r\n".encode())
    assert [one.pty_session_id for one in session.pty.list()] == [pty.pty_session_id]

    pty.disconnect()
    again = bytearray()
    pty = session.pty.connect(pty.pty_session_id, on_data=again.extend)
    comes(again, bytes(output))
    pty.send_input(b"exit 3\n")
    assert pty.wait(DEADLINE) == 3
    assert not session.pty.list()

    killed = session.pty.create(on_data=output.extend)
    killed.send_input(b"sleep 1000\n")
    killed.kill()
    assert killed.wait(DEADLINE) == 137
    first = bytearray()
    quick = session.pty.create(shell="/bin/echo first", on_data=first.extend)
    assert quick.wait(DEADLINE) == 0
    assert first == b"first\r\n", first


def comes(output: bytearray, wanted: bytes) -> None:
    """Wait until a terminal has shown something."""
    end = time.monotonic() + DEADLINE
    while wanted not in output:
        assert time.monotonic() < end, (wanted, bytes(output))
        time.sleep(0.02)


def main() -> None:
    """Do all of it in one session."""
    bay = AgentBay()
    session = (bay.create(CreateSessionParams(image_id="linux_latest"))).session
    commands(session)
    code(session)
    terminals(session)
    assert (bay.delete(session)).success
    print("conforms")


main()
