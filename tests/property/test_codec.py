"""Encoding and decoding are inverse: any text, any number, any policy."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote_plus

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbay_async._protocol import codec, forms, schema
from agentbay_async._protocol.policy import policy_from_text, policy_to_text
from agentbay_async.models.sync_policy import (
    BWList,
    DeletePolicy,
    DownloadPolicy,
    ExtractPolicy,
    Lifecycle,
    MappingPolicy,
    RecyclePolicy,
    SyncPolicy,
    UploadMode,
    UploadPolicy,
    WhiteList,
)

# What UTF-8 can hold: everything but half surrogate pairs.
_texts = st.text(st.characters(exclude_categories=["Cs"]))
_any_text = st.text()
_some_text = st.none() | _texts.filter(bool)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_any_text, inner, max_size=4),
    max_leaves=12,
)


def _returned(request: schema.Request[Any]) -> object:
    query, form = forms.encode_request(request)
    fields = dict(parse_qsl(query, strict_parsing=bool(query)))
    fields.update(parse_qsl(form, strict_parsing=bool(form)))
    return forms.decode_request(type(request), fields)


@given(
    labels=st.none() | st.dictionaries(_any_text, _any_text),
    image=_some_text,
    minutes=st.none() | st.integers(),
    manual=st.none() | st.booleans(),
    contexts=st.none() | st.lists(st.builds(schema.Persistence, _some_text, _some_text)),
)
def test_a_create_survives_a_round_trip(
    labels: Any, image: str | None, minutes: int | None, manual: bool | None, contexts: Any
) -> None:
    """Every kind of field at once; text in JSON may even hold half a surrogate pair."""
    request = schema.CreateMcpSession(
        labels=labels,
        image_id=image,
        timeout=minutes,
        manual_release=manual,
        persistence_data_list=contexts,
    )
    assert _returned(request) == request


@given(context=_some_text, token=_some_text, size=st.none() | st.integers())
def test_a_query_survives_a_round_trip(
    context: str | None, token: str | None, size: int | None
) -> None:
    """Fields of the query as well as those of the form."""
    request = schema.DescribeContextFiles(context_id=context, next_token=token, max_results=size)
    assert _returned(request) == request


@given(st.dictionaries(_any_text, st.none() | st.booleans() | st.integers() | _any_text))
def test_tool_arguments_survive_a_round_trip(args: dict[str, Any]) -> None:
    """Any JSON value, and any character in a text."""
    request = schema.CallMcpTool(session_id="s-1", name="shell", args=args)
    assert _returned(request) == request


@given(_any_text | st.text('%+{}:,@ "aZ0._~-&='))
def test_text_is_quoted_as_the_standard_library_does(text: str) -> None:
    """Also text that looks percent-encoded already."""
    assert forms.quoted(text) == quote_plus(text)


@given(st.dictionaries(_any_text, _any_text, min_size=1))
def test_a_form_is_plain_ascii(labels: dict[str, str]) -> None:
    """It has no line breaks, and needs no further encoding."""
    _, form = forms.encode_request(schema.SetLabel(labels=labels))
    assert form.isascii()
    assert form.isprintable()
    assert " " not in form


@given(
    st.lists(
        st.builds(
            schema.ContextTask,
            *[st.none() | _any_text] * 5,
            st.none() | st.integers(),
            st.none() | st.integers(),
        )
    )
)
def test_tasks_survive_a_round_trip(tasks: list[schema.ContextTask]) -> None:
    """JSON in JSON in JSON."""
    assert codec.tasks_from_text(schema.ContextTask, codec.tasks_to_text(tasks)) == tasks


@given(st.builds(schema.SessionRecord, *[st.none() | _any_text] * 11))
def test_an_answer_survives_a_round_trip(record: schema.SessionRecord) -> None:
    """Written by the local service, read by the client."""
    text = codec.compact_json(codec.to_json(record))
    assert codec.from_json(schema.SessionRecord, json.loads(text)) == record


_literal = st.text(st.characters(exclude_characters="*?[]", exclude_categories=["Cs"]))
_white_lists = st.builds(WhiteList, _literal, st.lists(_literal)) | st.builds(
    WhiteList, _texts, st.lists(_texts), st.just(True), st.just(True)
)
_policies = st.builds(
    SyncPolicy,
    st.builds(
        UploadPolicy,
        st.booleans(),
        upload_mode=st.sampled_from(UploadMode),
        archive_exclude_paths=st.lists(_literal),
    ),
    st.builds(DownloadPolicy, st.booleans()),
    st.builds(DeletePolicy, st.booleans()),
    st.builds(ExtractPolicy, st.booleans(), st.booleans(), st.booleans()),
    st.builds(RecyclePolicy, st.sampled_from(Lifecycle), st.lists(_literal)),
    st.builds(BWList, st.lists(_white_lists, max_size=3)),
    st.none() | st.builds(MappingPolicy, _literal),
)


@given(_policies)
def test_a_policy_survives_a_round_trip(policy: SyncPolicy) -> None:
    """Every part, flag and path."""
    assert policy_from_text(policy_to_text(policy)) == policy


def _reads(read: Any, *arguments: Any) -> None:
    """Call `read`; anything but a value or a ValueError is a bug."""
    try:
        read(*arguments)
    except ValueError:
        return


@given(_json)
def test_any_json_is_a_policy_or_a_value_error(document: object) -> None:
    """Reading never raises anything else."""
    _reads(policy_from_text, json.dumps(document))
    if isinstance(document, dict):
        for name in ("uploadPolicy", "recyclePolicy", "bwList", "mappingPolicy"):
            _reads(policy_from_text, json.dumps({name: document}))
    _reads(policy_from_text, json.dumps({"bwList": {"whiteLists": document}}))
    _reads(policy_from_text, json.dumps({"recyclePolicy": {"paths": document}}))


@given(_json)
def test_any_json_is_tasks_or_a_value_error(document: object) -> None:
    """On each of the three layers."""
    _reads(codec.tasks_from_text, schema.ContextTask, json.dumps(document))
    for data in (document, json.dumps(document)):
        text = json.dumps([{"type": "data", "data": data}])
        _reads(codec.tasks_from_text, schema.ContextTask, text)


def test_deep_nesting_is_a_value_error() -> None:
    """Policies, tasks and answers; not a RecursionError."""
    for depth in (*range(900, 1000, 7), 20_000):
        deep = "[" * depth + "]" * depth
        _reads(policy_from_text, f'{{"bwList":{{"whiteLists":{deep}}}}}')
        _reads(codec.tasks_from_text, schema.ContextTask, deep)
        _reads(codec.from_json, list[schema.SessionRecord], deep)


_ANSWERS = [
    getattr(schema, name)
    for name in schema.__all__
    if attrs.has(getattr(schema, name)) and not issubclass(getattr(schema, name), schema.Request)
]


@pytest.mark.parametrize("kind", _ANSWERS)
@settings(max_examples=15)
@given(data=st.data())
def test_any_json_is_an_answer_or_a_value_error(kind: Any, data: st.DataObject) -> None:
    """Any value in a field, for every class of the schema."""
    names = [codec.wire_name(field) for field in attrs.fields(kind)]
    document = data.draw(_json | st.dictionaries(st.sampled_from(names), _json, max_size=5))
    _reads(codec.from_json, kind, document)
    _reads(codec.from_json, list[kind], document)
    _reads(codec.from_json, list[kind], [document])


@pytest.mark.parametrize(
    "kind", [schema.CreateMcpSession, schema.CallMcpTool, schema.DescribeContextFiles]
)
@given(data=st.data())
def test_any_form_is_a_request_or_a_value_error(kind: Any, data: st.DataObject) -> None:
    """The local service can answer any form with an error text."""
    names = [codec.wire_name(field) for field in attrs.fields(kind)]
    texts = _any_text | _json.map(json.dumps)
    _reads(
        forms.decode_request,
        kind,
        data.draw(st.dictionaries(st.sampled_from(names), texts, max_size=5)),
    )
