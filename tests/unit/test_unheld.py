"""Unheld sessions are named in one warning, and each only once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from agentbay_async._lifecycle import unheld

if TYPE_CHECKING:
    import pytest


class _Api:
    """Stands for a client."""


def _api() -> Any:
    return cast("Any", _Api())


def test_a_client_names_its_own_sessions_once(caplog: pytest.LogCaptureFixture) -> None:
    """All of them in one warning, with the cure."""
    api, other, loop = _api(), _api(), cast("Any", None)
    unheld.sessions.update(dict.fromkeys(["u-1", "u-2", "u-3"], (api, loop)))
    unheld.sessions.update(dict.fromkeys(["u-4"], (other, loop)))
    unheld.sessions.pop("u-2", None)
    unheld.warn_of_unheld(api)
    (record,) = caplog.records
    message = record.getMessage()
    assert "2 sessions that could not be deleted: u-1, u-3" in message
    assert "`agentbay reap`" in message
    assert "u-4" not in message
    unheld.warn_of_unheld(api)
    assert len(caplog.records) == 1
    unheld.sessions.pop("u-4", None)


def test_creates_that_were_cut_off_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Their sessions have no id here, but the label of the run."""
    api = _api()
    unheld.creates[object()] = api, cast("Any", None)
    unheld.warn_of_unheld(_api())
    assert not caplog.records
    unheld.warn_of_unheld(api)
    (record,) = caplog.records
    assert "the sessions of 1 creates that were cut off (label agentbay-run=" in record.getMessage()
