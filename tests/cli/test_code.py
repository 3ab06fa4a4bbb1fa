"""``agentbay code``: code in a session."""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async.models.code import CodeEvent, CodeFailure, CodeOutput
from agentbay_cli.code import _Printer

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentbay import AgentBay
    from agentbay_local import LocalService

    Run = Callable[..., Any]

PICTURE = base64.b64encode(b"picture").decode()


@pytest.fixture
def session_id(bay: AgentBay) -> str:
    """Return the id of a session that runs code."""
    from agentbay import CreateSessionParams

    return bay.create(CreateSessionParams(image_id="code_latest")).session.session_id


def test_code_runs_and_its_names_stay(
    agentbay: Run, session_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Output, errors and the value of the last line have their places."""
    Path("one.py").write_text("import sys\nx = 20\nprint('out')\nprint('err', file=sys.stderr)\n")
    done = agentbay("code", session_id, "one.py")
    assert (done.code, done.out, done.err) == (0, "out\n", "err\n")
    monkeypatch.setattr(sys, "stdin", io.StringIO("x + 1"))
    assert agentbay("code", session_id, "-", "--language", "python").out == "21\n"


def test_code_that_fails_has_an_exit_code(agentbay: Run, session_id: str) -> None:
    """The traceback goes to standard error."""
    Path("bad.py").write_text("print('before')\n1 / 0\n")
    done = agentbay("code", session_id, "bad.py", "--timeout", "30s")
    assert (done.code, done.out) == (1, "before\n")
    assert done.err.count("ZeroDivisionError: division by zero") == 1
    assert "\x1b" not in done.err
    kinds = [
        json.loads(line)
        for line in agentbay("code", session_id, "bad.py", "--json").out.splitlines()
    ]
    assert {one["kind"] for one in kinds} == {"stdout", "stderr", "error", "end"}
    assert kinds[-2]["name"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("code.xyz", "the language of 'code.xyz' is not known; give --language"),
        ("none.py", "none.py: No such file or directory"),
        ("latin.py", "latin.py is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_code_is_refused(
    agentbay: Run, user: LocalService, name: str, told: str
) -> None:
    """Before anything is sent."""
    Path("latin.py").write_bytes(b"\xe4")
    done = agentbay("code", "s-1", name)
    assert (done.code, told in done.err, len(user.journal)) == (2, True, 0)


def event(**formats: Any) -> CodeEvent:
    """Return the event of a result."""
    return CodeEvent("result", result=CodeOutput(**formats, formats=tuple(formats)))


@pytest.mark.parametrize("traceback", ["", "traceId=1", "Traceback\nKilled: by 9"])
def test_an_error_is_told_once(traceback: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its traceback, if that says more."""
    printer = _Printer(None, as_json=False)
    printer.show(CodeEvent("error", error=CodeFailure("Killed", "by 9", traceback)))
    told = traceback if "Killed" in traceback else "Killed: by 9"
    assert capsys.readouterr().err == f"{told}\n"
    assert printer.has_failed


def test_pictures_are_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In place of their descriptions; their paths are the output."""
    printer = _Printer(str(tmp_path), as_json=False)
    printer.show(event(png=PICTURE, text="<Figure>"))
    printer.show(event(svg="<svg/>"))
    printer.show(event(jpeg="no base64!", text="<Figure>"))
    output = capsys.readouterr()
    assert output.out.split() == [f"{tmp_path}/1.png", f"{tmp_path}/2.svg"]
    assert "damaged" in output.err
    assert (tmp_path / "1.png").read_bytes() == b"picture"
    assert (tmp_path / "2.svg").read_text() == "<svg/>"


def test_pictures_that_nobody_saves_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """With the option that saves them."""
    _Printer(None, as_json=False).show(event(png=PICTURE, text="<Figure>"))
    output = capsys.readouterr()
    assert (output.out, "--pictures DIR" in output.err) == ("<Figure>\n", True)


def test_a_result_is_json_with_its_formats(capsys: pytest.CaptureFixture[str]) -> None:
    """As the API has them."""
    _Printer(None, as_json=True).show(event(text="1", json={"a": 1}))
    assert json.loads(capsys.readouterr().out) == {"kind": "result", "text": "1", "json": {"a": 1}}


def test_the_directory_of_pictures_is_created(agentbay: Run, session_id: str) -> None:
    """Before the code runs."""
    Path("one.py").write_text("1")
    assert agentbay("code", session_id, "one.py", "--pictures", "some/new").out == "1\n"
    assert Path("some/new").is_dir()
