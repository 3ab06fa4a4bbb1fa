"""The shell commands that change the settings of a running phone."""

from __future__ import annotations

import logging
import re
import time
from shlex import quote
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import (
    AgentBayError,
    ArgumentTypeError,
    CommandError,
    InvalidArgumentError,
)
from agentbay_async.models.extra_configs import (
    MOBILE_INFO_FILE,
    MobileExtraConfig,
    MobileSimulateMode,
)
from agentbay_async.services._shell import ONE_REQUEST, run_shell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentbay_async._api import Api
    from agentbay_async.models.extra_configs import MobileSimulateConfig

logger = logging.getLogger("agentbay")

# Names of packages become lines of a shell's here-document, so nothing else may be in them.
_PACKAGE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+")


# The exit code of a shell that does not find a command.
_NOT_FOUND = 127
_OPTIONS = {
    MobileSimulateMode.SENSORS_ONLY: "-sensors",
    MobileSimulateMode.PACKAGES_ONLY: "-packages",
    MobileSimulateMode.SERVICES_ONLY: "-services",
    MobileSimulateMode.ALL: "-all",
}


def setup_commands(config: MobileExtraConfig) -> list[str]:
    """Return the commands for a new phone: its settings, then the device that it simulates."""
    simulation = config.simulate_config
    if simulation is None or not (simulation.simulate and simulation.simulate_path):
        return mobile_commands(config)
    return [*mobile_commands(config), _simulate(simulation, simulation.simulate_path)]


async def run_setup(api: Api, session_id: str, commands: Sequence[str]) -> None:
    """Run the commands for a new phone.

    The request that created it had the settings too, so a command that fails is only logged.
    """
    for command in commands:
        await _apply(api, session_id, command)


async def run_setting(api: Api, session_id: str, command: str) -> str:
    """Run one command; return the id of the request.

    Raises:
        CommandError: It failed; the hint says so if the session is no phone.
        AgentBayError: It could not be run.
    """
    try:
        return (await run_shell(api, session_id, command, ONE_REQUEST))[1]
    except CommandError as error:
        # A shell without the commands of Android says so, whatever the last command ends with.
        if "setprop: not found" in error.stderr or error.exit_code == _NOT_FOUND:
            error.hint = "It needs a phone: the cloud's image 'mobile_latest'"
        raise


async def _apply(api: Api, session_id: str, command: str) -> None:
    try:
        await run_setting(api, session_id, command)
    except AgentBayError as error:
        logger.warning("%s: a setting of the phone was not applied: %s", session_id, error)


def _simulate(simulation: MobileSimulateConfig, path: str) -> str:
    option = _OPTIONS.get(simulation.simulate_mode or MobileSimulateMode.PROPERTIES_ONLY, "")
    file = quote(f"{path}/{MOBILE_INFO_FILE}")
    return f"chmod -R a+rwx {quote(path)}; wya apply {option} {file}"


def mobile_commands(config: MobileExtraConfig) -> list[str]:
    """Return the commands for all settings that are given.

    Raises:
        ArgumentTypeError: `config` is no MobileExtraConfig.
        InvalidArgumentError: A name is not that of a package.
    """
    if not isinstance(config, MobileExtraConfig):
        kind = type(config).__name__
        raise ArgumentTypeError(f"mobile_config must be a MobileExtraConfig, not {kind}")
    commands = []
    if config.lock_resolution is not None:
        commands.append(lock_resolution(config.lock_resolution))
    rule = config.app_manager_rule
    if rule is not None and rule.rule_type and rule.app_package_name_list:
        limit = allow_only if rule.rule_type == "White" else forbid
        commands.append(limit(rule.app_package_name_list))
    if config.hide_navigation_bar is not None:
        commands.append(hide_navigation_bar(config.hide_navigation_bar))
    if config.uninstall_blacklist:
        commands.append(protect(config.uninstall_blacklist))
    return commands


def lock_resolution(enable: bool) -> str:
    """Return the command that keeps the resolution, or lets apps change it."""
    return f"setprop sys.wuying.lockres {int(_check.boolean(enable, 'enable'))}"


def hide_navigation_bar(hide: bool) -> str:
    """Return the command that hides the navigation bar, or shows it."""
    shown = "false" if _check.boolean(hide, "hide") else "true"
    return f"setprop persist.wy.hasnavibar {shown}; killall com.android.systemui"


def allow_only(package_names: Sequence[str]) -> str:
    """Return the command that lets only these apps run."""
    return _write("pm_whitelist.txt", package_names) + (
        "setprop rw.wy.pm_whitelist.refresh 1\nsetprop persist.wy.pm_blacklist.switch 2\n"
    )


def forbid(package_names: Sequence[str]) -> str:
    """Return the command that lets all apps but these run."""
    return _write("pm_blacklist.txt", package_names) + (
        "setprop rw.wy.pm_blacklist.refresh 1\nsetprop persist.wy.pm_blacklist.switch 1\n"
    )


def protect(package_names: Sequence[str]) -> str:
    """Return the command that protects these apps from being uninstalled."""
    # The phone reads the file when the property changes, so its value is new each time.
    changed = f"setprop persist.wy.pm_lock.trigger {int(time.time())}\n"
    return _write("pm_lock.conf", package_names) + changed


def _write(name: str, package_names: Sequence[str]) -> str:
    packages = _check.sequence(package_names, "package_names", str)
    if not packages:
        raise InvalidArgumentError("package_names must name at least one package")
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise InvalidArgumentError(
                f"package_names must be names such as 'com.example.app', not {package!r}"
            )
    path, lines = f"/data/system/{name}", "\n".join(packages)
    return f"cat > {path} << 'EOF'\n{lines}\nEOF\nchmod 644 {path}\n"
