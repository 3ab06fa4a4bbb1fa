"""`Image`: a name, layers over the machine's system, features, limits and services."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.images.recipes import BASIC, RECIPES, REFUSED
from agentbay_local.sandbox.values import Limits
from agentbay_local.tools.schemas import Feature  # noqa: TC001 - attrs resolves it at run time

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Image", "check_name", "parse_image"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FEATURES: frozenset[str] = frozenset({"shell", "code", "browser", "desktop"})
# On a merged system these are links into /usr; a directory in a layer would be in nobody's way.
_BELONG_TO_USR = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")


def check_name(name: str) -> str:
    """Return the name of an image.

    Raises:
        ValueError: It is not one, or belongs to an image that cannot exist here.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name must be up to 100 letters, digits, '.', '_' and '-', not {name!r:.120}"
        )
    if name in REFUSED:
        raise ValueError(f"name {name!r} is taken: {REFUSED[name]}; choose another one")
    return name


def _check_name(_: Image, __: object, value: str) -> None:
    check_name(value)


def _paths(layers: Iterable[str | Path]) -> tuple[Path, ...]:
    if isinstance(layers, (str, Path)):
        raise ValueError(f"layers must be a list of directories, not {layers!r:.200}")
    return tuple(Path(layer).absolute() for layer in layers)


def _feature_set(features: Iterable[Feature]) -> frozenset[Feature]:
    return frozenset(features)


def _check_features(_: Image, __: object, value: frozenset[str]) -> None:
    unknown = sorted(value - _FEATURES)
    if unknown:
        raise ValueError(
            f"features must be of {', '.join(sorted(_FEATURES))}, not {', '.join(unknown)!r:.100}"
        )


def _service_lines(services: Iterable[str]) -> tuple[str, ...]:
    if isinstance(services, str):
        raise ValueError(f"services must be a list of command lines, not {services!r:.200}")
    return tuple(services)


def _check_services(_: Image, __: object, value: tuple[object, ...]) -> None:
    for line in value:
        if not isinstance(line, str) or not line.strip() or "\0" in line:
            raise ValueError(f"services must be command lines for sh, not {line!r:.200}")


def _features(image: Image) -> frozenset[Feature]:
    recipe = RECIPES.get(image.name)
    return recipe.features if recipe and image.layers else BASIC


def _limits(image: Image) -> Limits:
    recipe = RECIPES.get(image.name)
    return recipe.limits if recipe and image.layers else Limits()


@attrs.frozen
class Image:
    """An image of sessions.

    Attributes:
        name: The name that clients give as ``image_id``.
        layers: Directories that its sessions see over the machine's own system, the lowest first.
            Each has ``usr``, and where its programs need them ``etc``, ``opt`` and ``var``. They
            are read-only. A tar archive of such a directory, or an OCI layout as one, is unpacked
            by the first service that has the image.
        features: What it offers, of ``"shell"``, ``"code"``, ``"browser"`` and ``"desktop"``. By
            default what the recipe of its name offers, else shell and code.
        limits: What its programs need. It replaces those limits of the service that are the
            defaults, where it is larger. By default that of the recipe of its name, if any.
        services: Command lines for ``sh`` that start with each session, before its first command,
            in its home directory. Their output is there in ``.service-1.log`` and so on. One that
            ends is not started again.

    Raises:
        ValueError: The name, the layers, the features or the services are invalid.

    Example:
        >>> Image("tools", layers=["/opt/layers/tools"]).layers
        (PosixPath('/opt/layers/tools'),)
    """

    name: str = attrs.field(validator=_check_name)
    layers: tuple[Path, ...] = attrs.field(default=(), converter=_paths)
    features: frozenset[Feature] = attrs.field(
        default=attrs.Factory(_features, takes_self=True),
        converter=_feature_set,
        validator=_check_features,
    )
    limits: Limits = attrs.field(default=attrs.Factory(_limits, takes_self=True))
    services: tuple[str, ...] = attrs.field(
        default=(), converter=_service_lines, validator=_check_services
    )

    def check_layers(self) -> Image:
        """Return the image if its layers are there.

        Raises:
            ValueError: A layer is not a directory that can be laid over the system.
        """
        for layer in self.layers:
            if layer.is_file():
                continue  # an archive, which says more when it is unpacked
            if not (layer / "usr").is_dir() or (layer / "usr").is_symlink():
                raise ValueError(f"layers: {layer} must be a directory that has a directory usr")
            beside = [name for name in _BELONG_TO_USR if (layer / name).is_dir()]
            unmerged = [name for name in beside if not (layer / name).is_symlink()]
            if unmerged:
                raise ValueError(
                    f"layers: {layer} has {unmerged[0]} beside usr, where programs do not look for "
                    f"it: move its content into usr/{unmerged[0]}"
                )
        return self

    def limits_over(self, limits: Limits) -> Limits:
        """Return the limits of a session, from those of its service.

        Example:
            >>> image = Image("wide", limits=Limits(processes=1024))
            >>> (
            ...     image.limits_over(Limits()).processes,
            ...     image.limits_over(Limits(processes=9)).processes,
            ... )
            (1024, 9)
        """
        larger: dict[str, Any] = {}
        for field in attrs.fields(Limits):
            own, given = getattr(self.limits, field.name), getattr(limits, field.name)
            if given == field.default and given is not None and (own is None or own > given):
                larger[field.name] = own
        return attrs.evolve(limits, **larger) if larger else limits


def parse_image(text: str) -> Image:
    """Return an image from ``NAME=DIR``, where the directory is its layer.

    Raises:
        ValueError: It is something else, or the directory cannot be a layer.

    Example:
        >>> parse_image("tools=/")
        Traceback (most recent call last):
        ...
        ValueError: image: '/' cannot be a layer, because it is the machine's own system
    """
    name, equals, directory = text.partition("=")
    if not equals or not directory:
        raise ValueError(f"image must be NAME=DIR, not {text!r:.200}")
    if Path(directory).absolute() == Path("/"):
        raise ValueError("image: '/' cannot be a layer, because it is the machine's own system")
    return Image(name, layers=(Path(directory),)).check_layers()
