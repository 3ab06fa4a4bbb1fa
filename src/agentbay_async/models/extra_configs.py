"""Settings of phones, given when a session is created."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from agentbay_async import _check
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError


def _optional_flag(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _check.boolean(value, field.name)


def _packages(value: object) -> list[str] | None:
    if value is None:
        return None
    names = _check.sequence(value, "package names", str)
    return [_check.identifier(name, "each package name") for name in names]


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


@attrs.frozen
class MobileExtraConfig:
    """Settings of a phone. What is ``None`` is left to the service.

    Attributes:
        lock_resolution: Keep the resolution of the screen as it is.
        app_manager_rule: Which apps may run.
        hide_navigation_bar: Hide the system's navigation bar.
        uninstall_blacklist: Packages of apps that cannot be uninstalled.
    """

    lock_resolution: bool | None = attrs.field(default=None, validator=_optional_flag)
    app_manager_rule: AppManagerRule | None = None
    hide_navigation_bar: bool | None = attrs.field(default=None, validator=_optional_flag)
    uninstall_blacklist: list[str] | None = attrs.field(default=None, converter=_packages)

    def __attrs_post_init__(self) -> None:
        rule = self.app_manager_rule
        if rule is not None and not isinstance(rule, AppManagerRule):
            raise ArgumentTypeError(
                f"app_manager_rule must be an AppManagerRule, not {type(rule).__name__}"
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
