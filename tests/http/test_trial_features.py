"""Fields and actions of trial features and special images: networks, skills, mounts, phones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from agentbay_async import (
    AppManagerRule,
    ArgumentTypeError,
    BadAnswerError,
    BetaContextMount,
    BetaContextMountAccessMode,
    BrowserFingerprint,
    BrowserOption,
    ContextSkills,
    ContextSync,
    CreateSessionParams,
    ExtraConfigs,
    InvalidArgumentError,
    MobileExtraConfig,
    SkillInfo,
)
from agentbay_async._protocol import schema
from agentbay_async._protocol.forms import decode_request, encode_request

if TYPE_CHECKING:
    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession


async def _create(bay: AsyncAgentBay, scripted: Script, **params: Any) -> dict[str, str]:
    scripted.ok("CreateMcpSession", {"SessionId": "s-1", "Success": True})
    (await bay.create(CreateSessionParams(**params))).unwrap()
    return scripted.forms("CreateMcpSession")[-1]


async def test_a_create_names_network_recording_and_skills(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Under the names that the official client sends."""
    form = await _create(
        bay,
        scripted,
        beta_network_id="net-1",
        enable_browser_replay=False,
        load_skills=True,
        skill_names=["web-search"],
    )
    assert form["NetworkId"] == "net-1"
    assert form["EnableRecord"] == "false"
    assert form["LoadSkill"] == "true"
    assert json.loads(form["Skills"]) == ["web-search"]


async def test_a_create_without_these_parameters_sends_none_of_them(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The service's own defaults apply."""
    form = await _create(bay, scripted, load_skills=False)
    names = {"NetworkId", "EnableRecord", "LoadSkill", "Skills", "PersistenceDataList"}
    assert not names.intersection(form)
    assert not [name for name in form if name.startswith("ExtraConfigs")]


async def test_settings_of_a_phone_are_sent_with_dots_and_numbers(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """As the gateway wants nested objects and lists."""
    mobile = MobileExtraConfig(
        lock_resolution=True,
        app_manager_rule=AppManagerRule("White", ["com.a", "com.b"]),
        hide_navigation_bar=False,
        uninstall_blacklist=["com.c"],
    )
    form = await _create(bay, scripted, extra_configs=ExtraConfigs(mobile))
    prefix = "ExtraConfigs.Mobile."
    sent = {key.removeprefix(prefix): form[key] for key in form if key.startswith(prefix)}
    assert sent == {
        "LockResolution": "true",
        "AppManagerRule.RuleType": "White",
        "AppManagerRule.AppPackageNameList.1": "com.a",
        "AppManagerRule.AppPackageNameList.2": "com.b",
        "HideNavigationBar": "false",
        "UninstallBlacklist.1": "com.c",
    }


def test_numbered_fields_are_read_as_they_are_written() -> None:
    """A service gets the same list back, in order, with every character."""
    names = [f"com.äpp{number}&=" for number in range(12)]
    request = schema.CreateMcpSession(uninstall_blacklist=names)
    fields = dict(parse_qsl(encode_request(request)[1]))
    assert decode_request(schema.CreateMcpSession, fields) == request


async def test_a_mounted_context_is_sent_beside_synced_ones(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """With its type and its mount settings, and without a policy."""
    scripted.ok("GetContextInfo", {"ContextStatus": ""})
    mount = BetaContextMount.new("c-2", "/b").with_access_mode(BetaContextMountAccessMode.READ_ONLY)
    sync = ContextSync("c-1", "/a", wait_for_completion=False)
    form = await _create(bay, scripted, context_syncs=[sync], beta_context_mounts=[mount])
    assert json.loads(form["PersistenceDataList"]) == [
        {"ContextId": "c-1", "Path": "/a"},
        {
            "ContextId": "c-2",
            "Path": "/b",
            "Type": "mount",
            "MountConfig": {
                "AccessMode": "readOnly",
                "StorageMode": "standard",
                "SourcePath": "",
            },
        },
    ]


async def test_a_mount_can_be_bound_to_a_running_session(
    session: AsyncSession, scripted: Script
) -> None:
    """Nothing is downloaded for it, so there is nothing to wait for."""
    scripted.ok("GetContextInfo", {"ContextStatus": ""})
    scripted.ok("BindContexts")
    assert (await session.context.bind(BetaContextMount("c-1", "/a"))).success
    (form,) = scripted.forms("BindContexts")
    assert json.loads(form["PersistenceDataList"])[0]["Type"] == "mount"
    assert scripted.actions.count("GetContextInfo") == 1


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: CreateSessionParams(skill_names=["a"]), "load_skills"),
        (lambda: CreateSessionParams(beta_network_id="a b"), "beta_network_id"),
        (lambda: CreateSessionParams(enable_browser_replay=1), "enable_browser_replay"),
        (lambda: CreateSessionParams(extra_configs={"mobile": {}}), "extra_configs"),
        (lambda: ExtraConfigs(mobile={}), "mobile"),
        (lambda: MobileExtraConfig(app_manager_rule="White"), "app_manager_rule"),
        (lambda: AppManagerRule("white"), "rule_type"),
        (lambda: BetaContextMount("c-1", "relative"), "path"),
        (lambda: BrowserFingerprint(devices=["toaster"]), "devices"),
        (lambda: ContextSkills("c-1", "s-1", "/a"), "skill_ids"),
        (
            lambda: CreateSessionParams(
                context_syncs=[ContextSync("c-1", "/a")],
                beta_context_mounts=[BetaContextMount("c-2", "/a/")],
            ),
            "/a",
        ),
    ],
)
def test_wrong_values_are_refused_by_name(make: Any, named: str) -> None:
    """Before anything is sent."""
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match=named):
        make()


async def test_the_browser_of_a_recorded_session_is_told_to_record(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """Also if a task of an agent starts it."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-1", "Success": True})
    scripted.ok("InitBrowser", {"Port": 9222})
    session = (await bay.create(CreateSessionParams(enable_browser_replay=True))).session
    option = BrowserOption(
        fingerprint=BrowserFingerprint(["desktop"], ["linux"], ["en-US"]),
        fingerprint_persistent=True,
    )
    assert (await session.browser.initialize(option)).success
    sent = json.loads(scripted.forms("InitBrowser")[0]["BrowserOption"])
    assert sent["enableRecord"] is True
    assert sent["fingerprint"] == {
        "devices": ["desktop"],
        "operatingSystems": ["linux"],
        "locales": ["en-US"],
    }
    assert sent["fingerprintPersistPath"] == "/tmp/browser_fingerprint/fingerprint.json"


async def test_networks_can_be_made_and_looked_up(bay: AsyncAgentBay, scripted: Script) -> None:
    """The token is a secret."""
    scripted.ok("CreateNetwork", {"NetworkId": "net-1", "NetworkToken": "hush"})
    scripted.ok("DescribeNetwork", {"Online": True})
    made = await bay.beta_network.get_network_bind_token()
    assert (made.network_id, made.network_token) == ("net-1", "hush")
    assert "hush" not in repr(made)
    assert (await bay.beta_network.describe("net-1")).online is True
    assert scripted.forms("CreateNetwork")[0]["LoginRegionId"] == bay.region_id
    assert scripted.forms("DescribeNetwork")[0]["NetworkId"] == "net-1"


async def test_a_network_without_an_id_is_a_bad_answer(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """It is no success with empty values."""
    scripted.ok("CreateNetwork", {})
    result = await bay.beta_network.get_network_bind_token("net-1")
    assert isinstance(result.error, BadAnswerError)


async def test_skills_are_listed_by_image_or_by_id(bay: AsyncAgentBay, scripted: Script) -> None:
    """By two actions, as the official client does."""
    record = {"Name": "web", "Description": "d"}
    scripted.ok("GetSkillMetaData", {"SkillPath": "/skills", "MetaDataList": [record, {}]})
    scripted.ok("ListSkillMetaData", [{**record, "SkillId": "sk-1"}])
    by_name = await bay.beta_skills.get_metadata("linux_latest", ["web"])
    assert by_name.skills == [SkillInfo("web", "d")]
    assert by_name.skills_root_path == "/skills"
    by_id = await bay.beta.skills.get_metadata(skill_ids=["sk-1"])
    assert by_id.skills == [SkillInfo("web", "d", "sk-1")]
    assert by_id.skills_root_path == "/home/wuying/skills"
    (form,) = scripted.forms("GetSkillMetaData")
    assert (form["ImageId"], json.loads(form["SkillGroupIds"])) == ("linux_latest", ["web"])
    assert json.loads(scripted.forms("ListSkillMetaData")[0]["SkillIdList"]) == ["sk-1"]


async def test_skills_are_copied_into_contexts_and_removed(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """An item may be a mapping, as in the official client."""
    scripted.ok("BindContextSkillAsync")
    scripted.ok("UnbindContextSkillAsync")
    item = {"context_id": "c-1", "skill_ids": ["sk-1"], "path": "/skills"}
    assert (await bay.beta_skills.bind_context([item])).data is True
    assert (await bay.beta_skills.unbind_context([ContextSkills(**item)])).data is True
    on_wire = [{"ContextId": "c-1", "SkillIds": ["sk-1"], "Path": "/skills"}]
    (bound,) = scripted.forms("BindContextSkillAsync")
    (unbound,) = scripted.forms("UnbindContextSkillAsync")
    assert json.loads(bound["ContextSkillBindItems"]) == on_wire
    assert json.loads(unbound["ContextSkillUnbindItems"]) == on_wire
    assert bound["LoginRegionId"] == bay.region_id


@pytest.mark.parametrize("items", [[], [{"context_id": "c-1"}], ["c-1"], "c-1"])
async def test_incomplete_items_are_refused(
    bay: AsyncAgentBay, scripted: Script, items: Any
) -> None:
    """Before anything is sent."""
    with pytest.raises((InvalidArgumentError, ArgumentTypeError), match="items"):
        await bay.beta_skills.bind_context(items)
    assert scripted.requests == []
