"""Floods of a hostile session: programs that take more of a resource than its limits allow.

Each is started in a session of its own, because the end of most is that they are killed.
"""

from __future__ import annotations

import textwrap

import attrs

from agentbay_local.sandbox.base import Limits

__all__ = ["FLOODS", "LIMITS", "Flood"]

MIB = 1024 * 1024
LIMITS = Limits(
    memory_bytes=100 * MIB,
    disk_bytes=20 * MIB,
    files=2000,
    processes=40,
    shared_memory_bytes=16 * MIB,
)
MEMORY = "memory exceeded 104857600 bytes, so its largest process was killed"
DISK = "files exceeded 20971520 bytes, so all its processes were killed"
FILES = "it had more than 2000 files and directories, so all its processes were killed"
SOCKETS = (
    "TCP sockets exceeded half of its memory of 104857600 bytes, so all its processes were killed"
)
REFUSED = "refused: (Permission denied|Operation not permitted|Function not implemented)"

TEMPLATE = """\
import ctypes, mmap, os, socket, sys, time
held = []
try:
{code}
except OSError as error:
    print("refused:", error.strerror, flush=True)
else:
    while "hold" in sys.argv: time.sleep(1)
"""


@attrs.frozen
class Flood:
    """A program, and how it has to end.

    Attributes:
        code: What it does; its list `held` keeps what it took.
        stopped: A pattern that its output or the reason of its end has.
        goes_on: The session can be used afterwards, because the end of its processes frees at once
            what they took.
    """

    code: str
    stopped: str
    goes_on: bool = True

    @property
    def is_watched(self) -> bool:
        """Whether it is checked from outside even where there are control groups."""
        return self.stopped.startswith((DISK, FILES, SOCKETS))

    def program(self) -> str:
        """Return the Python program. With the argument "hold" it keeps what it took for ever."""
        return TEMPLATE.format(code=textwrap.indent(textwrap.dedent(self.code).strip(), "    "))


FLOODS = {
    "memory_of_a_process": Flood("for _ in range(400): held.append(b'x' * 2**20)", MEMORY),
    "memory_files": Flood(
        """
        for _ in range(30):
            held.append(os.memfd_create("x"))
            for _ in range(15): os.write(held[-1], bytes(2**20))
        """,
        MEMORY,
        goes_on=False,
    ),
    "shared_mappings": Flood(
        """
        held = mmap.mmap(-1, 400 * 2**20)
        for n in range(400):
            if not os.fork():
                held[n * 2**20 : (n + 1) * 2**20] = b"x" * 2**20
                os._exit(0)
            os.wait()
        """,
        MEMORY,
        goes_on=False,
    ),
    "system_v_shared_memory": Flood(
        """
        libc = ctypes.CDLL(None, use_errno=True)
        libc.shmat.restype = ctypes.c_void_p
        for _ in range(20):
            one = libc.shmget(0, 20 * 2**20, 0o1600)
            if one < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            ctypes.memset(libc.shmat(one, None, 0), 1, 20 * 2**20)
        """,
        f"{MEMORY}|{REFUSED}",
        goes_on=False,
    ),
    "content_of_files_in_dev_shm": Flood(
        """
        with open("/dev/shm/x", "wb", 0) as file:
            for _ in range(400): file.write(bytes(2**20))
        """,
        f"refused: No space left on device|{REFUSED}",
    ),
    "number_of_files_in_dev_shm": Flood(
        """
        for n in range(200_000):
            os.close(os.open(f"/dev/shm/{n}", os.O_CREAT | os.O_WRONLY))
        """,
        f"{MEMORY}|{REFUSED}",
        goes_on=False,
    ),
    "buffers_of_sockets": Flood(
        """
        for _ in range(1000):
            pair = socket.socketpair()
            held.append(pair)
            pair[0].setblocking(False)
            try:
                while True: pair[0].send(bytes(2**16))
            except BlockingIOError:
                continue
        """,
        MEMORY,
        goes_on=False,
    ),
    "buffers_of_tcp_sockets": Flood(
        """
        server = socket.create_server(("127.0.0.1", 0))
        for _ in range(2000):
            held.append(socket.create_connection(server.getsockname()))
            held.append(server.accept()[0])
            held[-1].setblocking(False)
            try:
                while True: held[-1].send(bytes(2**16))
            except BlockingIOError:
                continue
        """,
        f"{SOCKETS}|{MEMORY}|{REFUSED}|refused: Address family not supported",
    ),
    "processes": Flood(
        """
        for _ in range(60):
            if not os.fork(): time.sleep(600)
        """,
        "40 processes|refused: Resource temporarily unavailable",
        goes_on=False,
    ),
    "small_files": Flood(
        """
        for n in range(400):
            with open(f"f{n}", "wb") as file: file.write(bytes(2**17))
        """,
        DISK,
    ),
    "deleted_files_that_are_open": Flood(
        """
        for n in range(400):
            held.append(open(f"f{n}", "wb", 0))
            held[-1].write(bytes(2**17))
            os.unlink(f"f{n}")
        """,
        DISK,
    ),
    "directories_that_cannot_be_read": Flood(
        """
        for n in range(400):
            os.makedirs(f"d{n}/inner")
            with open(f"d{n}/inner/f", "wb") as file: file.write(bytes(2**17))
            os.chmod(f"d{n}/inner", 0)
            os.chmod(f"d{n}", 0o300)
        """,
        DISK,
    ),
    "links": Flood(
        "for n in range(20_000): os.symlink('x', f'l{n}')",
        FILES,
    ),
    "names_of_one_file": Flood(
        """
        open("f", "w").close()
        for n in range(20_000): os.link("f", f"l{n}")
        """,
        FILES,
    ),
}
