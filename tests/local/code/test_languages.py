"""JavaScript, R and Java in real sandboxes."""

from __future__ import annotations

import importlib.util
import select
import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_local.code import DisplayOutput, ExecutionEnd, StreamOutput
from agentbay_local.code.kernel import Kernel
from agentbay_local.protocol.arguments import ToolError

from .code_runner import needs_java, needs_node, needs_r

if TYPE_CHECKING:
    from .code_runner import CodeRunner


pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("IPython") is None, reason="IPython is not installed"
)


@needs_node
async def test_javascript_works_without_namespaces(confined: CodeRunner) -> None:
    """The kernel's program is readable as well."""
    assert (await confined.javascript("6 * 7")).results[0].mime["text/plain"] == "42"


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


@pytest.mark.slow
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


@pytest.mark.slow
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
