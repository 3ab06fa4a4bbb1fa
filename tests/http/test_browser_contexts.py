"""Contexts that keep what the browser of a session leaves, and settings of a running phone."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AppManagerRule,
    ArgumentTypeError,
    BrowserContext,
    BrowserFingerprintContext,
    BrowserSyncMode,
    ContextSync,
    CreateSessionParams,
    ExtensionOption,
    ExtraConfigs,
    InvalidArgumentError,
    MobileExtraConfig,
    MobileSimulateConfig,
    MobileSimulateMode,
    UsageError,
)

from .scripted import tool_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.scripted import Script

    from agentbay_async import AsyncAgentBay, AsyncSession

_WHOLE = BrowserContext(
    "c-1",
    False,
    BrowserSyncMode.MINIMAL,
    ExtensionOption("c-2", ["ext_1.zip"]),
    BrowserFingerprintContext("c-3"),
)


def _paths(policy: str) -> list[str]:
    return [entry["path"] for entry in json.loads(policy)["bwList"]["whiteLists"]]


async def test_what_a_browser_leaves_is_attached(bay: AsyncAgentBay, scripted: Script) -> None:
    """Its data come last, after its extensions and its fingerprint."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("GetContextInfo", {"ContextStatus": "[]"})
    params = CreateSessionParams(
        context_syncs=[ContextSync("c-0", "/mnt/a", wait_for_completion=False)],
        browser_context=_WHOLE,
    )
    await bay.create(params)
    (form,) = scripted.forms("CreateMcpSession")
    sent: list[Any] = json.loads(form["PersistenceDataList"])
    assert [entry["ContextId"] for entry in sent] == ["c-0", "c-2", "c-3", "c-1"]
    policies = [entry["Policy"] for entry in sent[1:]]
    assert _paths(policies[0]) == ["ext_1.zip"]
    assert _paths(policies[2]) == ["/Local State", "/Default/Cookies", "/Default/Cookies-journal"]
    assert json.loads(policies[2])["uploadPolicy"]["autoUpload"] is False


def test_a_browser_context_tells_its_parts() -> None:
    """What it does not have is ``None`` or empty."""
    assert _WHOLE.extension_context_id == "c-2"
    assert _WHOLE.fingerprint_context_id == "c-3"
    assert _WHOLE.extension_context_syncs == _WHOLE.get_extension_context_syncs()
    assert _WHOLE.fingerprint_context_sync is not None
    plain = BrowserContext("c-1", sync_mode=None)
    assert plain.sync_mode is BrowserSyncMode.STANDARD
    assert (plain.extension_ids, plain.extension_context_syncs) == ([], None)
    assert (plain.fingerprint_context_id, plain.fingerprint_context_sync) == (None, None)
    assert len(plain.data().policy.bw_list.white_lists) == 19


_WRONG: list[tuple[Callable[[], object], type[UsageError]]] = [
    (lambda: BrowserContext(""), InvalidArgumentError),
    (lambda: BrowserContext("c-1", extension_option="c-2"), ArgumentTypeError),
    (lambda: BrowserContext("c-1", sync_mode="minimal"), ArgumentTypeError),
    (lambda: ExtensionOption("c-1", []), InvalidArgumentError),
    (lambda: BrowserFingerprintContext(" "), InvalidArgumentError),
    (lambda: CreateSessionParams(browser_context="c-1"), ArgumentTypeError),
]


@pytest.mark.parametrize(("make", "kind"), _WRONG)
def test_wrong_contexts_are_refused(make: Callable[[], object], kind: type[UsageError]) -> None:
    """Before anything is sent."""
    with pytest.raises(kind):
        make()


_SETTINGS: list[tuple[Callable[[AsyncSession], Awaitable[object]], str]] = [
    (lambda s: s.mobile.set_resolution_lock(True), "setprop sys.wuying.lockres 1"),
    (
        lambda s: s.mobile.set_navigation_bar_visibility(hide=False),
        "setprop persist.wy.hasnavibar true; killall com.android.systemui",
    ),
    (
        lambda s: s.mobile.set_app_whitelist(["com.a", "com.b"]),
        "pm_whitelist.txt << 'EOF'\ncom.a\n",
    ),
    (lambda s: s.mobile.set_app_blacklist(["com.a"]), "pm_blacklist.txt << 'EOF'\ncom.a\nEOF\n"),
    (lambda s: s.mobile.set_uninstall_blacklist(["com.a"]), "setprop persist.wy.pm_lock.trigger "),
]


@pytest.mark.parametrize(("use", "part"), _SETTINGS)
async def test_a_setting_of_a_phone_is_a_shell_command(
    session: AsyncSession,
    scripted: Script,
    use: Callable[[AsyncSession], Awaitable[object]],
    part: str,
) -> None:
    """As the official client sends it."""
    scripted.ok("CallMcpTool", tool_answer('{"stdout": "", "stderr": "", "exit_code": 0}'))
    assert await use(session)
    (form,) = scripted.forms("CallMcpTool")
    assert part in json.loads(form["Args"])["command"]


async def test_all_settings_are_applied_in_turn(session: AsyncSession, scripted: Script) -> None:
    """What is None stays as it is; a command that fails is a failed result."""
    for code in (0, 0, 1):
        scripted.ok(
            "CallMcpTool", tool_answer(json.dumps({"stdout": "", "stderr": "", "exit_code": code}))
        )
    rule = AppManagerRule("Black", ["com.a"])
    config = MobileExtraConfig(lock_resolution=False, app_manager_rule=rule)
    assert await session.mobile.configure(config)
    assert len(scripted.forms("CallMcpTool")) == 2
    assert not await session.mobile.configure(config)


@pytest.mark.parametrize("names", [[], ["EOF", "reboot"], ["com.a\nreboot"], ["a b"]])
async def test_only_names_of_packages_get_to_the_shell(
    session: AsyncSession, scripted: Script, names: list[str]
) -> None:
    """A line of another kind could end the list and be run."""
    with pytest.raises(InvalidArgumentError, match="package_names"):
        await session.mobile.set_app_whitelist(names)
    assert not scripted.forms("CallMcpTool")


def _phone(**settings: Any) -> CreateSessionParams:
    mobile = MobileExtraConfig(**settings)
    return CreateSessionParams(extra_configs=ExtraConfigs(mobile=mobile))


async def test_a_new_phone_gets_its_settings_by_commands(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """As the official client sends them after the session was created; the device comes last."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("GetContextInfo", {"ContextStatus": "[]"})
    scripted.ok("CallMcpTool", tool_answer('{"stdout": "", "stderr": "", "exit_code": 0}'))
    simulation = MobileSimulateConfig(True, "/data/a b", MobileSimulateMode.SENSORS_ONLY, "c-7")
    assert await bay.create(_phone(lock_resolution=True, simulate_config=simulation))
    commands = [json.loads(form["Args"])["command"] for form in scripted.forms("CallMcpTool")]
    assert commands == [
        "setprop sys.wuying.lockres 1",
        "chmod -R a+rwx '/data/a b'; wya apply -sensors '/data/a b/dev_info.json'",
    ]
    (form,) = scripted.forms("CreateMcpSession")
    (attached,) = json.loads(form["PersistenceDataList"])
    assert (attached["ContextId"], attached["Path"]) == ("c-7", "/data/agentbay_mobile_info")


async def test_a_setting_that_fails_does_not_cost_the_phone(
    bay: AsyncAgentBay, scripted: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The request that created it had the setting too; the log has the reason."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("CallMcpTool", tool_answer("no shell", error=True))
    assert await bay.create(_phone(lock_resolution=True))
    assert "was not applied: no shell" in caplog.text


async def test_a_cancel_while_a_phone_is_set_up_leaves_no_session(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """The caller never gets it."""
    scripted.ok("CreateMcpSession", {"SessionId": "s-9"})
    scripted.ok("DeleteSessionAsync", {})
    scripted.ok("GetSessionDetail", {"Status": "FINISH"})

    scripted.hang("CallMcpTool")
    creating = asyncio.create_task(bay.create(_phone(lock_resolution=True)))
    await scripted.arrival("CallMcpTool")
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert [form["SessionId"] for form in scripted.forms("DeleteSessionAsync")] == ["s-9"]


async def test_a_package_that_is_no_name_is_refused_before_the_phone_is_made(
    bay: AsyncAgentBay, scripted: Script
) -> None:
    """It would get to a shell."""
    with pytest.raises(InvalidArgumentError, match="package_names"):
        await bay.create(_phone(uninstall_blacklist=["EOF"]))
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: MobileSimulateConfig("yes"), ArgumentTypeError),
        (lambda: MobileSimulateConfig(simulate_mode="Some"), InvalidArgumentError),
        (lambda: MobileExtraConfig(simulate_config={}), ArgumentTypeError),
        (lambda: MobileExtraConfig(app_manager_rule={}), ArgumentTypeError),
    ],
)
def test_wrong_settings_of_a_phone_are_refused(
    make: Callable[[], object], kind: type[UsageError]
) -> None:
    """Before anything is sent."""
    with pytest.raises(kind):
        make()
