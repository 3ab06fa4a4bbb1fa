"""Python in real sandboxes: values, displays, errors and output."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from typing import TYPE_CHECKING

import pytest
from tests.tool_contexts import tool_context

from agentbay_local.code import (
    DisplayOutput,
    StreamOutput,
    execution,
    languages,
    session_python,
    stream_reader,
)
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.errors import InvalidRequest
from agentbay_local.tools.code import run_code

if TYPE_CHECKING:
    from .code_runner import CodeRunner


pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)
SCIENCE = ("matplotlib", "numpy", "pandas")
needs_science = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, SCIENCE)),
    reason="matplotlib, numpy and pandas are not installed",
)


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


async def test_the_completer_is_there_for_those_who_use_it(coder: CodeRunner) -> None:
    """The kernel starts without it."""
    assert await coder.value("'Completer' in vars(get_ipython())") == "False"
    assert await coder.value("'print' in get_ipython().Completer.global_matches('pri')") == "True"


async def test_garbage_is_collected(coder: CodeRunner) -> None:
    """The kernel starts without that."""
    assert await coder.value("import gc; gc.isenabled()") == "True"


async def test_a_kernel_that_starts_ahead_finds_what_is_installed_before_its_first_code(
    coder: CodeRunner,
) -> None:
    """It starts again for that, once, without a word to the client."""
    own = f"/opt/agentbay/python/lib/python{session_python().version}/site-packages"
    await coder.kernels.prepare("s-1", "python")
    install = f"mkdir added; echo 'value = 5' > added/new_one.py; echo $PWD/added > {own}/added.pth"
    assert (await coder.sandbox.run(install, timeout=60)).exit_code == 0

    outcome = await coder.python("import new_one, os; state = os.getpid(); print(new_one.value)")

    assert (outcome.stdout, outcome.stderr, outcome.end.error) == ("5\n", "", None)
    assert not outcome.end.state_lost
    assert (await coder.sandbox.run(f"touch {own}/later.pth", timeout=60)).exit_code == 0
    assert await coder.value("state == os.getpid()") == "True"


async def test_a_kernel_that_starts_ahead_and_ends_unused_is_replaced_in_silence(
    coder: CodeRunner,
) -> None:
    """No state is lost with it."""
    await coder.kernels.prepare("s-1", "python")
    await coder.sandbox.run("kill -9 -1", timeout=60)
    kernel = coder.kernels._slots["s-1", "python"].kernel
    assert kernel is not None
    await asyncio.wait_for(kernel.exited.wait(), 60)

    outcome = await coder.python("1")

    assert outcome.end.error is None
    assert not outcome.end.state_lost


async def test_a_kernel_that_cannot_start_ahead_is_reported_by_the_first_code(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else could be told."""
    with monkeypatch.context() as missing:
        missing.setattr(importlib.util, "find_spec", lambda name: None)
        await coder.kernels.prepare("s-1", "python")
        with pytest.raises(ToolError, match="IPython"):
            await coder.python("1")
    assert await coder.value("1") == "1"


async def test_a_missing_ipython_is_an_error_with_the_remedy(
    coder: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text names the extra to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"pip install 'agentbay-async\[local\]'"):
        await coder.python("1")


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
    place = tool_context("s-1", coder.sandbox, coder.kernels)
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
    place = tool_context("s-1", coder.sandbox, coder.kernels)
    given = {"code": code, "language": "python", "timeout_s": 1 if "while" in code else 60}

    with pytest.raises(ToolError) as raised:
        await run_code(place, Arguments("run_code", given))

    answer = json.loads(str(raised.value))
    assert answer["executionError"].startswith(reason)
    assert answer["error"]["name"] == reason.partition(":")[0]
    assert answer["stdout"] == printed
