"""Copy the content of a file, its holes as holes, and share its blocks if the file system can."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agentbay_local.trees.budget import Budget

__all__ = ["copy_content", "write_sparsely"]

_AT_ONCE = 1 << 26
_BUFFER = 1 << 20
_CANNOT_SHARE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


def copy_content(source: int, target: int, budget: Budget) -> int:
    """Copy a whole file to a new one, between descriptors.

    A file that grows meanwhile is copied up to the size that it had at first.

    Returns:
        The size of the copy, holes included.

    Raises:
        BudgetExceededError: Its content is larger than the budget allows.
    """
    size = os.fstat(source).st_size
    for start, end in _find_content(source, size):
        reached = _copy_range(source, target, start, end, budget)
        if reached < end:
            size = reached  # it was cut short meanwhile
            break
    os.ftruncate(target, size)
    return size


def write_sparsely(target: int, data: bytes, offset: int) -> None:
    """Write at an offset of a new file, except for zeros, which a hole holds at no cost.

    The caller sets the size of the file at the end.
    """
    if data.count(0) == len(data):
        return
    view = memoryview(data)
    while view:
        written = os.pwrite(target, view, offset)
        view, offset = view[written:], offset + written


def _find_content(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a file that are not holes."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = min(os.lseek(source, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # only a hole is left
            raise
        if start < end:
            yield start, end


def _copy_range(source: int, target: int, start: int, end: int, budget: Budget) -> int:
    """Copy a range; return its end, or where the source ends now."""
    budget.take_bytes(end - start)
    copy = _copy_in_kernel
    while start < end:
        budget.check_cancelled()
        size = min(end - start, _AT_ONCE)
        try:
            done = copy(source, target, start, size)
        except OSError as error:
            if copy is _copy_by_hand or error.errno not in _CANNOT_SHARE:
                raise
            copy = _copy_by_hand
            done = copy(source, target, start, size)
        if not done:
            return start
        start += done
    return start


def _copy_in_kernel(source: int, target: int, start: int, size: int) -> int:
    return os.copy_file_range(source, target, size, start, start)


def _copy_by_hand(source: int, target: int, start: int, size: int) -> int:
    data = os.pread(source, min(size, _BUFFER), start)
    write_sparsely(target, data, start)
    return len(data)
