"""Kernels in real sandboxes: output, errors, timeouts, interrupts and lost state."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import select
import shutil
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_local.code import (
    CodeOutcome,
    DisplayOutput,
    ExecutionEnd,
    Kernels,
    StreamOutput,
    execution,
    kernel,
    languages,
    read_only_mounts,
    session_python,
    stream_reader,
)
from agentbay_local.code.kernel import Kernel
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.base import Backend, Isolation, Sandbox
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import InvalidRequest, SandboxGone
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import probe
from agentbay_local.sandbox.values import SandboxSpec
from agentbay_local.tools.code import run_code
from agentbay_local.tools.tool_context import ToolContext
from agentbay_local.tools.tool_state import ToolState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)
SCIENCE = ("matplotlib", "numpy", "pandas")
needs_science = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, SCIENCE)),
    reason="matplotlib, numpy and pandas are not installed",
)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
needs_r = pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
needs_java = pytest.mark.skipif(shutil.which("javac") is None, reason="a JDK is not installed")


@attrs.frozen
class CodeRunner:
    """Kernels whose sessions share one sandbox."""

    kernels: Kernels
    sandbox: Sandbox

    async def python(self, code: str, timeout: float = 120, **env: str) -> CodeOutcome:
        """Run Python."""
        return await self.kernels.run("s-1", "python", code, timeout, env)

    async def javascript(self, code: str, timeout: float = 120, **env: str) -> CodeOutcome:
        """Run JavaScript."""
        return await self.kernels.run("s-1", "javascript", code, timeout, env)

    async def value(self, code: str) -> Any:
        """Run Python code that must succeed, and return the text of its value."""
        outcome = await self.python(code)
        assert outcome.end.error is None, outcome
        return outcome.results[-1].mime["text/plain"]


async def begun(coder: CodeRunner) -> None:
    """Wait until the code has created the file ``begun``."""
    wait = "until [ -e begun ]; do sleep 0.01; done; rm begun"
    assert (await coder.sandbox.run(wait, timeout=60)).exit_code == 0


BEGIN = "open('begun', 'w').close()\n"


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


async def _make_runner(backend: Backend, root: Path) -> AsyncIterator[CodeRunner]:
    uid, mounts = private_uid(str(root)), read_only_mounts()
    spec = SandboxSpec(root, uid, read_only=mounts, python=session_python())
    async with await backend.start(spec) as sandbox:

        async def get(session: str) -> Sandbox:
            return sandbox

        kernels = Kernels(get)
        yield CodeRunner(kernels, sandbox)
        await kernels.close_all()
    await backend.close()


@pytest.fixture(scope="session")
def isolating() -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    capability = asyncio.run(probe(Isolation.NAMESPACES))
    if not capability.available:
        pytest.skip(capability.reason)


@pytest.fixture
async def coder(isolating: None, tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in an isolated sandbox."""
    async for one in _make_runner(BubblewrapBackend(), tmp_path / "root"):
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in a sandbox without isolation."""
    async for one in _make_runner(PlainBackend(), tmp_path / "root"):
        yield one


@pytest.fixture
async def confined(tmp_path: Path) -> AsyncIterator[CodeRunner]:
    """Give kernels in a sandbox of the level landlock."""
    capability = await probe(Isolation.LANDLOCK)
    if not capability.available:
        pytest.skip(capability.reason)
    async for one in _make_runner(LandlockBackend(), tmp_path / "root"):
        yield one


async def test_run_returns_the_value_of_the_last_expression(coder: CodeRunner) -> None:
    """Like a notebook; a statement has no value."""
    outcome = await coder.python("6 * 7")

    assert outcome.results == (DisplayOutput({"text/plain": "42"}, main=True),)
    assert (await coder.python("x = 1")).results == ()


async def test_run_works_without_isolation(plain: CodeRunner) -> None:
    """The packages are imported from their directories on the host."""
    assert (await plain.python("import IPython; 6 * 7")).results[0].mime["text/plain"] == "42"


async def test_run_works_without_namespaces(confined: CodeRunner) -> None:
    """A Python that only the service may enter is mounted elsewhere."""
    assert (await confined.python("import IPython; 6 * 7")).results[0].mime["text/plain"] == "42"
    path = await confined.value("import sys; [p for p in sys.path if p.endswith('-packages')]")
    assert len(path) > 2


@needs_node
async def test_javascript_works_without_namespaces(confined: CodeRunner) -> None:
    """The kernel's program is readable as well."""
    assert (await confined.javascript("6 * 7")).results[0].mime["text/plain"] == "42"


async def test_packages_that_a_session_cannot_read_are_an_error_with_the_remedy(
    plain: CodeRunner,
) -> None:
    """The text names the directory."""
    plain.sandbox.read_only = {}
    with pytest.raises(ToolError, match=r"cannot enter /.*, which .*or run the service as"):
        await plain.python("1")


async def test_state_is_kept_across_calls(coder: CodeRunner) -> None:
    """Variables, imports and functions persist, and the count goes on."""
    await coder.python("import math\ndef twice(n): return 2 * n\nx = math.floor(20.5)")

    outcome = await coder.python("twice(x) + math.ceil(1.5)")

    assert outcome.results[0].mime["text/plain"] == "42"
    assert outcome.end.count == 2


async def test_sessions_do_not_share_state(coder: CodeRunner) -> None:
    """Each session has its own kernel."""
    await coder.kernels.run("s-1", "python", "x = 1", 30)

    other = await coder.kernels.run("s-2", "python", "x", 30)

    assert other.end.error is not None
    assert other.end.error.name == "NameError"


async def test_output_of_child_processes_comes_in_order(coder: CodeRunner) -> None:
    """Output of child processes comes between the lines that the code prints, not after them."""
    outcome = await coder.python(
        "import os, subprocess, sys\n"
        "print('a'); os.system('echo b; echo err >&2'); print('c')\n"
        "_ = subprocess.run(['echo', 'd'])\n"
        "!echo e\n"
        "print('f', file=sys.stderr)"
    )

    assert (outcome.stdout, outcome.stderr) == ("a\nb\nc\nd\ne\n", "err\nf\n")


async def test_a_display_does_not_overtake_printed_text(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if the pipe is read byte by byte."""
    monkeypatch.setattr(stream_reader, "_CHUNK", 1)
    code = "print('x' * 5000); display(1)"
    events = [event async for event in coder.kernels.stream("s-1", "python", code, 30)]

    assert isinstance(events[-2], DisplayOutput)


async def test_displays_come_between_the_text_printed_around_them(coder: CodeRunner) -> None:
    """A stream has the order in which the code ran."""
    code = "for n in range(20):\n    print(n, end=''); display(n)"
    stream = coder.kernels.stream("s-1", "python", code, 30)

    reported = [
        event.text if isinstance(event, StreamOutput) else event.mime["text/plain"]
        async for event in stream
        if isinstance(event, (StreamOutput, DisplayOutput))
    ]

    assert reported == [str(n) for n in range(20) for _ in range(2)]


@pytest.mark.parametrize(
    ("code", "kind", "content"),
    [
        ("HTML('<b>x</b>')", "text/html", "<b>x</b>"),
        ("Markdown('# x')", "text/markdown", "# x"),
        ("Latex('$x$')", "text/latex", "$x$"),
        ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "image/svg+xml", None),
        ("Image(data=b'\\x89PNG\\r\\n\\x1a\\n', format='png')", "image/png", "iVBORw0KGgo="),
        ("Image(data=b'\\xff\\xd8', format='jpeg')", "image/jpeg", "/9g="),
        ("JSON({'a': [1, None]})", "application/json", {"a": [1, None]}),
        (
            "{'application/vnd.vegalite.v5+json': {'mark': 'bar'}}, raw=True",
            "application/vnd.vegalite.v5+json",
            {"mark": "bar"},
        ),
    ],
)
async def test_displays_have_their_mime_types(
    coder: CodeRunner, code: str, kind: str, content: object
) -> None:
    """Text as it is, images as base64, JSON as JSON."""
    outcome = await coder.python(f"from IPython.display import *\ndisplay({code})")

    assert outcome.end.error is None
    (result,) = outcome.results
    assert not result.main
    assert kind in result.mime
    assert content is None or result.mime[kind] == content


@pytest.mark.parametrize("value", [{}, [], 0, False, "", None])
async def test_json_results_are_not_lost_when_they_are_falsy(
    coder: CodeRunner, value: object
) -> None:
    """An empty list is a result like any other."""
    outcome = await coder.python(f"display({{'application/json': {value!r}}}, raw=True)")

    assert outcome.results[0].mime == {"application/json": value}
    (text,) = json.loads(await outcome.to_json(""))["result"]
    assert json.loads(text)["application/json"] == value


async def test_a_mime_type_that_is_not_json_is_left_out_with_a_notice(coder: CodeRunner) -> None:
    """The other MIME types are still sent, and the kernel goes on."""
    outcome = await coder.python(
        "display({'application/json': float('nan'), 'text/plain': 'x'}, raw=True)"
    )

    assert outcome.results[0].mime == {"text/plain": "x"}
    assert "left out" in outcome.stderr


async def test_a_result_that_is_too_large_is_replaced_by_a_notice(coder: CodeRunner) -> None:
    """The kernel survives it."""
    outcome = await coder.python("from IPython.display import HTML\nHTML('x' * 20_000_000)")

    assert "too large" in outcome.results[0].mime["text/plain"]
    assert await coder.value("1") == "1"


@needs_science
async def test_code_and_commands_have_the_packages_of_science(coder: CodeRunner) -> None:
    """They are those of the environment of the service; a table is shown as HTML."""
    outcome = await coder.python("import numpy, pandas\npandas.DataFrame(numpy.eye(2))")
    command = await coder.sandbox.run("python -c 'import matplotlib, numpy, pandas'", timeout=120)

    assert "<table" in outcome.results[0].mime["text/html"]
    assert command.exit_code == 0, command.stderr


@pytest.mark.parametrize("package", SCIENCE)
async def test_code_that_misses_a_package_of_science_is_told_how_to_add_it(
    coder: CodeRunner, package: str
) -> None:
    """Elsewhere the message is Python's own: of other packages, and of other errors."""
    missing = f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')"
    hinted = (await coder.python(missing)).end.error
    other = (await coder.python("import no_such_package")).end.error
    foreign = (await coder.python(f"raise ImportError(\"No module named '{package}'\")")).end.error

    assert hinted is not None
    assert hinted.value.startswith(f"No module named '{package}'. ")
    assert "pip install 'agentbay-async[science]'" in hinted.value
    assert other is not None
    assert other.value == "No module named 'no_such_package'"
    assert foreign is not None
    assert "science" not in foreign.value


@needs_science
async def test_pyplot_figures_are_displayed(coder: CodeRunner) -> None:
    """A figure comes as a PNG without a call of show()."""
    outcome = await coder.python("import matplotlib.pyplot as p\n_ = p.plot([1, 2])", timeout=60)

    assert outcome.results[-1].mime["image/png"].startswith("iVBORw0KGgo")


async def test_an_error_has_its_name_value_and_traceback(coder: CodeRunner) -> None:
    """Earlier output is kept, and the traceback is on standard error, too."""
    outcome = await coder.python("print('before')\n{}['key']")

    error = outcome.end.error
    assert error is not None
    assert (error.name, error.value) == ("KeyError", "'key'")
    assert "----> 2 {}['key']" in error.traceback
    assert "\x1b" not in error.traceback
    assert outcome.stdout == "before\n"
    assert error.traceback in outcome.stderr


async def test_a_syntax_error_is_named(coder: CodeRunner) -> None:
    """The answer begins with the type of the error."""
    outcome = await coder.python("def (")

    assert json.loads(await outcome.to_json(""))["executionError"].startswith("SyntaxError: ")


async def test_an_error_that_the_code_handles_is_not_a_failure(coder: CodeRunner) -> None:
    """Only its traceback is printed."""
    show = "get_ipython().showtraceback()"
    code = (
        f"try: 1 / 0\nexcept ZeroDivisionError: {show}\ntry: {{}}[0]\nexcept KeyError: {show}\n'ok'"
    )
    outcome = await coder.python(code)

    assert outcome.end.error is None
    assert "division by zero" in outcome.stderr
    assert "KeyError" in outcome.stderr
    assert outcome.results[-1].mime["text/plain"] == "'ok'"


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "exit()", "raise type('E', (Exception,), {'__str__': 1})"]
)
async def test_the_kernel_survives_unusual_exceptions(coder: CodeRunner, code: str) -> None:
    """They are errors of the code, and the next call finds the state."""
    outcome = await coder.python(f"x = 'kept'\n{code}")

    assert outcome.end.error is not None
    assert await coder.value("x") == "'kept'"


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


async def test_parallel_calls_wait_for_each_other(coder: CodeRunner) -> None:
    """A kernel runs one execution at a time, in the order of the calls."""
    code = "import time; time.sleep(0.05); n = globals().get('n', 0) + 1; n"
    outcomes = await asyncio.gather(*(coder.python(code) for _ in range(4)))

    assert [outcome.results[0].mime["text/plain"] for outcome in outcomes] == ["1", "2", "3", "4"]


async def test_variables_of_the_session_are_visible(coder: CodeRunner) -> None:
    """They can change between calls, and child processes see them too."""
    first = await coder.python("import os; os.environ['COLOUR']", COLOUR="red")
    second = await coder.python("!echo $COLOUR", COLOUR="blue")

    assert first.results[0].mime["text/plain"] == "'red'"
    assert second.stdout == "blue\n"


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


async def test_long_output_is_not_cut_inside_characters(coder: CodeRunner) -> None:
    """A read of the pipe may end inside a character."""
    outcome = await coder.python("print('a' + '\u20ac\U0001f600' * 100_000)")

    assert outcome.stdout == "a" + "\u20ac\U0001f600" * 100_000 + "\n"


async def test_invalid_utf8_is_replaced(coder: CodeRunner) -> None:
    """An incomplete character at the end does not reach the next call."""
    outcome = await coder.python("import os; _ = os.write(1, b'a\\xff\\xe2\\x82')")

    assert outcome.stdout == "a\ufffd\ufffd"
    assert (await coder.python("print('b')")).stdout == "b\n"


async def test_output_is_bounded(coder: CodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text and displays beyond the limits are discarded, and the end says so."""
    monkeypatch.setattr(execution, "_OUTPUT_LIMIT", 200_000)
    monkeypatch.setattr(execution, "_RESULTS_LIMIT", 10_000)

    printed = await coder.python("for _ in range(10_000): print('x' * 100)")
    displayed = await coder.python("for n in range(1000): display(n)")

    assert printed.end.truncated
    assert len(printed.stdout) <= 200_000
    assert displayed.end.truncated
    assert 0 < len(displayed.results) < 200
    assert not (await coder.python("print('x')")).end.truncated


async def test_standard_input_is_empty(coder: CodeRunner) -> None:
    """input() fails at once instead of waiting."""
    outcome = await coder.python("input('name? ')")

    assert outcome.end.error is not None
    assert outcome.end.error.name == "EOFError"


async def test_a_forked_child_cannot_send_for_the_kernel(coder: CodeRunner) -> None:
    """It may print, but its displays and its end are dropped."""
    outcome = await coder.python(
        "import os\npid = os.fork()\n"
        "if pid: _ = os.waitpid(pid, 0)\n"
        "else: print('child'); display('child')\n"
        "print('end')\npid > 0"
    )

    assert outcome.stdout == "child\nend\nend\n"
    assert [result.mime["text/plain"] for result in outcome.results] == ["True"]


async def test_text_printed_between_calls_comes_with_the_next_call(coder: CodeRunner) -> None:
    """A thread may print after its call has ended; its displays are dropped."""
    await coder.python(
        "import os, threading, time\n"
        "def later():\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    print('late'); display('dropped'); open('done', 'w')\n"
        "threading.Thread(target=later).start()"
    )
    await coder.sandbox.run("touch go; until [ -e done ]; do sleep 0.01; done", timeout=60)

    outcome = await coder.python("1")

    assert outcome.stdout == "late\n"
    assert [result.mime["text/plain"] for result in outcome.results] == ["1"]
    assert not outcome.end.state_lost


async def test_children_do_not_inherit_the_control_socket(coder: CodeRunner) -> None:
    """A background process would otherwise keep it open after the kernel has exited."""
    outcome = await coder.python("import os; _ = os.system('readlink /proc/self/fd/*')")

    assert "socket:" not in outcome.stdout
    assert "pipe:" in outcome.stdout


async def test_await_works_at_top_level(coder: CodeRunner) -> None:
    """Like in a notebook."""
    assert await coder.value("import asyncio\nawait asyncio.sleep(0, 'woken')") == "'woken'"


async def test_packages_are_those_of_the_service(coder: CodeRunner) -> None:
    """After the session's own; the base Python's packages are not among them."""
    outcome = await coder.python("import json, sys; print(json.dumps(sys.path))")

    path = [entry for entry in json.loads(outcome.stdout) if entry.endswith("-packages")]
    own = f"/opt/agentbay/python/lib/python{session_python().version}/site-packages"
    assert path == [own, *languages._packages().values()]
    assert await coder.value("import IPython; IPython.__file__ > ''") == "True"


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


@pytest.mark.parametrize(
    ("language", "package"),
    [("js", "nodejs"), ("R", "r-base-core"), ("Java", "default-jdk-headless")],
)
async def test_a_language_that_is_not_installed_is_an_error_with_the_remedy(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch, language: str, package: str
) -> None:
    """The text names the package to install."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ToolError, match=rf"is not installed here: .*\(apt install {package}\)"):
        await coder.kernels.run("s-1", language, "1", 30)


async def test_an_unknown_language_is_an_error(coder: CodeRunner) -> None:
    """The text names those that are known."""
    with pytest.raises(ToolError, match=r"Unsupported language: cobol\. Supported .*javascript"):
        await coder.kernels.run("s-1", "cobol", "1", 30)


async def test_a_missing_ipython_is_an_error_with_the_remedy(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names the extra to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'agentbay-async\[local\]'"):
        await coder.python("1")


async def test_a_kernel_that_does_not_start_reports_its_output(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text has what it wrote, and the next call tries again."""
    with monkeypatch.context() as patch:
        patch.setattr(languages, "kernel_command", lambda *_: ["/bin/sh", "-c", "echo broken >&2"])
        with pytest.raises(ToolError, match="does not start: broken"):
            await coder.python("1")

    assert await coder.value("1") == "1"


@pytest.mark.parametrize("code", ["\ud800", "x" * 3_000_000])
async def test_code_that_cannot_be_sent_is_rejected(coder: CodeRunner, code: str) -> None:
    """The error names the argument."""
    with pytest.raises(InvalidRequest, match="code"):
        await coder.python(code)


async def test_code_with_nul_is_an_error_of_the_code(coder: CodeRunner) -> None:
    """The kernel survives it."""
    outcome = await coder.python("x = '\0'")

    assert outcome.end.error is not None
    assert not outcome.end.state_lost
    assert await coder.value("1") == "1"


async def test_the_tool_answers_with_json(coder: CodeRunner) -> None:
    """Arguments come as on the wire; the error names an invalid one."""
    given = {"code": "print('hi')\n1 + 1", "language": "Python3", "timeout_s": 20}
    place = ToolContext("s-1", coder.sandbox, ToolState(), coder.kernels)
    text = await run_code(place, Arguments("run_code", given))

    answer = json.loads(text)
    assert (answer["stdout"], answer["executionCount"]) == (["hi\n"], 1)
    with pytest.raises(ToolError, match="code is required"):
        await run_code(place, Arguments("run_code", {"language": "python"}))


@pytest.mark.parametrize(
    ("code", "reason", "printed"),
    [
        ("print('so far')\n1 / 0", "ZeroDivisionError: division by zero", ["so far\n"]),
        ("x = ", "SyntaxError: invalid syntax", []),
        ("print('so far')\nwhile True: pass", "TimeoutError: the code ran longer", ["so far\n"]),
    ],
)
async def test_code_that_fails_is_an_error_with_the_whole_answer_in_it(
    coder: CodeRunner, code: str, reason: str, printed: list[str]
) -> None:
    """The text is the JSON of any other answer."""
    place = ToolContext("s-1", coder.sandbox, ToolState(), coder.kernels)
    given = {"code": code, "language": "python", "timeout_s": 1 if "while" in code else 60}

    with pytest.raises(ToolError) as raised:
        await run_code(place, Arguments("run_code", given))

    answer = json.loads(str(raised.value))
    assert answer["executionError"].startswith(reason)
    assert answer["error"]["name"] == reason.partition(":")[0]
    assert answer["stdout"] == printed


@needs_node
async def test_javascript_keeps_its_state_and_shows_values(coder: CodeRunner) -> None:
    """Constants, functions and results of `await` persist."""
    await coder.javascript("const x = 20; function twice(n) { return 2 * n; }")
    await coder.javascript("const y = await Promise.resolve(2);")

    outcome = await coder.javascript("twice(x) + y")

    assert outcome.results == (DisplayOutput({"text/plain": "42"}, main=True),)
    assert outcome.end.count == 3
    assert (await coder.javascript("undefined")).results == ()
    assert (await coder.javascript("{a: 1}")).results[0].mime["text/plain"] == "{ a: 1 }"


@needs_node
async def test_javascript_output_comes_in_order(coder: CodeRunner) -> None:
    """Output of child processes comes between the lines that the code prints."""
    outcome = await coder.javascript(
        "console.log('a'); require('child_process').execSync('echo b', {stdio: 'inherit'});"
        "console.log('c', process.env.COLOUR); console.error('e');",
        COLOUR="red",
    )

    assert (outcome.stdout, outcome.stderr) == ("a\nb\nc red\n", "e\n")


@needs_node
@pytest.mark.parametrize(
    ("code", "name", "value"),
    [
        ("throw new TypeError('boo')", "TypeError", "boo"),
        ("let q = (", "SyntaxError", "Unexpected end of input"),
        ("await Promise.reject(new Error('no'))", "Error", "no"),
        ("throw null", "Error", "null"),
        ("throw undefined", "Error", "undefined"),
        ("await (async () => { throw undefined; })()", "Error", "undefined"),
        ("throw {toString() { throw 1; }}", "Error", None),
    ],
)
async def test_javascript_errors_are_reported(
    coder: CodeRunner, code: str, name: str, value: str | None
) -> None:
    """Any value can be thrown, not only an Error."""
    outcome = await coder.javascript(code)

    assert outcome.end.error is not None
    assert outcome.end.error.name == name
    assert value is None or outcome.end.error.value == value


@needs_node
@pytest.mark.parametrize("code", ["while (true) {}", "await new Promise(() => 0)"])
async def test_javascript_is_interrupted_at_its_timeout(coder: CodeRunner, code: str) -> None:
    """Endless loops and endless waits both end, and the state is kept."""
    await coder.javascript("var x = 'kept'")

    outcome = await coder.javascript(code, timeout=0.5)

    assert (outcome.end.timed_out, outcome.end.state_lost) == (True, False)
    assert (await coder.javascript("x")).results[0].mime["text/plain"] == "'kept'"


@needs_node
@pytest.mark.parametrize("begin", ["", "await 0; "])
async def test_a_late_javascript_error_does_not_end_the_kernel(
    coder: CodeRunner, begin: str
) -> None:
    """It is printed, and the state is kept."""
    late = "var x = 1; process.nextTick(() => { throw new Error('late'); });"
    first = await coder.javascript(begin + late)

    second = await coder.javascript("await new Promise(done => setTimeout(done, 20)); x")

    assert second.results[0].mime["text/plain"] == "1"
    assert "Uncaught Error: late" in first.stderr + second.stderr


@needs_node
async def test_text_that_comes_right_after_the_end_is_kept(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has read the end, and the text comes before the call has noticed it."""
    finish = Kernel._finish

    def wait_for_late_text(self: Kernel, *arguments: Any) -> None:
        finish(self, *arguments)
        self._process.signal(signal.SIGUSR2)
        assert select.select([self._process.stderr], [], [], 60)[0]

    monkeypatch.setattr(Kernel, "_finish", wait_for_late_text)
    await coder.javascript("process.on('SIGUSR2', () => console.error('late'));")
    monkeypatch.undo()

    assert "late" in (await coder.javascript("1")).stderr


@needs_node
async def test_the_exit_of_javascript_is_reported(coder: CodeRunner) -> None:
    """It is not a success."""
    outcome = await coder.javascript("process.exit(4)")

    assert outcome.end.error is not None
    assert "exit code 4" in outcome.end.error.value


def in_both(r: str, java: str) -> pytest.MarkDecorator:
    """Run a test with code in R and with the same in Java."""
    codes = [
        pytest.param("r", r, id="r", marks=needs_r),
        pytest.param("java", java, id="java", marks=needs_java),
    ]
    return pytest.mark.parametrize(("language", "code"), codes)


both = in_both("21 * 2", "21 * 2")
SHOWN = {"r": "[1] 42", "java": "42"}


@in_both("x <- 20\nf <- function(n) 2 * n", "int x = 20;\nint f(int n) { return 2 * n; }")
async def test_r_and_java_keep_their_state_and_show_values(
    coder: CodeRunner, language: str, code: str
) -> None:
    """Declarations show nothing; of several values, the last is the main one."""
    first = await coder.kernels.run("s-1", language, code, 120)
    assert (first.end.error, first.results) == (None, ())

    second = await coder.kernels.run("s-1", language, "f(x) + 2;\nf(21)", 120)

    value = {"text/plain": SHOWN[language]}
    assert second.results == (DisplayOutput(value, main=False), DisplayOutput(value, main=True))
    assert second.end.count == 2


@in_both(
    "cat('é\\n'); system('echo b'); cat(Sys.getenv('COLOUR'), '\\n'); message('e')",
    'System.out.println("é"); new ProcessBuilder("echo", "b").inheritIO().start().waitFor();'
    'System.out.println(System.getenv("COLOUR") + " "); System.err.println("e");',
)
async def test_output_of_r_and_java_comes_in_order(
    coder: CodeRunner, language: str, code: str
) -> None:
    """Output of child processes comes between the lines that the code prints."""
    outcome = await coder.kernels.run("s-1", language, code, 120, {"COLOUR": "rød"})

    assert (outcome.stdout, outcome.stderr) == ("é\nb\nrød \n", "e\n")


@in_both("42L\ncat('later')", '21 * 2;\nSystem.out.print("later");')
async def test_text_after_a_value_of_r_and_java_does_not_overtake_it(
    coder: CodeRunner, language: str, code: str
) -> None:
    """The kernel waits until the service has taken the value."""
    events = [one async for one in coder.kernels.stream("s-1", language, code, 120)]

    assert [type(one) for one in events] == [DisplayOutput, StreamOutput, ExecutionEnd]


@pytest.mark.parametrize(
    ("language", "code", "name", "value", "trace"),
    [
        pytest.param("r", "stop('ü')", "Error", "ü", "Error: ü", marks=needs_r),
        pytest.param("r", "log(-1:0", "Error", "unexpected end", "Error: <text>", marks=needs_r),
        pytest.param(
            "r", "g <- function() stop('no')\ng()", "Error", "no", "in g()", marks=needs_r
        ),
        pytest.param(
            "java",
            'throw new IllegalStateException("ü");',
            "java.lang.IllegalStateException",
            "ü",
            "at .(",
            marks=needs_java,
        ),
        pytest.param(
            "java", 'int n = "";', "CompilationError", "incompatible", "int n", marks=needs_java
        ),
        pytest.param(
            "java", "int n = ;", "CompilationError", "illegal start", "int n", marks=needs_java
        ),
    ],
)
async def test_errors_of_r_and_java_are_reported(
    coder: CodeRunner, language: str, code: str, name: str, value: str, trace: str
) -> None:
    """What follows is not run, and the state is kept."""
    outcome = await coder.kernels.run("s-1", language, code, 120)

    assert outcome.end.error is not None
    assert outcome.end.error.name == name
    assert value in outcome.end.error.value
    assert trace in outcome.end.error.traceback
    assert not outcome.end.state_lost


@pytest.mark.parametrize(
    ("language", "code"),
    [
        pytest.param("r", "repeat {}", marks=needs_r),
        pytest.param("r", "Sys.sleep(3600)", marks=needs_r),
        pytest.param("java", "while (true) {}", marks=needs_java),
        pytest.param("java", "Thread.sleep(3600000);", marks=needs_java),
    ],
)
async def test_r_and_java_are_interrupted_at_their_timeout(
    coder: CodeRunner, language: str, code: str
) -> None:
    """Endless loops and endless waits both end, and the next code runs."""
    outcome = await coder.kernels.run("s-1", language, code, 0.5)
    assert outcome.end.timed_out

    after = await coder.kernels.run("s-1", language, "21 * 2", 120)
    assert after.results[0].mime["text/plain"] == SHOWN[language]


@in_both("quit(status = 4)", "System.exit(4);")
async def test_the_exit_of_r_and_java_is_reported(
    coder: CodeRunner, language: str, code: str
) -> None:
    """It is not a success, and the next code runs in a new kernel."""
    outcome = await coder.kernels.run("s-1", language, code, 120)
    assert outcome.end.error is not None
    assert "exit code 4" in outcome.end.error.value

    after = await coder.kernels.run("s-1", language, "21 * 2", 120)
    assert after.results[0].mime["text/plain"] == SHOWN[language]


@both
async def test_r_and_java_work_without_isolation(
    plain: CodeRunner, language: str, code: str
) -> None:
    """The kernels are read from their directory on the host."""
    outcome = await plain.kernels.run("s-1", language, code, 120)
    assert outcome.results[0].mime["text/plain"] == SHOWN[language]


@both
async def test_r_and_java_work_without_namespaces(
    confined: CodeRunner, language: str, code: str
) -> None:
    """What they need of the system's settings is readable."""
    outcome = await confined.kernels.run("s-1", language, code, 120)
    assert outcome.results[0].mime["text/plain"] == SHOWN[language]


@in_both("noquote(strrep('ab', 2e6))", '"ab".repeat(2000000)')
async def test_a_long_value_of_r_and_java_is_shortened(
    coder: CodeRunner, language: str, code: str
) -> None:
    """JShell shortens it by itself."""
    (shown,) = (await coder.kernels.run("s-1", language, code, 120)).results
    assert len(shown.mime["text/plain"]) < 2**20 + 10


async def test_sessions_see_no_settings_of_administrators_for_r_and_java(coder: CodeRunner) -> None:
    """They may have passwords."""
    seen = await coder.sandbox.run("ls -R /etc/R /etc/java-* 2>/dev/null", timeout=60)
    assert not {"Renviron.site", "Rprofile.site", "management"} & set(seen.stdout.split())
