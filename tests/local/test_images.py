"""Images and the tools of each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import Image, LocalService

if TYPE_CHECKING:
    from tests.local.conftest import Api

IMAGES = ("linux_latest", "code_latest")


@pytest.mark.parametrize("image", ["imgc-123", "x" * 200, "a\nb", "../linux_latest", "a/b"])
@pytest.mark.parametrize("action", ["CreateMcpSession", "ListMcpTools"])
async def test_an_unknown_image_is_an_error_with_the_known_ones(
    api: Api, image: str, action: str
) -> None:
    """Users need not look them up."""
    status, body = await api.call(action, ImageId=image)
    assert (status, body["Code"]) == (400, "InvalidParameter")
    assert "linux_latest and code_latest" in body["Message"]
    assert "agentbay image build NAME --apt PACKAGE" in body["Message"]


async def test_the_error_for_an_unknown_image_lists_those_of_the_service() -> None:
    """All of them, as a sentence does."""
    async with (
        LocalService(images=[Image("own")]) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        result = await bay.create(CreateSessionParams(image_id="other"))
    assert "which has linux_latest, code_latest and own:" in str(result.error)


@pytest.mark.parametrize(
    ("image", "what"),
    [
        ("windows_latest", "need Windows"),
        ("mobile_latest", "need Android"),
        ("browser_latest", "run `agentbay image build browser_latest`"),
    ],
)
@pytest.mark.parametrize("action", ["CreateMcpSession", "ListMcpTools"])
async def test_an_image_that_is_not_ready_is_an_error_with_the_reason_or_the_cure(
    api: Api, image: str, what: str, action: str
) -> None:
    """Nobody needs to look for it."""
    status, body = await api.call(action, ImageId=image)
    assert (status, body["Code"]) == (400, "InvalidParameter")
    assert what in body["Message"]


@pytest.mark.usefixtures("sandboxed")
async def test_another_name_of_an_image_is_kept(api: Api) -> None:
    """The session shows the name that its client knows."""
    session = await api.session(ImageId="aio-ubuntu-2404")
    detail = (await api.ok("GetSessionDetail", SessionId=session))["Data"]
    assert detail["ImageId"] == "aio-ubuntu-2404"
    assert await api.tool(session, "shell", command="true") is not None


@pytest.mark.usefixtures("sandboxed")
async def test_the_default_image_is_the_plain_one(api: Api) -> None:
    """Each session keeps its image."""
    for image, fields in (("linux_latest", {}), ("code_latest", {"ImageId": "code_latest"})):
        session = await api.session(**fields)
        detail = (await api.ok("GetSessionDetail", SessionId=session))["Data"]
        assert detail["ImageId"] == image


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.usefixtures("sandboxed")
async def test_a_session_and_a_listing_name_the_same_tools(api: Api, image: str) -> None:
    """With the server of each; every image runs code."""
    listed = json.loads((await api.ok("ListMcpTools", ImageId=image))["Data"])
    created = (await api.ok("CreateMcpSession", ImageId=image))["Data"]
    found = (await api.ok("GetSession", SessionId=created["SessionId"]))["Data"]
    names = {(tool["name"], tool["server"]) for tool in listed}
    for record in (created, found):
        short = json.loads(record["ToolList"])
        assert {(tool["name"], tool["server"]) for tool in short} == names
    assert ("run_code", "wuying_codespace") in names
    assert {("shell", "wuying_shell"), ("get_file_change", "wuying_filesystem")} <= names
    assert {("set_env", "wuying_system"), ("oss_upload_annon", "wuying_oss")} <= names


async def test_every_tool_has_a_description_and_a_schema(api: Api) -> None:
    """Required arguments are described."""
    for tool in json.loads((await api.ok("ListMcpTools", ImageId="code_latest"))["Data"]):
        schema = tool["inputSchema"]
        assert tool["description"].endswith(".")
        assert schema["type"] == "object"
        assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.usefixtures("sandboxed")
async def test_every_listed_tool_can_be_called(api: Api) -> None:
    """Without arguments, each has its own error."""
    session = await api.session(ImageId="code_latest")
    for tool in json.loads((await api.ok("ListMcpTools", ImageId="code_latest"))["Data"]):
        is_error, text = await api.tool(session, tool["name"])
        assert is_error is bool(tool["inputSchema"]["required"]), text
        assert "not offered" not in text


@pytest.mark.parametrize(
    "tool",
    [
        "click_mouse",
        "list_root_windows",
        "get_installed_apps",
        "tap",
        "flux_execute_task",
        "x y",
    ],
)
@pytest.mark.usefixtures("sandboxed")
async def test_a_tool_of_another_image_is_an_error(api: Api, tool: str) -> None:
    """The text names tool and image, and says what to do."""
    is_error, text = await api.tool(await api.session(), tool, url="x")
    assert is_error
    assert text.startswith(f"Tool {tool!r} is not offered by image 'linux_latest' here")
    assert "the cloud service" in text


@pytest.mark.parametrize(
    ("tool", "feature", "image"),
    [
        ("page_use_navigate", "browser", "browser_latest"),
        ("stopChrome", "browser", "browser_latest"),
        ("click_mouse", "desktop", "linux_latest"),
        ("system_screenshot", "desktop", "linux_latest"),
    ],
)
@pytest.mark.usefixtures("sandboxed")
async def test_a_tool_of_another_image_names_what_that_image_has(
    api: Api, tool: str, feature: str, image: str
) -> None:
    """An image with it can be made here, by the command in the error."""
    is_error, text = await api.tool(await api.session(), tool, url="x")
    assert is_error
    assert f"which has no {feature}: run `agentbay image build {image}`" in text
    assert f"image_id='{image}'" in text


@pytest.mark.usefixtures("sandboxed")
async def test_the_error_has_a_remedy_if_there_is_one(api: Api) -> None:
    """Object storage works with signed URLs."""
    session = await api.session()
    for tool in ("oss_env_init", "oss_upload", "oss_download"):
        is_error, text = await api.tool(session, tool, bucket="b", object="o", path="p")
        assert is_error
        assert "oss_upload_annon" in text


@pytest.mark.parametrize(
    ("action", "what"),
    [("InitBrowser", "browser"), ("GetCdpLink", "browser"), ("GetAdbLink", "phone")],
)
@pytest.mark.usefixtures("sandboxed")
async def test_actions_of_other_images_are_errors(api: Api, action: str, what: str) -> None:
    """The text has the feature and the image."""
    status, body = await api.call(action, SessionId=await api.session())
    assert (status, body["Code"]) == (400, "InvalidParameter")
    assert body["Message"].startswith(f"A {what} is not offered by image 'linux_latest' here")
