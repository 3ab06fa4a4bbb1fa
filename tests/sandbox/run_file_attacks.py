"""File attacks: make the service read, write or copy for a session, and print the outcomes.

Run in a separate process, like `run_attacks`, with the same arguments: a directory, the user to
become (0 stays who one is), and the level of isolation.
"""

# ruff: noqa: D103, T201 - the name of an attack says what it is; the outcomes are printed
from __future__ import annotations

import asyncio
import io
import json
import os
import resource
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
from tests.tool_contexts import tool_context

import agentbay_local.sandbox.outbound.proxy  # noqa: F401 - loaded now: later a user may not reach it
from agentbay_async.models.sync_policy import SyncPolicy, UploadMode, UploadPolicy
from agentbay_local.code import Kernels
from agentbay_local.contexts.context_store import ContextStore
from agentbay_local.contexts.sync import describe_error
from agentbay_local.contexts.transfer import Transfer
from agentbay_local.contexts.versions import Change
from agentbay_local.protocol.arguments import Arguments, ToolError
from agentbay_local.sandbox.base import Isolation, Limits, Sandbox, SandboxSpec
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.host.usage import used_space
from agentbay_local.sandbox.probe import backend_for
from agentbay_local.store import Store
from agentbay_local.tools.content import read_file, write_file
from agentbay_local.trees.archive import ARCHIVE
from agentbay_local.trees.manifest import FILE, Stamp
from agentbay_local.trees.mount import Mount
from agentbay_local.trees.selection import Selection

from .run_attacks import become

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentbay_local.tools.tool_context import ToolContext

DISK = 64 << 20
MUCH = 200 << 20
WITHIN = 60.0
KERNEL_FILES = ("/proc/sys/kernel/ns_last_pid", "/proc/self/oom_score_adj", "/proc/1/oom_score_adj")
HOLD = """
exec 7<>/proc/$$/oom_score_adj
mkdir held; ln -s /proc/$$/fd held/fd
echo ready
exec sleep 60
"""
FLIP = """
import os
os.makedirs("inner/deep", exist_ok=True)
open("inner/f", "w").write("inside")
open("inner/deep/f", "w").write("inside")
os.symlink(OUTSIDE, "link")
print("ready", flush=True)
while True:
    for source in ("inner", "link"):
        os.rename(source, "place")
        os.rename("place", source)
"""
LEASE = """
import fcntl, signal
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open("leased", "w+")
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
signal.pause()
"""
ATTACKS: dict[str, Callable[[Scene], Awaitable[bool]]] = {}


@attrs.define
class Scene:
    """A session with a context at /mnt/data, and what the service does for it.

    Attributes:
        place: The directory of the attack, below which secrets of the host lie.
        session: The live session.
        tools: The session as tools see it.
        mount: The mount of the context.
        files: The files of all contexts.
        transfer: Transfers between the two.
        python: A Python inside the session.
    """

    place: Path
    session: Sandbox
    tools: ToolContext
    mount: Mount
    files: ContextStore
    transfer: Transfer
    python: str

    async def sh(self, command: str) -> None:
        """Run a command in the directory of the context; it must succeed."""
        done = await self.session.run(command, cwd="/mnt/data", timeout=60)
        assert done.exit_code == 0, done.stderr

    async def starts(self, program: str) -> None:
        """Start a Python program that goes on, and wait for its first line."""
        started = await self.session.spawn([self.python, "-c", program], cwd="/mnt/data")
        line = await asyncio.wait_for(started.stdout.read(5), WITHIN)
        assert line == b"ready", line

    async def tool(self, tool: Any, **arguments: Any) -> str:
        """Call a tool; return its answer, or "" if it refuses."""
        try:
            call = tool(self.tools, Arguments("tool", arguments))
            return str(await asyncio.wait_for(call, WITHIN)) or "empty"
        except (ToolError, SandboxError):
            return ""

    async def upload(self, mode: UploadMode = UploadMode.FILE) -> str:
        """Upload; return the reason if it fails."""
        return await self._move(self._with(mode).upload(0.0))

    async def download(self) -> str:
        """Download; return the reason if it fails."""
        return await self._move(self.transfer.download())

    def _with(self, mode: UploadMode) -> Transfer:
        policy = SyncPolicy(upload_policy=UploadPolicy(upload_mode=mode))
        return attrs.evolve(self.transfer, selection=Selection(policy))

    async def _move(self, work: Awaitable[None]) -> str:
        try:
            await asyncio.wait_for(work, WITHIN)
        except (OSError, SandboxError, ValueError) as error:
            return describe_error(error)
        return ""

    async def put(self, content: bytes) -> None:
        """Put an archive into the context, as a client or another session could."""
        with self.files.incoming_file("c") as file:
            file.write_bytes(content)
            change = Change(
                added={ARCHIVE: Stamp(FILE)},
                write=lambda writer, path: writer.link_file(path, file),
            )
            await self.files.publish("c", change)

    async def stored(self) -> dict[str, bytes]:
        """Return the small files of the context."""
        async with self.files.open_snapshot("c") as snapshot:
            return {
                str(path.relative_to(snapshot.tree)): path.read_bytes()
                for path in snapshot.tree.rglob("*")
                if path.is_file() and not path.is_symlink()
            }


def attack(function: Callable[[Scene], Awaitable[bool]]) -> Callable[[Scene], Awaitable[bool]]:
    """Register an attack; it returns whether it succeeded."""
    ATTACKS[function.__name__] = function
    return function


@attack
async def kernel_setting_written_through_a_link(scene: Scene) -> bool:
    for target in KERNEL_FILES:
        await scene.sh(f"ln -sfn {target} report.txt; ln -sfn {os.path.dirname(target)} reports")
        for path in ("report.txt", f"reports/{os.path.basename(target)}"):
            for mode in ("overwrite", "append"):
                path = os.path.join("/mnt/data", path)
                if await scene.tool(write_file, path=path, content="7", mode=mode):
                    return True
    return False


@attack
async def kernel_file_read_through_a_link(scene: Scene) -> bool:
    await scene.sh("ln -sfn /proc/1/stat report.txt")
    return bool(await scene.tool(read_file, path="/mnt/data/report.txt"))


@attack
async def kernel_setting_written_through_an_open_descriptor(scene: Scene) -> bool:
    held = await scene.session.spawn(HOLD, cwd="/mnt/data")
    if await asyncio.wait_for(held.stdout.read(5), WITHIN) != b"ready":
        return False  # this level does not let it open the file
    return bool(await scene.tool(write_file, path="/mnt/data/held/fd/7", content="500"))


@attack
async def fifo_holds_the_service(scene: Scene) -> bool:
    await scene.sh("mkfifo pipe; ln -sfn pipe way")
    read = await scene.tool(read_file, path="/mnt/data/way")
    written = await scene.tool(write_file, path="/mnt/data/pipe", content="x")
    return bool(read or written or await scene.upload() or await scene.stored())


@attack
async def device_read_for_ever(scene: Scene) -> bool:
    await scene.sh("ln -sfn /dev/zero zeros")
    written = await scene.tool(write_file, path="/mnt/data/zeros", content="x")
    return bool(written or await scene.tool(read_file, path="/mnt/data/zeros", length=10))


@attack
async def privileged_bit_kept_by_a_write(scene: Scene) -> bool:
    await scene.sh("echo x > tool; chmod 4755 tool")
    # Appended, because truncating takes the bit away, and the session itself does that.
    assert await scene.tool(write_file, path="/mnt/data/tool", content="y", mode="append")
    return bool((scene.mount.root / "mnt/data/tool").stat().st_mode & 0o4000)


@attack
async def sparse_files_fill_the_store(scene: Scene) -> bool:
    await scene.sh("for n in $(seq 12); do truncate -s 60M f$n; echo $n >> f$n; done")
    assert not await scene.upload()
    return used_space(scene.files.directory, None, lambda: False).bytes > 2 << 20


@attack
async def links_to_one_file_fill_the_store(scene: Scene) -> bool:
    await scene.sh(
        "head -c 8000000 /dev/zero | tr '\\0' x > f; for n in $(seq 20); do ln f $n; done"
    )
    refused = await scene.upload()
    used = used_space(scene.files.directory, None, lambda: False).bytes
    return "limit of disk space" not in refused or used > 1 << 20


@attack
async def sparse_files_fill_an_archive(scene: Scene) -> bool:
    await scene.sh("for n in $(seq 12); do truncate -s 60M f$n; done")
    refused = await scene.upload(UploadMode.ARCHIVE)
    used = used_space(scene.files.directory, None, lambda: False).bytes
    return "limit of disk space" not in refused or used > 1 << 20


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Return an archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def member(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Return the header of a file."""
    one = tarfile.TarInfo(name)
    one.size, one.type = size, kind
    return one


@attack
async def archive_unpacks_past_the_limit_of_the_session(scene: Scene) -> bool:
    await scene.put(packed((member("small", 1), b"x"), (member("bomb", MUCH), bytes(MUCH))))
    refused = await scene.download()
    left = list((scene.mount.root / "mnt/data").iterdir())
    return "limit" not in refused or bool(left)


@attack
async def archive_takes_memory_by_its_headers(scene: Scene) -> bool:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        await scene.put(packed((member("x", MUCH, kind), bytes(MUCH))))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        refused = await scene.download()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if not refused or grown > 64 << 20:
            return True
    return False


@attack
async def damaged_archive_leaves_half_its_files(scene: Scene) -> bool:
    whole = packed(*[(member(f"f{n}", 100_000), os.urandom(100_000)) for n in range(20)])
    await scene.put(whole[: len(whole) // 2])
    refused = await scene.download()
    return "damaged" not in refused or bool(list((scene.mount.root / "mnt/data").iterdir()))


@attack
async def growing_file_copied_for_ever(scene: Scene) -> bool:
    await scene.starts(
        "print('ready', flush=True)\nf = open('log', 'ab')\n"
        "while True:\n    f.write(b'x' * 4096) if f.tell() < 30_000_000 else f.truncate(0)"
    )
    refused = await scene.upload()
    return refused not in ("", "it kept changing while it was copied: log")


@attack
async def link_flipped_under_a_sync(scene: Scene) -> bool:
    outside = scene.place / "outside"
    await scene.starts(FLIP.replace("OUTSIDE", repr(str(outside))))
    for mode in (UploadMode.FILE, UploadMode.ARCHIVE) * 3:
        refused = await scene.upload(mode)
        if refused.startswith(("Invalid argument", "the local service failed")):
            return True
        if any(b"of the host" in content for content in (await scene.stored()).values()):
            return True
        await scene.download()
    return (outside / "f").read_text() != "of the host" or len(list(outside.iterdir())) != 1


@attack
async def lease_holds_the_service(scene: Scene) -> bool:
    await scene.starts(LEASE)
    await scene.sh("echo y > other")
    return await scene.upload() not in ("", "it kept changing while it was copied: leased")


@attack
async def closed_directory_without_a_reason(scene: Scene) -> bool:
    await scene.sh("d=$(printf 'closed\\377'); mkdir $d; echo 1 > $d/f; echo 2 > open; chmod 0 $d")
    refused = await scene.upload()
    await scene.sh("chmod 700 closed*")
    # The reason is stored as UTF-8, which the name is not.
    return b"Permission denied: closed" not in refused.encode() or bool(await scene.upload())


@attack
async def names_that_break_the_sync(scene: Scene) -> bool:
    odd = "import os\nfor n in (b'\\xff\\xfe', b'n' * 255, b'line\\nbreak', b'-rf'):\n"
    odd += "    open(n, 'wb').write(n)\nprint('ready', flush=True)"
    await scene.starts(odd)
    for mode in (UploadMode.FILE, UploadMode.ARCHIVE):
        if await scene.upload(mode):
            return True
        await scene.sh("rm -rf ./*")
        scene.mount.base.clear()
        if await scene.download() or len(list((scene.mount.root / "mnt/data").iterdir())) != 4:
            return True
    return False


@attack
async def path_deeper_than_the_system_allows(scene: Scene) -> bool:
    deep = "import os\nprint('ready', flush=True)\n"
    deep += "for _ in range(60):\n    os.mkdir('d' * 100); os.chdir('d' * 100)\n"
    deep += "open('end', 'w').close()\nos.mkdir('done')"
    await scene.starts(deep)
    return (await scene.upload())[:18] not in ("File name too long", "")


@attack
async def file_of_a_download_that_the_session_does_not_own(scene: Scene) -> bool:
    await scene.put(packed((member("a/b/f", 1), b"x")))
    assert not await scene.download()
    owner = scene.mount.root.stat().st_uid
    found = [scene.mount.root / "mnt/data" / name for name in ("a", "a/b", "a/b/f")]
    return any(path.stat().st_uid != owner for path in found)


async def run_attack(place: Path, level: Isolation, name: str) -> str:
    """Run one attack in a session of its own; return its outcome."""
    backend, uid = backend_for(level), private_uid(f"{place}/{name}")
    spec = SandboxSpec(place / "root", uid, Limits(disk_bytes=DISK))
    python = str(programs.find_interpreter().program)
    with ThreadPoolExecutor(2) as executor:
        files = ContextStore(place / "contexts", executor, durable=False)
        mount = Mount(spec.root, "/mnt/data", uid, DISK)
        store = Store.open(Path(":memory:"))
        transfer = Transfer(mount, Selection(SyncPolicy()), "c", files, store, executor)
        async with await backend.start(spec) as session:
            tools = tool_context(name, session, Kernels(partial(asyncio.sleep, 0)))
            await session.make_directory("/mnt/data")
            scene = Scene(place, session, tools, mount, files, transfer, python)
            outcome = "through" if await ATTACKS[name](scene) else "blocked"
        store.close()
    await backend.close()
    return outcome


def main() -> None:
    """Print the outcome of each attack."""
    place, level = Path(sys.argv[1]), Isolation(sys.argv[3])
    become(int(sys.argv[2]), level)
    outcomes = {}
    for name in sys.argv[4:] or list(ATTACKS):
        for directory in (name, f"{name}/contexts", f"{name}/outside"):
            (place / directory).mkdir()
        (place / name / "outside/f").write_text("of the host")
        outcomes[name] = asyncio.run(run_attack(place / name, level, name))
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
