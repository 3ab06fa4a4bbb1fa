"""The images that were made on this machine: a directory of the user, one entry for each.

An entry is a manifest, which is replaced atomically. Its layers are directories below `layers`, or
elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_async._paths import data_dir
from agentbay_local.images.image import Image, check_name
from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIRECTORY_VARIABLE", "ImageStore"]

DIRECTORY_VARIABLE = "AGENTBAY_IMAGES"
_MAX_BYTES = 16 * 1024 * 1024


class ImageStore:
    """The images that were made on this machine.

    Args:
        directory: Where they are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> ImageStore:
        """Return the images of the user: in ``AGENTBAY_IMAGES``, or the directory of user data.

        Raises:
            ConfigurationError: The home directory of the user is unknown.
        """
        named = environ.get(DIRECTORY_VARIABLE)
        return cls(Path(named).absolute() if named else data_dir(environ) / "images")

    def get(self, name: str) -> Image | None:
        """Return an image, or None if there is none with that name.

        Raises:
            ValueError: The name is invalid, or its manifest or its layers are damaged.
        """
        # The name may come from a client; it must not lead elsewhere.
        try:
            file = self.directory / f"{check_name(name)}.json"
            with file.open("rb") as opened:
                content = opened.read(_MAX_BYTES)
        except (FileNotFoundError, ValueError):
            return None
        try:
            values: dict[str, Any] = json.loads(content)
            image = Image(
                name,
                layers=[self.directory / layer for layer in values["layers"]],
                features=values["features"],
                limits=Limits(**values["limits"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{file} is damaged ({error}); make the image again") from error
        return image.check_layers()
