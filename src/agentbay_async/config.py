"""Configuration: the API key, the endpoint, timeouts and other settings of a client.

Each setting comes from the first source that has it: the argument, the :class:`Config`, the
process environment, the nearest ``.env`` file, the profile file. Nothing is written back to the
environment.

=====================  =========================  ================
setting                variable                   default
=====================  =========================  ================
API key                ``AGENTBAY_API_KEY``       (required)
endpoint               ``AGENTBAY_ENDPOINT``      that of the region
region                 ``AGENTBAY_REGION_ID``     ``cn-hangzhou``
timeout, milliseconds  ``AGENTBAY_TIMEOUT_MS``    60000
profile                ``AGENTBAY_PROFILE``       ``default``
owner                  ``AGENTBAY_OWNER``         a name of this user here
ledger                 ``AGENTBAY_LEDGER``        a file of this host
=====================  =========================  ================

A region decides over an endpoint when both come from the same place, as in the official client. The
endpoint ``"local"`` stands for a local service inside this process, and needs no key.

Arguments, the environment and the profile are the user's own. An ``.env`` file may have come with a
stranger's project, so an endpoint or region in it is used only with the key of the same file.
Otherwise the file could send the user's key to any host.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import attrs

from agentbay_async import _check
from agentbay_async._paths import config_dir
from agentbay_async.errors import ArgumentTypeError, ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from agentbay_async.models.budget import Budget
    from agentbay_async.models.local import LocalOptions
    from agentbay_async.models.sessions import LifecyclePolicy

LOCAL = "local"
DEFAULT_REGION = "cn-hangzhou"
DEFAULT_TIMEOUT = 60.0
DEFAULT_DEADLINE = 300.0
DEFAULT_POOL = 100
DEFAULT_TASK_LISTING = 5.0

_OFF = "off"
_PROFILE_KEYS = {
    "api_key": "AGENTBAY_API_KEY",
    "endpoint": "AGENTBAY_ENDPOINT",
    "region_id": "AGENTBAY_REGION_ID",
    "timeout_ms": "AGENTBAY_TIMEOUT_MS",
}
# Each region is a part of a host name.
_REGION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\Z")
_SPECIAL_HOSTS = {"pre-ap-southeast-1": "wuyingai-pre.ap-southeast-1.aliyuncs.com"}


@attrs.frozen
class Config:
    """Settings of a client; a setting that is ``None`` is looked up elsewhere.

    Attributes:
        timeout_ms: Milliseconds to wait for one answer. Default 60000.
        region_id: Region of the service, such as ``"cn-hangzhou"``.
        endpoint: ``"https://host"``, ``"http://127.0.0.1:8080"``, a bare host (HTTPS), or
            ``"local"``.
        deadline: Seconds for one call of a method, with all requests that it sends and all their
            attempts. Default 300. A method with a longer `timeout` has that instead. After it, the
            library may take 30 seconds to delete a session that nobody gets.
        max_connections: Connections that a client keeps open at most. Default 100.
        ssl_context: TLS settings; by default the system's certificates are trusted.
        budget: The limits of sessions; see :class:`~agentbay_async.models.budget.Budget`.
        host_limit: Sessions per second that all processes of this user on this host create at most
            with this key; the same number may start at once after a pause. Default: no limit.
        owner: Owner of the sessions; ``reap`` deletes those of one owner. It is sent as it is.
            Default: a hash that stands for this user on this host, and names neither.
        ledger: Whether to record sessions in a file of this host, so that ``agentbay ps`` and
            ``agentbay reap`` find them. Default true; ``AGENTBAY_LEDGER`` may name another file, or
            be ``off``.
        reserved_labels: Whether sessions get labels of the library (default): the idempotency key
            of the create with its time, the owner and the process. Without them a create whose
            answer was lost is not sent again and may leave an unknown session, `idempotency_key`
            cannot be given, and ``reap`` finds only the sessions in the ledger of this host.
        default_lifetime: The lifetime of sessions that are created without one, such as
            :data:`~agentbay_async.models.sessions.DEFAULT_LIFETIME`. Default: none is sent, so that
            the settings of the account apply, which one in a request would override.
        strict_sync: Whether a sync for which the service lists no task is an error. By default it
            is a success with ``receipt.confirmed`` false: the service often lists none when there
            is nothing to move.
        task_listing_timeout: Seconds within which the service lists the task of a sync that it
            accepted. Default 5.
        telemetry: Whether the client reports spans and metrics to OpenTelemetry, by the providers
            of the program. Needs the extra ``otel``. Default false: nothing of it is imported.
        allow_http: Whether the endpoint may be ``http://`` on another host, where everyone on the
            way can read the key. ``http://`` on this host is always allowed.

    Example:
        >>> Config(endpoint="local").endpoint
        'local'
    """

    timeout_ms: int | None = None
    region_id: str | None = None
    endpoint: str | None = None
    deadline: float | None = None
    max_connections: int | None = None
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, eq=False)
    budget: Budget | None = attrs.field(default=None, eq=False)
    host_limit: float | None = None
    owner: str | None = None
    ledger: bool | None = None
    reserved_labels: bool = True
    default_lifetime: LifecyclePolicy | None = None
    strict_sync: bool = False
    task_listing_timeout: float | None = None
    allow_http: bool = False
    telemetry: bool = False


@attrs.frozen
class Settings:
    """All settings of a client, looked up and checked.

    Attributes:
        endpoint: A URL without a trailing slash, or ``"local"``.
        api_key: The key; ``""`` with the endpoint ``"local"``.
        region_id: The region of new sessions.
        timeout: Seconds to wait for one answer.
        deadline: Seconds for one call of a method, with all requests that it sends.
        max_connections: Connections to keep open at most.
        ssl_context: TLS settings, or ``None`` for the system's.
        budget: The limits of sessions, or ``None``.
        host_limit: Sessions a second on this host, or ``None``.
        owner: Owner of the sessions; ``""`` is this user on this host, looked up when needed.
        ledger: The file of the ledger, ``""`` for the default of this host, ``None`` for no ledger.
        reserved_labels: Whether sessions get labels of the library.
        default_lifetime: The lifetime of sessions that are created without one, or ``None``.
        strict_sync: Whether a sync without a listed task is an error.
        task_listing_timeout: Seconds within which the task of a sync is listed.
        local: The options of the service, with the endpoint ``"local"``.
        telemetry: Whether to report to OpenTelemetry.
    """

    endpoint: str
    api_key: str = attrs.field(repr=False)
    region_id: str = DEFAULT_REGION
    timeout: float = DEFAULT_TIMEOUT
    deadline: float = DEFAULT_DEADLINE
    max_connections: int = DEFAULT_POOL
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, repr=False, eq=False)
    budget: Budget | None = attrs.field(default=None, eq=False)
    host_limit: float | None = None
    owner: str = ""
    ledger: str | None = ""
    reserved_labels: bool = True
    default_lifetime: LifecyclePolicy | None = None
    strict_sync: bool = False
    task_listing_timeout: float = DEFAULT_TASK_LISTING
    local: LocalOptions | None = None
    telemetry: bool = False


def resolve(
    api_key: str | None = None,
    config: Config | None = None,
    *,
    endpoint: str | None = None,
    region_id: str | None = None,
    timeout: float | None = None,
    env_file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Look up every setting and check it.

    Raises:
        ConfigurationError: There is no key, or a setting is invalid; the message names it and the
            cure.
    """
    if config is not None and not isinstance(config, Config):
        raise ArgumentTypeError(f"cfg must be a Config, not {type(config).__name__}")
    config = config or Config()
    environ = os.environ if environ is None else environ
    lookup = _Lookup(environ, env_file)
    service = _service(region_id, endpoint, config, lookup)
    region, url = _checked_pair(service)
    _check_encryption(url, _check.boolean(config.allow_http, "allow_http"))
    return Settings(
        endpoint=url,
        api_key="" if url == LOCAL else _key(api_key, lookup, service.file),
        region_id=region.removeprefix("pre-"),
        timeout=_timeout(timeout, config, lookup),
        deadline=_seconds(config.deadline, DEFAULT_DEADLINE, "deadline"),
        max_connections=_pool(config.max_connections),
        ssl_context=_tls(config.ssl_context),
        budget=_budget(config.budget),
        host_limit=_host_limit(config.host_limit),
        owner=_owner(config.owner, lookup),
        ledger=_ledger(config.ledger, lookup),
        reserved_labels=_check.boolean(config.reserved_labels, "reserved_labels"),
        default_lifetime=_lifetime(config.default_lifetime),
        strict_sync=_check.boolean(config.strict_sync, "strict_sync"),
        task_listing_timeout=_seconds(
            config.task_listing_timeout, DEFAULT_TASK_LISTING, "task_listing_timeout"
        ),
        telemetry=_check.boolean(config.telemetry, "telemetry"),
    )


@attrs.frozen
class Origin:
    """A setting, and where it comes from.

    Attributes:
        setting: Its name.
        value: Its value; ``"(set)"`` for a key, which is a secret.
        source: ``"argument"``, ``"default"``, ``"AGENTBAY_... in the environment"``, or a file.
    """

    setting: str
    value: str
    source: str


def find_origins(
    *, endpoint: str | None = None, environ: Mapping[str, str] | None = None
) -> list[Origin]:
    """Return the settings that can come from the environment or a file, and where they come from.

    Nothing is checked: `resolve` tells what cannot be used.

    Args:
        endpoint: The argument of a client.
        environ: The environment; default: that of this process.

    Example:
        >>> [region] = [one for one in find_origins(environ={}) if one.setting == "region_id"]
        >>> region.value, region.source
        ('cn-hangzhou', 'default')
    """
    lookup = _Lookup(os.environ if environ is None else environ, None)
    return [
        lookup.origin("api_key", "AGENTBAY_API_KEY", ""),
        *_service_origins(endpoint, lookup),
        lookup.origin("timeout_ms", "AGENTBAY_TIMEOUT_MS", str(int(DEFAULT_TIMEOUT * 1000))),
        lookup.origin("profile", "AGENTBAY_PROFILE", "default"),
        lookup.origin("owner", "AGENTBAY_OWNER", "(a name of this user here)"),
        lookup.origin("ledger", "AGENTBAY_LEDGER", "(a file of this host)"),
    ]


def _service_origins(endpoint: str | None, lookup: _Lookup) -> list[Origin]:
    """Return the origins of endpoint and region, of which one decides."""
    if endpoint is not None:
        region = Origin("region_id", DEFAULT_REGION, "default")
        return [Origin("endpoint", endpoint, "argument"), region]
    chosen = lookup.service()
    region = lookup.origin("region_id", "AGENTBAY_REGION_ID", DEFAULT_REGION)
    if chosen.region is None:
        return [
            lookup.origin("endpoint", "AGENTBAY_ENDPOINT", ""),
            Origin("region_id", DEFAULT_REGION, "default"),
        ]
    return [Origin("endpoint", url_of_region(chosen.region), "of the region"), region]


class Source(NamedTuple):
    """The settings of one source; `path` is its ``.env`` file, or ``None`` for other sources."""

    path: Path | None
    variables: Mapping[str, str]


class _Found(NamedTuple):
    """A setting, and the ``.env`` file that has it, or ``None`` if a source of the user has it."""

    value: str
    file: Path | None


class _Service(NamedTuple):
    """A region or an endpoint, and the ``.env`` file that names them, or ``None``."""

    region: str | None
    endpoint: str | None
    file: Path | None = None


class _Lookup:
    """Settings of the environment, then ``.env``, then the profile. Files are read when needed."""

    def __init__(self, environ: Mapping[str, str], env_file: str | os.PathLike[str] | None) -> None:
        self._environ = environ
        self._env_file = env_file
        self._sources: list[Source] | None = None

    def _all(self) -> list[Source]:
        if self._sources is None:
            file = environment_file(self._env_file)
            profile = self._environ.get("AGENTBAY_PROFILE") or file.variables.get(
                "AGENTBAY_PROFILE"
            )
            self._sources = [
                Source(None, self._environ),
                file,
                Source(None, profile_file(profile, self._environ)),
            ]
        return self._sources

    def find(self, variable: str) -> _Found:
        """Return the first value that is not blank; the value is ``""`` if there is none."""
        # The usual case reads no file.
        if value := self._environ.get(variable, "").strip():
            return _Found(value, None)
        for source in self._all():
            if value := source.variables.get(variable, "").strip():
                return _Found(value, source.path)
        return _Found("", None)

    def get(self, variable: str) -> str:
        """Return the first value that is not blank, or ``""``."""
        return self.find(variable).value

    def origin(self, setting: str, variable: str, default: str) -> Origin:
        """Return where a setting comes from."""
        profile = profile_path(self._environ)
        for number, source in enumerate(self._all()):
            if value := source.variables.get(variable, "").strip():
                place = f"{variable} in {source.path or (profile if number else 'the environment')}"
                return Origin(setting, "(set)" if setting == "api_key" else value, place)
        return Origin(setting, default, "default")

    def service(self) -> _Service:
        """Return the region and endpoint of the first source that has one of them."""
        for source in self._all():
            region = source.variables.get("AGENTBAY_REGION_ID", "").strip()
            endpoint = source.variables.get("AGENTBAY_ENDPOINT", "").strip()
            if region or endpoint:
                return _Service(region or None, endpoint or None, source.path)
        return _Service(DEFAULT_REGION, None)


def _service(
    region_id: str | None, endpoint: str | None, config: Config, lookup: _Lookup
) -> _Service:
    for region, url in ((region_id, endpoint), (config.region_id, config.endpoint)):
        if region is not None or url is not None:
            return _Service(region, url)
    return lookup.service()


def _checked_pair(service: _Service) -> tuple[str, str]:
    if service.region is None:
        url = _check.text(service.endpoint, "endpoint").strip()
        return DEFAULT_REGION, url if url == LOCAL else url_of_endpoint(url)
    region = _check.identifier(service.region, "region_id")
    if not _REGION.match(region):
        raise ConfigurationError(
            f"region_id must be letters, digits and hyphens, such as 'cn-hangzhou', not {region!r}"
        )
    return region, url_of_region(region)


def _check_encryption(url: str, allow_http: bool) -> None:
    if allow_http or not url.startswith("http:") or _is_loopback(urlsplit(url).hostname or ""):
        return
    raise ConfigurationError(
        f"endpoint {url!r} would send the API key over the network without encryption",
        hint="Use https://, or pass Config(allow_http=True) on a network that you trust.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _key(api_key: str | None, lookup: _Lookup, endpoint_file: Path | None) -> str:
    """Return the key; `endpoint_file` is the ``.env`` file that names the endpoint."""
    if api_key is not None and not isinstance(api_key, str):
        raise ArgumentTypeError(f"api_key must be a str, not {type(api_key).__name__}")
    key, file = (api_key or "").strip(), None
    if not key:
        key, file = lookup.find("AGENTBAY_API_KEY")
    if not key:
        raise ConfigurationError(
            "there is no API key",
            hint='Pass api_key=..., set AGENTBAY_API_KEY, or use endpoint="local".',
        )
    if endpoint_file is not None and file != endpoint_file:
        raise ConfigurationError(
            f"{str(endpoint_file)!r} names the endpoint or region, and the API key comes from"
            " elsewhere; a file that came with a project must not decide where your key is sent",
            hint="Put AGENTBAY_API_KEY into that file too, or set the endpoint yourself: as an"
            " argument, in the environment or in your profile.",
        )
    if not key.isascii() or not key.isprintable():
        raise ConfigurationError("api_key must consist of printable ASCII characters")
    return key


def find_ledger(environ: Mapping[str, str]) -> str | None:
    """Return the file that the environment names for the ledger.

    ``""`` stands for the default file of this host, ``None`` for no ledger.
    """
    return _ledger(None, _Lookup(environ, None))


def _owner(owner: str | None, lookup: _Lookup) -> str:
    if owner is not None:
        return _check.identifier(owner, "owner", _check.MAX_LABEL_VALUE)
    text = lookup.get("AGENTBAY_OWNER")
    if not text:
        return ""
    return _check.identifier(text, "AGENTBAY_OWNER", _check.MAX_LABEL_VALUE)


def _ledger(ledger: bool | None, lookup: _Lookup) -> str | None:
    path = lookup.get("AGENTBAY_LEDGER")
    wanted = path.lower() != _OFF if ledger is None else _check.boolean(ledger, "ledger")
    if not wanted:
        return None
    return "" if path.lower() == _OFF else path


def _tls(context: object) -> ssl.SSLContext | None:
    if context is None:
        return None
    import ssl

    if not isinstance(context, ssl.SSLContext):
        raise ArgumentTypeError(f"ssl_context must be an SSLContext, not {type(context).__name__}")
    return context


def _lifetime(lifetime: object) -> LifecyclePolicy | None:
    if lifetime is None:
        return None
    from agentbay_async.models.sessions import LifecyclePolicy

    if not isinstance(lifetime, LifecyclePolicy):
        raise ArgumentTypeError(
            f"default_lifetime must be a LifecyclePolicy, not {type(lifetime).__name__}"
        )
    return lifetime


def _budget(budget: object) -> Budget | None:
    if budget is None:
        return None
    from agentbay_async.models.budget import Budget

    if not isinstance(budget, Budget):
        raise ArgumentTypeError(f"budget must be a Budget, not {type(budget).__name__}")
    return budget


def _seconds(value: object, default: float, name: str) -> float:
    return _check.seconds(default if value is None else value, name)


def _pool(max_connections: object) -> int:
    size = DEFAULT_POOL if max_connections is None else max_connections
    return _check.positive_int(size, "max_connections")


def _host_limit(limit: object) -> float | None:
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        raise ArgumentTypeError(
            f"host_limit must be a number of sessions a second, not {type(limit).__name__}"
        )
    if not 0 < limit < float("inf"):
        raise ConfigurationError(f"host_limit must be above 0 and finite, not {limit}")
    return float(limit)


def _timeout(timeout: float | None, config: Config, lookup: _Lookup) -> float:
    if timeout is not None:
        return _check.seconds(timeout, "timeout")
    if config.timeout_ms is not None:
        return _check.positive_int(config.timeout_ms, "timeout_ms") / 1000
    text = lookup.get("AGENTBAY_TIMEOUT_MS")
    if not text:
        return DEFAULT_TIMEOUT
    if not (text.isascii() and text.isdecimal()) or len(text) > 15 or int(text) == 0:
        raise ConfigurationError(
            f"AGENTBAY_TIMEOUT_MS must be a number of milliseconds above 0, not {text!r}"
        )
    return int(text) / 1000


def url_of_region(region: str) -> str:
    """Return the URL of the service in a region."""
    return f"https://{_host(region)}"


def _host(region: str) -> str:
    if region in _SPECIAL_HOSTS:
        return _SPECIAL_HOSTS[region]
    if region.startswith("pre-"):
        return f"agentbay-pre.{region.removeprefix('pre-')}.aliyuncs.com"
    return f"agentbay.{region}.aliyuncs.com"


def url_of_endpoint(endpoint: str) -> str:
    """Return an endpoint as a URL without a trailing slash.

    Raises:
        ConfigurationError: The endpoint is invalid.
    """
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    else:
        # Rejected, because passwords and queries would end up in logs.
        usable = usable and not (parts.username or parts.password or parts.query or parts.fragment)
    if not usable or any(character.isspace() for character in url):
        raise ConfigurationError(
            "endpoint must be 'local', a host, or a URL such as 'https://host' or "
            f"'http://127.0.0.1:8080', without user, query or fragment; not {_shown(endpoint)}"
        )
    return url.rstrip("/")


def _shown(endpoint: str) -> str:
    """Quote an endpoint for an error message, without a password that it may contain."""
    return repr(endpoint.rpartition("@")[2].partition("?")[0].partition("#")[0])


def environment_file(path: str | os.PathLike[str] | None) -> Source:
    """Read an ``.env`` file.

    Args:
        path: The file; ``None`` takes the first ``.env`` from the working directory upward.

    Raises:
        ConfigurationError: A file was named that cannot be read.
    """
    file = Path(path) if path is not None else _nearest(".env")
    if file is None:
        return Source(None, {})
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        if path is None:
            # Found by a search and not named by the user, so an unreadable file is no error.
            return Source(None, {})
        raise ConfigurationError(f"env_file {str(file)!r} cannot be read: {error}") from error
    pairs = [pair for line in lines if (pair := _assignment(line)) is not None]
    return Source(file, dict(pairs))


def _nearest(name: str) -> Path | None:
    try:
        start = Path.cwd()
    except FileNotFoundError:
        return None
    return next((d / name for d in (start, *start.parents) if (d / name).is_file()), None)


def _assignment(line: str) -> tuple[str, str] | None:
    """Read ``NAME=value``, with or without ``export``, quotes and a trailing comment."""
    name, equals, value = line.strip().removeprefix("export ").partition("=")
    if not equals or name.startswith("#"):
        return None
    value = value.strip()
    if value[:1] in ("'", '"'):
        return name.strip(), value[1:].partition(value[0])[0]
    return name.strip(), value.partition(" #")[0].strip()


def profile_path(environ: Mapping[str, str]) -> Path:
    """Return where the profile file is, whether it exists or not."""
    return config_dir(environ) / "profiles.ini"


def profile_file(profile: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a profile, under the names of their variables.

    Args:
        profile: A section of the file; ``None`` is ``default``, which may be missing.
        environ: Says where the user's files are.

    Raises:
        ConfigurationError: The file is not an INI file, or lacks the profile asked for.
    """
    path = profile_path(environ)
    sections = _sections(path)
    if profile is not None and profile not in sections:
        raise ConfigurationError(f"AGENTBAY_PROFILE: {str(path)!r} has no section [{profile}]")
    entries = sections.get(profile or "default", {})
    return {_PROFILE_KEYS[key]: value for key, value in entries.items() if key in _PROFILE_KEYS}


def _sections(path: Path) -> dict[str, dict[str, str]]:
    if not path.is_file():
        return {}
    from configparser import ConfigParser, Error

    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, Error) as error:
        # The parser quotes the lines it cannot read, and one of them may be the key.
        raise ConfigurationError(
            f"the profile file {str(path)!r} cannot be read: {type(error).__name__}"
        ) from None
    return {name: dict(parser[name]) for name in parser.sections()}
