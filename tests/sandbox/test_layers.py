"""Layers of images: what a session sees over the system of the host, and cannot change."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import InvalidRequest, IsolationUnavailable
from agentbay_local.sandbox.host import layers, programs
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.landlock import LandlockBackend
from agentbay_local.sandbox.plain import PlainBackend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agentbay_local.sandbox.base import Backend, Sandbox

    Write = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("isolating")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that makes a layer of files."""

    def make(name: str, **files: str) -> Path:
        layer = tmp_path / name
        (layer / "usr").mkdir(parents=True)
        for path, text in files.items():
            file = layer / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755)
        return layer

    return make


def alternatives_of_the_host() -> set[str]:
    """Return the names of its links, which change with its packages."""
    return {path.name for path in Path("/etc/alternatives").glob("*")}


@asynccontextmanager
async def over(tmp_path: Path, *given: Path) -> AsyncIterator[Sandbox]:
    """Start a sandbox with layers."""
    backend = BubblewrapBackend()
    root = tmp_path / "root"
    try:
        spec = SandboxSpec(root, private_uid(str(root)), Limits(), layers=given)
        async with await backend.start(spec) as sandbox:
            yield sandbox
    finally:
        await backend.close()


async def output(sandbox: Sandbox, line: str) -> str:
    """Return what a line of sh writes to both streams."""
    done = await sandbox.run(f"{line} 2>&1", timeout=30)
    return done.stdout.decode()


async def test_a_program_of_a_layer_runs(tmp_path: Path, write: Write) -> None:
    """Beside those of the host, and found in the same directories."""
    layer = write("layer", **{"usr/bin/hello-layer": "#!/bin/sh\necho hello\n"})
    async with over(tmp_path, layer) as sandbox:
        assert await output(sandbox, "hello-layer") == "hello\n"
        assert await output(sandbox, "/bin/hello-layer") == "hello\n"
        assert await output(sandbox, "ls /usr/bin/env") == "/usr/bin/env\n"


async def test_the_last_layer_wins(tmp_path: Path, write: Write) -> None:
    """Over the others, and over the host."""
    low = write("low", **{"usr/bin/env": "low", "usr/share/one": "low", "usr/share/two": "low"})
    high = write("high", **{"usr/share/two": "high"})
    async with over(tmp_path, low, high) as sandbox:
        assert await output(sandbox, "cat /usr/bin/env /usr/share/one /usr/share/two") == (
            "lowlowhigh"
        )


async def test_the_files_of_a_layer_in_etc_opt_and_var_are_there(
    tmp_path: Path, write: Write
) -> None:
    """Beside what the host has of the same directory, but not instead of the session's own."""
    layer = write(
        "layer",
        **{
            "etc/alternatives/layered": "alternative",
            "etc/layered/settings": "settings",
            "etc/layered.conf": "configuration",
            "etc/passwd": "root::0:0::/:/bin/sh\n",
            "opt/vendor/bin/tool": "tool",
            "opt/agentbay/python/bin/python3": "ours",
            "var/lib/layered/data": "data",
            "var/tmp/layered/data": "temporary",
        },
    )
    of_the_host = alternatives_of_the_host()
    async with over(tmp_path, layer) as sandbox:
        files = (
            "/etc/alternatives/layered /etc/layered/settings /etc/layered.conf "
            "/opt/vendor/bin/tool /var/lib/layered/data"
        )
        assert await output(sandbox, f"cat {files}") == ("alternativesettingsconfigurationtooldata")
        assert "wuying" in await output(sandbox, "cat /etc/passwd")
        assert await output(sandbox, "ls /opt/agentbay /var/tmp 2>/dev/null | grep -c layered") == (
            "0\n"
        )
        there = set((await output(sandbox, "ls /etc/alternatives")).split())
        assert there == {*of_the_host, "layered"}


async def test_a_session_cannot_write_to_a_layer(tmp_path: Path, write: Write) -> None:
    """Not even to a file that everybody may write."""
    layer = write(
        "layer",
        **{
            "usr/share/l/file": "as it was",
            "etc/l/file": "x",
            "opt/l/file": "x",
            "var/lib/l/f": "x",
        },
    )
    for path in layer.rglob("*"):
        path.chmod(0o777)
    async with over(tmp_path, layer) as sandbox:
        for path in ("/usr/share/l/file", "/etc/l/file", "/opt/l/file", "/var/lib/l/f"):
            for attempt in (f"echo x > {path}", f"rm -f {path}", f"touch {path}.new"):
                assert "Read-only file system" in await output(sandbox, f"({attempt})")
    assert (layer / "usr/share/l/file").read_text() == "as it was"
    assert sum(1 for path in layer.rglob("*") if path.is_file()) == 4


async def test_links_of_a_layer_lead_nowhere_on_the_host(tmp_path: Path, write: Write) -> None:
    """They are followed inside only, wherever a layer has them."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("the secret")
    layer = write("layer", **{"etc/real/file": "x"})
    (layer / "etc/secret").symlink_to(secret)
    (layer / "etc/secret.key").symlink_to(secret / "key")
    (layer / "usr/share").mkdir()
    (layer / "usr/share/secret").symlink_to(secret)
    (layer / "opt").symlink_to(secret)
    (layer / "var").mkdir()
    (layer / "var/lib").symlink_to(secret)
    async with over(tmp_path, layer) as sandbox:
        found = await output(
            sandbox,
            "cat /etc/secret/key /etc/secret.key /usr/share/secret/key /opt/key /var/lib/key; "
            "grep -r 'the secret' /etc /opt /var /usr/share/secret",
        )
    assert "the secret" not in found


async def test_what_a_session_left_at_the_place_of_a_layer_is_replaced(
    tmp_path: Path, write: Write
) -> None:
    """Its own link must not choose where the host mounts."""
    layer = write("layer", **{"opt/vendor/file": "of the layer"})
    outside = tmp_path / "outside"
    outside.mkdir()
    async with over(tmp_path) as sandbox:
        await output(sandbox, f"ln -s {outside} /opt/vendor")
    async with over(tmp_path, layer) as sandbox:
        assert await output(sandbox, "cat /opt/vendor/file") == "of the layer"
    assert not list(outside.iterdir())


async def test_a_layer_below_a_private_directory_is_seen(tmp_path: Path, write: Write) -> None:
    """As those of a service that is root are, in its home."""
    layer = write("private/layer", **{"usr/bin/hello-layer": "#!/bin/sh\necho hello\n"})
    (tmp_path / "private").chmod(0o700)
    async with over(tmp_path, layer) as sandbox:
        assert await output(sandbox, "hello-layer") == "hello\n"


async def test_a_library_of_a_layer_is_found(tmp_path: Path, write: Write) -> None:
    """In the standard directory, although the list of the host's libraries does not have it."""
    known = [
        *layers.rootfs.SYSTEM.glob("lib*/libm.so.6"),
        *layers.rootfs.SYSTEM.glob("lib/*/libm.so.6"),
    ]
    layer = write("layer")
    place = layer / known[0].parent.relative_to("/")
    place.mkdir(parents=True)
    (place / "liblayered.so.1").write_bytes(known[0].read_bytes())
    async with over(tmp_path, layer) as sandbox:
        line = "python3 -c \"import ctypes; print(ctypes.CDLL('liblayered.so.1').cos is not None)\""
        assert await output(sandbox, line) == "True\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to drop")
async def test_a_layer_that_the_user_of_a_session_cannot_read_is_refused(
    tmp_path: Path, write: Write
) -> None:
    """With the cure, instead of a session without its programs."""
    layer = write("layer")
    (layer / "usr").chmod(0o700)
    with pytest.raises(InvalidRequest, match=r"chmod -R a\+rX"):
        async with over(tmp_path, layer):
            pass


@pytest.mark.parametrize("make", [LandlockBackend, PlainBackend])
async def test_a_level_without_mounts_refuses_layers(
    tmp_path: Path, write: Write, make: Callable[[], Backend]
) -> None:
    """Its sessions would look for the programs in vain."""
    backend = make()
    spec = SandboxSpec(tmp_path / "root", private_uid("x"), layers=(write("layer"),))
    try:
        with pytest.raises(InvalidRequest, match=r"spec\.layers: needs the level 'namespaces'"):
            await backend.start(spec)
    finally:
        await backend.close()


async def test_an_older_bubblewrap_is_not_used_for_layers(
    tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know overlays; the error says what has one that does."""
    old = tmp_path / "bwrap"
    old.write_text("#!/bin/sh\necho bubblewrap 0.8.0\n")
    old.chmod(0o755)
    monkeypatch.setattr(programs, "_on_path", lambda: old)
    monkeypatch.setattr(programs, "_in_wheel", lambda: None)
    programs.find_bubblewrap.cache_clear()
    try:
        with pytest.raises(IsolationUnavailable, match=r"install bubblewrap 0\.11 or newer"):
            async with over(tmp_path, write("layer")):
                pass
        assert programs.find_bubblewrap() == old
    finally:
        programs.find_bubblewrap.cache_clear()


async def test_what_the_host_mounts_in_usr_stays_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """An overlay does not show it by itself."""
    monkeypatch.setattr(layers, "_mounted_below", lambda _: ["/usr/share/with space"])
    assert layers.usr_arguments([])[-1] == "/usr"
    mounted = layers.usr_arguments([layers.rootfs.SYSTEM.parent])
    assert mounted[-3:] == ["--ro-bind", "/usr/share/with space", "/usr/share/with space"]


def test_mount_points_are_read_with_all_their_characters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel writes a space as a number."""
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 2 0:1 / /usr/my\\040disk rw - ext4 /dev/x rw\n1 2 0:1 / /usrlocal rw - ext4 /dev/x rw\n"
    )
    monkeypatch.setattr(layers, "_TABLE", str(table))
    assert layers._mounted_below(layers.rootfs.SYSTEM) == ["/usr/my disk"]
