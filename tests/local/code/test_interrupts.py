"""Ends of kernels in real sandboxes: timeouts, interrupts, pauses and lost state."""

from __future__ import annotations

import asyncio
import importlib.util
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.code import (
    CodeOutcome,
    ExecutionEnd,
    StreamOutput,
    kernel,
    languages,
)
from agentbay_local.code.kernel import Kernel
from agentbay_local.protocol.arguments import ToolError
from agentbay_local.sandbox.errors import SandboxGone

from .code_runner import BEGIN, CodeRunner, begun, needs_node

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)


@pytest.fixture
def skip_an_hour(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function that moves the clock of time limits past all of them."""
    skipped = [0.0]

    def skip() -> None:
        skipped[0] += 3600

    def now() -> float:
        return asyncio.get_running_loop().time() + skipped[0]

    monkeypatch.setattr(kernel, "_PAUSE_CHECK_INTERVAL", 0.02)
    monkeypatch.setattr(kernel, "_now", now)
    return skip


async def run_out_of_time(coder: CodeRunner, code: str, skip: Callable[[], None]) -> CodeOutcome:
    """Run code, and let its time limit pass when it has printed a line."""
    events = []
    async for event in coder.kernels.stream("s-1", "python", code, 600):
        if isinstance(event, StreamOutput) and event.text.endswith("\n"):
            skip()
        events.append(event)
    return CodeOutcome.from_events(events)


async def test_code_is_interrupted_at_its_timeout_and_the_state_is_kept(
    coder: CodeRunner, skip_an_hour: Callable[[], None]
) -> None:
    """Its output until then is kept, and the next call finds the variables."""
    code = "import time\nx = 'kept'\nprint('begun')\nwhile True: time.sleep(60)"
    outcome = await run_out_of_time(coder, code, skip_an_hour)

    ended = outcome.end
    assert ended.error is not None
    assert (ended.error.name, ended.timed_out, ended.state_lost) == ("TimeoutError", True, False)
    assert "longer than 600 s" in ended.error.value
    assert "python_kernel" not in ended.error.traceback
    assert outcome.stdout == "begun\n"
    assert await coder.value("x") == "'kept'"


@pytest.mark.parametrize(
    "code",
    [
        "!sleep 60",
        "import subprocess; subprocess.run(['sleep', '60'])",
        "import os; os.system('sleep 60'); import time; time.sleep(60)",
        "while True: pass",
        "import asyncio; await asyncio.sleep(60)",
        "import threading; threading.Event().wait()",
    ],
)
async def test_the_interrupt_reaches_code_that_waits(coder: CodeRunner, code: str) -> None:
    """Child processes in the foreground end too."""
    outcome = await coder.python(code, timeout=0.5)

    assert not outcome.end.state_lost
    assert outcome.end.seconds < 60
    assert await coder.value("1") == "1"


async def test_code_that_ignores_the_interrupt_is_killed_and_the_loss_is_reported(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch, skip_an_hour: Callable[[], None]
) -> None:
    """The call ends and reports the lost state; the next one starts a new kernel."""
    monkeypatch.setattr(kernel, "INTERRUPT_GRACE", 0.3)
    await coder.python("x = 1")

    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint(1)\nwhile True: pass"
    outcome = await run_out_of_time(coder, code, skip_an_hour)

    assert outcome.end.error is not None
    assert "ignored the interrupt" in outcome.end.error.value
    assert (outcome.end.timed_out, outcome.end.state_lost) == (True, True)
    after = await coder.python("x")
    assert after.end.error is not None
    assert (after.end.error.name, after.end.count) == ("NameError", 1)
    assert not after.end.state_lost, "it has been reported already"


async def test_a_signal_handler_does_not_outlive_its_call(coder: CodeRunner) -> None:
    """The next call can be interrupted, even if the call before ignored interrupts."""
    await coder.python("import signal; _ = signal.signal(signal.SIGINT, signal.SIG_IGN)")

    outcome = await coder.python("while True: pass", timeout=0.5)

    assert (outcome.end.timed_out, outcome.end.state_lost) == (True, False)


@pytest.mark.parametrize(
    ("language", "failing"),
    [("python", "1 / 0"), pytest.param("javascript", "throw new Error()", marks=needs_node)],
)
async def test_an_interrupt_between_calls_does_nothing(
    coder: CodeRunner, language: str, failing: str
) -> None:
    """An interrupt that comes too late does not reach the next call."""
    await coder.kernels.run("s-1", language, "x = 41", 30)
    await coder.kernels.run("s-1", language, failing, 30)
    signalled = await coder.sandbox.run(
        f"pkill -INT -f '[{language[0]}]{language[1:]}_kernel'", timeout=60
    )
    assert signalled.exit_code == 0

    outcome = await coder.kernels.run("s-1", language, "x + 1", 30)

    assert outcome.end.error is None
    assert outcome.results[0].mime["text/plain"] == "42"


async def test_an_interrupt_while_displays_are_sent_keeps_the_state(coder: CodeRunner) -> None:
    """It is deferred until a frame is complete."""
    await coder.python("x = 'kept'")
    outcome = await coder.python(
        "from IPython.display import HTML\nwhile True: display(HTML('x' * 9000))", timeout=1
    )

    assert (outcome.end.timed_out, outcome.end.state_lost) == (True, False)
    assert await coder.value("x") == "'kept'"


@pytest.mark.parametrize(
    ("code", "reported"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    ],
)
async def test_the_exit_of_a_kernel_is_reported_with_its_reason(
    coder: CodeRunner, code: str, reported: str
) -> None:
    """Its output is kept, and the next call starts a new kernel."""
    outcome = await coder.python(f"print('last words')\n{code}")

    assert outcome.end.error is not None
    assert reported in outcome.end.error.value
    assert outcome.end.state_lost
    assert outcome.stdout == "last words\n"
    assert await coder.value("1") == "1"


async def test_an_exit_between_calls_is_reported_by_the_next_call(coder: CodeRunner) -> None:
    """The lost state is never silent."""
    await coder.python("x = 1")
    ended = await coder.sandbox.run("pkill -9 -f '[p]ython_kernel'", timeout=60)
    assert ended.exit_code == 0
    slot = coder.kernels._slots["s-1", "python"]
    assert slot.kernel is not None
    await asyncio.wait_for(slot.kernel.exited.wait(), 60)

    outcome = await coder.python("1")

    assert outcome.end.state_lost
    assert "restarted" in outcome.stderr
    assert not (await coder.python("1")).end.state_lost


@pytest.mark.parametrize(
    "garbage",
    [
        "b'garbage' * 1000",
        "b'\\xff' * 4",
        "b'\\0\\0\\0\\2{}'",
        "b'\\0\\0\\0\\0' * 100",
        "b'\\0\\0\\0\\x0a{\"done\": 1}' * 3",
        "b'\\0\\0\\0\\x0b{\"result\":1}'",
    ],
)
async def test_garbage_on_the_control_socket_ends_the_kernel_only(
    coder: CodeRunner, garbage: str
) -> None:
    """The code can write to its kernel's socket; the service validates every frame."""
    await coder.python(f"import os; os.write(3, {garbage}); import time; time.sleep(60)", timeout=5)

    assert await coder.value("1 + 1") == "2"


async def test_closing_the_stream_interrupts_the_code(coder: CodeRunner) -> None:
    """The kernel is free for the next call, and its state is kept."""
    code = "x = 'kept'\nprint('begun')\nimport time\ntime.sleep(3600)"
    async with aclosing(coder.kernels.stream("s-1", "python", code, 3600)) as events:
        async for _ in events:
            break

    assert await asyncio.wait_for(coder.value("x"), 60) == "'kept'"


async def test_a_cancelled_call_interrupts_the_code(coder: CodeRunner) -> None:
    """The kernel is free for the next call, and its state is kept."""
    await coder.python("x = 'kept'")
    code = f"{BEGIN}import time; time.sleep(3600)"
    call = asyncio.ensure_future(coder.python(code, timeout=3600))
    await begun(coder)
    call.cancel()

    assert await asyncio.wait_for(coder.value("x"), 60) == "'kept'"


async def test_time_spent_paused_does_not_count(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is paused during an execution goes on with it when it is resumed."""
    loop, is_paused = asyncio.get_running_loop(), Kernel._is_paused
    hours, enough = [0], asyncio.Event()

    async def pass_an_hour_if_paused(self: Kernel) -> bool:
        paused = await is_paused(self)
        if paused:
            hours[0] += 1
        if hours[0] >= 3:
            enough.set()
        return paused

    monkeypatch.setattr(kernel, "_PAUSE_CHECK_INTERVAL", 0.02)
    monkeypatch.setattr(kernel, "_now", lambda: loop.time() + 3600 * hours[0])
    monkeypatch.setattr(Kernel, "_is_paused", pass_an_hour_if_paused)
    code = "print('begun')\nimport os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    events = coder.kernels.stream("s-1", "python", code, 600)
    assert isinstance(await anext(events), StreamOutput)
    await coder.sandbox.pause()
    await asyncio.wait_for(enough.wait(), 60)

    await coder.sandbox.resume()
    await coder.sandbox.run("touch go", timeout=60)
    rest = [event async for event in events]

    assert hours[0] >= 3
    assert isinstance(rest[-1], ExecutionEnd)
    assert rest[-1].error is None


async def test_closing_a_session_ends_its_code(coder: CodeRunner) -> None:
    """Waiting calls fail, and no new kernel starts."""
    await coder.python("1")
    code = f"{BEGIN}import time; time.sleep(3600)"
    running = asyncio.ensure_future(coder.python(code, timeout=3600))
    waiting = asyncio.ensure_future(coder.python("1"))
    await begun(coder)

    await coder.kernels.close("s-1")

    with pytest.raises(SandboxGone):
        await running
    with pytest.raises(SandboxGone):
        await waiting


async def test_a_session_may_be_closed_while_its_kernel_starts(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel is killed as soon as it has started, and runs nothing."""
    starting, go_on, started = asyncio.Event(), asyncio.Event(), []
    start = Kernel.start

    async def slow(*arguments: Any) -> Kernel:
        starting.set()
        await go_on.wait()
        started.append(await start(*arguments))
        return started[0]

    monkeypatch.setattr(Kernel, "start", slow)
    running = asyncio.ensure_future(coder.python("import time; time.sleep(3600)", timeout=3600))
    await starting.wait()
    await coder.kernels.close("s-1")
    go_on.set()
    with pytest.raises(SandboxGone):
        await asyncio.wait_for(running, 60)
    assert started[0].exited.is_set()


async def test_closing_the_sandbox_ends_the_code(coder: CodeRunner) -> None:
    """The call returns at once."""
    await coder.python("1")
    code = f"{BEGIN}import time; time.sleep(3600)"
    running = asyncio.ensure_future(coder.python(code, timeout=3600))
    await begun(coder)

    await coder.sandbox.close()

    assert (await asyncio.wait_for(running, 60)).end.state_lost


async def test_a_kernel_that_does_not_start_reports_its_output(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text has what it wrote, and the next call tries again."""
    with monkeypatch.context() as patch:
        patch.setattr(languages, "kernel_command", lambda *_: ["/bin/sh", "-c", "echo broken >&2"])
        with pytest.raises(ToolError, match="does not start: broken"):
            await coder.python("1")

    assert await coder.value("1") == "1"
