"""Typical mistakes of the first hour, with the text that a person reads.

Each text names the argument or the thing concerned, and the cure where one is known.
"""

from __future__ import annotations

from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

import agentbay
from agentbay import AgentBay, AgentBayError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local import LocalService

#: Written by a beginner, and what the error says; refused before anything is sent.
_REFUSED = [
    # the client
    ("AgentBay()", "there is no API key. Pass api_key=..., set AGENTBAY_API_KEY, or use endpoint="),
    ("AgentBay(123)", "api_key must be a str, not int"),
    ("AgentBay('schlüssel')", "api_key must consist of printable ASCII characters"),
    (
        "AgentBay('key', endpoint='ftp://host')",
        "endpoint must be 'local', a host, or a URL such as",
    ),
    (
        "AgentBay('key', endpoint='https://me:pw@host')",
        "without user, query or fragment; not 'host'",
    ),
    ("AgentBay('key', endpoint='http://1.2.3.4')", "Use https://, or pass Config(allow_http=True)"),
    ("AgentBay('key', endpoint='')", "endpoint must not be empty or blank"),
    ("AgentBay('key', region_id='cn hangzhou')", "region_id must be an id without white space"),
    ("AgentBay('key', timeout=0)", "timeout must be above 0 and finite, not 0"),
    (
        "AgentBay('key', timeout='60')",
        "timeout must be a number of seconds or a timedelta, not str",
    ),
    ("AgentBay('key', cfg={'region_id': 'x'})", "cfg must be a Config, not dict"),
    ("AgentBay('key', cfg=Config(timeout_ms=-5))", "timeout_ms must be at least 1, not -5"),
    (
        "AgentBay('key', cfg=Config(ssl_context=True))",
        "ssl_context must be an SSLContext, not bool",
    ),
    ("AgentBay('key', cfg=Config(budget=5))", "budget must be a Budget, not int"),
    ("AgentBay('key', env_file='/no/.env')", "env_file '/no/.env' cannot be read"),
    (
        "AgentBay('key', retry=3)",
        "retry must be a RetryPolicy, not int; write RetryPolicy(attempts=",
    ),
    ("RetryPolicy(attempts=0)", "attempts must be at least 1, not 0"),
    ("Budget()", "give max_sessions, max_session_hours, or both"),
    ("Budget(max_sessions=0)", "max_sessions must be at least 1, not 0"),
    # the local service
    (
        "AgentBay(endpoint='local', local={'allow_hosts': []})",
        "local must be LocalOptions, not dict",
    ),
    (
        "AgentBay(endpoint='local', local=LocalOptions(allow_hosts='pypi.org'))",
        "allow_hosts must be a list of hosts; write ['pypi.org']",
    ),
    ("LocalOptions(allow_hosts=5)", "allow_hosts must be a list of hosts, not int"),
    ("LocalOptions(allow_hosts=[443])", "allow_hosts must be a list of str, not of 443"),
    (
        "AgentBay(endpoint='local', local=LocalOptions(allow_hosts=['https://pypi.org/simple']))",
        "local: allow_hosts: 'https://pypi.org/simple' is not HOST or HOST:PORT; write a name",
    ),
    (
        "AgentBay(endpoint='local', local=LocalOptions(limits=Limits(processes=1)))",
        "local: limits.processes must be a whole number of at least 8, not 1",
    ),
    ("LocalOptions(limits={'processes': 9})", "limits must be a Limits, not dict"),
    (
        "AgentBay('key', local=LocalOptions())",
        "local is for endpoint='local'; another service has its own options. Pass endpoint='local'",
    ),
    # sessions
    ("bay.create({'labels': {}})", "params must be CreateSessionParams, not dict"),
    ("CreateSessionParams(labels=['a'])", "labels must map str to str, not be a list"),
    ("CreateSessionParams(labels={'a': 1})", "labels['a'] must be a str, not int"),
    ("CreateSessionParams(labels={'': 'x'})", "each key of labels must not be empty or blank"),
    (
        "CreateSessionParams(labels={'agentbay-x': 'y'})",
        "is reserved, like all keys that begin with",
    ),
    ("CreateSessionParams(image_id=7)", "image_id must be a str, not int"),
    (
        "CreateSessionParams(envs={'A B': '1'})",
        "each name in envs must be an id without white space",
    ),
    ("CreateSessionParams(envs={'A': 1})", "envs['A'] must be a str, not int"),
    ("CreateSessionParams(context_syncs=['c'])", "context_syncs[0] must be a ContextSync, not str"),
    ("CreateSessionParams(lifecycle_policy=10)", "lifecycle_policy must be a LifecyclePolicy, not"),
    ("LifecyclePolicy(idle_release_timeout=0)", "idle_release_timeout must be at least 1, not 0"),
    ("bay.get('')", "session_id must not be empty or blank"),
    ("bay.get(session)", "session_id must be a str, not Session"),
    ("bay.delete(None)", "session must be a session or its id, not NoneType"),
    ("bay.list(labels='project=demo')", "labels must map str to str, not be a str"),
    ("bay.list(limit=0)", "limit must be at least 1, not 0"),
    ("bay.list(page=0)", "page must be at least 1, not 0"),
    (
        "bay.list(status='ALIVE')",
        "status must be one of RUNNING, PAUSING, PAUSED, RESUMING, DELETING",
    ),
    ("session.set_labels({})", "labels must not be empty; give at least one"),
    ("session.get_link(port=80)", "port must be from 30100 to 30199, not 80"),
    ("session.pause(timeout=-1)", "timeout must be above 0 and finite, not -1"),
    # contexts
    (
        "ContextSync.new('c-1', '/')",
        "path must be a directory of its own such as '/mnt/data', not '/': the files of a context",
    ),
    ("ContextSync.new('c-1', '//.')", "path must be a directory of its own such as '/mnt/data'"),
    ("BetaContextMount.new('c-1', '/')", "path must be a directory of its own such as '/mnt/data'"),
    (
        "ContextSync.new('c-1', 'data')",
        "path must be an absolute path such as '/mnt/data', not 'data'",
    ),
    (
        "ContextSync.new('c-1', '/mnt/../etc')",
        "path must not contain '..': '/mnt/../etc'; give '/etc'",
    ),
    ("ContextSync.new('c-1', '/mnt/*')", "path must not contain wildcards (*): '/mnt/*'; name the"),
    ("ContextSync.new('c-1', '/mnt/d', {})", "policy must be a SyncPolicy, not dict"),
    ("bay.context.get('')", "name must not be empty or blank"),
    # commands, code and files
    ("session.command.run('')", "command must not be empty or blank"),
    ("session.command.run(['ls', '-l'])", "command must be a str, not list"),
    ("session.command.run('ls', timeout=-1)", "timeout must be above 0 and finite, not -1"),
    (
        "session.command.run('ls', timeout_ms=1000, timeout=1)",
        "timeout_ms and timeout exclude each other; give one",
    ),
    (
        "session.command.run('ls', envs={'A=B': '1'})",
        "each name in envs must not contain '=': 'A=B'",
    ),
    ("session.command.run('ls', cwd=5)", "cwd must be a str, not int"),
    ("session.code.run_code('')", "code must not be empty or blank"),
    (
        "session.code.run_code('1', 'rust')",
        "language must be python, javascript, r or java, not 'rust'",
    ),
    ("session.code.run_code('1', on_stdout='x')", "on_stdout must be a function, not str"),
    ("session.file_system.write('/tmp/a', 5)", "content must be str or bytes, not int"),
    (
        "session.file_system.write('/a', 'x', mode='w')",
        "mode must be 'overwrite' or 'append', not 'w'",
    ),
    (
        "session.file_system.upload_file('/no/f', '/x')",
        "source must be an existing file; there is no",
    ),
    ("session.computer.click_mouse(1, 2, button='up')", "button must be one of ('left', 'right'"),
    ("session.browser.initialize({})", "option must be a BrowserOption, not dict"),
    ("session.git.clone('')", "url must not be empty or blank"),
    ("session.pty.create(cols=0)", "cols must be at least 1, not 0"),
    ("session.call_mcp_tool('', {})", "tool_name must not be empty or blank"),
    # many sessions
    (
        "bay.create_many(10)",
        "params comes first: create_many(CreateSessionParams(), 10) creates 10",
    ),
    ("bay.create_many(CreateSessionParams())", "goes with a count: create_many(params, 5)"),
    (
        "bay.delete_many('s-1')",
        "sessions must be iterable (also asynchronously), not str; write ['s-1']",
    ),
    (
        "bay.map_sessions(print, 5)",
        "items must be iterable (also asynchronously), not int; give a list",
    ),
    ("bay.map_sessions(print, [1], engine='spark')", "engine must be one of ray, dask, or None"),
]

#: Refused by the service or the session; the text is that of the failed result.
_FAILED = [
    ("bay.get('s-none').session", "The service knows no session s-none"),
    ("bay.list(page=2).session_ids", "there is no page 2; page 1 is the last"),
    ("bay.context.get('no-such').context", "The context 'no-such' does not exist."),
    ("gone.command.run('ls').stdout", "Session {gone} was released"),
    ("session.command.run('ls /nowhere').unwrap()", "cannot access '/nowhere': No such file"),
    ("session.command.run('no-such-program').unwrap()", "no-such-program: not found"),
    ("session.command.run('ls', check=True, cwd='/no')", "No such file or directory: /no"),
    (
        "session.command.run('sleep 60', timeout=0.2).unwrap()",
        "the command was killed at its time limit of 0.2 s. Give it more with timeout=",
    ),
    (
        "session.command.run('echo could not resolve; getent hosts pypi.org ||"
        " { echo Could not resolve host >&2; exit 6; }').unwrap()",
        "Could not resolve host. Sessions of the local service reach no host unless it is allowed:"
        " `agentbay local --allow-host HOST`, LocalService(allow_hosts=[...]), or"
        " AgentBay(endpoint='local', local=LocalOptions(allow_hosts=[...]))",
    ),
    (
        "session.command.run('python3 -c \"import urllib.request as r;"
        " r.urlopen(chr(104) + chr(116)*2 + chr(112) + chr(58) + chr(47)*2 + chr(97) + chr(46) +"
        " chr(98))\"').unwrap()",
        "`agentbay local --allow-host HOST`",
    ),
    (
        "session.code.run_code('import socket; socket.getaddrinfo(\"a.b\", 80)').unwrap()",
        "Temporary failure in name resolution. Sessions of the local service reach no host unless",
    ),
    (
        "session.code.run_code('import socket; socket.getaddrinfo(\"a.b\", 80)',"
        " on_stdout=print).unwrap()",
        "`agentbay local --allow-host HOST`",
    ),
    (
        "session.command.run('echo Could not resolve host; exit 6', on_stderr=print).unwrap()",
        "`agentbay local --allow-host HOST`",
    ),
    (
        "session.command.run('echo Could not resolve host >&2; exit 6', on_stdout=print).unwrap()",
        "`agentbay local --allow-host HOST`",
    ),
    ("session.command.attach('p-none')", "The session has no terminal 'p-none'"),
    ("session.code.run_code('1/0').unwrap()", "ZeroDivisionError: division by zero"),
    ("session.file_system.read('/nowhere/a').unwrap()", "no such file: /nowhere/a"),
    ("session.file_system.read('/tmp').unwrap()", "is a directory: /tmp"),
    ("session.file_system.write('/etc/passwd', 'x').unwrap()", "permission denied: /etc/passwd"),
    ("session.file_system.list_directory('/no').unwrap()", "no such file: /no"),
    (
        "session.git.status('/tmp')",
        "Give the path of a repository, or make one there with git.init()",
    ),
    ("session.git.clone('https://github.com/a/b')", "`agentbay local --allow-host HOST`"),
    (
        "session.call_mcp_tool('no_tool', {}).unwrap()",
        "ListMcpTools lists the tools of the local one",
    ),
    ("closed.list().session_ids", "this client is closed. Make a new one"),
]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTBAY_API_KEY", "AGENTBAY_ENDPOINT", "AGENTBAY_REGION_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def names(service: LocalService) -> Iterator[dict[str, Any]]:
    """Give what the lines of a beginner refer to."""
    closed = AgentBay("key", endpoint="https://127.0.0.1:1")
    closed.close()
    with AgentBay(service.api_key, endpoint=service.endpoint) as bay, bay.session() as session:
        gone = bay.create().session
        gone.delete().unwrap()
        public = {name: getattr(agentbay, name) for name in agentbay.__all__}
        yield {
            **public,
            "bay": bay,
            "session": session,
            "gone": gone,
            "closed": closed,
            "timedelta": timedelta,
        }


def test_there_are_sixty_of_them() -> None:
    """Each once."""
    codes = [code for code, _ in (*_REFUSED, *_FAILED)]
    assert len(set(codes)) == len(codes) >= 60


@pytest.mark.parametrize(("code", "text"), _REFUSED, ids=[code for code, _ in _REFUSED])
def test_a_mistake_is_refused_with_the_argument_and_the_cure(
    names: dict[str, Any], service: LocalService, code: str, text: str
) -> None:
    """Before anything is sent, by an error that is also a ValueError or a TypeError."""
    service.journal.clear()
    with pytest.raises((ValueError, TypeError)) as caught:
        eval(code, dict(names))
    assert isinstance(caught.value, agentbay.UsageError)
    assert text in str(caught.value)
    assert len(service.journal) == 0


@pytest.mark.parametrize(("code", "text"), _FAILED, ids=[code for code, _ in _FAILED])
def test_a_failure_says_what_is_wrong(names: dict[str, Any], code: str, text: str) -> None:
    """Reading the value of a failed result raises its reason."""
    with pytest.raises(AgentBayError) as caught:
        eval(code, dict(names))
    assert text.format(gone=names["gone"].session_id) in str(caught.value)


class _OtherServer(BaseHTTPRequestHandler):
    """A server of files, as `python -m http.server` is."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.mark.parametrize(
    ("endpoint", "texts"),
    [
        (
            "http://127.0.0.1:{other}",
            [
                "ListSession: the server that answers is not AgentBay [HTTP 501]. Another server",
                "answers at http://127.0.0.1:{other}: check the port and the endpoint;",
            ],
        ),
        (
            "127.0.0.1:{other}",
            [
                "Tried 127.0.0.1:{other} with https://, which an endpoint without a scheme means;",
                "is endpoint='http://127.0.0.1:{other}'",
            ],
        ),
        (
            "https://agentbay.cn-hangzou.invalid",
            ["Tried agentbay.cn-hangzou.invalid: check endpoint= or AGENTBAY_ENDPOINT"],
        ),
    ],
    ids=["another server", "without a scheme", "misspelt"],
)
def test_a_wrong_endpoint_is_named_with_the_cure(endpoint: str, texts: list[str]) -> None:
    """What answers wrongly is asked once, however many attempts there may be."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _OtherServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        other = server.server_address[1]
        with AgentBay("key", endpoint=endpoint.format(other=other)) as bay:
            error = bay.list().error
        server.shutdown()
    assert error is not None
    for text in texts:
        assert text.format(other=other) in str(error)
    assert len(error.attempts) == (1 if "{other}" in endpoint else 4)
