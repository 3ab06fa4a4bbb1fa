"""Code in real sandboxes: what it shows, what it prints, how it fails, and that the shell lives."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from agentbay_local.code import (
    CodeOutcome,
    Ended,
    Kernels,
    Printed,
    Shown,
    execution,
    kernel,
    languages,
    read_only,
    stream_reader,
)
from agentbay_local.code.kernel import Kernel
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.base import Isolation, Sandbox
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import InvalidRequest, SandboxGone
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.plain import PlainBackend
from agentbay_local.sandbox.probe import probe
from agentbay_local.sandbox.values import SandboxSpec
from agentbay_local.tools.code import run_code
from agentbay_local.tools.tool_context import ToolContext
from agentbay_local.tools.tool_state import ToolState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")


@attrs.frozen
class Coder:
    """A runner and the one sandbox that all its sessions share."""

    runner: Kernels
    sandbox: Sandbox

    async def python(self, code: str, timeout: float = 30, **env: str) -> CodeOutcome:
        """Run Python."""
        return await self.runner.run("s-1", "python", code, timeout, env)

    async def javascript(self, code: str, timeout: float = 30, **env: str) -> CodeOutcome:
        """Run JavaScript."""
        return await self.runner.run("s-1", "javascript", code, timeout, env)

    async def value(self, code: str) -> Any:
        """Return the text of the value of Python code that must succeed."""
        outcome = await self.python(code)
        assert outcome.ended.error is None, outcome
        return outcome.results[-1].mime["text/plain"]


async def _coder(backend: BubblewrapBackend | PlainBackend, root: Path) -> AsyncIterator[Coder]:
    spec = SandboxSpec(root, private_uid(str(root)), read_only=read_only())
    async with await backend.start(spec) as sandbox:

        async def get(session: str) -> Sandbox:
            return sandbox

        runner = Kernels(get)
        yield Coder(runner, sandbox)
        await runner.close_all()
    await backend.close()


@pytest.fixture(scope="session")
def isolating() -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    capability = asyncio.run(probe(Isolation.NAMESPACES))
    if not capability.available:
        pytest.skip(capability.reason)


@pytest.fixture
async def coder(isolating: None, tmp_path: Path) -> AsyncIterator[Coder]:
    """Give a runner with an isolated sandbox."""
    async for one in _coder(BubblewrapBackend(), tmp_path / "root"):
        yield one


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Coder]:
    """Give a runner with a sandbox that is not isolated."""
    async for one in _coder(PlainBackend(), tmp_path / "root"):
        yield one


async def test_run_returns_the_value_of_the_last_expression(coder: Coder) -> None:
    """As a notebook does; a statement has none."""
    outcome = await coder.python("6 * 7")

    assert outcome.results == (Shown({"text/plain": "42"}, main=True),)
    assert (await coder.python("x = 1")).results == ()


async def test_run_works_without_isolation(plain: Coder) -> None:
    """The libraries are found where they are on the host."""
    assert (await plain.python("import IPython; 6 * 7")).results[0].mime["text/plain"] == "42"


async def test_state_is_kept_across_calls(coder: Coder) -> None:
    """Variables, imports and functions of one call are there in the next; the count goes on."""
    await coder.python("import math\ndef twice(n): return 2 * n\nx = math.floor(20.5)")

    outcome = await coder.python("twice(x) + math.ceil(1.5)")

    assert outcome.results[0].mime["text/plain"] == "42"
    assert outcome.ended.count == 2


async def test_sessions_do_not_share_state(coder: Coder) -> None:
    """Each session has a shell of its own."""
    await coder.runner.run("s-1", "python", "x = 1", 30)

    other = await coder.runner.run("s-2", "python", "x", 30)

    assert other.ended.error is not None
    assert other.ended.error.name == "NameError"


async def test_streams_come_apart_and_in_order_when_children_write_too(coder: Coder) -> None:
    """What child processes write lands between what the code prints, not after it."""
    outcome = await coder.python(
        "import os, subprocess, sys\n"
        "print('a'); os.system('echo b; echo err >&2'); print('c')\n"
        "_ = subprocess.run(['echo', 'd'])\n"
        "!echo e\n"
        "print('f', file=sys.stderr)"
    )

    assert (outcome.stdout, outcome.stderr) == ("a\nb\nc\nd\ne\n", "err\nf\n")


async def test_a_display_does_not_overtake_what_is_still_in_the_pipe(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slowly the pipe is read."""
    monkeypatch.setattr(stream_reader, "_CHUNK", 1)
    code = "print('x' * 5000); display(1)"
    events = [event async for event in coder.runner.stream("s-1", "python", code, 30)]

    assert isinstance(events[-2], Shown)


async def test_displays_come_between_what_is_printed_around_them(coder: Coder) -> None:
    """A stream shows things in the order in which the code did them."""
    code = "for n in range(20):\n    print(n, end=''); display(n)"
    stream = coder.runner.stream("s-1", "python", code, 30)

    told = [
        event.text if isinstance(event, Printed) else event.mime["text/plain"]
        async for event in stream
        if isinstance(event, (Printed, Shown))
    ]

    assert told == [str(n) for n in range(20) for _ in range(2)]


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
async def test_displays_carry_their_forms(
    coder: Coder, code: str, kind: str, content: object
) -> None:
    """Text as it is, images as base64, JSON as JSON."""
    outcome = await coder.python(f"from IPython.display import *\ndisplay({code})")

    assert outcome.ended.error is None
    (shown,) = outcome.results
    assert not shown.main
    assert kind in shown.mime
    assert content is None or shown.mime[kind] == content


@pytest.mark.parametrize("value", [{}, [], 0, False, "", None])
async def test_json_results_are_not_lost_when_they_are_falsy(coder: Coder, value: object) -> None:
    """An empty list is a result like any other."""
    outcome = await coder.python(f"display({{'application/json': {value!r}}}, raw=True)")

    assert outcome.results[0].mime == {"application/json": value}
    (text,) = json.loads(outcome.answer(""))["result"]
    assert json.loads(text)["application/json"] == value


async def test_a_form_that_is_no_json_is_left_out_with_a_word_about_it(coder: Coder) -> None:
    """The other forms are still shown, and the shell goes on."""
    outcome = await coder.python(
        "display({'application/json': float('nan'), 'text/plain': 'x'}, raw=True)"
    )

    assert outcome.results[0].mime == {"text/plain": "x"}
    assert "left out" in outcome.stderr


async def test_a_result_too_large_to_be_sent_is_named(coder: Coder) -> None:
    """The shell is not lost to it."""
    outcome = await coder.python("from IPython.display import HTML\nHTML('x' * 20_000_000)")

    assert "too large" in outcome.results[0].mime["text/plain"]
    assert await coder.value("1") == "1"


async def test_pyplot_shows_its_figures(coder: Coder) -> None:
    """A figure comes as a PNG without any call to show it."""
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    outcome = await coder.python("import matplotlib.pyplot as p\n_ = p.plot([1, 2])", timeout=60)

    assert outcome.results[-1].mime["image/png"].startswith("iVBORw0KGgo")


async def test_an_error_has_its_name_value_and_traceback(coder: Coder) -> None:
    """What was printed before it is kept, and the trace is on standard error, too."""
    outcome = await coder.python("print('before')\n{}['key']")

    error = outcome.ended.error
    assert error is not None
    assert (error.name, error.value) == ("KeyError", "'key'")
    assert "----> 2 {}['key']" in error.traceback
    assert "\x1b" not in error.traceback
    assert outcome.stdout == "before\n"
    assert error.traceback in outcome.stderr


async def test_a_syntax_error_is_named(coder: Coder) -> None:
    """The answer's text says what kind of error it is."""
    outcome = await coder.python("def (")

    assert json.loads(outcome.answer(""))["executionError"].startswith("SyntaxError: ")


async def test_an_error_shown_on_the_way_is_no_failure(coder: Coder) -> None:
    """The code handled it, so only its trace is told."""
    show = "get_ipython().showtraceback()"
    code = (
        f"try: 1 / 0\nexcept ZeroDivisionError: {show}\ntry: {{}}[0]\nexcept KeyError: {show}\n'ok'"
    )
    outcome = await coder.python(code)

    assert outcome.ended.error is None
    assert "division by zero" in outcome.stderr
    assert "KeyError" in outcome.stderr
    assert outcome.results[-1].mime["text/plain"] == "'ok'"


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "exit()", "raise type('E', (Exception,), {'__str__': 1})"]
)
async def test_strange_ends_are_errors_and_the_shell_lives(coder: Coder, code: str) -> None:
    """Whatever the code raises, the next call finds the state."""
    outcome = await coder.python(f"x = 'kept'\n{code}")

    assert outcome.ended.error is not None
    assert await coder.value("x") == "'kept'"


async def test_code_is_interrupted_at_its_timeout_and_the_state_is_kept(coder: Coder) -> None:
    """What came until then is there, and the next call finds the variables."""
    outcome = await coder.python(
        "import time\nx = 'kept'\nprint('begun')\nwhile True: time.sleep(60)", timeout=0.5
    )

    ended = outcome.ended
    assert ended.error is not None
    assert (ended.error.name, ended.timed_out, ended.state_lost) == ("TimeoutError", True, False)
    assert "longer than 0.5 s" in ended.error.value
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
async def test_the_interrupt_reaches_whatever_the_code_waits_for(coder: Coder, code: str) -> None:
    """Children in the foreground end with it."""
    outcome = await coder.python(code, timeout=0.5)

    assert not outcome.ended.state_lost
    assert outcome.ended.seconds < kernel.INTERRUPT_GRACE
    assert await coder.value("1") == "1"


async def test_code_that_ignores_the_interrupt_is_killed_and_the_loss_is_told(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends, says that the state is gone, and the next one has a new shell."""
    monkeypatch.setattr(kernel, "INTERRUPT_GRACE", 0.3)
    await coder.python("x = 1")

    outcome = await coder.python(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        timeout=0.5,
    )

    assert outcome.ended.error is not None
    assert "ignored the interrupt" in outcome.ended.error.value
    assert (outcome.ended.timed_out, outcome.ended.state_lost) == (True, True)
    after = await coder.python("x")
    assert after.ended.error is not None
    assert (after.ended.error.name, after.ended.count) == ("NameError", 1)
    assert not after.ended.state_lost, "it has been told already"


async def test_a_handler_of_the_code_does_not_outlive_its_call(coder: Coder) -> None:
    """The next call can be interrupted whatever the one before has done to signals."""
    await coder.python("import signal; _ = signal.signal(signal.SIGINT, signal.SIG_IGN)")

    outcome = await coder.python("while True: pass", timeout=0.5)

    assert (outcome.ended.timed_out, outcome.ended.state_lost) == (True, False)


@pytest.mark.parametrize(
    ("language", "failing"),
    [("python", "1 / 0"), pytest.param("javascript", "throw new Error()", marks=needs_node)],
)
async def test_an_interrupt_between_calls_does_nothing(
    coder: Coder, language: str, failing: str
) -> None:
    """One that comes too late for its code hits nobody else."""
    await coder.runner.run("s-1", language, "x = 41", 30)
    await coder.runner.run("s-1", language, failing, 30)
    await coder.sandbox.run(f"pkill -INT -f '[{language[0]}]{language[1:]}_worker'", timeout=10)

    outcome = await coder.runner.run("s-1", language, "x + 1", 30)

    assert outcome.ended.error is None
    assert outcome.results[0].mime["text/plain"] == "42"


async def test_an_interrupt_while_displays_are_sent_spoils_nothing(coder: Coder) -> None:
    """It waits until a frame is out, so the shell and its state live on."""
    outcome = await coder.python(
        "x = 'kept'\nfrom IPython.display import HTML\nwhile True: display(HTML('x' * 9000))",
        timeout=0.5,
    )

    assert (outcome.ended.timed_out, outcome.ended.state_lost) == (True, False)
    assert await coder.value("x") == "'kept'"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import os; os._exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "signal SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "signal SIGSEGV"),
    ],
)
async def test_a_shell_that_dies_is_told_with_its_reason(
    coder: Coder, code: str, told: str
) -> None:
    """What it had printed is kept, and the next call has a new shell."""
    outcome = await coder.python(f"print('last words')\n{code}")

    assert outcome.ended.error is not None
    assert told in outcome.ended.error.value
    assert outcome.ended.state_lost
    assert outcome.stdout == "last words\n"
    assert await coder.value("1") == "1"


async def test_a_shell_that_died_between_calls_is_told_by_the_next(coder: Coder) -> None:
    """Losing all variables without a word would be worse than an error."""
    await coder.python("x = 1")
    ended = await coder.sandbox.run("pkill -9 -f '[p]ython_kernel'", timeout=10)
    assert ended.exit_code == 0
    seat = coder.runner._seats["s-1", "python"]
    assert seat.worker is not None
    await asyncio.wait_for(seat.worker.gone.wait(), 10)

    outcome = await coder.python("1")

    assert outcome.ended.state_lost
    assert "started anew" in outcome.stderr
    assert not (await coder.python("1")).ended.state_lost


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
async def test_garbage_for_the_service_ends_the_shell_and_nothing_else(
    coder: Coder, garbage: str
) -> None:
    """The code can write where its worker speaks; the service does not believe a word of it."""
    await coder.python(f"import os; os.write(3, {garbage}); import time; time.sleep(60)", timeout=5)

    assert await coder.value("1 + 1") == "2"


async def test_parallel_calls_wait_for_each_other(coder: Coder) -> None:
    """One shell does one thing at a time, in the order of the calls."""
    code = "import time; time.sleep(0.05); n = globals().get('n', 0) + 1; n"
    outcomes = await asyncio.gather(*(coder.python(code) for _ in range(4)))

    assert [outcome.results[0].mime["text/plain"] for outcome in outcomes] == ["1", "2", "3", "4"]


async def test_variables_of_the_session_are_visible(coder: Coder) -> None:
    """They can change between calls, and children see them too."""
    first = await coder.python("import os; os.environ['COLOUR']", COLOUR="red")
    second = await coder.python("!echo $COLOUR", COLOUR="blue")

    assert first.results[0].mime["text/plain"] == "'red'"
    assert second.stdout == "blue\n"


async def test_a_reader_who_goes_away_interrupts_the_code(coder: Coder) -> None:
    """The shell is soon free for others, and its state is kept."""
    code = "x = 'kept'\nprint('begun')\nimport time\ntime.sleep(3600)"
    async with aclosing(coder.runner.stream("s-1", "python", code, 3600)) as events:
        async for _ in events:
            break

    assert await asyncio.wait_for(coder.value("x"), 20) == "'kept'"


async def test_a_cancelled_call_interrupts_the_code(coder: Coder) -> None:
    """Also when it is not the reader of a stream."""
    await coder.python("x = 'kept'")
    call = asyncio.ensure_future(coder.python("import time; time.sleep(3600)", timeout=3600))
    await asyncio.wait([call], timeout=0.3)
    call.cancel()

    assert await asyncio.wait_for(coder.value("x"), 20) == "'kept'"


async def test_characters_are_not_cut_when_much_is_printed(coder: Coder) -> None:
    """Pieces of the pipe end anywhere, characters do not."""
    outcome = await coder.python("print('a' + '\u20ac\U0001f600' * 100_000)")

    assert outcome.stdout == "a" + "\u20ac\U0001f600" * 100_000 + "\n"


async def test_bytes_that_are_no_text_are_replaced(coder: Coder) -> None:
    """Half a character at the end is shown as such, and does not spoil the next call."""
    outcome = await coder.python("import os; _ = os.write(1, b'a\\xff\\xe2\\x82')")

    assert outcome.stdout == "a\ufffd\ufffd"
    assert (await coder.python("print('b')")).stdout == "b\n"


async def test_a_flood_is_cut_and_told(coder: Coder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service keeps a bounded part of what is printed and shown, and says so."""
    monkeypatch.setattr(execution, "_OUTPUT_LIMIT", 200_000)
    monkeypatch.setattr(execution, "_RESULTS_LIMIT", 10_000)

    printed = await coder.python("for _ in range(10_000): print('x' * 100)")
    displayed = await coder.python("for n in range(1000): display(n)")

    assert printed.ended.truncated
    assert len(printed.stdout) <= 200_000
    assert displayed.ended.truncated
    assert 0 < len(displayed.results) < 200
    assert not (await coder.python("print('x')")).ended.truncated


async def test_there_is_nothing_to_read(coder: Coder) -> None:
    """Code that asks a person gets an error at once, and does not wait for ever."""
    outcome = await coder.python("input('name? ')")

    assert outcome.ended.error is not None
    assert outcome.ended.error.name == "EOFError"


async def test_forked_children_do_not_speak_for_the_shell(coder: Coder) -> None:
    """A child that prints, displays and runs to the end of the code spoils nothing."""
    outcome = await coder.python(
        "import os\npid = os.fork()\n"
        "if pid: _ = os.waitpid(pid, 0)\n"
        "else: print('child'); display('child')\n"
        "print('end')\npid > 0"
    )

    assert outcome.stdout == "child\nend\nend\n"
    assert [shown.mime["text/plain"] for shown in outcome.results] == ["True"]


async def test_what_is_printed_between_calls_comes_with_the_next(coder: Coder) -> None:
    """A thread that goes on after its call loses no text; displays have no place to go."""
    await coder.python(
        "import os, threading, time\n"
        "def later():\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
        "    print('late'); display('dropped'); open('done', 'w')\n"
        "threading.Thread(target=later).start()"
    )
    await coder.sandbox.run("touch go; until [ -e done ]; do sleep 0.01; done", timeout=10)

    outcome = await coder.python("1")

    assert outcome.stdout == "late\n"
    assert [shown.mime["text/plain"] for shown in outcome.results] == ["1"]
    assert not outcome.ended.state_lost


async def test_children_do_not_inherit_the_conversation(coder: Coder) -> None:
    """A program in the background could otherwise hold it open after the shell has ended."""
    outcome = await coder.python("import os; _ = os.system('readlink /proc/self/fd/*')")

    assert "socket:" not in outcome.stdout
    assert "pipe:" in outcome.stdout


async def test_await_works_at_the_top(coder: Coder) -> None:
    """As in a notebook."""
    assert await coder.value("import asyncio\nawait asyncio.sleep(0, 'woken')") == "'woken'"


async def test_packages_are_those_of_the_service(coder: Coder) -> None:
    """The session sees the environment of the service, and not that of the Python below it."""
    outcome = await coder.python("import json, sys; print(json.dumps(sys.path))")

    path = [place for place in json.loads(outcome.stdout) if place.endswith("-packages")]
    assert path == list(languages._packages().values())
    assert await coder.value("import IPython; IPython.__file__ > ''") == "True"


async def test_time_spent_paused_does_not_count(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session paused in the middle of its code goes on with it, and does not lose it."""
    monkeypatch.setattr(kernel, "_SLICE", 0.02)
    code = "print('begun'); import time; time.sleep(0.05)"
    events = coder.runner.stream("s-1", "python", code, 1)
    assert isinstance(await anext(events), Printed)
    await coder.sandbox.pause()
    seat = coder.runner._seats["s-1", "python"]
    assert seat.worker is not None
    assert await seat.worker._paused()
    running = seat.worker._cell
    assert running is not None
    await asyncio.wait([running.over], timeout=1.3)

    await coder.sandbox.resume()
    rest = [event async for event in events]

    assert not await seat.worker._paused()
    assert isinstance(rest[-1], Ended)
    assert rest[-1].error is None


async def test_closing_a_session_ends_its_code(coder: Coder) -> None:
    """Whoever waits is told, and nobody gets a new shell."""
    await coder.python("1")
    running = asyncio.ensure_future(coder.python("import time; time.sleep(3600)", timeout=3600))
    waiting = asyncio.ensure_future(coder.python("1"))
    await asyncio.wait([running, waiting], timeout=0.5)

    await coder.runner.close("s-1")

    assert (await running).ended.state_lost
    with pytest.raises(SandboxGone):
        await waiting


async def test_a_session_may_be_closed_while_its_shell_starts(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell is ended as soon as it is there, and runs nothing."""
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
    await coder.runner.close("s-1")
    go_on.set()
    with pytest.raises(SandboxGone):
        await asyncio.wait_for(running, 30)
    assert started[0].gone.is_set()


async def test_a_sandbox_that_ends_takes_the_code_with_it(coder: Coder) -> None:
    """The call is answered at once."""
    await coder.python("1")
    running = asyncio.ensure_future(coder.python("import time; time.sleep(3600)", timeout=3600))
    await asyncio.wait([running], timeout=0.5)

    await coder.sandbox.close()

    assert (await asyncio.wait_for(running, 10)).ended.state_lost


async def test_a_language_that_is_not_installed_says_so(coder: Coder) -> None:
    """It is told apart from one that does not exist."""
    with pytest.raises(ToolError, match="Language r is not installed here"):
        await coder.runner.run("s-1", "R", "1", 30)
    with pytest.raises(ToolError, match=r"Unsupported language: cobol\. Supported .*javascript"):
        await coder.runner.run("s-1", "cobol", "1", 30)


async def test_python_says_what_to_install_when_ipython_is_missing(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The remedy is in the answer."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'agentbay-async\[local\]'"):
        await coder.python("1")


async def test_a_worker_that_does_not_start_says_why(
    coder: Coder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it complained about is in the answer, and the next call tries again."""
    with monkeypatch.context() as patch:
        patch.setattr(languages, "command", lambda *_: ["/bin/sh", "-c", "echo broken >&2"])
        with pytest.raises(ToolError, match="does not start: broken"):
            await coder.python("1")

    assert await coder.value("1") == "1"


@pytest.mark.parametrize("code", ["\ud800", "x" * 3_000_000])
async def test_code_that_cannot_be_sent_is_refused(coder: Coder, code: str) -> None:
    """The argument is named."""
    with pytest.raises(InvalidRequest, match="code"):
        await coder.python(code)


async def test_code_with_nul_is_an_error_of_the_code(coder: Coder) -> None:
    """It does not take the shell with it."""
    outcome = await coder.python("x = '\0'")

    assert outcome.ended.error is not None
    assert not outcome.ended.state_lost
    assert await coder.value("1") == "1"


async def test_the_tool_answers_with_the_service_s_text(coder: Coder) -> None:
    """Arguments come as on the wire; wrong ones are named."""
    given = {"code": "print('hi')\n1 + 1", "language": "Python3", "timeout_s": 20}
    place = ToolContext("s-1", coder.sandbox, ToolState(), coder.runner)
    text = await run_code(place, Arguments("run_code", given))

    answer = json.loads(text)
    assert (answer["stdout"], answer["executionCount"]) == (["hi\n"], 1)
    with pytest.raises(ToolError, match="code is required"):
        await run_code(place, Arguments("run_code", {"language": "python"}))


@needs_node
async def test_javascript_keeps_its_state_and_shows_values(coder: Coder) -> None:
    """Constants, functions and what `await` brought are there in the next call."""
    await coder.javascript("const x = 20; function twice(n) { return 2 * n; }")
    await coder.javascript("const y = await Promise.resolve(2);")

    outcome = await coder.javascript("twice(x) + y")

    assert outcome.results == (Shown({"text/plain": "42"}, main=True),)
    assert outcome.ended.count == 3
    assert (await coder.javascript("undefined")).results == ()
    assert (await coder.javascript("{a: 1}")).results[0].mime["text/plain"] == "{ a: 1 }"


@needs_node
async def test_javascript_prints_apart_and_in_order(coder: Coder) -> None:
    """Children write in their place."""
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
async def test_javascript_errors_are_told(
    coder: Coder, code: str, name: str, value: str | None
) -> None:
    """Whatever is thrown, also what is no error."""
    outcome = await coder.javascript(code)

    assert outcome.ended.error is not None
    assert outcome.ended.error.name == name
    assert value is None or outcome.ended.error.value == value


@needs_node
@pytest.mark.parametrize("code", ["while (true) {}", "await new Promise(() => 0)"])
async def test_javascript_is_interrupted_at_its_timeout(coder: Coder, code: str) -> None:
    """Endless loops and endless waits both end, and the state is kept."""
    await coder.javascript("var x = 'kept'")

    outcome = await coder.javascript(code, timeout=0.5)

    assert (outcome.ended.timed_out, outcome.ended.state_lost) == (True, False)
    assert (await coder.javascript("x")).results[0].mime["text/plain"] == "'kept'"


@needs_node
@pytest.mark.parametrize("begin", ["", "await 0; "])
async def test_javascript_that_fails_after_its_end_ends_nothing(coder: Coder, begin: str) -> None:
    """A late error is printed, and the state is kept."""
    late = "var x = 1; process.nextTick(() => { throw new Error('late'); });"
    first = await coder.javascript(begin + late)

    second = await coder.javascript("await new Promise(done => setTimeout(done, 20)); x")

    assert second.results[0].mime["text/plain"] == "1"
    assert "Uncaught Error: late" in first.stderr + second.stderr


@needs_node
async def test_javascript_that_dies_is_told(coder: Coder) -> None:
    """Its end is not taken for success."""
    outcome = await coder.javascript("process.exit(4)")

    assert outcome.ended.error is not None
    assert "exit code 4" in outcome.ended.error.value
