"""Requests and answers to forms and JSON, and back."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, quote_plus

import attrs
import pytest

from agentbay_async._protocol import codec, forms, schema


def test_a_wire_name_is_the_field_name_in_pascal_case() -> None:
    """Unless the field has a special name."""
    fields = attrs.fields_dict(schema.CreateMcpSession)
    assert codec.wire_name(fields["login_region_id"]) == "LoginRegionId"
    assert codec.wire_name(attrs.fields_dict(schema.ContextTask)["task_type"]) == "taskType"


def test_absent_and_empty_fields_are_left_out() -> None:
    """``None`` and empty text mean absent; ``False`` and 0 are sent."""
    assert forms.encode_request(schema.GetSession()) == ("", "")
    assert forms.encode_request(schema.GetSession(session_id="")) == ("", "")
    assert forms.encode_request(schema.GetContext(name="")) == ("", "AllowCreate=false")
    assert forms.encode_request(schema.ListContexts(max_results=0)) == ("", "MaxResults=0")


def test_some_fields_are_sent_in_the_query() -> None:
    """The request class lists them."""
    request = schema.DescribeContextFiles(context_id="c 1", max_results=5, next_token="a&b")
    query, form = forms.encode_request(request)
    assert query == "MaxResults=5&NextToken=a%26b"
    assert form == "ContextId=c+1"


@pytest.mark.parametrize(
    "labels",
    [
        {"project": "demo", "stage": "test"},
        {"a b": 'quo"ted', "back\\slash": "line\nbreak", "%": "+&=:,{}@~"},
        {"ü": "\U0001f600", "a": ""},
    ],
)
def test_labels_are_sent_as_json(labels: dict[str, str]) -> None:
    """Joining cached pairs gives the same text as encoding the whole."""
    for _ in range(2):
        _, form = forms.encode_request(schema.SetLabel(session_id="s-1", labels=labels))
        assert form == f"SessionId=s-1&Labels={quote_plus(codec.compact_json(labels))}"


def test_a_list_may_come_as_numbered_fields() -> None:
    """As texts, or as the members of objects; a gap ends the list."""
    fields = {
        "PersistenceDataList.1.ContextId": "c-1",
        "PersistenceDataList.1.MountConfig.AccessMode": "readOnly",
        "PersistenceDataList.2.ContextId": "c-2",
        "PersistenceDataList.2.Policy": "{}",
        "PersistenceDataList.4.ContextId": "c-4",
        "Skills.1": "one",
        "SkillsOfOthers.1": "two",
    }
    request = forms.decode_request(schema.CreateMcpSession, fields)
    assert request.persistence_data_list == [
        schema.Persistence("c-1", mount_config=schema.MountConfig(access_mode="readOnly")),
        schema.Persistence("c-2", policy="{}"),
    ]
    assert request.skills == ["one"]
    fields["Skills.1.Name"] = "part"
    with pytest.raises(ValueError, match=r"Skills: Skills\.1\.Name is part of a text"):
        forms.decode_request(schema.CreateMcpSession, fields)
    with pytest.raises(ValueError, match="PersistenceDataList: expected an array"):
        forms.decode_request(schema.CreateMcpSession, {"PersistenceDataList.1": "text"})


def test_a_list_is_sent_as_json_text() -> None:
    """With the keys of the wire, and without absent ones."""
    entries = [schema.Persistence("c-1", "/a"), schema.Persistence("c-2", "/b", "{}")]
    _, form = forms.encode_request(schema.BindContexts(persistence_data_list=entries))
    assert json.loads(parse_qs(form)["PersistenceDataList"][0]) == [
        {"ContextId": "c-1", "Path": "/a"},
        {"ContextId": "c-2", "Path": "/b", "Policy": "{}"},
    ]


@pytest.mark.parametrize(
    ("fields", "request_"),
    [
        ({}, schema.CreateMcpSession()),
        ({"ManualRelease": "True"}, schema.CreateMcpSession(manual_release=True)),
        ({"ManualRelease": "FALSE"}, schema.CreateMcpSession(manual_release=False)),
        ({"Timeout": "5", "ImageId": ""}, schema.CreateMcpSession(timeout=5)),
        ({"Labels": '{"a": 1}'}, schema.CreateMcpSession(labels={"a": "1"})),
        ({"Unknown": "x", "ImageId": "i"}, schema.CreateMcpSession(image_id="i")),
        (
            {"PersistenceDataList": '[{"ContextId":"c","Path":"/a","Type":"mount"}]'},
            schema.CreateMcpSession(
                persistence_data_list=[schema.Persistence("c", "/a", type="mount")]
            ),
        ),
    ],
)
def test_a_request_is_read_from_its_fields(fields: dict[str, str], request_: object) -> None:
    """Booleans in any case, empty text as absent, unknown fields ignored."""
    assert forms.decode_request(schema.CreateMcpSession, fields) == request_


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Timeout", "soon"),
        ("ManualRelease", "perhaps"),
        ("Labels", "no json"),
        ("Labels", "[1]"),
        ("PersistenceDataList", "{}"),
        ("PersistenceDataList", "[1]"),
    ],
)
def test_an_invalid_field_is_named(name: str, text: str) -> None:
    """The error starts with the name of the field."""
    with pytest.raises(ValueError, match=f"^{name}: "):
        forms.decode_request(schema.CreateMcpSession, {name: text})


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (schema.ListedSession, {"SessionId": 5}, schema.ListedSession("5")),
        (schema.ListedSession, {"SessionId": None}, schema.ListedSession()),
        (schema.ListedSession, {"SessionId": True}, schema.ListedSession("true")),
        (schema.ListedSession, {"SessionId": {"a": 1}}, schema.ListedSession('{"a":1}')),
        (schema.ListedSession, '{"SessionId": "s"}', schema.ListedSession("s")),
        (list[schema.ListedSession], "[]", []),
        (schema.ContextFileRecord, {"Size": "12"}, schema.ContextFileRecord(size=12)),
        (schema.ContextFileRecord, {"Size": ""}, schema.ContextFileRecord()),
        (schema.ToolAnswer, {"isError": "TRUE"}, schema.ToolAnswer(is_error=True)),
        (schema.ToolAnswer, {"isError": None}, schema.ToolAnswer()),
        (schema.ToolAnswer, {"isError": 1}, schema.ToolAnswer(is_error=True)),
        (schema.LabelSet, {"Labels": None}, schema.LabelSet()),
        (schema.LabelSet, {"Labels": '{"a": {"b": 1}}'}, schema.LabelSet({"a": '{"b":1}'})),
    ],
)
def test_json_is_read_leniently_if_unambiguous(kind: Any, value: object, result: object) -> None:
    """Numbers as text, text as numbers, JSON text as an object, null as absent."""
    assert codec.from_json(kind, value) == result


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (schema.ListedSession, []),
        (schema.ListedSession, 5),
        (schema.ListedSession, "[]"),
        (schema.ListedSession, "no json"),
        (list[schema.ListedSession], {"a": 1}),
        (list[schema.ListedSession], 5),
        (list[schema.ListedSession], [5]),
        (schema.ContextFileRecord, {"Size": "big"}),
        (schema.ContextFileRecord, {"Size": []}),
        (schema.ContextFileRecord, {"Size": float("inf")}),
        (schema.LabelSet, {"Labels": ["a"]}),
        (schema.LabelSet, {"Labels": "5"}),
    ],
)
def test_json_of_another_shape_is_a_value_error(kind: Any, value: object) -> None:
    """The codec does not guess."""
    with pytest.raises(ValueError, match=r"."):
        codec.from_json(kind, value)


@pytest.mark.parametrize("kind", [schema.SessionRecord, list[schema.Tool]])
def test_empty_text_is_absent(kind: Any) -> None:
    """As everywhere in the protocol."""
    assert not codec.from_json(kind, "")


def test_absent_fields_are_not_written() -> None:
    """Fields have the names of the wire; maps are text where the wire has text."""
    assert codec.to_json(schema.ContextTask("c", status="Success", start_time=0)) == {
        "contextId": "c",
        "status": "Success",
        "startTime": 0,
    }
    assert codec.to_json(schema.LabelSet({"a": "ü"})) == {"Labels": '{"a":"\\u00fc"}'}


def test_compact_json_is_ascii_without_spaces() -> None:
    """Any text can be sent."""
    assert codec.compact_json({"a": [1, "ü🎉"]}) == '{"a":[1,"\\u00fc\\ud83c\\udf89"]}'


def test_tasks_survive_their_three_layers() -> None:
    """JSON in JSON in JSON, there and back."""
    tasks = [schema.ContextTask("c-1", '/"a"', "upload", "Failed", "ü", 1, 2), schema.ContextTask()]
    text = codec.tasks_to_text(tasks)
    assert codec.tasks_from_text(schema.ContextTask, text) == tasks


def test_wrappers_of_other_types_are_ignored() -> None:
    """Also wrappers without data; data may be text or an array."""
    wrappers = [{"type": "event", "data": "?"}, {"type": "data"}, {"type": "data", "data": [{}]}]
    text = json.dumps(wrappers)
    assert codec.tasks_from_text(schema.ContextTask, text) == [schema.ContextTask()]


@pytest.mark.parametrize("text", [None, ""])
def test_empty_text_has_no_tasks(text: str | None) -> None:
    """As of a session without sync tasks."""
    assert codec.tasks_from_text(schema.ContextTask, text) == []
