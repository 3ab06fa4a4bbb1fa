"""Where the service is: the URL of a region, or an endpoint as people write it, checked."""

from __future__ import annotations

from urllib.parse import urlsplit

from agentbay_async.errors import ConfigurationError

_SPECIAL_HOSTS = {"pre-ap-southeast-1": "wuyingai-pre.ap-southeast-1.aliyuncs.com"}


def of_region(region: str) -> str:
    """Return the URL of the service in a region."""
    return f"https://{_host(region)}"


def _host(region: str) -> str:
    if region in _SPECIAL_HOSTS:
        return _SPECIAL_HOSTS[region]
    if region.startswith("pre-"):
        return f"agentbay-pre.{region.removeprefix('pre-')}.aliyuncs.com"
    return f"agentbay.{region}.aliyuncs.com"


def of_text(endpoint: str) -> str:
    """Return an endpoint as a URL without a trailing slash.

    Raises:
        ConfigurationError: It is none.
    """
    url = endpoint if "://" in endpoint else f"https://{endpoint}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    else:
        # Rather refused than carried along: either would end up in logs.
        usable = usable and not (parts.username or parts.password or parts.query or parts.fragment)
    if not usable or any(character.isspace() for character in url):
        raise ConfigurationError(
            "endpoint must be 'local', a host, or a URL such as 'https://host' or "
            f"'http://127.0.0.1:8080', without user, query or fragment; not {_shown(endpoint)}"
        )
    return url.rstrip("/")


def _shown(endpoint: str) -> str:
    """Quote an endpoint for an error message, without what may be a password in it."""
    return repr(endpoint.rpartition("@")[2].partition("?")[0].partition("#")[0])
