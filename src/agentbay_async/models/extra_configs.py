"""Settings of phones, given when a session is created."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError

#: The directory of a phone to which the context of a simulation is copied.
MOBILE_INFO_PATH = "/data/agentbay_mobile_info"
#: The same in a context of the user's own, below the path of the context.
MOBILE_INFO_FOLDER = "/agentbay_mobile_info/"
#: The file that describes the device.
MOBILE_INFO_FILE = "dev_info.json"


def _flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    _check.boolean(value, field.name)


def _optional_flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.boolean(value, field.name)


def _packages(value: object) -> list[str] | None:
    if value is None:
        return None
    names = _check.sequence(value, "package names", str)
    return [_check.identifier(name, "each package name") for name in names]


def _article(kind: type[object]) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIO' else 'a'} {kind.__name__}"


@attrs.frozen
class AppManagerRule:
    """Which apps a phone may run.

    Attributes:
        rule_type: ``"White"`` (only these apps) or ``"Black"`` (all but these).
        app_package_name_list: The names of their packages, such as ``"com.example.app"``.

    Raises:
        InvalidArgumentError: `rule_type` is neither of the two.
    """

    rule_type: Literal["White", "Black"] | None = None
    app_package_name_list: list[str] | None = attrs.field(default=None, converter=_packages)

    def __attrs_post_init__(self) -> None:
        if self.rule_type not in (None, "White", "Black"):
            raise InvalidArgumentError(
                f"rule_type must be 'White' or 'Black', not {self.rule_type!r}"
            )


class MobileSimulateMode(Enum):
    """What of another device a phone shows."""

    PROPERTIES_ONLY = "PropertiesOnly"
    SENSORS_ONLY = "SensorsOnly"
    PACKAGES_ONLY = "PackagesOnly"
    SERVICES_ONLY = "ServicesOnly"
    ALL = "All"


def _mode(value: MobileSimulateMode | str | None) -> MobileSimulateMode | None:
    if value is None:
        return None
    try:
        return MobileSimulateMode(value)
    except ValueError:
        known = ", ".join(repr(mode.value) for mode in MobileSimulateMode)
        raise InvalidArgumentError(f"simulate_mode must be one of {known}, not {value!r}") from None


@attrs.frozen
class MobileSimulateConfig:
    """Let a phone pretend to be the device that a context describes.

    :meth:`AsyncMobileSimulateService.get_simulate_config` returns one.

    Attributes:
        simulate: Whether it pretends at all.
        simulate_path: The directory of the phone with the description.
        simulate_mode: What it shows. Default: the properties of the device.
        simulated_context_id: The context with the description, which is copied to the phone;
            ``None`` if another context of the session has it.

    Raises:
        ArgumentTypeError: `simulate` is no bool.
        InvalidArgumentError: `simulate_mode` is unknown.

    Example:
        >>> MobileSimulateConfig(True, "/data/agentbay_mobile_info", "All").simulate_mode.name
        'ALL'
    """

    simulate: bool = attrs.field(default=False, validator=_flag)
    simulate_path: str | None = None
    simulate_mode: MobileSimulateMode | None = attrs.field(default=None, converter=_mode)
    simulated_context_id: str | None = None


@attrs.frozen
class MobileExtraConfig:
    """Settings of a phone. What is ``None`` is left to the service.

    Attributes:
        lock_resolution: Keep the resolution of the screen as it is.
        app_manager_rule: Which apps may run.
        hide_navigation_bar: Hide the system's navigation bar.
        uninstall_blacklist: Packages of apps that cannot be uninstalled.
        simulate_config: Let the phone pretend to be another device.
    """

    lock_resolution: bool | None = attrs.field(default=None, validator=_optional_flag)
    app_manager_rule: AppManagerRule | None = None
    hide_navigation_bar: bool | None = attrs.field(default=None, validator=_optional_flag)
    uninstall_blacklist: list[str] | None = attrs.field(default=None, converter=_packages)
    simulate_config: MobileSimulateConfig | None = None

    def __attrs_post_init__(self) -> None:
        for name, kind in (
            ("app_manager_rule", AppManagerRule),
            ("simulate_config", MobileSimulateConfig),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise ArgumentTypeError(
                    f"{name} must be {_article(kind)}, not {type(value).__name__}"
                )


@attrs.frozen
class ExtraConfigs:
    """Settings of special images; ``mobile`` is for phones.

    Example:
        >>> rule = AppManagerRule("White", ["com.example.app"])
        >>> ExtraConfigs(mobile=MobileExtraConfig(app_manager_rule=rule)).mobile.lock_resolution
    """

    mobile: MobileExtraConfig | None = None

    def __attrs_post_init__(self) -> None:
        if self.mobile is not None and not isinstance(self.mobile, MobileExtraConfig):
            raise ArgumentTypeError(
                f"mobile must be a MobileExtraConfig, not {type(self.mobile).__name__}"
            )
