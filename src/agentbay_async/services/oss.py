"""Transfer files between a session and Alibaba Cloud OSS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import BadAnswerError, OssError, ToolError
from agentbay_async.models.results import returns_result
from agentbay_async.models.tools import OssResult
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.session import AsyncSession


class AsyncOss:
    """Transfer files between one session and Alibaba Cloud OSS, without passing this machine.

    Call :meth:`env_init` before :meth:`upload` and :meth:`download`; the two anonymous methods need
    only a URL. Offered by ``code_latest``.

    Args:
        session: The session; ``session.oss`` is the same service.
    """

    __slots__ = ("__weakref__", "_api", "_find_session", "_session_id")

    def __init__(self, session: AsyncSession) -> None:
        self._use(session._api, session.session_id)
        self._find_session = session._finder()

    def _use(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

    @classmethod
    def _of(cls, api: Api, session_id: str) -> AsyncOss:
        service = cls.__new__(cls)
        service._use(api, session_id)
        return service

    def __repr__(self) -> str:
        return f"{type(self).__name__}(session {self._session_id!r})"

    @property
    def session(self) -> AsyncSession:
        """The session; another object for it if the program has dropped the first one."""
        return self._find_session()

    @returns_result(OssResult)
    async def env_init(
        self,
        access_key_id: str,
        access_key_secret: str,
        security_token: str,
        endpoint: str | None = None,
        region: str | None = None,
    ) -> OssResult:
        """Give the session temporary credentials (of STS) for the calls that follow.

        They are masked in the texts of the tool.

        Args:
            access_key_id: The id of the access key.
            access_key_secret: The access key; a secret.
            security_token: The security token of the key; a secret.
            endpoint: The endpoint of the bucket; by default as configured in the image.
            region: The region of the bucket.
        """
        args = {
            "access_key_id": _check.text(access_key_id, "access_key_id"),
            "access_key_secret": _check.text(access_key_secret, "access_key_secret"),
            "security_token": _check.text(security_token, "security_token"),
        }
        if endpoint:
            args["endpoint"] = _check.text(endpoint, "endpoint")
        if region:
            args["region"] = _check.text(region, "region")
        secrets = (access_key_id, access_key_secret, security_token)
        return await self._call("oss_env_init", args, secrets)

    @returns_result(OssResult)
    async def upload(self, bucket: str, object: str, path: str) -> OssResult:
        """Upload the session's file `path` as `object` of `bucket`."""
        return await self._call("oss_upload", _object_args(bucket, object, path))

    @returns_result(OssResult)
    async def download(self, bucket: str, object: str, path: str) -> OssResult:
        """Download `object` of `bucket` to the session's file `path`."""
        return await self._call("oss_download", _object_args(bucket, object, path))

    @returns_result(OssResult)
    async def upload_anonymous(self, url: str, path: str) -> OssResult:
        """Upload the session's file `path` to a public or signed URL."""
        return await self._call("oss_upload_annon", *_url_args(url, path))

    @returns_result(OssResult)
    async def download_anonymous(self, url: str, path: str) -> OssResult:
        """Download a public or signed URL to the session's file `path`."""
        return await self._call("oss_download_annon", *_url_args(url, path))

    async def _call(
        self, tool: str, args: dict[str, str], secrets: tuple[str, ...] = ()
    ) -> OssResult:
        try:
            answer = await call_tool(self._api, self._session_id, tool, args)
        except ToolError as error:
            raise self._error(_mask(error.message, secrets), error.request_id) from None
        text = _mask(answer.data, secrets)
        if not text.strip():
            raise BadAnswerError(f"{tool}: the answer is empty", request_id=answer.request_id)
        if _reports_failure(text, args):
            raise self._error(text, answer.request_id)
        return OssResult.ok(text, answer.request_id)

    def _error(self, message: str, request_id: str) -> OssError:
        return OssError(message, request_id=request_id, session_id=self._session_id)


def _object_args(bucket: str, key: str, path: str) -> dict[str, str]:
    return {
        "bucket": _check.text(bucket, "bucket"),
        "object": _check.text(key, "object"),
        "path": _check.text(path, "path"),
    }


def _url_args(url: str, path: str) -> tuple[dict[str, str], tuple[str, ...]]:
    address = _check.text(url, "url")
    # The query may be a signature.
    _, _, query = address.partition("?")
    return {"url": address, "path": _check.text(path, "path")}, (query,) if query else ()


def _reports_failure(text: str, args: dict[str, str]) -> bool:
    """Return whether the text reports a failure.

    The tool does not mark failures as errors, so the text is searched for "fail", without the
    arguments that it repeats: a file may be named so.
    """
    for value in args.values():
        if "fail" in value.lower():
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "", text)
    return "fail" in text.lower()


def _mask(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
