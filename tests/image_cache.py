"""The images that tests use: `./run test` makes them, and keeps them from one run to the next."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ordinary_user import directory_of, is_reachable

from agentbay_local.images import Image, ImageStore
from agentbay_local.images.apt import apt_is_there

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Read now: while a test runs, it sees no variable of this project.
_MADE_FOR_THIS_RUN = os.environ.get("AGENTBAY_TEST_IMAGES")
_USUAL = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentbay-test-images"

#: For programs that tests start, by the variable ``AGENTBAY_IMAGES``.
STORE = ImageStore(Path(_MADE_FOR_THIS_RUN or _USUAL))


def ready_image(name: str) -> Image:
    """Return an image for `LocalService(images=...)`; skip the test where it is not ready."""
    # Held, because another run may make it again meanwhile.
    image = STORE.hold(name)
    if image is not None:
        return image
    reason = f"image {name} is not ready here: ./run test makes it"
    if _MADE_FOR_THIS_RUN and apt_is_there():
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def readable_by_all(layers: Sequence[Path]) -> Iterator[list[Path]]:
    """Give layers where every user can read them: links to their files, where root keeps them.

    A service of an ordinary user has its images in a directory of that user; this is the same for
    the images that root has made for the tests.
    """
    if all(is_reachable(layer) for layer in layers):
        yield list(layers)
        return
    with directory_of(0) as place:
        copies = [place / str(number) for number, _ in enumerate(layers)]
        for layer, copy in zip(layers, copies, strict=True):
            shutil.copytree(layer, copy, symlinks=True, copy_function=_link)
        yield copies


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
