"""Host rate limit: one token bucket for all processes of this user on this host.

The state of the bucket is in a small file, which is locked while a token is taken. The name of the
file is a digest of endpoint and API key, so that neither can be read from it.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from agentbay_async._bulk.rate_limits import TokenBucket
from agentbay_async._paths import runtime_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class HostBucket:
    """A token bucket in a file.

    Args:
        path: The file; it is created if it is missing.
        rate: Calls per second of all processes together.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self._path = path
        self._rate = rate

    def take(self, now: float) -> float:
        """Take one token; return the seconds to wait before it may be used.

        Args:
            now: Seconds since 1970. Monotonic clocks differ between processes.
        """
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with _locked(descriptor):
                bucket = self._read(descriptor)
                wait = bucket.take(now)
                text = f"{bucket.tokens!r} {bucket.at!r}".encode()
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, text)
        finally:
            os.close(descriptor)
        return wait

    def _read(self, descriptor: int) -> TokenBucket:
        bucket = TokenBucket(self._rate, max(self._rate, 1.0))
        try:
            tokens, at = map(float, os.read(descriptor, 200).split())
        except ValueError:
            # A new file, or one that a killed process left half written: start with a full bucket.
            return bucket
        bucket.tokens, bucket.at = tokens, at
        return bucket


def host_bucket(endpoint: str, api_key: str, rate: float) -> HostBucket:
    """Return the bucket of an API key at an endpoint."""
    digest = sha256(f"{endpoint}\n{api_key}".encode()).hexdigest()[:24]
    return HostBucket(runtime_dir(os.environ) / f"{digest}.rate", rate)


@contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Hold the lock of a file; the operating system releases it when a process dies."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
