"""Attacks of a hostile session: run inside one, report for each attack whether it succeeded.

It needs nothing but a Python. `KNOWN`, read from its input, is what an attacker could have learnt
about the host: paths, ports, keys and numbers of processes. Its arguments, if any, are the attacks
to try. It refuses to run as root, whom nothing would keep from doing harm.
"""

# ruff: noqa: D103, T201 - the name of an attack says what it is; the outcomes are printed
from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import glob
import json
import mmap
import os
import platform
import resource
import socket
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
X86 = platform.machine() == "x86_64"
CALLS = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clone3": (435, 435),
    "finit_module": (313, 273),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "shmget": (29, 194),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
KNOWN: dict[str, Any] = {}
ATTACKS: dict[str, Callable[[], bool]] = {}


def attack(function: Callable[[], bool]) -> Callable[[], bool]:
    """Register an attack; it returns whether it succeeded, or raises if it did not."""
    ATTACKS[function.__name__] = function
    return function


def call(name: str, *arguments: Any) -> int:
    """Make a system call by its number."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    answer = int(LIBC.syscall(ctypes.c_long(CALLS[name][0 if X86 else 1]), *given))
    if answer < 0:
        raise OSError(ctypes.get_errno(), name)
    return answer


def content(path: str) -> str:
    """Return the content of a file, as much as can be read."""
    with open(path, errors="replace") as file:
        return file.read()


def in_proc(name: str, wanted: str) -> bool:
    """Return whether a file of any process contains a text."""
    for path in glob.glob("/proc/[0-9]*/" + name):
        try:
            if wanted in content(path):
                return True
        except OSError:
            continue
    return False


def connects(family: int, address: Any) -> bool:
    """Return whether a server of the host answers."""
    with socket.socket(family) as one:
        one.settimeout(3)
        one.connect(address)
        return one.recv(10) == b"host"


@attack
def file_of_the_service() -> bool:
    return KNOWN["marker"] in content(KNOWN["file"])


@attack
def file_of_another_session() -> bool:
    return KNOWN["marker"] in content(KNOWN["other"])


@attack
def name_of_a_file_of_another_session() -> bool:
    return bool(os.listdir(os.path.dirname(KNOWN["other"])))


@attack
def temporary_files_of_the_host() -> bool:
    return os.path.basename(KNOWN["place"]) in os.listdir(os.path.dirname(KNOWN["place"]))


@attack
def shared_memory_of_the_host() -> bool:
    return KNOWN["shm"] in os.listdir("/dev/shm")


@attack
def system_v_shared_memory_of_the_host() -> bool:
    return call("shmget", KNOWN["shm_key"], 0, 0) >= 0


@attack
def secret_of_the_service_in_an_environment() -> bool:
    return in_proc("environ", KNOWN["secret"])


@attack
def secret_of_the_service_in_own_environment() -> bool:
    return KNOWN["secret"] in str(os.environ)


@attack
def path_of_the_host_in_a_command_line() -> bool:
    return in_proc("cmdline", KNOWN["place"])


@attack
def path_of_the_host_in_mountinfo() -> bool:
    return os.path.basename(KNOWN["place"]) in content("/proc/self/mountinfo")


@attack
def processes_of_the_host_in_proc() -> bool:
    names = []
    for path in glob.glob("/proc/[0-9]*/comm"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            names.append(content(path))
    # A browser of the session has a dozen.
    return len([name for name in names if "chrom" not in name]) > 8


@attack
def signal_to_the_service() -> bool:
    os.kill(KNOWN["pid"], 10)
    return os.path.exists(f"/proc/{KNOWN['pid']}")


@attack
def ptrace_of_the_service() -> bool:
    return call("ptrace", 0x4206, KNOWN["pid"], 0, 0) == 0


@attack
def memory_of_the_service() -> bool:
    here = ctypes.create_string_buffer(8)
    local = struct.pack("QQ", ctypes.addressof(here), 8)
    remote = struct.pack("QQ", KNOWN["address"], 8)
    return call("process_vm_readv", KNOWN["pid"], local, 1, remote, 1, 0) > 0


@attack
def ptrace_of_the_agent() -> bool:
    for request in (PTRACE_SEIZE, PTRACE_ATTACH):
        try:
            return call("ptrace", request, os.getppid(), 0, 0) == 0
        except OSError:
            continue
    raise PermissionError(errno.EPERM, "ptrace")


@attack
def memory_of_the_agent() -> bool:
    here = ctypes.create_string_buffer(8)
    pair = struct.pack("QQ", ctypes.addressof(here), 8)
    for name in ("process_vm_readv", "process_vm_writev"):
        try:
            return call(name, os.getppid(), pair, 1, pair, 1, 0) > 0
        except OSError as error:
            if error.errno == errno.EFAULT:  # allowed, but nothing is at that address
                return True
    raise PermissionError(errno.EPERM, "process_vm_readv")


@attack
def memory_file_of_the_agent() -> bool:
    return os.open(f"/proc/{os.getppid()}/mem", os.O_RDWR) >= 0


@attack
def socket_of_the_agent() -> bool:
    agent = call("pidfd_open", os.getppid(), 0)
    for fd in range(256):
        try:
            taken = call("pidfd_getfd", agent, fd, 0)
        except OSError:
            continue
        if stat.S_ISSOCK(os.fstat(taken).st_mode):
            return True
    raise PermissionError(errno.EPERM, "pidfd_getfd")


@attack
def descriptors_of_the_agent() -> bool:
    return bool(os.listdir(f"/proc/{os.getppid()}/fd"))


@attack
def environment_of_the_agent() -> bool:
    return content(f"/proc/{os.getppid()}/environ") is not None


@attack
def memory_file_of_the_service() -> bool:
    return os.open(f"/proc/{KNOWN['pid']}/mem", os.O_RDWR) >= 0


@attack
def root_of_the_service() -> bool:
    return bool(os.listdir(f"/proc/{KNOWN['pid']}/root"))


@attack
def descriptors_of_the_service() -> bool:
    place = f"/proc/{KNOWN['pid']}/fd"
    return any(os.readlink(os.path.join(place, fd)) for fd in os.listdir(place))


@attack
def namespaces_of_the_service() -> bool:
    fd = os.open(f"/proc/{KNOWN['pid']}/ns/net", os.O_RDONLY)
    return call("setns", fd, 0) == 0


@attack
def abstract_socket_of_the_host() -> bool:
    return connects(socket.AF_UNIX, "\0" + KNOWN["abstract"])


@attack
def socket_file_of_the_host() -> bool:
    return connects(socket.AF_UNIX, KNOWN["socket"])


@attack
def tcp_service_of_the_host() -> bool:
    return connects(socket.AF_INET, ("127.0.0.1", KNOWN["port"]))


@attack
def tcp_service_of_the_host_through_the_proxy() -> bool:
    with socket.socket() as one:
        one.settimeout(3)
        one.connect(("127.0.0.1", int(os.environ.get("http_proxy", "").rpartition(":")[2])))
        one.sendall(b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % KNOWN["port"])
        return one.recv(100).startswith(b"HTTP/1.1 200")


@attack
def udp_service_of_the_host() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.settimeout(1)
        one.sendto(b"x", ("127.0.0.1", KNOWN["udp"]))
        return one.recv(10) == b"host"


@attack
def interfaces_of_the_host() -> bool:
    return {name for _, name in socket.if_nameindex()} > {"lo"}


@attack
def outside_network() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 53))
        return True


@attack
def socket_to_the_virtual_machines_host() -> bool:
    return socket.socket(40, socket.SOCK_STREAM).fileno() >= 0


@attack
def raw_packets() -> bool:
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW).fileno() >= 0


@attack
def kernel_cryptography() -> bool:
    return socket.socket(38, socket.SOCK_SEQPACKET).fileno() >= 0


@attack
def new_user_namespace() -> bool:
    return call("unshare", 0x10000000) == 0


@attack
def new_user_namespace_by_clone3() -> bool:
    arguments = struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0)
    pid = call("clone3", arguments, len(arguments))
    if not pid:
        os._exit(0)
    return True


@attack
def new_mount_namespace() -> bool:
    return call("unshare", 0x20000) == 0


@attack
def io_uring() -> bool:
    return call("io_uring_setup", 4, ctypes.create_string_buffer(120)) >= 0


@attack
def key_added() -> bool:
    return call("add_key", b"user", b"name", b"data", 4, -3) > 0


@attack
def key_requested() -> bool:
    try:
        return call("request_key", b"user", b"name", None, 0) > 0
    except OSError as error:
        return error.errno != errno.EPERM


@attack
def keyring_joined() -> bool:
    return call("keyctl", 1, None) > 0


@attack
def kernel_setting_written() -> bool:
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        was = file.read()
        file.write(was)
    return True


@attack
def sys_readable() -> bool:
    return bool(os.listdir("/sys/class"))


@attack
def name_of_the_host() -> bool:
    return KNOWN["host"] in (os.uname().nodename, content("/proc/sys/kernel/hostname").strip())


@attack
def users_of_the_host() -> bool:
    return not {KNOWN["user"]} <= {"root", "nobody"} and KNOWN["user"] in content("/etc/passwd")


@attack
def identity_of_the_machine() -> bool:
    return bool(content("/etc/machine-id"))


@attack
def name_servers_of_the_host() -> bool:
    return "nameserver" in content("/etc/resolv.conf")


@attack
def neighbours_of_the_host() -> bool:
    return any(len(content("/proc/net/" + name).splitlines()) > 1 for name in ("arp", "route"))


@attack
def socket_names_of_the_host() -> bool:
    return KNOWN["socket"] in content("/proc/net/unix")


@attack
def keys_of_the_host() -> bool:
    return bool(content("/proc/keys").strip())


@attack
def locks_of_the_host() -> bool:
    return f":{KNOWN['inode']} " in content("/proc/locks")


@attack
def names_of_files_of_the_host() -> bool:
    return os.path.exists(KNOWN["file"])


@attack
def command_line_of_the_kernel() -> bool:
    return bool(content("/proc/cmdline").strip())


@attack
def groups_of_processes_of_the_host() -> bool:
    return bool(os.listdir("/sys/fs/cgroup"))


@attack
def inherited_descriptors() -> bool:
    for fd in range(4, 1024):
        try:
            os.fstat(fd)
        except OSError:
            continue
        return True
    return False


@attack
def passwords() -> bool:
    return bool(content("/etc/shadow"))


@attack
def home_of_root() -> bool:
    return bool(os.listdir("/root"))


@attack
def block_devices() -> bool:
    found = [path for path in glob.glob("/dev/*") if stat.S_ISBLK(os.stat(path).st_mode)]
    return any(os.open(path, os.O_RDONLY) >= 0 for path in found)


@attack
def device_made() -> bool:
    os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 1))
    return os.open("device", os.O_RDONLY) >= 0


@attack
def kernel_log() -> bool:
    return call("syslog", 3, ctypes.create_string_buffer(100), 100) > 0


@attack
def mount() -> bool:
    return call("mount", b"none", b"/tmp", b"tmpfs", 0, None) == 0


@attack
def remount_writable() -> bool:
    return call("mount", None, b"/usr", None, 0x20 | 0x1000, None) == 0


@attack
def programs_of_the_host_written() -> bool:
    with open("/usr/bin/agentbay-attack", "w"):
        return True


@attack
def settings_of_the_host_written() -> bool:
    with open("/etc/agentbay-attack", "w"):
        return True


@attack
def chroot() -> bool:
    return call("chroot", b"/tmp") == 0


@attack
def pivot_root() -> bool:
    return call("pivot_root", b"/", b"/tmp") == 0


@attack
def host_renamed() -> bool:
    return call("sethostname", b"x", 1) == 0


@attack
def user_changed() -> bool:
    os.setuid(0)
    return True


@attack
def setuid_program() -> bool:
    return os.system("echo | su -c true >/dev/null 2>&1") == 0


@attack
def capabilities() -> bool:
    lines = content("/proc/self/status").splitlines()
    held = [line.split()[1] for line in lines if line[:6] in ("CapPrm", "CapEff", "CapBnd")]
    return any(int(one, 16) for one in held if one) and held[0] != held[1].replace("f", "0")


@attack
def new_privileges() -> bool:
    return "NoNewPrivs:\t1" not in content("/proc/self/status")


@attack
def bpf() -> bool:
    return call("bpf", 0, struct.pack("IIII", 2, 4, 4, 1) + bytes(104), 120) >= 0


@attack
def performance_events() -> bool:
    return call("perf_event_open", struct.pack("IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0) >= 0


@attack
def page_faults_handled() -> bool:
    return call("userfaultfd", 1) >= 0


@attack
def file_opened_by_handle() -> bool:
    handle = struct.pack("Ii", 8, 1) + bytes(8)
    try:
        return call("open_by_handle_at", os.open(".", os.O_RDONLY), handle, 0) >= 0
    except OSError as error:
        return error.errno != errno.EPERM


@attack
def module_loaded() -> bool:
    try:
        return call("finit_module", 0, b"", 0) == 0
    except OSError as error:
        return error.errno != errno.EPERM


@attack
def kernel_replaced() -> bool:
    return call("kexec_load", 0, 0, None, 0) == 0


@attack
def swap_added() -> bool:
    return call("swapon", b"/tmp/x", 0) == 0


@attack
def characters_typed_into_a_terminal() -> bool:
    master, slave = os.openpty()
    if not os.fork():
        os.setsid()
        fcntl.ioctl(slave, 0x540E, 0)
        try:
            fcntl.ioctl(slave, 0x5412, b"x")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.wait()[1] == 0 and master >= 0


@attack
def limits_raised() -> bool:
    for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):
        _, most = resource.getrlimit(name)
        try:
            resource.setrlimit(name, (most + 1, most + 1))
        except ValueError:
            continue
        return True
    return False


@attack
def thirty_two_bit_calls() -> bool:
    if not X86:
        raise OSError(errno.ENOSYS, "another processor")
    pid = os.fork()
    if not pid:
        code = mmap.mmap(-1, 4096, prot=7)
        code.write(bytes.fromhex("b814000000cd80c3"))
        ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@attack
def first_process_of_the_session_killed() -> bool:
    os.kill(KNOWN["agent"], 9)
    os.kill(KNOWN["agent"], 19)
    return not os.path.exists(f"/proc/{KNOWN['agent']}")


@attack
def memory_in_the_device_directory() -> bool:
    with open("/dev/agentbay-attack", "wb") as file:
        return file.write(b"x") == 1


def outcome(one: Callable[[], bool]) -> str:
    """Try one attack and return its outcome."""
    try:
        return "through" if one() else "blocked"
    except (OSError, ValueError) as error:
        return f"blocked: {error}"


def main() -> None:
    """Try every attack and print the outcomes."""
    if os.getuid() == 0 or os.geteuid() == 0:
        raise SystemExit("attacks are not for root")
    KNOWN.update(json.load(sys.stdin))
    chosen = sys.argv[1:] or list(ATTACKS)
    print(json.dumps({name: outcome(ATTACKS[name]) for name in chosen}))


if __name__ == "__main__":
    main()
