"""Make an image: fetch packages, or read a root file system, and unpack them into a layer."""

from __future__ import annotations

import datetime
import io
import os
import shlex
import tarfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_local.images import pip
from agentbay_local.images.alternatives import links_of_alternatives
from agentbay_local.images.apt import (
    Apt,
    AptError,
    Package,
    installed_packages,
    maintainer_script,
    open_content,
)
from agentbay_local.images.image import Image
from agentbay_local.images.post_install import make_caches
from agentbay_local.images.recipes import BASIC, PROGRAMS, WIDE
from agentbay_local.images.rootfs_archive import unpack_root
from agentbay_local.images.unpack import ArchiveError, Budget, Unpacker
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.off_loop import run_off_loop
from agentbay_local.sandbox.probe import probe
from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from agentbay_local.images.image_store import ImageStore
    from agentbay_local.tools.schemas import Feature

__all__ = ["Build", "add_image", "build_image", "import_image"]

_RECORDED = ("name", "version", "architecture", "sha256")


@attrs.frozen
class Build:
    """What an image is made of.

    Attributes:
        name: The name of the image.
        apt: Debian packages.
        pip: Python packages.
        base: The image below it; None for the system of the machine alone.
        services: What its sessions start, after the services of the image below.
    """

    name: str
    apt: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    base: Image | None = None
    services: tuple[str, ...] = ()

    @property
    def wanted(self) -> dict[str, Any]:
        """What was asked for, and what the answer depends on, as it is kept on record."""
        services = [*(self.base.services if self.base else ()), *self.services]
        return {
            "apt": [*self.apt],
            "pip": [*self.pip],
            "below": [str(layer) for layer in self.base.layers] if self.base else [],
            # Records of images without services have no such entry.
            **({"services": services} if services else {}),
            "system": installed_packages() if self.apt else "",
            "python": pip.python_version() if self.pip else "",
        }


async def build_image(store: ImageStore, build: Build, say: Callable[[str], None]) -> Image:
    """Make an image of packages, and put it into the store.

    Args:
        store: Where it goes.
        build: What it is made of.
        say: Is told of each step, in a sentence.

    Raises:
        AptError: apt cannot provide the packages.
        PipError: pip cannot provide the packages.
        ArchiveError: A package is damaged.
        SandboxError: Sessions do not start with the layer.
        ValueError: A name is invalid.
    """
    await _check_machine()
    layers_below = build.base.layers if build.base else ()
    with store.staging() as directory:
        layer = _new_layer(directory)
        unpacker = Unpacker(layer, Budget())
        below = _packages_below(store, layers_below)
        packages = await run_off_loop(partial(_fetch, build.apt, directory, below, say))
        await run_off_loop(partial(_unpack_packages, packages, unpacker, say))
        python = await run_off_loop(partial(_install_python, build.pip, directory, unpacker, say))
        await _finish_layer([*layers_below, layer], directory, unpacker, say)
        record = {
            "made": _now(),
            "wanted": build.wanted,
            "apt": [{name: getattr(one, name) for name in _RECORDED} for one in packages],
            "pip": python,
            "stanzas": [*below, *(one.stanza for one in packages)],
        }
        image = _image(build.name, build.base, layer, services=build.services)
        return store.publish(image, layer, record)


async def import_image(
    store: ImageStore,
    name: str,
    source: Path,
    say: Callable[[str], None],
    services: Sequence[str] = (),
) -> Image:
    """Make an image of a root file system, and put it into the store.

    Args:
        store: Where it goes.
        name: The name of the image.
        source: An OCI layout, as a directory or a tar archive, or a tar archive of all files.
        say: Is told of each step, in a sentence.
        services: What its sessions start.

    Raises:
        ArchiveError: It is damaged, hostile, too large or of another kind.
        OSError: It cannot be read.
        SandboxError: The programs of this machine do not run with it.
    """
    await _check_machine()
    with store.staging() as directory:
        layer = _new_layer(directory)
        unpacker = Unpacker(layer, Budget())
        say(f"unpacking {source}")
        await run_off_loop(partial(unpack_root, source, unpacker))
        if not (layer / "usr").is_dir() or not any((layer / "usr").iterdir()):
            raise ArchiveError(f"{source} has no usr, so it is not a root file system")
        await _finish_layer([layer], directory, unpacker, say)
        record = {"made": _now(), "source": source.name}
        return store.publish(_image(name, None, layer, services=services), layer, record)


def add_image(
    store: ImageStore, name: str, layers: Sequence[Path], services: Sequence[str] = ()
) -> Image:
    """Put directories that are layers into the store, where they are.

    Raises:
        ValueError: The name or a service is invalid, or a directory cannot be a layer.
    """
    for file in (layer for layer in layers if layer.is_file()):
        raise ValueError(
            f"layers: {file} is a file: give a directory, or make an image of the file with "
            f"`agentbay image import {shlex.quote(str(file))} --name {name}`"
        )
    found = _image(name, None, *layers, services=services)
    image = attrs.evolve(found, layers=layers).check_layers()
    return store.publish(image, None, {"made": _now()})


async def _check_machine() -> None:
    """Fail before anything is fetched if sessions of this machine cannot have layers.

    Raises:
        IsolationUnavailable: They cannot; the error has the cure.
    """
    (await probe()).require()
    programs.find_bubblewrap(programs.OVERLAYS_SINCE)


def _image(name: str, base: Image | None, *made: Path, services: Sequence[str] = ()) -> Image:
    """Return an image without the layer that was made, but with what it offers by that layer."""
    below = base.layers if base else ()
    features = (base.features if base else BASIC) | _found_features([*below, *made])
    limits = base.limits if base else Limits()
    if features - BASIC:
        limits = Image("wide", limits=WIDE).limits_over(limits)
    services = [*(base.services if base else ()), *services]
    return Image(name, layers=below, features=features, limits=limits, services=services)


def _found_features(layers: Sequence[Path]) -> frozenset[Feature]:
    """Return the features whose programs are in layers or on this machine."""
    places = [place / "usr/bin" for place in (*layers, Path("/"))]
    return frozenset(
        feature
        for feature, programs_of_it in PROGRAMS.items()
        if any(os.path.lexists(layer / "usr/bin" / programs_of_it[0]) for layer in layers)
        and all(any(os.path.lexists(at / one) for at in places) for one in programs_of_it)
    )


def _new_layer(directory: Path) -> Path:
    layer = directory / "layer"
    for path in (layer, layer / "usr"):
        path.mkdir()
        path.chmod(0o755)  # whatever the umask says: sessions of a service that is root read it
    return layer


def _packages_below(store: ImageStore, below: Sequence[Path]) -> list[str]:
    """Return the stanzas of the packages in the layers below."""
    stanzas: list[str] = []
    for name in store.names():
        manifest = store.manifest(name) or {}
        layers = tuple(store.directory / str(layer) for layer in manifest.get("layers", ()))
        if layers and layers == tuple(below):
            stanzas = [str(one) for one in manifest.get("stanzas", ())]
    return stanzas


def _fetch(
    names: Sequence[str], directory: Path, below: Iterable[str], say: Callable[[str], None]
) -> list[Package]:
    if not names:
        return []
    say(f"finding and fetching {', '.join(names)}, and what they need")
    own = directory / "apt"
    own.mkdir()
    return Apt(own, below).fetch(names)


def _unpack_packages(
    packages: Sequence[Package], unpacker: Unpacker, say: Callable[[str], None]
) -> None:
    if packages:
        say(f"unpacking {len(packages)} packages")
    for package in packages:
        with open_content(package.archive) as content:
            if content.stdout is None:
                raise AptError("dpkg-deb has no output")
            try:
                unpacker.unpack(content.stdout)
            except BaseException:
                content.kill()
                raise
            # A program that fails writes an archive that looks whole.
            content.stdout.read()
            if content.wait():
                raise AptError(f"dpkg-deb cannot read {package.archive.name}")
    links = links_of_alternatives(maintainer_script(one.archive, "postinst") for one in packages)
    unpacker.unpack(_archive_of_links(links))


def _archive_of_links(links: Mapping[str, str]) -> io.BytesIO:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for link, target in links.items():
            member = tarfile.TarInfo(link.lstrip("/"))
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    archive.seek(0)
    return archive


def _install_python(
    names: Sequence[str], directory: Path, unpacker: Unpacker, say: Callable[[str], None]
) -> list[dict[str, str]]:
    if not names:
        return []
    say(f"fetching {', '.join(names)} with pip")
    root = directory / "pip"
    root.mkdir()
    installed = pip.install_packages(names, root)
    archive = directory / "pip.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(root / "usr", "usr")
    with archive.open("rb") as file:
        unpacker.unpack(file)
    return installed


async def _finish_layer(
    layers: Sequence[Path], directory: Path, unpacker: Unpacker, say: Callable[[str], None]
) -> None:
    say("starting a session with the layer, to make its caches")
    caches, complaints = await make_caches(layers, directory)
    await run_off_loop(partial(unpacker.unpack, caches))
    for line in complaints[:20]:
        say(f"  {line:.200}")


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
