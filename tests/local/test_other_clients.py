"""The local service gives the TypeScript and Go clients 0.15.1 what they read, over TLS."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests.local.conftest import DEADLINE

from agentbay_local import LocalService

from .other_clients import Go, RequestWriter, TypeScript, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

# Python 3.10 warns of each TLS connection whose end it did not see acknowledged.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed transport <asyncio.sslproto")

_ENVELOPE = {
    "Code": str,
    "HttpStatusCode": int,
    "Message": str,
    "RequestId": str,
    "Success": bool,
}
_PAGE = {"MaxResults": int, "NextToken": str, "TotalCount": int}
_CONTEXT = dict.fromkeys(("CreateTime", "Id", "LastUsedTime", "Name", "OsType", "State"), str)
_URL = {"ExpireTime": int, "Url": str}
_SESSION = {
    "Success": bool,
    "VpcResource": bool,
    **dict.fromkeys(
        (
            "AppInstanceId",
            "ErrMsg",
            "HttpPort",
            "LinkUrl",
            "NetworkInterfaceIp",
            "ResourceId",
            "ResourceUrl",
            "SessionId",
            "Status",
            "Token",
            "ToolList",
        ),
        str,
    ),
}
_DESKTOP = dict.fromkeys(
    ("AppId", "AuthCode", "ConnectionProperties", "ResourceId", "ResourceType", "Ticket"), str
)

#: The types of the members that the clients know. Both refuse a whole answer for one that differs.
_READS: dict[str, dict[str, Any]] = {
    "CallMcpTool": {"Data": dict},
    "CreateMcpSession": {"Data": _SESSION},
    "DeleteContext": {},
    "DeleteSessionAsync": {},
    "DescribeContextFiles": {
        "Count": int,
        "Data": [
            {
                "FileId": str,
                "FileName": str,
                "FilePath": str,
                "FileType": str,
                "GmtCreate": str,
                "GmtModified": str,
                "Size": int,
                "Status": str,
            }
        ],
    },
    "GetAndLoadInternalContext": {
        "Data": [{"ContextId": str, "ContextPath": str, "ContextType": str}]
    },
    "GetContext": {"Data": _CONTEXT},
    "GetContextFileDownloadUrl": {"Data": _URL},
    "GetContextFileUploadUrl": {"Data": _URL},
    "GetContextInfo": {"Data": {"ContextStatus": str}},
    "GetLabel": {"Data": {"Labels": str}, **_PAGE},
    "GetLink": {"Data": {"Url": str}},
    "GetMcpResource": {
        "Data": {"DesktopInfo": _DESKTOP, "ResourceUrl": str, "SessionId": str},
    },
    "GetSession": {"Data": _SESSION},
    "GetSessionDetail": {
        "Data": {
            **dict.fromkeys(("BizType", "Id", "IsDeleted"), int),
            **dict.fromkeys(("AppInstanceId", "EndReason", "ImageId", "RegionId", "Status"), str),
        }
    },
    "ListContexts": {"Data": [_CONTEXT], **_PAGE},
    "ListMcpTools": {"Data": str},
    "ListSession": {"Data": [{"SessionId": str, "SessionStatus": str}], **_PAGE},
    "PauseSessionAsync": {},
    "ResumeSessionAsync": {},
    "SetLabel": {},
    "SyncContext": {},
}


def check_types(value: Any, expected: Any, where: str) -> None:
    """Check the members that a client knows; absent and unknown ones are no error to it."""
    if isinstance(expected, dict):
        assert isinstance(value, dict), where
        for name, inner in expected.items():
            if value.get(name) is not None:
                check_types(value[name], inner, f"{where}.{name}")
    elif isinstance(expected, list):
        assert isinstance(value, list), where
        for entry in value:
            check_types(entry, expected[0], where)
    else:
        assert type(value) is expected, (where, value)


class Client:
    """A client, and its connection to the service."""

    def __init__(self, writer: RequestWriter, wire: Wire) -> None:
        self.writer = writer
        self._wire = wire

    async def ok(self, action: str, **fields: Any) -> Any:
        """Send an action that must succeed, and return its data."""
        return (await self.body(action, self.writer.post(action, **fields))).get("Data")

    async def body(self, action: str, packets: list[bytes]) -> dict[str, Any]:
        """Send a request that must succeed, and return its body."""
        status, body = await self._wire.ask(packets)
        assert (status, body["Success"]) == (200, True), body
        check_types(body, {**_ENVELOPE, **_READS[action]}, action)
        assert body["RequestId"]
        found: dict[str, Any] = body
        return found

    async def error(self, action: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Send an action that must fail, and return the status and the body."""
        status, body = await self._wire.ask(self.writer.post(action, **fields))
        check_types(body, _ENVELOPE, action)
        return status, body

    async def settled(self, session: str) -> list[dict[str, Any]]:
        """Ask for the transfers of a session until none is running, as both clients do."""
        with anyio.fail_after(DEADLINE):
            while True:
                text = (await self.ok("GetContextInfo", SessionId=session))["ContextStatus"]
                wrappers = [entry for entry in json.loads(text) if entry["type"] == "data"]
                tasks = [task for entry in wrappers for task in json.loads(entry["data"])]
                if all(task["status"] in ("Success", "Failed") for task in tasks):
                    return tasks

    async def reached(self, action: str, session: str, status: str) -> None:
        """Ask for the state of a session until it is the expected one."""
        with anyio.fail_after(DEADLINE):
            while (await self.ok(action, SessionId=session))["Status"] != status:
                pass

    async def create(self, **fields: Any) -> dict[str, Any]:
        """Create a session, and return its data."""
        data: dict[str, Any] = await self.ok(
            "CreateMcpSession", SdkStats=self.writer.stats(), **fields
        )
        assert data["Success"]
        return data


@pytest.fixture(scope="module")
def service() -> Iterator[LocalService]:
    """Run a service with TLS for the tests of this module."""
    with LocalService(tls=True) as running:
        if not running.isolation.available:
            pytest.skip(running.isolation.reason)
        yield running


def trusting(service: LocalService, protocols: tuple[str, ...]) -> ssl.SSLContext:
    """Return TLS settings that trust the service only."""
    settings = ssl.create_default_context(cafile=service.ca_file)
    settings.set_alpn_protocols(list(protocols))
    return settings


@pytest.fixture(params=[TypeScript, Go], ids=lambda kind: kind.__name__)
async def client(service: LocalService, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """Return each client in turn, with one connection for all that it sends."""
    endpoint = service.endpoint.removeprefix("https://")
    writer = request.param(endpoint, service.api_key)
    async with Wire(endpoint, trusting(service, ("http/1.1",))) as wire:
        yield Client(writer, wire)


def synced(context: str) -> str:
    """Return a context at a path of the session, with a policy, as the JSON that both send."""
    policy = {
        "uploadPolicy": {
            "autoUpload": True,
            "uploadStrategy": "UploadBeforeResourceRelease",
            "uploadMode": "File",
        },
        "downloadPolicy": {"autoDownload": True, "downloadStrategy": "DownloadAsync"},
        "deletePolicy": {"syncLocalFile": True},
        "extractPolicy": {"extract": True, "deleteSrcFile": True, "extractToCurrentFolder": False},
        "recyclePolicy": {"lifecycle": "Lifecycle_Forever", "paths": [""]},
        "bwList": {"whiteLists": [{"path": "", "excludePaths": []}]},
    }
    entry = {"ContextId": context, "Path": "/tmp/work", "Policy": json.dumps(policy)}
    return json.dumps([entry], separators=(",", ":"))


async def test_a_session_has_what_its_create_asked_for(client: Client) -> None:
    """Labels, a context with its policy, an image, and a policy of the account."""
    labels = {"purpose": f"ü & {uuid.uuid4().hex}", "a=b": "(c)!*'"}
    text = json.dumps(labels, ensure_ascii=False, separators=(",", ":"))
    context = await client.ok("GetContext", Name=f"n-{uuid.uuid4().hex}", AllowCreate=True)
    created = await client.create(
        EnableRecord=False,
        ImageId="linux_latest",
        Labels=text,
        McpPolicyId="policy-1",
        PersistenceDataList=synced(context["Id"]),
    )
    session = created["SessionId"]
    assert "resourceId=" in created["ResourceUrl"]
    servers = {tool["name"]: tool["server"] for tool in json.loads(created["ToolList"])}
    assert servers["shell"] == "wuying_shell"
    assert [task["status"] for task in await client.settled(session)] == ["Success"]

    assert json.loads((await client.ok("GetLabel", SessionId=session))["Labels"]) == labels
    packets = client.writer.post("ListSession", Labels=text, MaxResults=10)
    listed = await client.body("ListSession", packets)
    assert listed["Data"][0]["SessionId"] == session
    assert (listed["TotalCount"], listed["MaxResults"], listed["NextToken"]) == (1, 10, "")

    await client.ok("SetLabel", SessionId=session, Labels='{"other":"1"}')
    assert json.loads((await client.ok("GetLabel", SessionId=session))["Labels"]) == {"other": "1"}
    assert "shell" in await client.ok("ListMcpTools", ImageId="linux_latest")
    found = await client.ok("GetSession", SessionId=session)
    assert (found["Status"], found["Token"]) == ("RUNNING", created["Token"])
    resource = await client.ok("GetMcpResource", SessionId=session)
    assert resource["DesktopInfo"]["AppId"] == "linux_latest"
    link = await client.ok("GetLink", SessionId=session, ProtocolType="https", Port=30100)
    assert link["Url"].startswith("https://")


async def test_a_policy_of_go_may_leave_choices_empty(service: LocalService) -> None:
    """They are then sent as empty texts, and mean the default."""
    endpoint = service.endpoint.removeprefix("https://")
    policy = {
        "uploadPolicy": {
            "autoUpload": True,
            "uploadStrategy": "UploadBeforeResourceRelease",
            "uploadMode": "",
        },
        "downloadPolicy": {"autoDownload": True, "downloadStrategy": ""},
        "bwList": {"whiteLists": [{"path": "/mnt/data", "excludePaths": ["/mnt/data/temp"]}]},
    }
    async with Wire(endpoint, trusting(service, ("http/1.1",))) as wire:
        client = Client(Go(endpoint, service.api_key), wire)
        context = await client.ok("GetContext", Name=f"n-{uuid.uuid4().hex}", AllowCreate=True)
        entry = {"ContextId": context["Id"], "Path": "/mnt/data", "Policy": json.dumps(policy)}
        created = await client.create(PersistenceDataList=json.dumps([entry]))
        (task,) = await client.settled(created["SessionId"])
    assert task["status"] == "Success"


async def test_a_tool_is_called_directly_and_by_the_api(
    client: Client, service: LocalService
) -> None:
    """With the same answer; without a server, which the service then finds by the name."""
    created = await client.create()
    args = {"command": "echo 'ü & ='; exit 3", "timeout_ms": 10_000}
    answers = [
        await client.ok(
            "CallMcpTool",
            Args=json.dumps(args, ensure_ascii=False),
            AutoGenSession=False,
            ExternalUserId="",
            ImageId="",
            Name="shell",
            Server="",
            SessionId=created["SessionId"],
        )
    ]
    address = service.endpoint.removeprefix("https://")
    async with Wire(address, trusting(service, client.writer.PROTOCOLS)) as wire:
        assert wire.protocol in (None, "http/1.1")
        packets = client.writer.direct(
            created["LinkUrl"], created["Token"], "shell", "wuying_shell", args
        )
        status, body = await wire.ask(packets)
    assert (status, body["requestId"]) == (200, "link-1767323045000-000000042")
    answers.append(body["data"]["result"])

    for answer in answers:
        assert answer["isError"] is False
        outcome = json.loads(answer["content"][0]["text"])
        assert (outcome["stdout"], outcome["exit_code"]) == ("ü & =\n", 3)


async def test_contexts_are_found_listed_and_deleted(client: Client, service: LocalService) -> None:
    """By a name that needs escapes; both clients look for the details in the listing."""
    name = f"a b+c & {uuid.uuid4().hex}"
    _, missing = await client.error("GetContext", Name=name, AllowCreate=False)
    assert missing["Code"] == "Context.NotFound"
    seeded = await service.aseed(contexts={name: {"a b.txt": b"hello"}})
    context = seeded.contexts[name]
    found = await client.ok("GetContext", Name=name, AllowCreate=False)
    assert (found["Id"], found["Name"]) == (context, name)
    listed = await client.ok("ListContexts", MaxResults=10)
    assert context in [entry["Id"] for entry in listed]

    folder = {"PageNumber": 1, "PageSize": 50, "ParentFolderPath": "/", "ContextId": context}
    (entry,) = await client.ok("DescribeContextFiles", **folder)
    assert (entry["FileName"], entry["Size"]) == ("a b.txt", 5)
    file = {"ContextId": context, "FilePath": "/a b.txt"}
    for action in ("GetContextFileUploadUrl", "GetContextFileDownloadUrl"):
        assert (await client.ok(action, **file))["Url"].startswith("https://")
    await client.ok("DeleteContext", Id=context)
    left = await client.ok("ListContexts", MaxResults=100)
    assert context not in [entry["Id"] for entry in left]


async def test_a_session_ends_as_the_client_waits_for_it(client: Client) -> None:
    """Its files are synced; it is paused, resumed and deleted; its id is in the query then."""
    context = await client.ok("GetContext", Name=f"n-{uuid.uuid4().hex}", AllowCreate=True)
    created = await client.create(PersistenceDataList=synced(context["Id"]))
    session = created["SessionId"]
    await client.ok("SyncContext", SessionId=session, ContextId=context["Id"], Mode="upload")
    assert len(await client.settled(session)) == 2
    for action, reached in (("PauseSessionAsync", "PAUSED"), ("ResumeSessionAsync", "RUNNING")):
        await client.ok(action, SessionId=session)
        await client.reached("GetSession", session, reached)
    await client.ok("DeleteSessionAsync", SessionId=session)
    await client.reached("GetSessionDetail", session, "FINISH")
    status, gone = await client.error("GetSession", SessionId=session)
    assert (status, gone["Code"]) == (400, "InvalidMcpSession.NotFound")
    assert "not found" in gone["Message"].lower()


async def test_the_file_store_of_a_session_has_a_list_as_its_parameter(client: Client) -> None:
    """TypeScript sends everything in the query, by GET; Go sends a form."""
    session = (await client.create())["SessionId"]
    action, fields = "GetAndLoadInternalContext", {"ContextTypes": ["file_transfer"]}
    if isinstance(client.writer, TypeScript):
        packets = client.writer.get(action, SessionId=session, **fields)
        assert b"&ContextTypes.1=file_transfer&" in packets[0]
    else:
        packets = client.writer.post(action, SessionId=session, **fields)
        assert b"&ContextTypes.1=file_transfer&" in packets[0]
    (store,) = (await client.body(action, packets))["Data"]
    assert store["ContextPath"] == "/tmp/file-transfer"
    url = {"ContextId": store["ContextId"], "FilePath": "/tmp/file-transfer/a.txt"}
    assert (await client.ok("GetContextFileUploadUrl", **url))["ExpireTime"] > 1_700_000_000


async def test_any_action_comes_by_get_with_objects_in_lists(service: LocalService) -> None:
    """As the gateway takes them: ``Name.1.Member``."""
    endpoint = service.endpoint.removeprefix("https://")
    writer = TypeScript(endpoint, service.api_key)
    async with Wire(endpoint, trusting(service, ("http/1.1",))) as wire:
        client = Client(writer, wire)
        context = await client.ok("GetContext", Name=f"n-{uuid.uuid4().hex}", AllowCreate=True)
        entries = [
            {"ContextId": context["Id"], "Path": "/tmp/one"},
            {"ContextId": context["Id"], "Path": "/tmp/two", "Policy": "{}"},
        ]
        packets = writer.get("CreateMcpSession", PersistenceDataList=entries)
        created = (await client.body("CreateMcpSession", packets))["Data"]
        tasks = await client.settled(created["SessionId"])
    assert sorted(task["path"] for task in tasks) == ["/tmp/one", "/tmp/two"]


async def test_a_wrong_key_is_an_error_that_the_client_reads(client: Client) -> None:
    """The connection may be closed after it."""
    stranger = type(client.writer)(client.writer.host, "akm-wrong")
    status, body = await Client(stranger, client._wire).error("ListSession", Labels="{}")
    assert (status, body["Code"], body["Success"]) == (400, "NOT_LOGIN", False)


_OURS = """
from agentbay import AgentBay

with AgentBay() as bay, bay.session() as session:
    print(session.command.run("echo over TLS").stdout, end="")
"""


def test_our_client_takes_the_same_endpoint_from_the_environment(
    service: LocalService, tmp_path: Path
) -> None:
    """Host and port without a scheme mean HTTPS, and the file of certificates is trusted.

    In a process of its own: aiohttp reads the file when it is imported.
    """
    environment = {
        **os.environ,
        "AGENTBAY_ENDPOINT": service.endpoint.removeprefix("https://"),
        "AGENTBAY_API_KEY": service.api_key,
        "SSL_CERT_FILE": str(service.ca_bundle),
    }
    done = subprocess.run(
        [sys.executable, "-c", _OURS],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "over TLS\n", done.stderr
