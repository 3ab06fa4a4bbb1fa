"""Object storage, from inside a session."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async.errors import BadAnswerError, ToolError
from agentbay_async.models._returns_result import returns_result
from agentbay_async.models.tools import OssResult
from agentbay_async.services._tool_calls import call_tool

if TYPE_CHECKING:
    from agentbay_async._api import Api


class AsyncOss:
    """Carries files between one session and Alibaba Cloud's OSS; nothing goes by this machine.

    :meth:`env_init` must come before :meth:`upload` and :meth:`download`; the two anonymous ones
    need nothing but a URL. Known to be offered by ``code_latest``.
    """

    __slots__ = ("__weakref__", "_api", "_session_id")

    def __init__(self, api: Api, session_id: str) -> None:
        self._api = api
        self._session_id = session_id

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

        Where the tool's words repeat them, they are masked.

        Args:
            access_key_id: The key's id.
            access_key_secret: The key; a secret.
            security_token: The token that goes with them; a secret.
            endpoint: Where the bucket is; by default as the image has it.
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
        return await self._call("oss_upload", _place(bucket, object, path))

    @returns_result(OssResult)
    async def download(self, bucket: str, object: str, path: str) -> OssResult:
        """Download `object` of `bucket` to the session's file `path`."""
        return await self._call("oss_download", _place(bucket, object, path))

    @returns_result(OssResult)
    async def upload_anonymous(self, url: str, path: str) -> OssResult:
        """Upload the session's file `path` to a URL that needs no key, or carries it."""
        return await self._call("oss_upload_annon", *_link(url, path))

    @returns_result(OssResult)
    async def download_anonymous(self, url: str, path: str) -> OssResult:
        """Download from a URL that needs no key, or carries it, to the session's file `path`."""
        return await self._call("oss_download_annon", *_link(url, path))

    async def _call(
        self, tool: str, args: dict[str, str], secrets: tuple[str, ...] = ()
    ) -> OssResult:
        try:
            answer = await call_tool(self._api, self._session_id, tool, args)
        except ToolError as error:
            error.message = _masked(error.message, secrets)
            error.args = (error.message,)
            raise
        said = _masked(answer.data, secrets)
        if not said.strip():
            raise BadAnswerError(f"{tool}: the answer is empty", request_id=answer.request_id)
        if _tells_of_failure(said, args):
            raise ToolError(said, request_id=answer.request_id, session_id=self._session_id)
        return OssResult.ok(said, answer.request_id)


def _place(bucket: str, key: str, path: str) -> dict[str, str]:
    return {
        "bucket": _check.text(bucket, "bucket"),
        "object": _check.text(key, "object"),
        "path": _check.text(path, "path"),
    }


def _link(url: str, path: str) -> tuple[dict[str, str], tuple[str, ...]]:
    address = _check.text(url, "url")
    # The part that may be a signature.
    _, _, query = address.partition("?")
    return {"url": address, "path": _check.text(path, "path")}, (query,) if query else ()


def _tells_of_failure(said: str, args: dict[str, str]) -> bool:
    """Whether an answer that is marked as none is a failure; a file may be called so."""
    for value in args.values():
        if "fail" in value.lower():
            said = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "", said)
    return "fail" in said.lower()


def _masked(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
