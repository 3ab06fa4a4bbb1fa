"""Attack run: start two sessions, run all attacks in one of them, and print the outcomes.

Run in a separate process, because it may give up root for good. Its arguments: a directory, the
user to become (0 stays who one is), the level of isolation, and "alone" for sessions that are not
forked, "layer" for sessions that have a layer over the system, "code" for attacks by the code of a
kernel that is forked, or "browser" and the layers of one, for attacks in the place of what Chromium
starts for a page. Without isolation nothing is started by
the service: chosen attacks, which harm nobody, are tried from a plain process.
"""

# ruff: noqa: T201 - the outcomes are printed for the test that started this program
from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.local.code.code_runner import IS_FORKED

# All is loaded now, because the user to become may not reach it.
import agentbay_local.sandbox.outbound.proxy  # noqa: F401
from agentbay_local.browser.chromium import Chromium
from agentbay_local.browser.options import parse_options
from agentbay_local.code import Kernels, python_kernel, read_only_mounts, session_python
from agentbay_local.sandbox import seccomp
from agentbay_local.sandbox.base import Backend, Isolation, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import SandboxOSError
from agentbay_local.sandbox.host import bundle, openat, programs
from agentbay_local.sandbox.host.offline_files import OfflineFiles
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.outbound import AllowedHosts
from agentbay_local.sandbox.probe import backend_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from agentbay_local.sandbox.base import Sandbox

    Attack = Callable[[Sandbox, dict[str, Any]], Awaitable[dict[str, str]]]

TRIES = 3000
PR_SET_DUMPABLE = 4
FLIP = "while :; do ln -sfn inner place; ln -sfn {outside} place; done"


def become(uid: int, level: Isolation) -> None:
    """Give up root, after reading what only root can read."""
    if level is Isolation.NAMESPACES:
        programs.find_bubblewrap(), programs.find_bubblewrap(programs.OVERLAYS_SINCE)
    bundle.build_bundle(programs.find_interpreter()), "x".encode("idna")
    seccomp.build_filter(Isolation.NAMESPACES), openat.kernel_resolves()
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        # Who was never root is not protected from others of the same user.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


@contextlib.contextmanager
def serve_host(family: int, kind: int, address: Any) -> Iterator[Any]:
    """Serve "host" to every client, and yield the address."""
    server = socket.socket(family, kind)
    server.bind(address)
    if kind == socket.SOCK_STREAM:
        server.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                if kind == socket.SOCK_STREAM:
                    peer, _ = server.accept()
                    peer.sendall(b"host")
                    peer.close()
                else:
                    _, sender = server.recvfrom(10)
                    server.sendto(b"host", sender)

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()


@contextlib.contextmanager
def prepare_host(place: Path) -> Iterator[dict[str, Any]]:
    """Create the secrets to attack; yield what an attacker could know about them."""
    marker, secret = secrets.token_hex(8), secrets.token_hex(8)
    buffer = ctypes.create_string_buffer(marker.encode())
    key = 0x7A000000 | secrets.randbits(20)
    (place / "file").write_text(marker)
    (place / "file").chmod(0o600)
    locked = (place / "file").open()
    fcntl.flock(locked, fcntl.LOCK_SH)
    shm = Path("/dev/shm", f"agentbay-{marker}")
    shm.write_text(marker)
    libc = ctypes.CDLL(None)
    segment = libc.shmget(key, 4096, 0o1666)
    os.environ["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = secret
    tcp, unix = socket.SOCK_STREAM, socket.AF_UNIX
    with (
        serve_host(socket.AF_INET, tcp, ("127.0.0.1", 0)) as (_, port),
        serve_host(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)) as (_, udp),
        serve_host(unix, tcp, f"\0{marker}"),
        serve_host(unix, tcp, str(place / "socket")),
    ):
        (place / "socket").chmod(0o777)
        try:
            yield {
                "abstract": marker,
                "address": ctypes.addressof(buffer),
                "agent": 1,
                "file": str(place / "file"),
                "inode": os.fstat(locked.fileno()).st_ino,
                "host": socket.gethostname(),
                "marker": marker,
                "other": str(place / "other/tmp" / marker),
                "pid": os.getpid(),
                "place": str(place),
                "port": port,
                "secret": secret,
                "shm": shm.name,
                "shm_key": key,
                "socket": str(place / "socket"),
                "udp": udp,
                "user": pwd.getpwall()[-1].pw_name,
            }
        finally:
            locked.close()
            shm.unlink()
            libc.shmctl(segment, 0, None)


async def race_link(backend: Backend, place: Path) -> str:
    """Flip a link between a directory inside and one outside while the service reads it."""
    outside = place / "outside"
    outside.mkdir()
    (outside / "f").write_text("outside")
    spec = SandboxSpec(place / "race", private_uid(f"{place}/race"))
    async with await backend.start(spec) as session:
        await session.run("mkdir inner; echo inside > inner/f", timeout=10)
        flipping = await session.spawn(FLIP.format(outside=outside))
        tries = read = 0
        # A busy machine may give the flipping no turn for a while.
        give_up = time.monotonic() + 20
        with OfflineFiles(spec.root, spec.uid) as files:
            while tries < TRIES or (not read and time.monotonic() < give_up):
                tries += 1
                with contextlib.suppress(SandboxOSError):
                    fd = files.open("/home/wuying/place/f")
                    output = os.read(fd, 100)
                    os.close(fd)
                    read += 1
                    if output == b"outside":
                        return "through"
        await flipping.close()
    return "blocked" if read else "never read anything"


def make_layer(place: Path) -> Path:
    """Make a layer with something in each of its directories, for everybody to write."""
    layer = place / "layer"
    for name in (
        "usr/bin/layered",
        "etc/alternatives/layered",
        "opt/layered/x",
        "var/lib/layered/x",
    ):
        file = layer / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o777)
    return layer


async def attack_by_command(session: Sandbox, known: dict[str, Any]) -> dict[str, str]:
    """Run the attacks as a command of a session; return what they report."""
    attacks = Path(__file__).with_name("attacks.py").read_text()
    python = str(programs.find_interpreter().program)
    stdin = json.dumps(known).encode()
    done = await session.run([python, "-c", attacks], stdin=stdin, timeout=60)
    if not done.stdout:
        raise SystemExit(done.stderr.decode())
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


# What Chromium starts for a page, while it waits for it; it has no sandbox of its own.
RENDERER = """#!/bin/sh
cd /home/wuying
if mkdir attacked; then
    devtools=$(readlink /proc/$PPID/fd/3)
    case "${{devtools:-none}} $(ls -l /proc/$$/fd)" in
        socket:*"-> $devtools"*) echo through ;;
        socket:*) echo blocked ;;
    esac > conversation
    {python} orphan.py < known > part 2> errors
    until [ -s part ] || [ -s errors ]; do sleep 0.1; done
    mv part outcomes
fi
exec "$@"
"""
# The parent of the attacks is to be the agent, which takes the orphans of a session.
ORPHAN = """
import os, runpy, sys, time
if os.fork():
    os.wait()
    sys.exit()
if os.fork():
    os._exit(0)
while os.getppid() != 1:
    time.sleep(0.01)
runpy.run_path("attacks.py", run_name="__main__")
"""


async def attack_by_browser(session: Sandbox, known: dict[str, Any]) -> dict[str, str]:
    """Run the attacks as a process that a browser starts for a page; return what they report."""
    python = str(programs.find_interpreter().program)
    files = {
        "orphan.py": ORPHAN,
        "attacks.py": Path(__file__).with_name("attacks.py").read_text(),
        "known": json.dumps(known),
        "renderer": RENDERER.format(python=python),
    }
    for name, text in files.items():
        await session.run(f"cat > {name}; chmod 755 {name}", stdin=text.encode(), timeout=10)
    prefix = "--renderer-cmd-prefix=/home/wuying/renderer"
    options = parse_options({"cmdArgs": [prefix]}, "/tmp/profile")
    browser = await Chromium.start(session, options, {})
    wait = "until [ -e outcomes ]; do sleep 0.1; done; cat outcomes; cat errors >&2"
    done = await session.run(wait, timeout=60)
    conversation = await session.run("cat conversation", timeout=10)
    if not done.stdout or not browser.is_alive:
        raise SystemExit(browser.end + done.stderr.decode())
    await browser.close()
    outcomes: dict[str, str] = json.loads(done.stdout)
    outcomes["conversation_of_the_service_and_the_browser"] = conversation.stdout.decode().strip()
    return outcomes


# The agent is the parent of the kernel, and of the processes that the attacks start.
BY_CODE = """
import sys
sys.stdin, sys.argv = open("known"), ["attacks.py"]
exec(compile(open("attacks.py").read(), "attacks.py", "exec"), {"__name__": "__main__"})
"""


async def attack_by_code(session: Sandbox, known: dict[str, Any]) -> dict[str, str]:
    """Run the attacks as code of a forked kernel; return what they report."""
    files = {
        "attacks.py": Path(__file__).with_name("attacks.py").read_text(),
        "known": json.dumps(known),
    }
    for name, text in files.items():
        await session.run(f"cat > {name}", stdin=text.encode(), timeout=10)
    async with kernels_of(session) as kernels:
        forked = await kernels.run("s", "python", IS_FORKED)
        done = await kernels.run("s", "python", BY_CODE)
    if forked.results[0].mime["text/plain"] != "True" or not done.stdout:
        raise SystemExit(f"{forked}\n{done}")
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


@contextlib.asynccontextmanager
async def kernels_of(session: Sandbox) -> AsyncIterator[Kernels]:
    """Give the kernels of a session."""

    async def get(_: str) -> Sandbox:
        return session

    kernels = Kernels(get)
    yield kernels
    await kernels.close_all()


def with_code(place: Path, name: str, **changes: Any) -> SandboxSpec:
    """Describe a session that can run Python."""
    return SandboxSpec(
        place / name,
        private_uid(f"{place}/{name}"),
        read_only=read_only_mounts(),
        python=session_python(),
        preload=python_kernel(),
        **changes,
    )


async def load_kernel(backend: Backend, place: Path) -> None:
    """Let the backend load the kernel, so that later sessions fork it."""
    for name in ("first", "second"):
        async with (
            await backend.start(with_code(place, name)) as session,
            kernels_of(session) as kernels,
        ):
            await kernels.run("s", "python", "1")
            tasks = asyncio.all_tasks()
            await asyncio.gather(*(t for t in tasks if t.get_name() == "load a program"))


async def run_attacks(
    place: Path, level: Isolation, layers: tuple[Path, ...], attack: Attack, backend: Backend
) -> dict[str, str]:
    """Start two sessions; attack the host and one session from the other."""
    received: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, _: received.append(number))
    with prepare_host(place) as known:
        other = SandboxSpec(place / "other", private_uid(f"{place}/other"))
        # Under a name that is allowed; where it leads to is not.
        way = AllowedHosts.parse([f"localhost:{known['port']}"])
        outbound = way if level is Isolation.NAMESPACES else AllowedHosts()
        own = SandboxSpec(
            place / "own", private_uid(f"{place}/own"), outbound=outbound, layers=layers
        )
        if attack is attack_by_code:
            await load_kernel(backend, place)
            own = with_code(place, "own", outbound=outbound)
        async with await backend.start(other) as victim, await backend.start(own) as attacker:
            planted = f"echo {known['marker']} > {known['marker']}"
            assert (await victim.run(planted, cwd="/tmp", timeout=10)).exit_code == 0
            outcomes = await attack(attacker, known)
            still = await attacker.run("echo alive", timeout=10)
            if layers and attack is attack_by_command:
                found = await attacker.run("layered", timeout=10)
                assert found.exit_code == 0, found
    outcomes["session_ended_by_its_own_attack"] = (
        "blocked" if still.stdout == b"alive\n" else "through"
    )
    if received:
        outcomes["signal_to_the_service"] = "through"
    outcomes["link_flipped_under_a_host_side_read"] = await race_link(backend, place)
    await backend.close()
    return outcomes


def run_unconfined(place: Path, chosen: list[str]) -> dict[str, str]:
    """Try some attacks from an unconfined process."""
    attacks = Path(__file__).with_name("attacks.py")
    with prepare_host(place) as known:
        done = subprocess.run(
            [programs.find_interpreter().program, "-c", attacks.read_text(), *chosen],
            input=json.dumps(known),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    outcomes: dict[str, str] = json.loads(done.stdout)
    return outcomes


def main() -> None:
    """Print the outcome of each attack."""
    place, level = Path(sys.argv[1]), Isolation(sys.argv[3])
    become(int(sys.argv[2]), level)
    if level is Isolation.NONE:
        print(json.dumps(run_unconfined(place, sys.argv[4:])))
        return
    attack: Attack = attack_by_command
    layers: tuple[Path, ...] = ()
    backend = backend_for(level)
    match sys.argv[4:]:
        case ["alone"]:
            backend = BubblewrapBackend(forks=False)
        case ["layer"]:
            layers = (make_layer(place),)
        case ["code"]:
            attack = attack_by_code
        case ["browser", *directories]:
            attack, layers = attack_by_browser, tuple(map(Path, directories))
    outcomes = asyncio.run(run_attacks(place, level, layers, attack, backend))
    forks = isinstance(backend, BubblewrapBackend) and backend.forks
    print(json.dumps({**outcomes, "sandboxes_were": "forked" if forks else "not forked"}))


if __name__ == "__main__":
    main()
