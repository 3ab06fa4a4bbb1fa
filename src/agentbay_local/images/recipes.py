"""The images that have a name of their own: features, packages and limits of each."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs

from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentbay_local.tools.schemas import Feature

__all__ = ["ALIASES", "BASIC", "PLAIN", "PROGRAMS", "RECIPES", "REFUSED", "WIDE", "Recipe"]

BASIC: frozenset[Feature] = frozenset({"shell", "code"})
"""The features that every image has, because the machine itself provides them."""

PLAIN = ("linux_latest", "code_latest")
"""The images that are always ready: the system of the machine, without layers."""

ALIASES: Mapping[str, str] = MappingProxyType({"aio-ubuntu-2404": "linux_latest"})
"""Other names of images in the cloud."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "windows_latest": "its sessions need Windows, and those of the local service are Linux",
        "mobile_latest": "its sessions need Android, and those of the local service are Linux",
    }
)
"""The images of the cloud that cannot exist here, with the reason."""

_BROWSER = ("chromium", "fonts-liberation", "fonts-noto-core", "fonts-noto-color-emoji")
_GIB = 1024**3


@attrs.frozen
class Recipe:
    """How to make an image.

    Attributes:
        packages: The packages of its layer.
        features: What it offers.
        limits: What its programs need, where that is more than the defaults.
    """

    packages: tuple[str, ...]
    features: frozenset[Feature]
    limits: Limits


PROGRAMS: Mapping[Feature, tuple[str, ...]] = MappingProxyType(
    {"browser": ("chromium",), "desktop": ("Xvfb", "openbox", "scrot")}
)
"""The programs that an image with a feature has in /usr/bin."""

# A browser has a process for each site, and tens of threads in each.
WIDE = Limits(processes=1024, open_files=8192, shared_memory_bytes=_GIB // 2)
"""The limits of images with a browser or a desktop."""

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "browser_latest": Recipe(_BROWSER, BASIC | {"browser"}, WIDE),
        "linux_latest": Recipe(
            (
                *_BROWSER,
                "openbox",
                "pcmanfm",
                "scrot",
                "wmctrl",
                "x11vnc",
                "novnc",
                "xclip",
                "xdotool",
                "xterm",
                "xvfb",
            ),
            BASIC | {"browser", "desktop"},
            WIDE,
        ),
    }
)
"""The images that `agentbay image build NAME` makes without a list of packages."""
