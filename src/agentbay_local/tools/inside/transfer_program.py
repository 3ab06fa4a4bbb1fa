"""Transfer one file between a session and a URL, inside the session and in its network.

Standard input is a JSON object with ``verb``, ``url`` and ``path``. An error goes to standard
error, without the URL, which may hold a signature.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from http.client import HTTPException
from shutil import copyfileobj
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

TIMEOUT = 60.0
FAILED, UNREACHABLE = 1, 3


def main() -> int:
    """Transfer the file and return the exit code."""
    task = json.load(sys.stdin)
    transfer = upload if task["verb"] == "upload" else download
    try:
        transfer(task["url"], task["path"])
    except HTTPError as error:
        return report(f"the server answered {error.code} {error.reason}")
    except URLError as error:
        return report(f"the server cannot be reached: {error.reason}", UNREACHABLE)
    except (OSError, HTTPException) as error:
        return report(str(error) or type(error).__name__)
    return 0


def upload(url: str, path: str) -> None:
    """Send a file with PUT."""
    with open(path, "rb", opener=open_regular) as file:
        size = os.fstat(file.fileno()).st_size
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        request = Request(url, data=file, headers=headers, method="PUT")  # noqa: S310  # checked
        with urlopen(request, timeout=TIMEOUT):  # noqa: S310  # http or https, which the tool checks
            return


def open_regular(path: str, flags: int) -> int:
    """Open a regular file; opening a FIFO would wait for a writer."""
    fd = os.open(path, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return fd


def download(url: str, path: str) -> None:
    """Download a file, and rename it into place when it is complete."""
    part = f"{path}.part-{os.getpid()}"
    with urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310  # as above
        make_parents(path)
        try:
            with open(part, "wb") as file:
                copyfileobj(answer, file)
                expected = answer.headers.get("Content-Length")
                if expected is not None and file.tell() != int(expected):
                    raise OSError(f"it ended after {file.tell()} of {expected} bytes")
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise


def make_parents(path: str) -> None:
    """Make the directories above a file, unless they exist."""
    directory = os.path.dirname(path) or "."
    try:
        os.makedirs(directory, exist_ok=True)
    except FileExistsError:
        raise OSError(errno.ENOTDIR, "not a directory", directory) from None


def report(reason: str, code: int = FAILED) -> int:
    """Write an error and return the exit code."""
    sys.stderr.write(reason)
    return code


if __name__ == "__main__":
    sys.exit(main())
