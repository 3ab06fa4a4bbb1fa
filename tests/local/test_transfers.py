"""The file-transfer context of a session: private, and removed with it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.local.conftest import Api

from agentbay_local import LocalService
from agentbay_local.store import Store

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("sandboxed")

TOP = "/tmp/file-transfer"


async def store(api: Api, session: str) -> str:
    """Load the file-transfer context of a session, and return its id."""
    fields: dict[str, Any] = {"SessionId": session, "ContextTypes.1": "file_transfer"}
    (entry,) = (await api.ok("GetAndLoadInternalContext", **fields))["Data"]
    assert (entry["ContextPath"], entry["ContextType"]) == (TOP, "file_transfer")
    return str(entry["ContextId"])


async def move(api: Api, session: str, context: str, path: str, mode: str) -> dict[str, Any]:
    """Transfer one file, and return its task."""
    await api.ok("SyncContext", SessionId=session, ContextId=context, Path=path, Mode=mode)
    fields = {"ContextId": context, "Path": path, "TaskType": mode}
    return (await api.settled(session, **fields))[-1]


async def test_files_are_transferred_in_both_directions(api: Api) -> None:
    """By their paths in the session."""
    session = await api.session()
    context = await store(api, session)
    assert await api.sh(session, f"ls -A {TOP}") == ""
    await api.put(context, f"{TOP}/sub/in.bin", b"\0in")
    task = await move(api, session, context, f"{TOP}/sub/in.bin", "download")
    assert (task["status"], task["path"]) == ("Success", f"{TOP}/sub/in.bin")
    assert await api.sh(session, f"od -An -c {TOP}/sub/in.bin | tr -d ' '") == "\\0in\n"
    await api.sh(session, f"echo out > {TOP}/out; echo other > {TOP}/other")
    assert (await move(api, session, context, f"{TOP}/out", "upload"))["status"] == "Success"
    assert await api.fetch(context, f"{TOP}/out") == b"out\n"
    code = await api.code("GetContextFileDownloadUrl", ContextId=context, FilePath=f"{TOP}/other")
    assert code == "ContextFile.NotFound"


async def test_a_transfer_context_is_created_once(api: Api) -> None:
    """Each session has its own."""
    session, other = await api.session(), await api.session()
    context = await store(api, session)
    assert await store(api, session) == context
    assert await store(api, other) != context


async def test_a_transfer_context_is_not_listed(api: Api) -> None:
    """Its tasks are only listed by its id."""
    session = await api.mounted(mine := await api.context())
    before = await api.ok("ListContexts")
    context = await store(api, session)
    after = await api.ok("ListContexts", MaxResults=100)
    assert context not in {entry["Id"] for entry in after["Data"]}
    assert after["TotalCount"] == before["TotalCount"]
    for action in ("ListContexts", "DescribeSessionContexts"):
        listed = (await api.ok(action, SessionId=session))["Data"]
        assert [entry.get("Id") or entry["ContextId"] for entry in listed] == [mine]
    found = (await api.ok("GetSession", SessionId=session))["Data"]
    assert [entry["id"] for entry in found["contexts"]] == [mine]
    assert {task["contextId"] for task in await api.tasks(session)} == {mine}
    assert {task["contextId"] for task in await api.tasks(session, ContextId=context)} == {context}
    assert await api.code("GetContext", Name=context) == "Context.NotFound"


async def test_a_sync_of_all_contexts_skips_the_transfer_context(api: Api) -> None:
    """Its files are only transferred by path."""
    session = await api.mounted(await api.context())
    context = await store(api, session)
    await api.sh(session, f"echo x > {TOP}/x; echo kept > /mnt/data/kept")
    await api.ok("SyncContext", SessionId=session, Mode="upload")
    assert {task["taskType"] for task in await api.settled(session)} == {"download", "upload"}
    assert await api.names(context) == []


async def test_a_transfer_context_is_removed_with_its_session(api: Api) -> None:
    """With its rows and files, and without an upload."""
    session = await api.session()
    context = await store(api, session)
    await api.put(context, f"{TOP}/x", b"x")
    directory = api.service.home / "contexts" / context
    assert directory.is_dir()
    await api.released(session)
    assert await api.code("GetContext", ContextId=context) == "Context.NotFound"

    async def gone() -> bool:
        return not directory.exists()

    await api.until(gone)


async def test_a_transfer_context_does_not_outlive_the_service(tmp_path: Path) -> None:
    """Not even if the service was killed; other contexts stay on disk."""
    async with LocalService(home=tmp_path) as service, aiohttp.ClientSession() as http:
        api = Api(http, service)
        kept = await api.context()
        own = await store(api, await api.session())
        for context, path in ((kept, "/x"), (own, f"{TOP}/x")):
            await api.put(context, path, b"x")
    # The leftovers of a killed service.
    killed = Store.open(tmp_path / "state.db")
    killed.contexts.add("SdkCtx-left", "left", 1.0, "s-gone")
    killed.close()
    (tmp_path / "contexts" / "SdkCtx-left").mkdir()
    async with LocalService(home=tmp_path) as service, aiohttp.ClientSession() as http:
        api = Api(http, service)
        assert await api.code("GetContext", ContextId="SdkCtx-left") == "Context.NotFound"
        assert await api.fetch(kept, "/x") == b"x"
        assert await api.code("GetContext", ContextId=own) == "Context.NotFound"
        assert [directory.name for directory in (tmp_path / "contexts").iterdir()] == [kept]


@pytest.mark.parametrize("path", ["/tmp/uploaded_file.txt", "/home/wuying/a/b c.bin", "/new/x"])
async def test_a_file_of_any_path_is_transferred(api: Api, path: str) -> None:
    """As the guides of the cloud show it; nothing beside it is moved."""
    session = await api.session()
    context = await store(api, session)
    await api.put(context, path, b"in")
    await api.put(context, "/tmp/beside", b"not asked for")
    assert (await move(api, session, context, path, "download"))["status"] == "Success"
    assert await api.sh(session, f"cat '{path}'; test ! -e /tmp/beside") == "in"
    await api.sh(session, f"echo out > '{path}'; echo other > /tmp/other")
    assert (await move(api, session, context, path, "upload"))["status"] == "Success"
    assert await api.fetch(context, path) == b"out\n"
    code = await api.code("GetContextFileDownloadUrl", ContextId=context, FilePath="/tmp/other")
    assert code == "ContextFile.NotFound"


async def test_a_transferred_file_belongs_to_the_context_that_is_mounted_there(api: Api) -> None:
    """The context saves it like any file of its directory."""
    session = await api.mounted(mine := await api.context())
    context = await store(api, session)
    await api.put(context, "/mnt/data/x", b"in")
    await move(api, session, context, "/mnt/data/x", "download")
    assert await api.sh(session, "cat /mnt/data/x") == "in"
    await api.released(session)
    assert await api.fetch(mine, "/x") == b"in"


@pytest.mark.parametrize("path", ["/etc/passwd", "/usr/x", "/", "x", f"{TOP}/../x", "/proc/1/x"])
async def test_files_of_the_system_are_not_transferred(api: Api, path: str) -> None:
    """No URL is made for them, and no task."""
    session = await api.session()
    context = await store(api, session)
    code = await api.code("GetContextFileUploadUrl", ContextId=context, FilePath=path)
    assert code == "InvalidParameter"
    fields = {"SessionId": session, "ContextId": context, "Path": path, "Mode": "download"}
    assert await api.code("SyncContext", **fields) == "InvalidParameter"


async def test_a_mount_at_the_transfer_directory_is_kept(api: Api) -> None:
    """The session then has no transfer context."""
    session = await api.mounted(await api.context(), TOP)
    fields: dict[str, Any] = {"SessionId": session, "ContextTypes.1": "file_transfer"}
    assert await api.code("GetAndLoadInternalContext", **fields) == "InvalidParameter"


async def test_other_context_types_are_errors(api: Api) -> None:
    """The error names the parameter."""
    fields: dict[str, Any] = {"SessionId": await api.session(), "ContextTypes.1": "other"}
    _, body = await api.call("GetAndLoadInternalContext", **fields)
    assert body["Message"].startswith("ContextTypes.1 must be 'file_transfer'")


async def test_a_url_of_a_transfer_context_ends_with_the_session(api: Api) -> None:
    """Nothing can be uploaded to it afterwards."""
    session = await api.session()
    context = await store(api, session)
    fields = {"ContextId": context, "FilePath": f"{TOP}/x"}
    url = (await api.ok("GetContextFileUploadUrl", **fields))["Data"]["Url"]
    await api.released(session)
    async with api.http.put(url, data=io.BytesIO(b"x")) as answer:
        assert answer.status == 404
