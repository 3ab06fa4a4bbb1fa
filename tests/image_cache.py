"""The images that tests use: `./run test` makes them, and keeps them from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentbay_local.images import Image, ImageStore
from agentbay_local.images.apt import apt_is_there

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
