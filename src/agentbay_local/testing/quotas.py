"""Quotas of a service that a test may draw tighter, while it runs."""

from __future__ import annotations

import attrs
from attrs import validators

__all__ = ["Quotas"]

_number = validators.instance_of((int, float))
_positive = validators.optional(validators.and_(_number, validators.gt(0)))


@attrs.define
class Quotas:
    """What the service allows. Each may be set at any time; None is no limit.

    Attributes:
        sessions: How many sessions may live at once; the next is refused as over the quota.
        page_size: The largest page of a listing; a larger one asked for is cut to it silently.
        page_token_seconds: How long a page token is valid.
        url_seconds: How long the URL of a file is valid.
        list_lag_seconds: Listings do not see younger sessions: reads are eventual, not strong.
    """

    sessions: int | None = attrs.field(
        default=None, validator=validators.optional([validators.instance_of(int), validators.ge(0)])
    )
    page_size: int | None = attrs.field(
        default=None, validator=validators.optional([validators.instance_of(int), validators.ge(1)])
    )
    page_token_seconds: float | None = attrs.field(default=None, validator=_positive)
    url_seconds: float = attrs.field(
        default=3600, validator=[validators.instance_of((int, float)), validators.gt(0)]
    )
    list_lag_seconds: float = attrs.field(
        default=0, validator=[validators.instance_of((int, float)), validators.ge(0)]
    )

    def reset(self) -> None:
        """Set everything to what it is by default."""
        for field in attrs.fields(Quotas):
            setattr(self, field.name, field.default)
