"""``agentbay migrate``: the lines of official programs that would behave otherwise here."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from agentbay_cli.main import main
from agentbay_cli.migrate.checks import check

if TYPE_CHECKING:
    from pathlib import Path


def _findings(program: str) -> dict[int, str]:
    """Return what is found in each line of a program; its first line has the number 1."""
    return {finding.line: finding.message for finding in check(dedent(program).strip())}


def test_a_value_that_is_compared_with_none_names_the_test_to_write():
    """Of a failed result it raises."""
    found = _findings("""
        from agentbay import AgentBay, CreateSessionParams
        bay = AgentBay(api_key="key")
        result = bay.create(CreateSessionParams())
        if result.session is None:
            raise SystemExit(result.error_message)
        print(result.session.session_id)
    """)

    assert found == {
        4: "`result.session` of a failed result raises its error and is never None;"
        " test `result.success`"
    }


@pytest.mark.parametrize(
    "test",
    [
        "if result.session:",
        "if not result.session:",
        "if result.session is not None:",
        "if result.session == None:",
        "while not result.session:",
        "if ready and result.session:",
        "if result.success or result.session:",
        "assert result.session",
        "name = result.session or 'none'",
        "name = 1 if result.session else 2",
        "names = [one for one in many if result.session]",
    ],
)
def test_every_test_of_an_untested_value_is_found(test: str):
    """A test needs no `if`."""
    ending = " pass" if test.endswith(":") else ""

    assert 3 in _findings(
        f"import agentbay\nresult = agentbay.AgentBay().get('s-1')\n{test}{ending}"
    )


@pytest.mark.parametrize(
    "body",
    [
        "if result.success and result.session: pass",
        "if result and result.session: pass",
        "if not result.success or not result.session: pass",
        "if result.success:\n    if result.session: pass",
        "if not result.success:\n    raise SystemExit\nif result.session: pass",
        "if result.success is False:\n    sys.exit(1)\nif result.session: pass",
        "if result.error_message:\n    raise SystemExit\nassert result.session",
        "assert result.success\nassert result.session",
        "if result:\n    pass\nelse:\n    raise SystemExit\nassert result.session",
        "name = result.session if result.success else None",
        "print(result.session.session_id)",
        "assert result.error_message",
        "assert other.session",
    ],
)
def test_a_program_that_tests_the_result_runs_as_it_did(body: str):
    """Nothing is found in it."""
    head = "import sys\nfrom agentbay import AgentBay\nresult = AgentBay().get('s-1')\n"

    assert _findings(head + body) == {}


def test_what_one_branch_tests_does_not_hold_after_it():
    """Nor does a test of a result hold for the next one of the same name."""
    found = _findings("""
        from agentbay import AgentBay
        result = AgentBay().get("s-1")
        if result.success:
            print(result.session)
        assert result.session
        assert result.success
        result = AgentBay().get("s-2")
        assert result.session
    """)

    assert list(found) == [5, 8]


def test_a_variable_with_an_untested_value_is_found_where_it_is_read():
    """The program would stop there, and not reach its test."""
    found = _findings("""
        import asyncio
        from agentbay import AsyncAgentBay

        async def main():
            bay = AsyncAgentBay()
            result = await bay.create()
            session = result.session
            try:
                await session.command.execute_command("ls")
            finally:
                if session:
                    await bay.delete(session)

        asyncio.run(main())
    """)

    assert list(found) == [7]
    assert "line 11 never sees None; test `result.success`" in found[7]


def test_a_value_that_is_read_after_a_failure_is_found():
    """It was None or empty there."""
    found = _findings("""
        from agentbay import AgentBay
        contexts = AgentBay().context.list()
        if contexts.success:
            print(contexts.contexts)
        else:
            print("none:", contexts.contexts)
    """)

    assert found == {
        6: "`contexts.contexts` of a failed result raises its error; read `contexts.error_message`"
    }


def test_the_output_of_a_command_that_failed_can_be_read():
    """Its result has a value, too."""
    assert (
        _findings("""
        from agentbay import AgentBay
        session = AgentBay().create().session
        result = session.command.execute_command("ls /none")
        if not result.success:
            print(result.output)
    """)
        == {}
    )


def test_types_are_followed_through_annotations_attributes_and_loops():
    """Most programs keep the client in a class, or pass sessions to functions."""
    found = _findings("""
        from typing import List, Optional
        import agentbay as sdk
        from agentbay import Session, SessionResult

        class Worker:
            def work(self):
                assert self.bay.get("s-1").session

            def __init__(self):
                self.bay = sdk.AgentBay()

        def create(bay: "sdk.AgentBay") -> SessionResult:
            return bay.create()

        def run(session: Optional[Session], many: List[sdk.AgentBay]) -> None:
            assert session.context.info().context_status_data
            for bay in many:
                assert bay.get("s-1").session
            result: SessionResult = unknown()
            assert result.session
            assert create(many[0]).session
    """)

    assert list(found) == [7, 16, 18, 20, 21]


def test_bad_values_tell_what_is_refused():
    """They are made, without a request."""
    found = _findings("""
        from agentbay import CreateSessionParams, RecyclePolicy, Lifecycle
        CreateSessionParams(labels={"": "no key"})
        RecyclePolicy(lifecycle=Lifecycle.LIFECYCLE_1DAY, paths=["/tmp/*"])
        RecyclePolicy(lifecycle=Lifecycle.LIFECYCLE_1DAY, paths=[unknown])
        CreateSessionParams(labels={"project": "demo"})
        CreateSessionParams(**{"labels": 1})
    """)

    assert list(found) == [2, 3]
    assert found[3].startswith("this raises before anything is sent: each of paths must not")


def test_names_that_are_not_here_name_what_to_write():
    """They come from the table of differences between the two libraries."""
    found = _findings("""
        from agentbay import extract_request_id
        from agentbay import AgentBay, NoSuchName
        AgentBay().client
        AgentBay().create().session.session_id
    """)

    assert list(found) == [1, 3]
    assert found[1].startswith("`extract_request_id` is not here. ")
    assert found[1].endswith("Read the request_id of a result or an error.")


def test_modules_of_the_official_client_name_ours():
    """Names are imported from the package, and from a few modules."""
    found = _findings("""
        from agentbay._common.params.session_params import CreateSessionParams
        import agentbay._sync.session
        from agentbay._nowhere import something
        from agentbay.session_params import CreateSessionParams
        from agentbay import *
        from .agentbay import other
        import os
    """)

    assert list(found) == [1, 2, 3]
    assert found[1].endswith("write `from agentbay import CreateSessionParams`")


def test_deprecated_names_name_ours():
    """They warn when they are used."""
    found = _findings("""
        from agentbay import AsyncSession
        async def show(session: AsyncSession):
            print(session.get_token(), session.token)
    """)

    assert found == {3: "`get_token` is deprecated and warns; write `token`"}


def test_a_delete_that_may_be_refused_needs_a_look_at_its_result():
    """Unsaved files keep the session."""
    found = _findings("""
        from agentbay import AgentBay
        bay = AgentBay()
        session = bay.create().session
        bay.delete(session, sync_context=True)
        result = bay.delete(session, sync_context=True)
        session.delete(sync_context=True)
        session.delete()
    """)

    assert list(found) == [4, 6]
    assert "pass `force=True`" in found[4]


def test_ids_of_a_listing_are_texts():
    """The official client lists dictionaries; ours answer to their keys."""
    found = _findings("""
        from agentbay import AgentBay
        for entry in AgentBay().list().session_ids:
            print(entry["sessionId"])
            if isinstance(entry, dict):
                print(entry)
    """)

    assert list(found) == [4]


def test_the_command_walks_directories_and_exits_with_1_if_it_finds_something(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Places go to standard output, for editors and programs."""
    (tmp_path / "one.py").write_text("from agentbay import AgentBay\nAgentBay().client\n", "utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "two.py").write_text("print()\n", "utf-8")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "three.py").write_text("from agentbay import extract_request_id", "utf-8")

    assert main(["migrate", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'one.py'}:2:1: `AgentBay.client` is not here. ")
    assert said.out.count("\n") == 1
    assert said.err == "2 files, 1 places\n"
    assert main(["migrate", str(tmp_path / "deep")]) == 0
    capsys.readouterr()
    assert main(["migrate", "--json", str(tmp_path)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["file"], found["line"], found["column"]) == (str(tmp_path / "one.py"), 2, 1)
    assert found["message"].startswith("`AgentBay.client` is not here. ")


def test_files_that_are_no_python_are_named_and_the_others_are_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Nobody can say that nothing would behave otherwise in them."""
    (tmp_path / "a.py").write_text("def broken(:\n", "utf-8")
    (tmp_path / "b.py").write_bytes(b"\0")
    (tmp_path / "c.py").write_text("from agentbay import extract_request_id\n", "utf-8")

    assert main(["migrate", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert f"{tmp_path / 'a.py'}:1:12: this cannot be read as Python: invalid syntax" in said.err
    assert f"{tmp_path / 'b.py'}:" in said.err
    assert "3 files, 1 places, 2 files could not be read" in said.err
    (tmp_path / "c.py").unlink()
    assert main(["migrate", str(tmp_path)]) == 1


@pytest.mark.parametrize("arguments", [[], ["no-such-place"], ["--rewrite", "."]])
def test_a_command_that_cannot_run_exits_with_2(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """So a script can tell it from a program in which something was found."""
    monkeypatch.chdir(tmp_path)

    assert _exit_code(arguments) == 2


def _exit_code(arguments: list[str]) -> object:
    """Return it, also if the parser of the arguments ends the program."""
    try:
        return main(["migrate", *arguments])
    except SystemExit as usage:
        return usage.code


def test_every_kind_of_statement_is_read():
    """Nothing that Python allows ends the check."""
    program = dedent("""
        import agentbay, os.path as path
        x: int
        x, (y, *z) = 1, (2, 3)
        x = y = z[0:1][0]
        (lambda a, *b, c=1, **d: a)(1)
        match x:
            case {"a": [1, *_]} if y: pass
        async def f(a: "not Python", *b: agentbay.Session, **c):
            async with agentbay.AsyncAgentBay() as bay, bay: yield
            async for one in bay.list(): return
            [one async for one in bay.list() if one]
            {a: b for a, b in c.items()}
        with open(x): del x
        global y
        if (n := agentbay.AgentBay().get("s").success) and n: ...
        class C(object, metaclass=type):
            x = 1
    """)

    assert check(program) == []


@pytest.mark.parametrize(
    "annotation",
    [
        "SessionResult",
        "'SessionResult'",
        "Optional[SessionResult]",
        "'Optional[SessionResult]'",
        "SessionResult | None",
        "None | SessionResult",
        "agentbay.SessionResult",
    ],
)
def test_a_parameter_has_the_type_of_its_annotation(annotation: str):
    """However it is written."""
    found = _findings(f"""
        import agentbay
        from agentbay import SessionResult
        def use(result: {annotation}):
            assert result.session
    """)

    assert list(found) == [4]


@pytest.mark.parametrize(
    "annotation", ["'not an [expression'", "Unknown", "Unknown[SessionResult]", "5", "None"]
)
def test_an_annotation_that_names_no_class_here_tells_nothing(annotation: str):
    """So nothing is found."""
    found = _findings(f"""
        from agentbay import SessionResult
        def use(result: {annotation}):
            assert result.session
    """)

    assert found == {}


@pytest.mark.parametrize("annotation", ["List[SessionResult]", "list[SessionResult]"])
def test_an_element_has_the_type_that_the_annotation_of_its_list_names(annotation: str):
    """By a loop and by an index."""
    found = _findings(f"""
        from agentbay import SessionResult
        def use(results: {annotation}):
            for result in results:
                assert result.session
            assert results[0].session
            assert results[1:].session
    """)

    assert list(found) == [4, 5]


def test_members_that_every_object_has_are_here():
    """So are those that a program gives its own objects."""
    found = _findings("""
        from agentbay import AgentBay
        bay = AgentBay(api_key="key")
        print(bay.__class__, AgentBay.__name__, bay.unheard_of)
        print(bay.create.__name__, bay.create.anything)
        def use(): return bay.get("s-1")
        print(use.anything)
        assert use().of_this_program
    """)

    assert found == {}


def test_arguments_that_a_program_computes_are_not_judged():
    """Only what stands in the program is."""
    found = _findings("""
        import os
        from agentbay import BrowserOption, CreateSessionParams, LifecyclePolicy
        labels = {"a": "b"}
        CreateSessionParams(labels=labels)
        CreateSessionParams(**labels)
        CreateSessionParams(labels={"a": os.environ["B"]})
        CreateSessionParams(image_id=os.name)
        CreateSessionParams(*[1])
    """)

    assert found == {}


def test_a_value_of_an_enumeration_is_known():
    """As a value that is written out."""
    found = _findings("""
        from agentbay import ContextSync, SyncPolicy, UploadPolicy, UploadMode
        UploadPolicy(upload_mode=UploadMode.ARCHIVE)
        UploadPolicy(upload_mode=UploadMode.NO_SUCH_MODE)
        ContextSync(context_id=" ", path="/a", policy=SyncPolicy(UploadPolicy(True)))
        ContextSync(context_id="c", path="relative", policy=None)
    """)

    assert list(found) == [4, 5]


def test_a_directory_that_is_called_like_a_program_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """It does not end the run."""
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "program.py").write_text("from agentbay import extract_request_id\n", "utf-8")

    assert _exit_code([str(tmp_path)]) == 1

    printed = capsys.readouterr()
    assert "folder.py: Is a directory" in printed.err
    assert "extract_request_id" in printed.out


def test_a_program_that_is_nested_too_deeply_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As one that is no Python."""
    (tmp_path / "deep.py").write_text("-" * 100_000 + "1\n", "utf-8")

    assert _exit_code([str(tmp_path)]) == 1

    assert (
        "deep.py:1:1: this cannot be read as Python: it is nested too deeply"
        in capsys.readouterr().err
    )


def test_a_parameter_that_is_not_here_names_what_to_write():
    """At its value."""
    found = _findings("""
        from agentbay import SessionMetrics
        SessionMetrics(cpu_count=2, rx_rate_kbps=1.0)
        int("7", base=8)
        print("a", end="", **{})
    """)

    assert list(found) == [2]
    assert "`SessionMetrics(rx_rate_kbps)` is not here" in found[2]


def test_a_result_that_is_awaited_in_place_is_shown_with_its_call():
    """Without its arguments."""
    found = _findings("""
        from agentbay import AsyncAgentBay
        async def main(bay: AsyncAgentBay):
            assert (await bay.get("s-1")).session
    """)

    assert found[3].startswith("`bay.get(...).session` of a failed result raises its error")


def test_a_program_that_is_named_needs_no_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """As scripts have none."""
    script = tmp_path / "script"
    script.write_text("from agentbay import extract_request_id\n", "utf-8")

    assert main(["migrate", str(script)]) == 1

    assert f"{script}:1:1: " in capsys.readouterr().out
