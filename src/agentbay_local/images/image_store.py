"""The images that were made on this machine: a directory of the user.

    NAME.json    one for each image, replaced atomically
    layers/      their layers; other layers of an image may lie elsewhere
    archives/    layers of `Image` that are archives, unpacked, and where each came from
    staging/     layers that are being made; the next command removes what an interrupted one leaves

A lock on a directory says that it is in use: of a layer shared, by services that have it in
sessions, and of a staging directory exclusive, by the command that fills it. The kernel releases
the locks of a process that is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from agentbay_async._paths import data_dir
from agentbay_local.images.image import Image, check_name
from agentbay_local.sandbox.host.removal import remove_tree_now
from agentbay_local.sandbox.values import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["DIRECTORY_VARIABLE", "ImageStore"]

DIRECTORY_VARIABLE = "AGENTBAY_IMAGES"
_MAX_BYTES = 64 * 1024 * 1024
_TRIES = 3
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class ImageStore:
    """The images that were made on this machine.

    Args:
        directory: Where they are; it is created with the first of them.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._held: dict[Path, int] = {}

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> ImageStore:
        """Return the images of the user: in ``AGENTBAY_IMAGES``, or the directory of user data.

        Raises:
            ConfigurationError: The home directory of the user is unknown.
        """
        named = environ.get(DIRECTORY_VARIABLE)
        return cls(Path(named).absolute() if named else data_dir(environ) / "images")

    def names(self) -> list[str]:
        """Return the names of the images, sorted."""
        return sorted(file.stem for file in self.directory.glob("*.json"))

    def get(self, name: str) -> Image | None:
        """Return an image, or None if there is none with that name.

        Raises:
            ValueError: Its manifest or its layers are damaged.
        """
        manifest = self.manifest(name)
        return None if manifest is None else self._image(name, manifest)

    def hold(self, name: str) -> Image | None:
        """As `get`, and keep its layers from being removed until `release`."""
        for _ in range(_TRIES):
            image = self.get(name)
            if image is None or all(self._lock(layer) for layer in image.layers):
                return image
            # It was replaced since its manifest was read.
        raise ValueError(f"{name} is being replaced; try again")

    def unpacked(self, archive: Path) -> Path:
        """Return a layer with what an archive holds, and keep it until `release`.

        The archive is unpacked once, and again when it has changed.

        Raises:
            ValueError: It is damaged, hostile, too large or no root file system.
            OSError: It cannot be read, or there is no room.
        """
        layer = self.directory / "archives" / _key_of(archive)
        for _ in range(_TRIES):
            if self._lock(layer):
                return layer
            self._unpack(archive, layer)
        raise ValueError(f"{archive} is being replaced; try again")

    def _unpack(self, archive: Path, layer: Path) -> None:
        # Services without such an image never load these modules.
        from agentbay_local.images.rootfs_archive import unpack_root
        from agentbay_local.images.unpack import ArchiveError, Budget, Unpacker

        with self.staging() as place:
            fresh = place / "layer"
            fresh.mkdir()
            # Sessions of a service that is root read it, whatever the umask is.
            fresh.chmod(0o755)
            unpack_root(archive, Unpacker(fresh, Budget()))
            if not (fresh / "usr").is_dir():
                raise ArchiveError(f"{archive} has no usr, so it cannot be a layer")
            with self._alone():
                layer.parent.mkdir(exist_ok=True)
                _source_of(layer).write_text(str(archive), "utf-8")
                if not layer.exists():  # another service may have been faster
                    fresh.rename(layer)

    def release(self) -> None:
        """Allow the layers to be removed that `hold` has kept."""
        while self._held:
            os.close(self._held.popitem()[1])

    def manifest(self, name: str) -> dict[str, Any] | None:
        """Return what is on record of an image, or None if there is none with that name.

        Raises:
            ValueError: It is damaged.
        """
        try:
            # The name may come from a client; it must not lead elsewhere.
            file = self.directory / f"{check_name(name)}.json"
            with file.open("rb") as opened:
                content = opened.read(_MAX_BYTES)
        except (FileNotFoundError, ValueError):
            return None
        try:
            values = json.loads(content)
        except ValueError as error:
            raise ValueError(f"{file} is damaged ({error}); make the image again") from error
        if not isinstance(values, dict):
            raise ValueError(f"{file} is damaged; make the image again")
        return values

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """Make a directory in which a layer can be made; it is removed at the end of the block."""
        place = self.directory / "staging"
        place.mkdir(parents=True, exist_ok=True)
        # Alone, or another command could sweep the new directory before it is locked.
        with self._alone():
            for left in place.iterdir():
                _remove_unlocked(left)
            directory = place / secrets.token_hex(8)
            directory.mkdir()
            lock = os.open(directory, _DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield directory
        finally:
            remove_tree_now(directory)
            os.close(lock)

    def publish(self, image: Image, made: Path | None, record: Mapping[str, Any]) -> Image:
        """Put an image into the store, in place of one with the same name.

        Args:
            image: The image, without the layer that was made.
            made: A layer in a directory of `staging`, which becomes the highest; None for none.
            record: What else to keep of the image: packages, their hashes, the date.

        Returns:
            The image with all its layers.
        """
        layers = list(image.layers)
        self.directory.mkdir(parents=True, exist_ok=True)
        if made is not None:
            os.sync()  # the manifest must not outlive a crash without the layer
        with self._alone():
            if made is not None:
                place = self.directory / "layers"
                place.mkdir(exist_ok=True)
                layers.append(place / f"{image.name}-{secrets.token_hex(8)}")
                made.rename(layers[-1])
            image = attrs.evolve(image, layers=layers).check_layers()
            self._write(image, record)
            self._remove_unused()
        return image

    def remove(self, name: str) -> bool:
        """Remove an image, and all layers that neither another image nor a service has.

        That includes unpacked archives. Layers that a service has are removed later.

        Returns:
            Whether there was one.
        """
        file = self.directory / f"{check_name(name)}.json"
        if not file.exists():
            return False
        with self._alone():
            file.unlink(missing_ok=True)
            self._remove_unused(cached=True)
        return True

    def _write(self, image: Image, record: Mapping[str, Any]) -> None:
        fresh = self.directory / f".{image.name}.{secrets.token_hex(8)}"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({**self._described(image), **record}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.directory / f"{image.name}.json")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one command at a time change the store."""
        lock = os.open(self.directory, _DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _image(self, name: str, manifest: Mapping[str, Any]) -> Image:
        try:
            image = Image(
                name,
                layers=[self.directory / layer for layer in manifest["layers"]],
                features=manifest["features"],
                limits=Limits(**manifest["limits"]),
                services=manifest.get("services", ()),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{name}.json is damaged ({error}); make the image again") from error
        return image.check_layers()

    def _described(self, image: Image) -> dict[str, Any]:
        limits = {
            field.name: getattr(image.limits, field.name)
            for field in attrs.fields(Limits)
            if getattr(image.limits, field.name) != field.default
        }
        own = self.directory / "layers"
        layers = [
            str(layer.relative_to(self.directory) if layer.is_relative_to(own) else layer)
            for layer in image.layers
        ]
        return {
            "layers": layers,
            "features": sorted(image.features),
            "limits": limits,
            "services": list(image.services),
        }

    def _lock(self, layer: Path) -> bool:
        """Keep a layer; return whether it is still there."""
        if layer in self._held:
            return True
        try:
            lock = os.open(layer, _DIRECTORY)
        except FileNotFoundError:
            return False
        if not _try_lock(lock, fcntl.LOCK_SH) or not (layer / "usr").is_dir():
            os.close(lock)
            return False
        self._held[layer] = lock
        return True

    def _remove_unused(self, *, cached: bool = False) -> None:
        """Remove the layers that no image names and no service has in use.

        Args:
            cached: Whether this includes unpacked archives that the next service may use again.
        """
        named = {
            self.directory / str(layer)
            for name in self.names()
            for layer in (self.manifest(name) or {}).get("layers", ())
        }
        for layer in set((self.directory / "layers").glob("*")) - named:
            _remove_unlocked(layer)
        unpacked = {file.with_suffix("") for file in (self.directory / "archives").glob("*")}
        for layer in unpacked - named:
            if (cached or not _is_of_its_source(layer)) and _remove_unlocked(layer):
                _source_of(layer).unlink(missing_ok=True)


_SOURCE = ".source"


def _key_of(archive: Path) -> str:
    """Return a name that another archive, or a changed one, does not have."""
    found = archive.stat()
    facts = (str(archive), found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()


def _source_of(layer: Path) -> Path:
    return layer.with_name(f"{layer.name}{_SOURCE}")


def _is_of_its_source(layer: Path) -> bool:
    try:
        return _key_of(Path(_source_of(layer).read_text("utf-8"))) == layer.name
    except OSError:  # the archive is gone
        return False


def _remove_unlocked(directory: Path) -> bool:
    """Remove a directory unless a process has a lock on it; return whether it is gone."""
    try:
        lock = os.open(directory, _DIRECTORY)
    except FileNotFoundError:
        return True
    try:
        unlocked = _try_lock(lock, fcntl.LOCK_EX)
        if unlocked:
            remove_tree_now(directory)
        return unlocked
    finally:
        os.close(lock)


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
