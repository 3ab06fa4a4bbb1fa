"""What only the cloud offers: the local service says so."""

from __future__ import annotations

import inspect
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

from agentbay_async import (
    AgentBayError,
    AsyncAgentBay,
    BetaContextMount,
    BrowserNotifyMessage,
    CreateSessionParams,
    MobileExtraConfig,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_async import Result
    from agentbay_local import LocalService

_ITEM = {"context_id": "c-1", "skill_ids": ["s-1"], "path": "/a"}


@pytest.mark.parametrize(
    "call",
    [
        lambda bay: bay.beta_network.get_network_bind_token(),
        lambda bay: bay.beta_network.describe("net-1"),
        lambda bay: bay.beta_skills.get_metadata(),
        lambda bay: bay.beta_skills.get_metadata(skill_ids=["s-1"]),
        lambda bay: bay.beta_skills.bind_context([_ITEM]),
        lambda bay: bay.beta_skills.unbind_context([_ITEM]),
        lambda bay: bay.create(CreateSessionParams(beta_network_id="net-1")),
        lambda bay: bay.create(CreateSessionParams(load_skills=True)),
        lambda bay: bay.create(
            CreateSessionParams(beta_context_mounts=[BetaContextMount("c-1", "/a")])
        ),
    ],
)
async def test_trial_features_are_refused_with_the_reason(
    service: LocalService, call: Callable[[AsyncAgentBay], Awaitable[Result[Any]]]
) -> None:
    """A program learns at once that it needs the cloud."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay:
        result = await call(bay)
    assert result.code == "UnsupportedAction"
    assert "the local service does not offer" in result.error_message
    assert "cloud" in result.error_message


_COMPUTER: dict[str, tuple[object, ...]] = {
    "click_mouse": (1, 2),
    "move_mouse": (1, 2),
    "drag_mouse": (1, 2, 3, 4),
    "scroll": (1, 2),
    "get_cursor_position": (),
    "input_text": ("a",),
    "press_keys": (["Ctrl", "a"],),
    "release_keys": (["Ctrl", "a"],),
    "get_screen_size": (),
    "screenshot": (),
    "list_root_windows": (),
    "get_active_window": (),
    "activate_window": (7,),
    "close_window": (7,),
    "maximize_window": (7,),
    "minimize_window": (7,),
    "restore_window": (7,),
    "resize_window": (7, 8, 9),
    "fullscreen_window": (7,),
    "focus_mode": (True,),
    "get_installed_apps": (),
    "start_app": ("gedit",),
    "list_visible_apps": (),
    "stop_app_by_pname": ("gedit",),
    "stop_app_by_pid": (7,),
    "stop_app_by_cmd": ("gedit",),
    "take_screenshot": (),
    "beta_take_screenshot": (),
}
_MOBILE: dict[str, tuple[object, ...]] = {
    "tap": (1, 2),
    "swipe": (1, 2, 3, 4),
    "input_text": ("a",),
    "send_key": (4,),
    "get_clickable_ui_elements": (),
    "get_all_ui_elements": (),
    "get_installed_apps": (),
    "start_app": ("a",),
    "stop_app_by_cmd": ("a",),
    "screenshot": (),
    "take_screenshot": (),
    "take_long_screenshot": (),
    "beta_take_screenshot": (),
    "beta_take_long_screenshot": (),
    "get_adb_url": ("QAAA",),
    "configure": (MobileExtraConfig(lock_resolution=True),),
    "set_resolution_lock": (True,),
    "set_app_whitelist": (["com.a"],),
    "set_app_blacklist": (["com.a"],),
    "set_navigation_bar_visibility": (True,),
    "set_uninstall_blacklist": (["com.a"],),
}
_TASKS: dict[str, tuple[object, ...]] = {
    "execute_task": ("do it",),
    "execute_task_and_wait": ("do it",),
    "get_task_status": ("t-1",),
    "terminate_task": ("t-1",),
}
_CALLS = {
    "computer": _COMPUTER,
    "mobile": _MOBILE,
    "agent.computer": _TASKS,
    "agent.browser": {**_TASKS, "initialize": ()},
    "agent.mobile": {
        **_TASKS,
        "execute_task_and_wait": ("do it", 30, 5, lambda _event: None),
    },
    "browser": {
        "initialize": (),
        "init": (),
        "navigate": ("https://example.com",),
        "destroy": (),
        "get_endpoint_url": (),
        "register_callback": (lambda _message: None,),
        "send_notify_message": (BrowserNotifyMessage(id=1),),
        "send_takeover_done": (1,),
    },
    "oss": {"env_init": ("a", "b", "c"), "upload": ("a", "b", "/c"), "download": ("a", "b", "/c")},
}
#: Those that need no service, or are refused before one is asked.
_ELSEWHERE = {"browser": {"unregister_callback"}, "oss": {"upload_anonymous", "download_anonymous"}}


@pytest.mark.parametrize("service_path", _CALLS)
async def test_what_only_the_cloud_has_is_refused_with_the_reason(
    service: LocalService, service_path: str
) -> None:
    """Every operation of browsers, desktops, phones and agents says what it needs."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay, bay.session() as s:
        target: Any = attrgetter(service_path)(s)
        for name, args in _CALLS[service_path].items():
            try:
                answer = await getattr(target, name)(*args)
                error = answer.error
            except AgentBayError as raised:
                error = raised
            assert error is not None, name
            text = f"{error} {error.hint}".lower()
            assert "cloud" in text or "browser_latest" in text or "an image that has one" in text


@pytest.mark.parametrize("service_path", _CALLS)
async def test_no_operation_that_only_the_cloud_has_is_left_out_above(
    service: LocalService, service_path: str
) -> None:
    """A new one is tried too."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay, bay.session() as s:
        kind = type(attrgetter(service_path)(s))
    methods = {
        name
        for name, value in vars(kind).items()
        if name[0] != "_" and inspect.iscoroutinefunction(value)
    }
    assert methods - _ELSEWHERE.get(service_path, set()) == set(_CALLS[service_path])
