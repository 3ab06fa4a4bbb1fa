"""No secret that has passed stands in what is written, in whatever form it passed."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from agentbay_local.cassettes.redaction import Redactor

SECRET = "akm-0a1b2c3d/4e5f+6a7b"
SIGNED = "https://store.example/a/b.txt?Expires=17&OSSAccessKeyId=LTAI5t&Signature=qX%2Fz9%3D"


def in_base64(before: str) -> str:
    """Return the secret in base64, behind a text that shifts its bits."""
    return base64.b64encode(f"{before}{SECRET} and more".encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"the key is {SECRET}.",
        f"Authorization=Bearer+{quote(SECRET, safe='')}&x=1",
        json.dumps({"args": json.dumps({"command": f"echo '{SECRET}'"})}),
        in_base64(""),
        in_base64("1"),
        in_base64("12"),
        base64.urlsafe_b64encode(f"??{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_that_is_known_is_found_in_every_form(text: str) -> None:
    """Decoding what is left brings it back neither."""
    redactor = Redactor()
    redactor.learn({"Token": SECRET})

    found = redactor.redact({"out": text})["out"]

    assert SECRET not in found
    assert quote(SECRET, safe="") not in found
    if text.isalnum() or text.endswith("="):
        assert SECRET.encode() not in base64.urlsafe_b64decode(found.replace("+", "-") + "==")


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-Access-Token", "token", "AuthCode", "api_key", "PASSWORD", "ticket"],
)
def test_a_value_with_a_telling_name_is_a_secret(name: str) -> None:
    """It is also found where it has no name."""
    redactor = Redactor()
    redactor.learn({"Data": {name: "s3cret-value"}})

    redacted = redactor.redact({name: "s3cret-value", "text": "is s3cret-value here"})

    assert redacted == {name: "<secret:1>", "text": "is <secret:1> here"}


def test_a_short_secret_is_replaced_in_its_own_place_only() -> None:
    """Elsewhere the same letters are an ordinary word."""
    redactor = Redactor()
    redactor.learn({"password": "key", "pin": 7})

    assert redactor.redact({"password": "key", "text": "key"}) == {
        "password": "<secret>",
        "text": "key",
    }


def test_a_number_stays_a_number() -> None:
    """A secret one becomes 0; how many tokens a model used is no secret."""
    redacted = Redactor().redact({"password": 1234, "max_tokens": 100})

    assert redacted == {"password": 0, "max_tokens": 100}


def test_signed_urls_are_found_in_texts_and_by_name() -> None:
    """The placeholder keeps the scheme, which says what kind of URL it was."""
    redactor = Redactor()
    redactor.learn({"WsUrl": "wss://a.example/ws/s-1", "text": f"see {SIGNED}, please"})

    redacted = redactor.redact(
        {"WsUrl": "wss://a.example/ws/s-1", "text": f"see {SIGNED}, please", "at": SIGNED[:29]}
    )

    assert redacted == {
        "WsUrl": "wss://<url-1>",
        "text": "see https://<url-2>, please",
        "at": "https://<url-2>",
    }
    assert "qX" not in str(redacted)


def test_a_url_keeps_the_part_of_its_query_that_grants_nothing() -> None:
    """Programs look at it."""
    redactor = Redactor()
    page = "http://label.example/?resourceId=r-1"
    redactor.learn({"ResourceUrl": page, "Url": "http://b.example/port/7/"})

    assert redactor.redact([page, "http://b.example/port/7/a?b=1"]) == [
        "http://<url-1>/?resourceId=r-1",
        "http://<url-2>/a?b=1",
    ]


def test_a_url_of_the_user_is_no_secret_unless_it_is_signed() -> None:
    """Only an answer gives out URLs."""
    redactor = Redactor()
    redactor.learn({"url": "https://example.com/a", "other_url": SIGNED}, is_answer=False)

    assert redactor.redact(f"https://example.com/a {SIGNED}") == (
        "https://example.com/a https://<url-1>"
    )


def test_parts_of_urls_that_are_credentials_are_secrets_of_their_own() -> None:
    """A token in the path of a link, or in its host, opens it too."""
    token, label = "t" * 45, "h" * 40
    redactor = Redactor()
    redactor.learn({"Url": f"http://{label}.localhost:80/port/{token}/index.html"})

    assert redactor.redact(f"{token} {label}") == "<secret:2> <secret:1>"


def test_a_file_that_is_no_text_keeps_its_other_bytes() -> None:
    """Bytes that are no text are looked through too."""
    redactor = Redactor()
    redactor.learn_key(SECRET)

    assert redactor.redact_content(b"\xff\x00" + SECRET.encode() + b"\xfe") == (
        b"\xff\x00<api-key>\xfe"
    )
