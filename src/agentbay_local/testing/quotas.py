"""Quotas of a service; tests may tighten them while it runs."""

from __future__ import annotations

import attrs
from attrs import validators

__all__ = ["Quotas"]

_number = validators.instance_of((int, float))
_positive = validators.optional(validators.and_(_number, validators.gt(0)))


@attrs.define
class Quotas:
    """Limits of the service. Each may be set at any time; None is no limit.

    Attributes:
        sessions: Maximum number of live sessions; creating one more fails with a quota error.
        page_size: Maximum size of a page; a larger request is reduced to it silently.
        page_token_seconds: Lifetime of a page token.
        url_seconds: Lifetime of the signed URL of a file.
        list_lag_seconds: Listings hide younger sessions, as an eventually consistent index does.
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
        """Set every quota to its default."""
        for field in attrs.fields(Quotas):
            setattr(self, field.name, field.default)
