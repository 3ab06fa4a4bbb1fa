"""Synchronization of contexts and sessions."""

from __future__ import annotations

import asyncio
import errno
import tarfile
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.local.conftest import DEADLINE

from agentbay_local import StickTask
from agentbay_local.contexts import transfer, versions
from agentbay_local.contexts.context_store import Snapshot
from agentbay_local.sessions.removals import Removals
from agentbay_local.trees import mount

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from tests.local.conftest import Api

    from agentbay_local import LocalService, ManualClock
    from agentbay_local.trees.budget import Budget

pytestmark = pytest.mark.usefixtures("sandboxed")


async def sync(api: Api, session: str, **fields: Any) -> list[dict[str, Any]]:
    """Start a sync and wait for its end; return the tasks that it added."""
    before = len(await api.tasks(session))
    await api.ok("SyncContext", SessionId=session, **fields)
    return (await api.settled(session))[before:]


async def test_files_written_in_one_session_are_read_in_the_next(api: Api) -> None:
    """A release uploads and a create downloads."""
    context = await api.context()
    first = await api.mounted(context)
    await api.sh(first, "mkdir -p /mnt/data/deep; echo hello > /mnt/data/deep/note.txt")
    await api.released(first)
    assert await api.fetch(context, "deep/note.txt") == b"hello\n"
    second = await api.mounted(context)
    assert await api.sh(second, "cat /mnt/data/deep/note.txt") == "hello\n"


async def test_create_records_a_download_task_that_succeeds(api: Api) -> None:
    """With context, path, type and times."""
    context = await api.context()
    await api.put(context, "a.txt", b"x")
    session = await api.mounted(context, "/app/code")
    (task,) = await api.tasks(session)
    assert (task["contextId"], task["path"]) == (context, "/app/code")
    assert (task["taskType"], task["status"]) == ("download", "Success")
    assert task["finishTime"] >= task["startTime"] > 1_600_000_000
    assert await api.sh(session, "cat /app/code/a.txt") == "x"


async def test_a_new_file_appears_in_a_live_sandbox(api: Api) -> None:
    """A download reaches a running session."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "true")
    await api.put(context, "later.txt", b"new")
    await sync(api, session, ContextId=context, Mode="download")
    assert await api.sh(session, "cat /mnt/data/later.txt") == "new"
    assert await api.sh(session, "stat -c %U /mnt/data/later.txt") == "wuying\n"


async def test_tasks_are_never_removed(api: Api) -> None:
    """Clients compare the list before and after."""
    session = await api.mounted(await api.context())
    (added,) = await sync(api, session)
    assert (added["taskType"], added["status"]) == ("upload", "Success")
    assert [task["taskType"] for task in await api.tasks(session)] == ["download", "upload"]
    assert await api.tasks(session, TaskType="upload") == [added]


async def test_one_file_is_synchronised_by_its_path(api: Api) -> None:
    """The task has the requested path; other files are not synchronized."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "echo 1 > /mnt/data/one; echo 2 > /mnt/data/two")
    (task,) = await sync(api, session, ContextId=context, Path="/mnt/data/one", Mode="upload")
    assert task["path"] == "/mnt/data/one"
    assert await api.names(context) == ["one"]


async def test_an_upload_without_changes_publishes_nothing(api: Api) -> None:
    """The context keeps the file that another client has written."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "echo 1 > /mnt/data/one")
    await sync(api, session)
    await api.put(context, "one", b"of somebody else")
    await sync(api, session)
    assert await api.fetch(context, "one") == b"of somebody else"


async def test_a_file_that_a_sync_names_is_in_the_context_afterwards(api: Api) -> None:
    """Also if others have deleted it and the session has not changed it."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "mkdir /mnt/data/in; echo 1 > /mnt/data/in/one; echo 2 > /mnt/data/two")
    await sync(api, session)
    await api.ok("DeleteContextFile", ContextId=context, FilePath="in/one")
    await sync(api, session)
    assert await api.names(context, "in") == []
    await sync(api, session, ContextId=context, Path="/mnt/data/in/one", Mode="upload")
    assert await api.fetch(context, "in/one") == b"1\n"
    await api.put(context, "in/one", b"of somebody else")
    await sync(api, session, ContextId=context, Path="/mnt/data/in/one", Mode="upload")
    assert await api.fetch(context, "in/one") == b"of somebody else"


async def test_a_file_that_a_sync_names_does_not_replace_one_that_comes_meanwhile(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at its path nor where it needs a directory."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "mkdir /mnt/data/in; echo 1 > /mnt/data/in/one; echo 2 > /mnt/data/two")
    await sync(api, session)
    await api.put(context, "two", b"of somebody else")
    await api.ok("DeleteContextFile", ContextId=context, FilePath="in/one")
    await api.ok("DeleteContextFile", ContextId=context, FilePath="in")
    await api.put(context, "in", b"a file")
    # As if both had come after the session was compared with the context.
    monkeypatch.setattr(Snapshot, "lacks", lambda *_: True)
    for path in ("two", "in/one"):
        (task,) = await sync(api, session, Path=f"/mnt/data/{path}", Mode="upload")
        assert task["status"] == "Success"
    assert await api.fetch(context, "two") == b"of somebody else"
    assert await api.fetch(context, "in") == b"a file"


async def test_the_last_upload_of_a_file_wins(api: Api) -> None:
    """Other files of both sessions are kept."""
    context = await api.context()
    await api.put(context, "shared", b"0")
    first, second = await api.mounted(context), await api.mounted(context)
    await api.sh(first, "echo 1 > /mnt/data/shared; echo 1 > /mnt/data/first")
    await api.sh(second, "echo 2 > /mnt/data/shared; echo 2 > /mnt/data/second")
    await api.released(second)
    await api.released(first)
    assert await api.names(context) == ["first", "second", "shared"]
    assert await api.fetch(context, "shared") == b"1\n"


async def test_the_policy_decides_whether_deletions_are_uploaded(api: Api) -> None:
    """By DeletePolicy.syncLocalFile."""
    for follow, left in ((True, ["stays"]), (False, ["goes", "stays"])):
        context = await api.context()
        await api.put(context, "goes", b"x")
        await api.put(context, "stays", b"x")
        session = await api.mounted(context, deletePolicy={"syncLocalFile": follow})
        await api.sh(session, "rm /mnt/data/goes")
        await api.released(session)
        assert await api.names(context) == left


async def test_a_deletion_keeps_a_newer_file_of_another_client(api: Api) -> None:
    """A session only deletes the version of a file that it has seen."""
    context = await api.context()
    await api.put(context, "file", b"old")
    session = await api.mounted(context)
    await api.sh(session, "rm /mnt/data/file")
    await api.put(context, "file", b"new and longer")
    await api.released(session)
    assert await api.fetch(context, "file") == b"new and longer"


async def test_a_download_keeps_files_that_only_the_session_changed(api: Api) -> None:
    """Unsaved work is not overwritten by an old copy."""
    context = await api.context()
    await api.put(context, "file", b"old")
    session = await api.mounted(context)
    await api.sh(session, "echo mine > /mnt/data/file")
    await sync(api, session, Mode="download")
    assert await api.sh(session, "cat /mnt/data/file") == "mine\n"


async def test_policies_can_disable_both_directions(api: Api) -> None:
    """A task is recorded nevertheless, because clients wait for it."""
    context = await api.context()
    await api.put(context, "there", b"x")
    session = await api.mounted(
        context, downloadPolicy={"autoDownload": False}, uploadPolicy={"autoUpload": False}
    )
    assert (await api.tasks(session))[0]["status"] == "Success"
    assert await api.sh(session, "ls /mnt/data") == ""
    await api.sh(session, "echo 1 > /mnt/data/here")
    await api.released(session)
    assert await api.names(context) == ["there"]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([{"path": ""}], ["a.log", "a.py", "src"]),
        ([{"path": "src"}], ["src"]),
        ([{"path": "/src", "excludePaths": ["skip"]}], ["src"]),
        ([{"path": r".*\.py", "isPathRegex": True}], ["a.py", "src"]),
        ([{"path": "", "excludePaths": [r".*\.log"], "isExcludeRegex": True}], ["a.py", "src"]),
        ([{"path": "a.py"}, {"path": "a.log"}], ["a.log", "a.py"]),
        ([], ["a.log", "a.py", "src"]),
    ],
)
async def test_white_lists_select_files(
    api: Api, lists: list[dict[str, Any]], expected: list[str]
) -> None:
    """Literal paths and patterns, with excludes."""
    context = await api.context()
    session = await api.mounted(context, bwList={"whiteLists": lists})
    await api.sh(session, "cd /mnt/data; mkdir -p src/skip; touch a.py a.log src/b.py src/skip/c")
    await api.released(session)
    assert await api.names(context) == expected
    if any(entry.get("excludePaths") == ["skip"] for entry in lists):
        assert await api.names(context, "src") == ["b.py"]


async def test_links_are_stored_as_links(api: Api) -> None:
    """A link to a file of the host is never followed."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "cd /mnt/data; echo 1 > f; ln -s f in; ln -s /etc/shadow out; mkfifo p")
    await api.released(session)
    assert await api.names(context) == ["f", "in", "out"]
    body = await api.ok("GetContextFileDownloadUrl", ContextId=context, FilePath="out")
    async with api.http.get(body["Data"]["Url"]) as answer:
        assert answer.status == 404
    second = await api.mounted(context)
    assert await api.sh(second, "readlink /mnt/data/out; cat /mnt/data/in") == "/etc/shadow\n1\n"


async def test_a_mount_that_became_a_link_stays_inside_the_session(api: Api) -> None:
    """A link to /etc uploads the /etc of the session."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "rmdir /mnt/data; ln -s /home/wuying /mnt/data; echo 1 > /home/wuying/h")
    await api.released(session)
    assert await api.names(context) == ["h"]


async def test_a_link_with_the_name_of_the_archive_is_not_followed(
    api: Api, tmp_path: Path
) -> None:
    """A session cannot have an archive of the host unpacked."""
    secret = tmp_path / "secret.tar.gz"
    with tarfile.open(secret, "w:gz") as archive:
        archive.add(__file__, "stolen")
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, f"ln -s {secret} /mnt/data/.agentbay-archive.tar.gz")
    await api.released(session)
    second = await api.mounted(context)
    assert [task["status"] for task in await api.tasks(second)] == ["Success"]
    assert "stolen" not in await api.sh(second, "ls -A /mnt/data")


async def test_a_link_in_a_context_reveals_nothing_about_the_host(api: Api) -> None:
    """Not even whether a file exists."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "ln -s /etc /mnt/data/out")
    await api.released(session)
    fields = {"ContextId": context, "FilePath": "out/passwd"}
    assert await api.code("GetContextFileDownloadUrl", **fields) == "ContextFile.NotFound"
    assert await api.names(context, "out") == []


@pytest.mark.slow
async def test_a_tree_of_thousands_of_directories_is_synchronized(api: Api) -> None:
    """The number of open files does not grow with the tree."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "cd /mnt/data; seq 3000 | xargs mkdir; touch 2999/f")
    await api.released(session)
    assert await api.names(context, "2999") == ["f"]


async def test_nested_mounts_are_independent(api: Api) -> None:
    """Files of an inner mount belong to the inner context alone."""
    outer, inner = await api.context(), await api.context()
    items = [{"ContextId": outer, "Path": "/data"}, {"ContextId": inner, "Path": "/data/in"}]
    session = await api.session(PersistenceDataList=items)
    await api.settled(session)
    await api.sh(session, "echo 1 > /data/o; echo 2 > /data/in/i")
    (task,) = await sync(api, session, Path="/data/in/i")
    assert (task["contextId"], await api.names(inner)) == (inner, ["i"])
    await api.released(session)
    assert await api.names(outer) == ["o"]
    assert await api.names(inner) == ["i"]


async def test_contexts_can_be_attached_later_and_are_listed(api: Api) -> None:
    """BindContexts adds to the contexts of the create."""
    context = await api.context()
    await api.put(context, "a", b"x")
    session = await api.session()
    item = {"ContextId": context, "Path": "/mnt/late"}
    await api.ok("BindContexts", SessionId=session, PersistenceDataList=[item])
    await api.settled(session)
    assert await api.sh(session, "cat /mnt/late/a") == "x"
    (record,) = (await api.ok("DescribeSessionContexts", SessionId=session))["Data"]
    assert (record["ContextId"], record["Path"]) == (context, "/mnt/late")
    assert record["BindTime"].endswith("Z")
    found = (await api.ok("GetSession", SessionId=session))["Data"]
    assert [entry["id"] for entry in found["contexts"]] == [context]
    code = await api.code("BindContexts", SessionId=session, PersistenceDataList=[item])
    assert code == "InvalidParameter"


async def test_the_deprecated_context_id_is_mounted_at_mnt_data(api: Api) -> None:
    """Clients before 0.6 name a context without a path."""
    context = await api.context()
    await api.put(context, "a", b"x")
    session = await api.session(ContextId=context)
    await api.settled(session)
    assert await api.sh(session, "cat /mnt/data/a") == "x"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Mode": "sideways"}, "InvalidParameter"),
        ({"ContextId": "SdkCtx-none"}, "Context.NotFound"),
        ({"Path": "/somewhere/else"}, "InvalidParameter"),
        ({"Path": "/mnt/data/../../etc"}, "InvalidParameter"),
    ],
)
async def test_an_invalid_sync_is_an_error(api: Api, fields: dict[str, str], code: str) -> None:
    """No task is recorded."""
    session = await api.mounted(await api.context())
    assert await api.code("SyncContext", SessionId=session, **fields) == code
    assert len(await api.tasks(session)) == 1


async def test_a_session_is_kept_when_its_files_cannot_be_saved(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed upload returns the session to RUNNING; the next release tries again."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "echo precious > /mnt/data/f")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(versions, "_write_added", full)
        code = await api.code("ReleaseMcpSession", SessionId=session)
        assert code == "IncorrectSessionStatus"
        assert await api.status(session) == "RUNNING"
    failed = (await api.tasks(session))[-1]
    assert (failed["status"], failed["errorMessage"]) == ("Failed", "No space left on device")
    assert await api.sh(session, "cat /mnt/data/f") == "precious\n"
    await api.released(session)
    assert await api.fetch(context, "f") == b"precious\n"


async def test_an_upload_while_files_change_takes_whole_files(api: Api) -> None:
    """A file that changes all the time is uploaded in one of its states, or the task fails."""
    context = await api.context()
    session = await api.mounted(context)
    write = "head -c 50000 /dev/zero | tr '\\0' {0} > t; mv t f; "
    script = f"while :; do {write.format('a')} {write.format('b')} done"
    await api.sh(session, f"cd /mnt/data; ({script}) >/dev/null 2>&1 & sleep 0.1")
    for _ in range(5):
        (task,) = await sync(api, session, Mode="upload")
        if task["status"] == "Success" and "f" in await api.names(context):
            content = await api.fetch(context, "f")
            assert content in (b"a" * 50000, b"b" * 50000)
    await api.released(session)


async def test_archive_mode_packs_files_and_restores_them(api: Api) -> None:
    """One archive, single files for excluded paths, and all files in the next session."""
    context = await api.context()
    upload = {"uploadMode": "Archive", "archiveExcludePaths": ["loose"]}
    first = await api.mounted(context, uploadPolicy=upload)
    await api.sh(first, "cd /mnt/data; mkdir a loose; echo 1 > a/x; echo 2 > loose/y; ln -s a/x l")
    await api.released(first)
    assert await api.names(context) == [".agentbay-archive.tar.gz", "loose"]
    second = await api.mounted(context, uploadPolicy=upload)
    assert (
        await api.sh(second, "cd /mnt/data; cat a/x loose/y l; ls -A") == "1\n2\n1\na\nl\nloose\n"
    )
    await api.sh(second, "cd /mnt/data; rm a/x; echo 3 > a/z")
    await api.released(second)
    third = await api.mounted(context)
    assert await api.sh(third, "cd /mnt/data/a; ls; cat z") == "z\n3\n"


async def test_a_sync_of_one_file_keeps_the_others_of_an_archive(api: Api) -> None:
    """A part of an archive cannot be replaced, so the whole is uploaded."""
    context = await api.context()
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "cd /mnt/data; echo 1 > a; echo 2 > b")
    await sync(api, first)
    await api.sh(first, "cd /mnt/data; echo 3 > a")
    await sync(api, first, ContextId=context, Path="/mnt/data/a", Mode="upload")
    second = await api.mounted(context)
    assert await api.sh(second, "cd /mnt/data; cat a b; echo 4 > a") == "3\n2\n"
    await sync(api, second, ContextId=context, Path="/mnt/data/a", Mode="upload")
    assert await api.names(context) == ["a", "b"]
    assert await api.fetch(context, "a") == b"4\n"


async def test_an_upload_keeps_the_part_of_an_archive_that_its_session_does_not_mount(
    api: Api,
) -> None:
    """Whether it is published as an archive or as files."""
    context = await api.context()
    archive = {"uploadMode": "Archive"}
    first = await api.mounted(context, uploadPolicy=archive)
    await api.sh(first, "cd /mnt/data; mkdir a b; echo 1 > a/x; echo 2 > b/y; ln -s y b/l")
    await api.released(first)
    only_a = {"whiteLists": [{"path": "a", "excludePaths": []}]}
    for name, policy in (("p", archive), ("q", {"uploadMode": "File"})):
        narrow = await api.mounted(context, bwList=only_a, uploadPolicy=policy)
        assert await api.sh(narrow, "cd /mnt/data; ls") == "a\n"
        await api.sh(narrow, f"cd /mnt/data/a; echo 3 > {name}")
        await api.released(narrow)
    last = await api.mounted(context)
    assert await api.sh(last, "cd /mnt/data; cat a/p a/q a/x b/l; ls a b") == (
        "3\n3\n1\n2\na:\np\nq\nx\n\nb:\nl\ny\n"
    )


async def test_archives_of_two_sessions_at_once_are_joined(api: Api) -> None:
    """Each keeps what the other has added, changed or deleted; the last writer of a file wins."""
    context = await api.context()
    archive = {"uploadMode": "Archive"}
    first = await api.mounted(context, uploadPolicy=archive)
    await api.sh(first, "cd /mnt/data; mkdir d; for n in 1 2 3 4 5; do echo 0 > d/$n; done")
    await api.released(first)
    one = await api.mounted(context, uploadPolicy=archive)
    two = await api.mounted(context, uploadPolicy=archive)
    await api.sh(one, "cd /mnt/data; echo one > d/1; echo one > d/2; rm d/3; echo one > new1")
    await api.sh(two, "cd /mnt/data; echo two > d/2; rm d/4; echo two > new2")
    await asyncio.gather(sync(api, one), sync(api, two, Mode="upload"))
    await api.sh(one, "cd /mnt/data; echo last > d/2")
    await sync(api, one)
    for session in (one, two):
        await sync(api, session, ContextId=context, Mode="download")
        assert await api.sh(session, "cd /mnt/data; cat d/1 d/2 new*") == "one\nlast\none\ntwo\n"
    await api.released(two)
    third = await api.mounted(context)
    shown = await api.sh(third, "cd /mnt/data; tail -n 1 d/* new*; ls d")
    assert shown.endswith("1\n2\n5\n")
    assert await api.sh(third, "cd /mnt/data; cat d/1 d/2 d/5 new1 new2") == (
        "one\nlast\n0\none\ntwo\n"
    )


async def test_a_download_brings_what_others_have_put_into_the_archive(api: Api) -> None:
    """And keeps the files that only the session has changed."""
    context = await api.context()
    archive = {"uploadMode": "Archive"}
    one = await api.mounted(context, uploadPolicy=archive)
    await api.sh(one, "cd /mnt/data; echo 0 > a; echo 0 > b")
    await sync(api, one)
    two = await api.mounted(context, uploadPolicy=archive)
    await api.sh(two, "cd /mnt/data; echo two > b; echo two > c")
    await sync(api, two)
    await api.sh(one, "cd /mnt/data; echo one > a")
    await sync(api, one, ContextId=context, Mode="download")
    assert await api.sh(one, "cd /mnt/data; cat a b c") == "one\ntwo\ntwo\n"
    await sync(api, one)
    await sync(api, two, ContextId=context, Mode="download")
    assert await api.sh(two, "cd /mnt/data; cat a b c") == "one\ntwo\ntwo\n"


@pytest.mark.parametrize("mode", ["Archive", "File"])
async def test_files_that_a_session_may_not_delete_stay(api: Api, mode: str) -> None:
    """In an archive and beside it."""
    context = await api.context()
    await api.put(context, "single", b"1\n")
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "cd /mnt/data; echo 1 > packed; echo 1 > other")
    await api.released(first)
    await api.put(context, "late", b"1\n")
    second = await api.mounted(
        context, uploadPolicy={"uploadMode": mode}, deletePolicy={"syncLocalFile": False}
    )
    await api.sh(second, "cd /mnt/data; rm single packed late; echo 2 > other")
    await api.released(second)
    third = await api.mounted(context)
    assert await api.sh(third, "cd /mnt/data; cat single packed late other") == "1\n1\n1\n2\n"


async def test_a_file_that_another_policy_has_packed_becomes_a_single_one(api: Api) -> None:
    """If it is not to be packed any more, although the session has not changed it."""
    context = await api.context()
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "cd /mnt/data; mkdir loose; echo 1 > loose/f; echo 1 > g")
    await api.released(first)
    upload = {"uploadMode": "Archive", "archiveExcludePaths": ["loose"]}
    second = await api.mounted(context, uploadPolicy=upload)
    await api.sh(second, "echo 2 > /mnt/data/g")
    await api.released(second)
    assert await api.fetch(context, "loose/f") == b"1\n"
    last = await api.mounted(context)
    assert await api.sh(last, "cd /mnt/data; cat loose/f g") == "1\n2\n"


async def test_a_change_in_an_archive_wins_over_an_older_single_file(api: Api) -> None:
    """Although single files win when the archive is unpacked."""
    context = await api.context()
    archive = {"uploadMode": "Archive"}
    first = await api.mounted(context, uploadPolicy=archive)
    await api.sh(first, "echo 1 > /mnt/data/f")
    await api.released(first)
    packing = await api.mounted(context, uploadPolicy=archive)
    single = await api.mounted(context)
    await api.sh(single, "echo 2 > /mnt/data/f")
    await api.released(single)
    assert await api.names(context) == ["f"]
    await api.sh(packing, "echo 3 > /mnt/data/f")
    await api.released(packing)
    last = await api.mounted(context)
    assert await api.sh(last, "cat /mnt/data/f") == "3\n"


async def test_files_that_replace_an_archive_are_no_older_than_those_of_others(api: Api) -> None:
    """A session unpacks the archive; meanwhile another replaces it and changes a file."""
    context = await api.context()
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "cd /mnt/data; echo 1 > a; echo 1 > b")
    await api.released(first)
    one, two = await api.mounted(context), await api.mounted(context)
    await api.sh(one, "echo one > /mnt/data/a")
    await api.released(one)
    await api.sh(two, "echo two > /mnt/data/b")
    await api.released(two)
    assert await api.names(context) == ["a", "b"]
    assert await api.fetch(context, "a") == b"one\n"
    assert await api.fetch(context, "b") == b"two\n"


async def test_an_archive_that_the_session_knows_is_not_read_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is packed again, which takes long enough."""
    context = await api.context()
    whole = {"whiteLists": [{"path": "", "excludePaths": []}]}
    session = await api.mounted(context, bwList=whole, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(session, "cd /mnt/data; echo 1 > a; echo 1 > b")
    await sync(api, session)
    monkeypatch.setattr(transfer, "list_members", None)
    await api.sh(session, "cd /mnt/data; echo 2 > a; rm b")
    (task,) = await sync(api, session)
    assert task["status"] == "Success", task
    reader = await api.mounted(context)
    assert await api.sh(reader, "cd /mnt/data; ls; cat a") == "a\n2\n"


async def test_an_upload_does_not_replace_an_archive_that_it_cannot_read(api: Api) -> None:
    """The reason names what to do."""
    context = await api.context()
    await api.put(context, ".agentbay-archive.tar.gz", b"damaged")
    session = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(session, "echo 1 > /mnt/data/f")
    (task,) = await sync(api, session, Mode="upload")
    assert task["status"] == "Failed"
    assert "delete .agentbay-archive.tar.gz from the context" in task["errorMessage"]
    assert await api.fetch(context, ".agentbay-archive.tar.gz") == b"damaged"


async def test_an_upload_without_archive_mode_replaces_the_archive(api: Api) -> None:
    """The context has single files only; nothing is lost or returns."""
    context = await api.context()
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "cd /mnt/data; echo 1 > a; echo 2 > b")
    await api.released(first)
    second = await api.mounted(context)
    await api.sh(second, "cd /mnt/data; rm a; echo 3 > c")
    await api.released(second)
    assert await api.names(context) == ["b", "c"]


async def test_a_policy_can_download_the_archive_itself(api: Api) -> None:
    """Without extraction."""
    context = await api.context()
    first = await api.mounted(context, uploadPolicy={"uploadMode": "Archive"})
    await api.sh(first, "echo 1 > /mnt/data/a")
    await api.released(first)
    second = await api.mounted(context, extractPolicy={"extract": False})
    listed = await api.sh(second, "cd /mnt/data; tar tzf .agentbay-archive.tar.gz; ls -A")
    assert listed == "a\n.agentbay-archive.tar.gz\n"


async def test_expired_files_are_removed(timed: Api, clock: ManualClock) -> None:
    """RecyclePolicy counts from the upload, for its paths."""
    context = await timed.context()
    recycle = {"lifecycle": "Lifecycle_1Day", "paths": ["cache"]}
    session = await timed.mounted(context, recyclePolicy=recycle)
    await timed.sh(session, "cd /mnt/data; mkdir cache; echo 1 > cache/x; echo 2 > keep")
    await timed.released(session)
    await clock.aadvance(24 * 3600 - 60)
    assert await timed.names(context, "cache") == ["x"]
    await clock.aadvance(61)

    async def gone() -> bool:
        return await timed.names(context, "cache") == []

    await timed.until(gone)
    assert "keep" in await timed.names(context)


async def test_an_empty_policy_is_the_default_policy(api: Api) -> None:
    """It uploads on release."""
    context = await api.context()
    item = {"ContextId": context, "Path": "/mnt/data", "Policy": ""}
    session = await api.session(PersistenceDataList=[item])
    await api.settled(session)
    await api.sh(session, "echo 1 > /mnt/data/a")
    await api.released(session)
    assert await api.names(context) == ["a"]


@pytest.mark.parametrize("times", [1, 3])
async def test_a_sync_is_tried_again_if_the_session_changes_its_files(
    api: Api, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """After three attempts the task fails with the path and the reason; a later one succeeds."""
    context = await api.context()
    session = await api.mounted(context)
    await api.sh(session, "echo 1 > /mnt/data/f")
    scan, left = mount.scan, [times]

    def unstable(*arguments: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EINVAL, "Invalid argument", "f")
        return scan(*arguments)

    monkeypatch.setattr(mount, "scan", unstable)
    (task,) = await sync(api, session, Mode="upload")
    (second,) = await sync(api, session, Mode="upload")
    expected = (
        ("Success", None) if times == 1 else ("Failed", "it kept changing while it was copied: f")
    )
    assert (task["status"], task.get("errorMessage")) == expected
    assert second["status"] == "Success"
    assert await api.fetch(context, "f") == b"1\n"


async def test_a_session_that_is_deleted_ends_its_syncs(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The record has the reason, and the log no traceback of files that are gone."""
    session = await api.mounted(await api.context(), uploadPolicy={"autoUpload": False})
    planning, removing, looked = (threading.Event() for _ in range(3))
    plan = transfer.Transfer._plan

    def plan_late(
        self: transfer.Transfer, stack: ExitStack, snapshot: Snapshot, now: float, budget: Budget
    ) -> Any:
        planning.set()
        while not budget._cancelled and self.mount.root.exists():
            time.sleep(0.01)  # on a thread; neither change is announced to it
        return plan(self, stack, snapshot, now, budget)

    add = Removals.add

    async def remove_late(self: Removals, directory: Path) -> None:
        removing.set()
        await asyncio.to_thread(looked.wait, DEADLINE)
        await add(self, directory)

    monkeypatch.setattr(transfer.Transfer, "_plan", plan_late)
    monkeypatch.setattr(Removals, "add", remove_late)
    await api.ok("SyncContext", SessionId=session, Mode="upload")
    assert await asyncio.to_thread(planning.wait, DEADLINE)
    await api.ok("DeleteSessionAsync", SessionId=session)
    assert await asyncio.to_thread(removing.wait, DEADLINE)
    (task,) = await api.tasks(session, TaskType="upload")
    looked.set()
    await api.reached(session, "FINISH")

    assert (task["status"], task["errorMessage"]) == ("Failed", "the session was deleted")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_stuck_sync_ends_with_its_session(timed: Api) -> None:
    """Nothing of it is left in the service, which runs on this loop."""
    session = await timed.mounted(await timed.context())
    timed.service.faults.add(StickTask(), "upload", nth=1)
    await timed.ok("SyncContext", SessionId=session, Mode="upload")

    def left() -> list[str]:
        return [name for task in asyncio.all_tasks() if session in (name := task.get_name())]

    assert left() == [f"upload /mnt/data of {session}"]
    await timed.released(session)

    async def nothing_left() -> bool:
        return not left()

    await timed.until(nothing_left)


async def test_a_defect_of_the_service_is_not_reported_as_its_end(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason in the task points to the log."""
    session = await api.mounted(await api.context())

    def broken(*_: object) -> None:
        raise KeyError("defect")

    with monkeypatch.context() as patch:
        patch.setattr(mount, "scan", broken)
        (task,) = await sync(api, session, Mode="upload")
    assert task["errorMessage"] == "the local service failed; its log says why"


async def test_a_folder_of_many_files_is_listed_by_pages(api: Api, service: LocalService) -> None:
    """Each name comes once, in order."""
    names = [f"f{number:03}" for number in range(25)]
    (context,) = (
        await service.aseed(contexts={"many": dict.fromkeys(names, b"")})
    ).contexts.values()
    found: list[str] = []
    token = ""
    while True:
        body = await api.ok(
            "DescribeContextFiles",
            ContextId=context,
            ParentFolderPath="/",
            MaxResults=10,
            **({"NextToken": token} if token else {}),
        )
        found += [entry["FileName"] for entry in body["Data"]]
        token = body.get("NextToken") or ""
        if not token:
            break
    assert found == names
