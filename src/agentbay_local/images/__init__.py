"""Images of sessions: what a session has beside the machine's own system.

`image` is the value, `recipes` has the images that this project knows by name, `image_store` those
that were made on this machine, and `catalog` finds the image of a session among all of them.
"""

from __future__ import annotations

from agentbay_local.images.catalog import Images
from agentbay_local.images.image import Image, parse_image
from agentbay_local.images.image_store import ImageStore

__all__ = ["Image", "ImageStore", "Images", "parse_image"]
