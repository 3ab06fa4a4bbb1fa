"""Parameters of sessions and of listings."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from agentbay_async.errors import AgentBayError, InvalidArgumentError
from agentbay_async.models.contexts import ContextListParams
from agentbay_async.models.sessions import CreateSessionParams, LifecyclePolicy, ListSessionParams
from agentbay_async.models.sync_policy import ContextSync


def test_default_params_are_empty() -> None:
    """Without a warning."""
    params = CreateSessionParams()
    assert (params.labels, params.context_syncs, params.framework) == ({}, [], "")
    assert params.image_id is None
    assert params.lifecycle_policy is None
    assert CreateSessionParams(labels=None) == params


def test_params_copy_their_arguments() -> None:
    """The caller may change its dict afterwards."""
    labels = {"a": "b"}
    syncs = [ContextSync("c-1", "/a")]
    params = CreateSessionParams(labels=labels, context_syncs=syncs)
    labels["a"] = ""
    syncs.clear()
    assert params.labels == {"a": "b"}
    assert len(params.context_syncs) == 1


def test_a_lifecycle_policy_has_defaults() -> None:
    """Five minutes idle, thirty in all; with manual release, neither."""
    assert attrs.astuple(LifecyclePolicy()) == (5, 30, False)
    assert attrs.astuple(LifecyclePolicy(max_runtime=90)) == (5, 90, False)
    assert attrs.astuple(LifecyclePolicy(manual_release=True)) == (None, None, True)


@pytest.mark.parametrize(
    ("kind", "arguments", "named"),
    [
        (LifecyclePolicy, {"idle_release_timeout": 0}, "idle_release_timeout"),
        (LifecyclePolicy, {"max_runtime": -1}, "max_runtime"),
        (LifecyclePolicy, {"max_runtime": 3, "manual_release": True}, "manual_release"),
        (LifecyclePolicy, {"idle_release_timeout": 3, "manual_release": True}, "manual_release"),
        (CreateSessionParams, {"labels": {"": "x"}}, "labels"),
        (CreateSessionParams, {"labels": {"a": " "}}, "labels"),
        (CreateSessionParams, {"image_id": ""}, "image_id"),
        (CreateSessionParams, {"policy_id": "a b"}, "policy_id"),
        (CreateSessionParams, {"idle_release_timeout": 0}, "idle_release_timeout"),
        (CreateSessionParams, {"context_id": " "}, "context_id"),
        (CreateSessionParams, {"idempotency_key": "a b"}, "idempotency_key"),
        (CreateSessionParams, {"labels": {"agentbay-run": "x"}}, "reserved"),
        (
            CreateSessionParams,
            {"idle_release_timeout": 60, "lifecycle_policy": LifecyclePolicy()},
            "lifecycle_policy",
        ),
        (
            CreateSessionParams,
            {"context_syncs": [ContextSync("c-1", "/a"), ContextSync("c-2", "/a/")]},
            "'/a'",
        ),
        (ListSessionParams, {"max_results": 0}, "max_results"),
        (ListSessionParams, {"labels": {"a": ""}}, "labels"),
        (ContextListParams, {"max_results": 0}, "max_results"),
    ],
)
def test_an_invalid_value_is_rejected(kind: Any, arguments: dict[str, Any], named: str) -> None:
    """The message names the argument."""
    with pytest.raises(InvalidArgumentError, match=named):
        kind(**arguments)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (LifecyclePolicy, {"idle_release_timeout": 1.5}),
        (LifecyclePolicy, {"max_runtime": True}),
        (LifecyclePolicy, {"manual_release": 1}),
        (CreateSessionParams, {"labels": ["a"]}),
        (CreateSessionParams, {"labels": {"a": 1}}),
        (CreateSessionParams, {"image_id": 5}),
        (CreateSessionParams, {"idle_release_timeout": "60"}),
        (CreateSessionParams, {"lifecycle_policy": {"max_runtime": 5}}),
        (CreateSessionParams, {"context_syncs": ["c-1"]}),
        (CreateSessionParams, {"context_syncs": ContextSync("c-1", "/a")}),
        (CreateSessionParams, {"context_syncs": 5}),
        (CreateSessionParams, {"policy_id": {}}),
        (CreateSessionParams, {"framework": object()}),
        (CreateSessionParams, {"idempotency_key": 7}),
        (CreateSessionParams, {"keep_on_failure": 1}),
        (ListSessionParams, {"max_results": "10"}),
        (ListSessionParams, {"labels": "a"}),
        (ListSessionParams, {"next_token": 5}),
        (ContextListParams, {"max_results": 1.0}),
        (ContextListParams, {"next_token": 5}),
        (ContextListParams, {"session_id": {"id": "s-1"}}),
    ],
)
def test_a_value_of_the_wrong_type_is_rejected(kind: Any, arguments: dict[str, Any]) -> None:
    """With a TypeError that is an AgentBayError, and names the argument."""
    with pytest.raises(TypeError, match=next(iter(arguments))) as caught:
        kind(**arguments)
    assert isinstance(caught.value, AgentBayError)


def test_the_deprecated_context_id_warns() -> None:
    """At the line of the caller."""
    with pytest.warns(DeprecationWarning, match="context_syncs") as warned:
        assert CreateSessionParams(context_id="c-1").context_id == "c-1"
    assert warned[0].filename == __file__


def test_a_token_may_be_assigned() -> None:
    """As programs do to request the next page."""
    params = ListSessionParams()
    assert (params.max_results, params.next_token, params.labels) == (10, "", {})
    params.next_token = "t-2"
    params.labels = {"a": "b"}
    assert (params.next_token, params.labels) == ("t-2", {"a": "b"})
    with pytest.raises(InvalidArgumentError):
        params.labels = {"a": ""}
