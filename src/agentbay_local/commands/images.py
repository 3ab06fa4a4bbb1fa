"""``agentbay image``: show, make and remove the images of this machine."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_local.images.apt import AptError
from agentbay_local.images.catalog import build_command
from agentbay_local.images.image import Image, check_name
from agentbay_local.images.image_store import ImageStore
from agentbay_local.images.pip import PipError
from agentbay_local.images.recipes import PLAIN, RECIPES
from agentbay_local.sandbox.errors import IsolationUnavailable, SandboxError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator, Sequence

__all__ = ["describe_images", "main", "make_parser"]

_COMMANDS = {
    "list": "show the images, and the commands that make the others ready",
    "build": "make an image of packages, without installing them",
    "import": "make an image of a root file system",
    "add": "make an image of directories, which stay where they are",
    "remove": "remove an image",
}


def main(arguments: Sequence[str], *, owns_process: bool = False) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: The arguments after ``image``.
        owns_process: The process does nothing else, so that its signals end the command.
    """
    options = make_parser().parse_args(arguments)
    store = ImageStore.of_user(os.environ)
    try:
        if options.command == "list":
            return _list(store, as_json=options.json)
        if options.command == "remove":
            return _remove(store, options.name, as_json=options.json)
        if options.command == "add":
            from agentbay_local.images.build import add_image

            made = add_image(store, options.name, options.directories, options.services)
        else:
            work = _make(store, options)
            made = _interruptible(work) if owns_process else asyncio.run(work)
        return _tell(store, made, as_json=options.json)
    except IsolationUnavailable as error:
        sys.stderr.write(f"agentbay: {error.reason} To cure it: {error.remedy}\n")
    except (AptError, PipError, SandboxError) as error:
        sys.stderr.write(f"agentbay: {error}\n")
    return 2


async def _make(store: ImageStore, options: argparse.Namespace) -> Image:
    """Build or import an image. What takes long to import is imported here."""
    from agentbay_local.images.build import Build, build_image, import_image

    if options.command == "import":
        name = options.name or options.source.name.partition(".")[0]
        name = check_name(name)
        return await import_image(store, name, options.source, _say, options.services)
    build: Build = _build(store, options, Build)
    ready = store.get(build.name) if options.if_needed else None
    if ready is not None and (store.manifest(build.name) or {}).get("wanted") == build.wanted:
        return ready
    return await build_image(store, build, _say)


def _build(store: ImageStore, options: argparse.Namespace, make: type[Any]) -> Any:
    recipe = RECIPES.get(check_name(options.name))
    apt, python = tuple(options.apt), tuple(options.pip)
    if not apt and not python:
        if recipe is None:
            raise ValueError(
                f"{options.name} has no list of packages of its own: name some with --apt or --pip"
            )
        apt = recipe.packages
    base = None if options.base in (None, *PLAIN) else store.get(options.base)
    if base is None and options.base not in (None, *PLAIN):
        raise ValueError(f"--from: there is no image {options.base!r}; agentbay image list")
    # An image that is built again must not lie over itself.
    base = None if base is not None and base.name == options.name else base
    return make(options.name, apt, python, base, tuple(options.services))


def _interruptible(work: Coroutine[Any, Any, Image]) -> Image:
    """Finish some work; a signal ends it in order, so that nothing is left of it."""

    async def run() -> Image:
        task = asyncio.ensure_future(work)
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _tell(store: ImageStore, image: Image, *, as_json: bool) -> int:
    text = f"{image.name} is ready: {', '.join(sorted(image.features))}."
    sys.stdout.write(f"{json.dumps(_row(store, image.name)) if as_json else text}\n")
    return 0


def _remove(store: ImageStore, name: str, *, as_json: bool) -> int:
    if not store.remove(name):
        raise ValueError(f"there is no image {name!r} that was made here; agentbay image list")
    text = f"{name} is removed."
    sys.stdout.write(f"{json.dumps({'name': name, 'removed': True}) if as_json else text}\n")
    return 0


def _list(store: ImageStore, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.writelines(f"{json.dumps(row)}\n" for row in _rows(store))
        return 0
    sys.stdout.writelines(f"{line}\n" for line in describe_images(store))
    return 0


def describe_images(store: ImageStore) -> Iterator[str]:
    """Yield a line for each image: whether it is ready, and the command for what it lacks."""
    for row in _rows(store):
        features = ", ".join(row["features"])
        more = f" To have {row['more']}: {row['command']}" if row["command"] else ""
        state = f"ready: {features}." if row["ready"] else "not ready."
        yield f"{row['name']}: {state}{more}"


def _rows(store: ImageStore) -> list[dict[str, Any]]:
    return [_row(store, name) for name in sorted({*PLAIN, *RECIPES, *store.names()})]


def _row(store: ImageStore, name: str) -> dict[str, Any]:
    """Describe an image: what it offers, when it was made, and the command for what it lacks."""
    try:
        manifest, image = store.manifest(name) or {}, store.get(name)
    except ValueError as error:
        return _lacking(name, [], f"it again ({error})")
    if image is None and name in PLAIN:
        image = Image(name)
    if image is None:
        return _lacking(name, [], "it")
    row = _lacking(name, sorted(image.features), "")
    packages = [f"{one['name']} {one['version']}" for one in manifest.get("apt", [])]
    packages += [f"{one['name']} {one['version']}" for one in manifest.get("pip", [])]
    lacks = sorted(RECIPES[name].features - image.features) if name in RECIPES else []
    more = f"a {' and a '.join(lacks)}" if lacks else ""
    return {
        **row,
        "layers": [str(layer) for layer in image.layers],
        "made": manifest.get("made", ""),
        "packages": packages,
        "services": list(image.services),
        "more": more,
        "command": build_command(name) if more else "",
    }


def _lacking(name: str, features: list[str], more: str) -> dict[str, Any]:
    return {
        "name": name,
        "ready": bool(features),
        "features": features,
        "layers": [],
        "made": "",
        "packages": [],
        "services": [],
        "more": more,
        "command": build_command(name) if more else "",
    }


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the arguments."""
    parser = argparse.ArgumentParser(
        "agentbay image",
        description="Show, make and remove the images that sessions of the local service can have.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    made = {name: commands.add_parser(name, help=text) for name, text in _COMMANDS.items()}
    for command, shape in {**dict.fromkeys(_COMMANDS, "object"), "list": "list"}.items():
        made[command].add_argument("--json", action="store_true", help=f"print a JSON {shape}")
    for command in ("build", "add", "remove"):
        made[command].add_argument("name", metavar="NAME", help="name of the image")
    for command in ("build", "import", "add"):
        made[command].add_argument(
            "--service",
            dest="services",
            action="append",
            default=[],
            metavar="COMMAND",
            help="a command line that each session starts; may be given several times",
        )
    _add_build(made["build"])
    made["import"].add_argument(
        "source",
        type=Path,
        metavar="DIR|TAR",
        help="an OCI layout, or a tar archive of all files of a container",
    )
    made["import"].add_argument("--name", help="name of the image (the name of the file)")
    made["add"].add_argument(
        "directories", type=Path, nargs="+", metavar="DIR", help="layer with usr, the lowest first"
    )
    return parser


def _add_build(build: argparse.ArgumentParser) -> None:
    build.add_argument("--apt", nargs="+", default=[], metavar="PKG", help="Debian packages")
    build.add_argument("--pip", nargs="+", default=[], metavar="PKG", help="Python packages")
    build.add_argument(
        "--if-needed",
        action="store_true",
        help="do nothing if it is ready, and would be made of the same",
    )
    build.add_argument(
        "--from", dest="base", metavar="IMAGE", help="image below it (the machine's own system)"
    )
