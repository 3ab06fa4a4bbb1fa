"""`Images`: find the image that a client names, or say how to make it ready."""

from __future__ import annotations

import logging
import os
import shlex
import time
from typing import TYPE_CHECKING

import attrs

from agentbay_async._protocol.byte_calls import TAKES_BYTES
from agentbay_async._protocol.codec import compact_json
from agentbay_async._protocol.schema import Tool
from agentbay_local.images.image import Image
from agentbay_local.images.recipes import ALIASES, PLAIN, RECIPES, REFUSED
from agentbay_local.protocol.errors import ApiError, invalid
from agentbay_local.sandbox.values import Isolation
from agentbay_local.tools.schemas import FEATURES, TAKE_BYTES, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentbay_local.images.image_store import ImageStore

__all__ = ["Images", "ToolSet", "build_command", "tool_not_offered"]

_log = logging.getLogger(__name__)

_DEFAULT = PLAIN[0]
_SETTLED_AFTER = 2 * 10**9


def build_command(name: str) -> str:
    """Return the command that makes an image ready."""
    return f"agentbay image build {shlex.quote(name)}"


class Images:
    """The images of a service: those that it was given, those of this machine, and the plain ones.

    Args:
        given: Images that come first.
        store: The images that were made on this machine; None for none.
        isolation: The level of the sessions; only namespaces can have layers.

    Attributes:
        tools: The tools of each image, by its name; of an image that is gone, the basic ones.

    Raises:
        ValueError: Two of the given images have the same name, a layer cannot be used, or the level
            cannot have layers.
    """

    def __init__(
        self,
        given: Iterable[Image] = (),
        store: ImageStore | None = None,
        isolation: Isolation = Isolation.NAMESPACES,
    ) -> None:
        self._given: dict[str, Image] = {}
        self._isolation = isolation
        self._store = store if isolation is Isolation.NAMESPACES else None
        self._state: int | None = None
        self._found: dict[str, Image] = {}
        self.tools: Mapping[str, ToolSet] = _ToolSets(self)
        for image in given:
            if image.name in self._given:
                raise ValueError(f"images has {image.name!r} twice; give each image another name")
            if image.layers and isolation is not Isolation.NAMESPACES:
                raise ValueError(
                    f"images: {image.name!r} has layers, which need isolation 'namespaces'; "
                    f"{isolation.value!r} cannot lay them over the system"
                )
            self._given[image.name] = self._with_directories(image.check_layers())

    def _with_directories(self, image: Image) -> Image:
        """Return an image whose layers that are archives are unpacked."""
        archives = [layer for layer in image.layers if layer.is_file()]
        if not archives:
            return image
        if self._store is None:
            raise ValueError(f"layers: {archives[0]} needs a directory to be unpacked into")
        try:
            layers = [
                self._store.unpacked(layer) if layer in archives else layer
                for layer in image.layers
            ]
        except OSError as error:
            raise ValueError(f"layers: {archives[0]} cannot be unpacked: {error}") from error
        return attrs.evolve(image, layers=layers).check_layers()

    def offered(self, name: str | None) -> Image:
        """Return an image, or the default one for None.

        Raises:
            ApiError: It is not ready, or there is no such image; the message says what to do.
        """
        wanted = name or _DEFAULT
        if self._store is not None:
            try:
                changed = os.stat(self._store.directory).st_mtime_ns
            except OSError:
                changed = 0
            if changed != self._state:
                self._forget(changed)
        found = self._found.get(wanted)
        return self._look_up(wanted) if found is None else found

    def release(self) -> None:
        """Allow the layers that sessions had to be removed, because all sessions have ended."""
        self._state = None
        self._found.clear()
        if self._store is not None:
            self._store.release()

    def _forget(self, changed: int) -> None:
        """Look everything up again, because an image was made or removed."""
        # The clock of file systems is coarse: another change may follow at the same time.
        settled = time.time_ns() - changed > _SETTLED_AFTER
        self._state = changed if settled else None
        self._found.clear()
        self.tools = _ToolSets(self)

    def _look_up(self, name: str) -> Image:
        try:
            image = self._find(name)
        except (ValueError, OSError) as error:
            _log.warning("image %s cannot be used: %s", name, error)
            raise invalid(
                "ImageId",
                f"{name!r} is damaged, as the log of the service says: make it again, or run "
                f"`agentbay image remove {shlex.quote(name)}`.",
            ) from error
        if image is None:
            raise self._not_offered(name)
        self._found[name] = image
        return image

    def _find(self, name: str) -> Image | None:
        own = ALIASES.get(name, name)
        image = self._given.get(name) or self._given.get(own)
        if image is None and self._store is not None and name not in REFUSED:
            image = self._store.hold(own)
        if image is None and own in PLAIN:
            return Image(own)
        return image

    def _not_offered(self, name: str) -> ApiError:
        if name in REFUSED:
            return invalid("ImageId", f"{name!r} is not offered here: {REFUSED[name]}.")
        if name in RECIPES and self._isolation is not Isolation.NAMESPACES:
            return invalid(
                "ImageId",
                f"{name!r} is not offered at isolation {self._isolation.value!r}, which cannot lay "
                f"its layers over the system: start the service with isolation 'namespaces'.",
            )
        if name in RECIPES:
            return invalid(
                "ImageId", f"{name!r} is not ready on this machine: run `{build_command(name)}`."
            )
        made = self._store.names() if self._store else []
        more = sorted({*self._given, *made} - {*PLAIN})
        *others, last = (*PLAIN, *more)
        ready = f"{', '.join(others)} and {last}"
        return invalid(
            "ImageId",
            f"{name!r:.100} is not offered by the local service, which has {ready}: use one of "
            f"these, or make an image of that name with `agentbay image build NAME --apt PACKAGE` "
            f"or `agentbay image import DIR`.",
        )


class ToolSet(dict[str, Tool]):
    """The tools of an image, by name.

    Attributes:
        short_list: Their JSON text, in the short form that sessions carry.
    """

    def __init__(self, image: Image) -> None:
        super().__init__(
            {name: tool for name, tool in TOOLS.items() if FEATURES[name] in image.features}
        )
        self.short_list = compact_json(
            [
                {"name": name, "server": tool.server}
                | ({TAKES_BYTES: True} if name in TAKE_BYTES else {})
                for name, tool in self.items()
            ]
        )


class _ToolSets(dict[str, ToolSet]):
    """Makes the tools of an image when they are first looked up; each call looks them up."""

    def __init__(self, images: Images) -> None:
        super().__init__()
        self._images = images

    def __missing__(self, name: str) -> ToolSet:
        try:
            found = self[name] = ToolSet(self._images.offered(name))
        except ApiError:  # not kept: it may be ready again tomorrow
            return ToolSet(Image(_DEFAULT))
        return found


def tool_not_offered(image: str, name: str) -> str:
    """Return the error message for a tool that an image does not have.

    Args:
        image: The name of the image.
        name: The name of the tool.
    """
    text = f"Tool {name!r:.100} is not offered by image {image!r} here"
    if name.startswith("oss_"):
        return f"{text}: it needs Alibaba Cloud; oss_upload_annon takes a signed URL of any store."
    feature = FEATURES.get(name)
    ready = [name for name, recipe in RECIPES.items() if feature in recipe.features]
    if feature is not None and ready:
        return (
            f"{text}, which has no {feature}: run `{build_command(ready[0])}`, and create sessions "
            f"with image_id={ready[0]!r}, or use the cloud service."
        )
    if feature is not None:
        return f"{text}, which has no {feature}: take an image that has it."
    return (
        f"{text}: phones and agents need the cloud service; ListMcpTools lists the tools of the "
        "local one."
    )
