"""``agentbay doctor --cloud``, with the local service in the place of the cloud."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from agentbay import ConfigurationError
from agentbay_cli.assumptions import ASSUMPTIONS
from agentbay_cli.cloud_doctor import report
from agentbay_cli.connection_probe import probe
from agentbay_cli.main import main
from agentbay_local import Fail, LocalService, Throttle
from agentbay_local.tls.trust import TRUST_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "fidelity.md"


@pytest.fixture(scope="module")
def running() -> Iterator[LocalService]:
    """Run the service."""
    with LocalService() as service:
        yield service


@pytest.fixture
def service(running: LocalService, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalService]:
    """Configure the service as a user would, and empty it afterwards."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", running.endpoint)
    monkeypatch.setenv("AGENTBAY_API_KEY", running.api_key)
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    yield running
    running.reset()


def line_of(lines: list[str], subject: str) -> str:
    """Return the line that begins with a subject."""
    (line,) = [line for line in lines if line.strip().startswith(subject)]
    return line


def test_a_service_as_assumed_is_well(
    service: LocalService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every assumption is looked at, and nothing is changed."""
    seeded = service.seed(sessions=2, contexts={"notes": {"a.txt": "hello"}})

    assert main(["doctor", "--cloud"]) == 0

    lines = capsys.readouterr().out.splitlines()
    for assumption in ASSUMPTIONS:
        assert line_of(lines, f"{assumption.name} ").split()[1] == "holds"
    assert line_of(lines, "key:") == "key: accepted"
    assert line_of(lines, "clock:").startswith("clock: agrees")
    assert line_of(lines, "tls:") == "tls: not used"
    assert "listings" in line_of(lines, "latency:")
    assert line_of(lines, "quota:") == "quota: no request was refused"
    assert set(service.living()) == set(seeded.sessions)
    reads = ("Get", "List", "Describe")
    assert all(entry.action.startswith(reads) for entry in service.journal)

    assert main(["doctor", "--cloud", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], line_of(found["report"], "key:")) == (True, "key: accepted")


def test_a_report_can_be_shared(service: LocalService) -> None:
    """It has no key, and no id as a whole."""
    seeded = service.seed(sessions=1, contexts={"notes": {"a.txt": "hello"}})
    _, lines = report()
    text = "\n".join(lines)
    assert service.api_key not in text
    assert not any(session in text for session in seeded.sessions)
    assert not re.search(r"[0-9a-f]{16}", text)


def test_an_assumption_that_does_not_hold_is_named(service: LocalService) -> None:
    """With what was seen instead."""
    service.faults.add(Fail("Session.Missing", 404, "Gone."), "GetSession")

    is_well, lines = report()

    assert not is_well
    assert "differs" in line_of(lines, "C3 ")
    assert line_of(lines, "C3 ").endswith("Seen: Session.Missing HTTP 404")


def test_what_the_account_does_not_have_is_unknown(service: LocalService) -> None:
    """No session and no file: neither well nor ill."""
    is_well, lines = report()
    assert is_well
    assert "unknown" in line_of(lines, "C9 ")
    assert "unknown" in line_of(lines, "C10")


def test_a_refused_key_is_said_first(
    service: LocalService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wrong key is not in the report either."""
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-wrong-0123456789")
    is_well, lines = report()
    assert not is_well
    assert "NOT_LOGIN" in line_of(lines, "key:")
    assert "akm-wrong-0123456789" not in "\n".join(lines)
    assert service.journal.find("ListSession", ok=False)


def test_a_throttled_account_is_shown(service: LocalService) -> None:
    """The look does not send requests again, which would hide it."""
    service.faults.add(Throttle(1), "ListSession", nth=2)
    is_well, lines = report()
    assert not is_well
    assert line_of(lines, "quota:").endswith("1 refused, the first with Throttling.User")


def test_a_service_that_is_not_there_is_a_report_too(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    """The rest is unknown."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-1")
    is_well, lines = report()
    assert not is_well
    assert line_of(lines, "connection:").startswith("connection: failed")


def test_there_is_no_look_at_a_service_inside_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The doctor without --cloud is for that."""
    monkeypatch.setenv("AGENTBAY_ENDPOINT", "local")
    with pytest.raises(ConfigurationError, match="'local'"):
        report()
    assert main(["doctor", "--cloud"]) == 2


@pytest.mark.parametrize("oldest", ["TLSv1.2", "TLSv1.3"])
def test_tls_is_shown_with_issuer_and_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, oldest: str
) -> None:
    """Of a server with a certificate of an authority that the user trusts."""
    authority = trustme.CA(organization_name="Test Authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = getattr(ssl.TLSVersion, oldest.replace(".", "_"))
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with serve(_Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        facts = probe(f"https://127.0.0.1:{server.server_address[1]}")

    assert facts.versions == tuple(sorted({oldest, "TLSv1.3"}))
    assert "Test Authority" in facts.issuer
    assert facts.valid_until
    assert facts.skew is not None
    assert abs(facts.skew) < 300


DOCTOR = "import sys; from agentbay_cli.main import main; sys.exit(main(['doctor', '--cloud']))"


def test_a_service_with_tls_is_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """For a program that has the variables; without them, the service is not trusted."""
    doctor = [sys.executable, "-c", DOCTOR]
    exec_tls = ["local", "exec", "--tls", "--home", str(tmp_path), "--"]
    code = main([*exec_tls, *doctor])
    lines = capfd.readouterr().out.splitlines()
    without = ["env", *(f"--unset={name}" for name in TRUST_VARIABLES)]
    refused_code = main([*exec_tls, *without, *doctor])
    refused = capfd.readouterr().out.splitlines()

    assert code == 0, lines
    tls = line_of(lines, "tls:")
    assert tls.startswith(
        "tls: TLSv1.2, TLSv1.3; issued by AgentBay private authority, valid until"
    )
    assert line_of(lines, "endpoint:").startswith("endpoint: https://127.0.0.1:")
    assert line_of(lines, "key:") == "key: accepted"
    assert line_of(lines, "clock:").startswith("clock: agrees")
    assert not [line for line in lines if "differs" in line]
    assert refused_code == 1
    assert "certificate verify failed" in line_of(refused, "connection:")


def report_of(
    handler: type[BaseHTTPRequestHandler], monkeypatch: pytest.MonkeyPatch
) -> tuple[bool, list[str]]:
    """Return the report about a server of canned answers."""
    monkeypatch.setenv("AGENTBAY_API_KEY", "akm-1")
    monkeypatch.setenv("AGENTBAY_LEDGER", "off")
    with serve(handler) as server:
        monkeypatch.setenv("AGENTBAY_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        return report()


def test_a_service_of_other_habits_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has states, pages and times that are not assumed, and its clock is wrong."""
    is_well, lines = report_of(_OtherHabits, monkeypatch)
    assert not is_well
    assert "ahead; set the clock" in line_of(lines, "clock:")
    seen = {
        "C2": "the request succeeded",
        "C7": "MaxResults is 3",
        "C8": "1 sessions have a label that none has",
        "C9": "unknown: MOLTEN",
        "C10": "ExpireTime is 1",
    }
    for name, what in seen.items():
        assert "differs" in line_of(lines, f"{name} ")
        assert line_of(lines, f"{name} ").endswith(f"Seen: {what}")


def test_a_service_without_a_date_has_an_unknown_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the report is made."""
    _, lines = report_of(_WithoutDate, monkeypatch)
    assert line_of(lines, "clock:") == "clock: unknown; the service sent no Date"
    assert line_of(lines, "key:") == "key: accepted"


@contextlib.contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[HTTPServer]:
    """Run a server of canned answers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _OtherHabits(_Handler):
    _DATA: ClassVar[dict[str, object]] = {
        "ListSession": [{"SessionId": "s-1", "SessionStatus": "MOLTEN"}],
        "ListContexts": [{"Id": "SdkCtx-1", "Name": "notes"}],
        "DescribeContextFiles": [{"FileName": "a", "FilePath": "/a", "FileType": "FILE"}],
        "GetContextFileDownloadUrl": {"Url": "https://files/a", "ExpireTime": 1},
    }

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + 3600)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        (action,) = parse_qs(urlsplit(self.path).query)["Action"]
        answer = {
            "Success": True,
            "Code": "ok",
            "Data": self._DATA.get(action, {}),
            "MaxResults": 3,
            "RequestId": "1",
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _WithoutDate(_OtherHabits):
    def send_header(self, keyword: str, value: str) -> None:
        if keyword != "Date":
            super().send_header(keyword, value)


def test_the_documents_list_the_same_assumptions() -> None:
    """Name and statement, in one order."""
    rows = re.findall(r"^\| (C\d+) \| ([^|]+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [(assumption.name, assumption.statement) for assumption in ASSUMPTIONS]
