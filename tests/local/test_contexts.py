"""Contexts and their files: names, pages, URLs and errors."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Api

    from agentbay_local import ManualClock


async def test_a_context_is_created_once_and_found_by_name_and_id(api: Api) -> None:
    """Two requests for one name return one context."""
    name = uuid.uuid4().hex
    first, again = await api.context(name), await api.context(name)
    by_id = (await api.ok("GetContext", ContextId=first))["Data"]
    assert first == again == by_id["Id"]
    assert (by_id["Name"], by_id["State"], by_id["OsType"]) == (name, "available", "linux")


async def test_concurrent_requests_for_one_name_create_one_context(api: Api) -> None:
    """Creation by name has no race."""
    name = uuid.uuid4().hex
    assert len(set(await asyncio.gather(*(api.context(name) for _ in range(20))))) == 1


@pytest.mark.parametrize("fields", [{"Name": "no-such-context"}, {"ContextId": "SdkCtx-none"}])
async def test_an_unknown_context_is_an_error_with_status_200(
    api: Api, fields: dict[str, str]
) -> None:
    """Clients look for this error in the body."""
    status, body = await api.call("GetContext", AllowCreate=False, **fields)
    assert (status, body["Success"], body["Code"]) == (200, False, "Context.NotFound")


@pytest.mark.parametrize("fields", [{}, {"Name": ""}, {"Name": "  "}])
async def test_neither_name_nor_id_is_a_missing_parameter(api: Api, fields: dict[str, str]) -> None:
    """Nothing is created without a name."""
    assert await api.code("GetContext", AllowCreate=True, **fields) == "MissingParameter"


@pytest.mark.parametrize("name", ["a\x00b", "line\nbreak", "x" * 300])
async def test_an_unprintable_or_long_name_is_an_error(api: Api, name: str) -> None:
    """Nothing is created."""
    assert await api.code("GetContext", AllowCreate=True, Name=name) == "InvalidParameter"


async def test_a_context_can_be_renamed_but_not_to_a_name_that_is_taken(api: Api) -> None:
    """Names stay unique."""
    taken, new = uuid.uuid4().hex, uuid.uuid4().hex
    await api.context(taken)
    context = await api.context()
    await api.ok("ModifyContext", Id=context, Name=new)
    assert await api.context(new) == context
    assert await api.code("ModifyContext", Id=context, Name=taken) == "Context.AlreadyExists"


async def test_a_listing_has_every_context_once(api: Api) -> None:
    """Over several pages."""
    made = {await api.context() for _ in range(5)}
    listed: list[str] = []
    fields: dict[str, Any] = {"MaxResults": 2}
    while fields.get("NextToken", "first"):
        body = await api.ok("ListContexts", **fields)
        listed += [entry["Id"] for entry in body["Data"]]
        fields["NextToken"] = body["NextToken"]
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


@pytest.mark.usefixtures("sandboxed")
async def test_the_contexts_of_one_session_can_be_listed(api: Api) -> None:
    """Only its own."""
    context = await api.context()
    session = await api.mounted(context)
    body = await api.ok("ListContexts", SessionId=session)
    assert [entry["Id"] for entry in body["Data"]] == [context]


async def test_a_deleted_context_is_gone_with_its_files(api: Api) -> None:
    """URLs of its files stop working, too."""
    context = await api.context()
    await api.put(context, "a.txt", b"1")
    body = await api.ok("GetContextFileDownloadUrl", ContextId=context, FilePath="a.txt")
    await api.ok("DeleteContext", Id=context)
    assert await api.code("GetContext", ContextId=context) == "Context.NotFound"
    async with api.http.get(body["Data"]["Url"]) as answer:
        assert answer.status == 404


@pytest.mark.usefixtures("sandboxed")
async def test_a_context_in_use_cannot_be_deleted(api: Api) -> None:
    """A session may still have files to upload."""
    context = await api.context()
    session = await api.mounted(context)
    assert await api.code("DeleteContext", Id=context) == "Context.InUse"
    await api.released(session)
    await api.ok("DeleteContext", Id=context)


async def test_clearing_keeps_the_context_and_drops_the_files(api: Api) -> None:
    """The state goes through clearing to available."""
    context = await api.context()
    await api.put(context, "dir/a.txt", b"1")
    await api.ok("ClearContext", Id=context)
    while (await api.ok("GetContext", ContextId=context))["Data"]["State"] == "clearing":
        pass
    assert await api.names(context) == []


async def test_a_download_returns_the_uploaded_file(api: Api) -> None:
    """Content, ETag and size are equal."""
    context, content = await api.context(), bytes(range(256)) * 5000
    etag = await api.put(context, "/data/blob.bin", content)
    assert etag == f'"{hashlib.md5(content).hexdigest()}"'
    body = await api.ok("GetContextFileDownloadUrl", ContextId=context, FilePath="data/blob.bin")
    async with api.http.get(body["Data"]["Url"]) as answer:
        assert await answer.read() == content
        assert answer.headers["ETag"] == etag
        md5 = base64.b64decode(answer.headers["Content-MD5"]).hex()
        assert f'"{md5}"' == etag
        assert answer.content_length == len(content)


async def test_a_second_upload_replaces_a_file(api: Api) -> None:
    """The last upload wins."""
    context = await api.context()
    await api.put(context, "a.txt", b"one")
    await api.put(context, "a.txt", b"two, longer")
    assert await api.fetch(context, "a.txt") == b"two, longer"
    assert await api.names(context) == ["a.txt"]


async def test_concurrent_uploads_all_succeed(api: Api) -> None:
    """None of them loses another."""
    context = await api.context()
    await asyncio.gather(*(api.put(context, f"{n}.txt", str(n).encode()) for n in range(20)))
    assert sorted(await api.names(context)) == sorted(f"{n}.txt" for n in range(20))


@pytest.mark.parametrize("name", ["ünï cødé 🚀.txt", "a b?c#d%25&e=+.txt", "new\nline", "-"])
async def test_names_survive_listing_and_urls(api: Api, name: str) -> None:
    """Every file name of Linux is valid."""
    context = await api.context()
    await api.put(context, f"dir/{name}", b"x")
    assert await api.names(context, "dir") == [name]
    assert await api.fetch(context, f"dir/{name}") == b"x"


@pytest.mark.parametrize("path", ["../a", "a/../../b", "..", "a/\x00", "/", ".", "x" * 5000])
@pytest.mark.parametrize(
    "action", ["GetContextFileUploadUrl", "GetContextFileDownloadUrl", "DeleteContextFile"]
)
async def test_paths_out_of_the_context_are_errors(api: Api, action: str, path: str) -> None:
    """No URL is made for them."""
    code = await api.code(action, ContextId=await api.context(), FilePath=path)
    assert code == "InvalidParameter"


async def test_a_missing_file_is_an_error(api: Api) -> None:
    """It has no URL and cannot be deleted."""
    context = await api.context()
    for action in ("GetContextFileDownloadUrl", "DeleteContextFile"):
        code = await api.code(action, ContextId=context, FilePath="nothing.txt")
        assert code == "ContextFile.NotFound"


async def test_files_and_folders_can_be_deleted(api: Api) -> None:
    """A folder with its content."""
    context = await api.context()
    for path in ("a.txt", "dir/b.txt", "dir/deep/c.txt"):
        await api.put(context, path, b"x")
    await api.ok("DeleteContextFile", ContextId=context, FilePath="/a.txt")
    assert await api.names(context) == ["dir"]
    await api.ok("DeleteContextFile", ContextId=context, FilePath="dir")
    assert await api.names(context) == []


async def test_a_url_is_valid_for_one_method_and_file(api: Api) -> None:
    """A URL to read cannot write, and an altered one does nothing."""
    context = await api.context()
    await api.put(context, "a.txt", b"x")
    body = await api.ok("GetContextFileDownloadUrl", ContextId=context, FilePath="a.txt")
    url = body["Data"]["Url"]
    async with api.http.put(url, data=b"y") as answer:
        assert answer.status == 403
    async with api.http.get(url.replace("/files/", "/files/x")) as answer:
        assert answer.status == 403
    assert api.service.api_key not in url


async def test_a_url_expires_after_an_hour(timed: Api, clock: ManualClock) -> None:
    """The answer has the time in Unix seconds."""
    context = await timed.context()
    await timed.put(context, "a.txt", b"x")
    body = await timed.ok("GetContextFileDownloadUrl", ContextId=context, FilePath="a.txt")
    assert body["Data"]["ExpireTime"] == int(clock.time()) + 3600
    await clock.aadvance(3599)
    async with timed.http.get(body["Data"]["Url"]) as answer:
        assert answer.status == 200
    await clock.aadvance(1)
    async with timed.http.get(body["Data"]["Url"]) as answer:
        assert answer.status == 403


async def test_an_interrupted_upload_leaves_nothing(api: Api) -> None:
    """No partial file appears."""
    context = await api.context()
    body = await api.ok("GetContextFileUploadUrl", ContextId=context, FilePath="a.txt")

    async def half() -> Any:
        yield b"x" * 100_000
        raise ConnectionAbortedError

    with pytest.raises((aiohttp.ClientError, ConnectionAbortedError)):
        await api.http.put(body["Data"]["Url"], data=half())
    assert await api.names(context) == []


async def test_a_folder_is_listed_by_page_number(api: Api) -> None:
    """Count is the number of all entries."""
    context = await api.context()
    for number in range(5):
        await api.put(context, f"{number}.txt", b"x" * number)
    fields = {"ContextId": context, "ParentFolderPath": "/", "PageNumber": 2, "PageSize": 2}
    body = await api.ok("DescribeContextFiles", **fields)
    assert [entry["FileName"] for entry in body["Data"]] == ["2.txt", "3.txt"]
    assert body["Count"] == 5
    entry = body["Data"][0]
    assert (entry["FilePath"], entry["FileType"], entry["Size"]) == ("/2.txt", "FILE", 2)


async def test_a_folder_is_listed_by_cursor(api: Api) -> None:
    """Both forms of paging list the same files."""
    context = await api.context()
    for number in range(5):
        await api.put(context, f"{number}.txt", b"x")
    listed: list[str] = []
    token = ""
    while True:
        fields = {"ContextId": context, "MaxResults": 2, "NextToken": token}
        body = await api.ok("DescribeContextFiles", **fields)
        listed += [entry["FileName"] for entry in body["Data"]]
        if not (token := body["NextToken"]):
            break
    assert listed == [f"{number}.txt" for number in range(5)]


@pytest.mark.parametrize("fields", [{"PageNumber": 0}, {"PageSize": 0}, {"PageSize": 1001}])
async def test_pages_out_of_range_are_errors(api: Api, fields: dict[str, int]) -> None:
    """For page numbers and sizes."""
    context = await api.context()
    code = await api.code("DescribeContextFiles", ContextId=context, **fields)
    assert code == "InvalidParameter"


async def test_a_missing_folder_is_empty(api: Api) -> None:
    """As in an object store."""
    context = await api.context()
    assert await api.names(context, "/no/such/folder") == []


@pytest.mark.usefixtures("sandboxed")
@pytest.mark.parametrize(
    "item",
    [
        {"Path": "/mnt/data"},
        {"ContextId": "x" * 300, "Path": "/mnt/data"},
        {"ContextId": "a\nb", "Path": "/mnt/data"},
        {"ContextId": "?"},
        {"ContextId": "?", "Path": "mnt/data"},
        {"ContextId": "?", "Path": "/mnt/../etc"},
        {"ContextId": "?", "Path": "/"},
        {"ContextId": "?", "Path": "/usr/lib"},
        {"ContextId": "?", "Path": "/mnt/data", "Policy": "{"},
        {
            "ContextId": "?",
            "Path": "/mnt/data",
            "Policy": json.dumps({"bwList": {"whiteLists": 5}}),
        },
        {"ContextId": "?", "Path": "/mnt/data", "Policy": json.dumps({"uploadPolicy": [1]})},
    ],
)
async def test_an_invalid_context_creates_no_session(api: Api, item: dict[str, str]) -> None:
    """Everything is checked before anything is stored."""
    run = uuid.uuid4().hex
    if item.get("ContextId") == "?":
        item = {**item, "ContextId": await api.context()}
    code = await api.code("CreateMcpSession", PersistenceDataList=[item], Labels={"run": run})
    assert code in ("InvalidParameter", "MissingParameter", "Context.NotFound")
    assert (await api.ok("ListSession", Labels={"run": run}))["TotalCount"] == 0


async def test_a_session_with_an_unknown_context_is_created_and_the_context_begins_empty(
    api: Api,
) -> None:
    """As in the cloud; what the session leaves there is kept."""
    unknown = f"SdkCtx-{uuid.uuid4().hex}"
    session = await api.mounted(unknown)
    assert await api.sh(session, "ls -A /mnt/data; echo kept > /mnt/data/f") == ""

    await api.released(session)

    assert await api.fetch(unknown, "/f") == b"kept\n"
    assert (await api.ok("GetContext", ContextId=unknown))["Data"]["Name"] == unknown


async def test_an_unknown_context_is_added_even_if_its_id_is_the_name_of_another(api: Api) -> None:
    """Names stay unique."""
    name = uuid.uuid4().hex
    await api.context(name)

    await api.mounted(name)

    assert (await api.ok("GetContext", ContextId=name))["Data"]["Name"].startswith(f"{name}-")


async def test_binding_an_unknown_context_is_an_error(api: Api) -> None:
    """Only a create begins with an empty one."""
    item = {"ContextId": "SdkCtx-none", "Path": "/mnt/data"}
    code = await api.code("BindContexts", SessionId=await api.session(), PersistenceDataList=[item])
    assert code == "Context.NotFound"


@pytest.mark.usefixtures("sandboxed")
async def test_a_file_is_found_by_its_path_in_the_session_and_relative_to_the_mount(
    api: Api,
) -> None:
    """In listings, downloads, uploads and deletions."""
    context = await api.context()
    session = await api.mounted(context, "/tmp/sync-test")
    await api.sh(session, "mkdir /tmp/sync-test/d; echo 1 > /tmp/sync-test/d/f")
    await api.released(session)

    for folder in ("/tmp/sync-test/d", "/d"):
        body = await api.ok("DescribeContextFiles", ContextId=context, ParentFolderPath=folder)
        assert [entry["FilePath"] for entry in body["Data"]] == [f"{folder}/f"]
        assert await api.fetch(context, f"{folder}/f") == b"1\n"
    await api.put(context, "/tmp/sync-test/d/f", b"2")
    assert await api.fetch(context, "/d/f") == b"2"
    await api.ok("DeleteContextFile", ContextId=context, FilePath="/tmp/sync-test/d/f")
    assert await api.names(context, "/d") == []
    assert await api.code("GetContextFileUploadUrl", ContextId=context, FilePath="/tmp/sync-test")


@pytest.mark.usefixtures("sandboxed")
async def test_files_that_were_uploaded_by_their_path_in_a_session_appear_there(api: Api) -> None:
    """Even if nothing was mounted there before."""
    context = await api.context()
    await api.put(context, "/tmp/sync-test/f", b"1")

    session = await api.mounted(context, "/tmp/sync-test")

    assert await api.sh(session, "cd /tmp/sync-test; cat f; echo 2 > g; ls") == "1f\ng\n"
    await api.released(session)
    assert await api.names(context, "/tmp/sync-test") == ["f", "g"]


@pytest.mark.usefixtures("sandboxed")
@pytest.mark.parametrize("mode", ["File", "Archive"])
async def test_files_appear_at_another_path_only_by_a_mapping_policy(api: Api, mode: str) -> None:
    """Each path has its own files, in one context."""
    context, policy = await api.context(), {"uploadPolicy": {"uploadMode": mode}}
    first = await api.mounted(context, "/tmp/a", **policy)
    await api.sh(first, "echo a > /tmp/a/f")
    await api.released(first)

    second = await api.mounted(context, "/tmp/b", **policy)
    assert await api.sh(second, "ls -A /tmp/b; echo b > /tmp/b/f") == ""
    await api.released(second)
    mapping = {"mappingPolicy": {"path": "/tmp/a"}}
    third = await api.mounted(context, "/tmp/c", **policy, **mapping)
    assert await api.sh(third, "cd /tmp/c; find . -type f; cat f; echo c > f") == "./f\na\n"
    await api.released(third)

    for path, content in (("/tmp/a", "c\n"), ("/tmp/b", "b\n")):
        session = await api.mounted(context, path, **policy)
        assert await api.sh(session, f"cd {path}; ls -A; cat f") == f"f\n{content}"
        await api.released(session)


@pytest.mark.usefixtures("sandboxed")
async def test_a_mapping_policy_of_windows_is_a_mount_path_of_its_own(api: Api) -> None:
    """With either slash."""
    context = await api.context()
    await api.put(context, "/c:/Users/me/f", b"1")
    mapping = {"mappingPolicy": {"path": "c:\\Users\\me"}}

    session = await api.mounted(context, "/home/wuying/downloads", **mapping)

    assert await api.sh(session, "cat downloads/f") == "1"


@pytest.mark.usefixtures("sandboxed")
async def test_files_deleted_at_one_path_stay_at_another(api: Api) -> None:
    """And a link that a session has left leads nowhere."""
    context = await api.context()
    session = await api.mounted(context, "/tmp/a")
    await api.sh(session, "echo a > /tmp/a/f; mkdir /tmp/a/tmp; ln -s /etc /tmp/a/tmp/b")
    await api.released(session)
    session = await api.mounted(context, "/tmp/b")
    assert await api.sh(session, "ls -A /tmp/b; echo b > /tmp/b/f") == ""
    await api.ok("SyncContext", SessionId=session)
    await api.settled(session)
    await api.sh(session, "rm /tmp/b/f")
    await api.released(session)
    assert await api.fetch(context, "/f") == b"a\n"
    assert await api.code("GetContextFileDownloadUrl", ContextId=context, FilePath="/tmp/b/f")
