"""Unheld sessions are named in one warning, and each only once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from agentbay_async._lifecycle import unheld
from agentbay_async.errors import APIError


class _Api:
    """Stands for a client."""


def _api() -> Any:
    return cast("Any", _Api())


def test_a_client_names_its_own_sessions_once(caplog: pytest.LogCaptureFixture) -> None:
    """All of them in one warning, with the cure."""
    api, other = _api(), _api()
    unheld.add(api, ["u-1", "u-2", "u-3"])
    unheld.add(other, ["u-4"])
    unheld.discard("u-2")
    unheld.warn_of_unheld(api)
    (record,) = caplog.records
    message = record.getMessage()
    assert "2 sessions that could not be deleted: u-1, u-3" in message
    assert "`agentbay reap`" in message
    assert "u-4" not in message
    unheld.warn_of_unheld(api)
    assert len(caplog.records) == 1
    unheld.discard("u-4")


def test_only_a_create_that_is_cut_off_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The error of one that failed tells the caller."""
    api = _api()
    with unheld.sending_create(api):
        pass
    with pytest.raises(APIError), unheld.sending_create(api):
        raise APIError("no")
    unheld.warn_of_unheld(api)
    assert not caplog.records
    with pytest.raises(GeneratorExit), unheld.sending_create(api):
        raise GeneratorExit
    unheld.warn_of_unheld(api)
    (record,) = caplog.records
    assert "the sessions of 1 creates that were cut off (label agentbay-run=" in record.getMessage()
