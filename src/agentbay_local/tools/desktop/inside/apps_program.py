"""List, start and stop apps of a session, inside it and with its rights.

Standard input is a JSON object with `do` and the arguments of that action; standard output is a
JSON object, with `error` if it cannot be carried out. The Python of the machine runs this, 3.8 or
newer, without packages. The files of apps are those of the Desktop Entry Specification 1.5.
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False  # typing is not needed at run time
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

MENUS = (
    "/usr/share/applications",
    "/usr/local/share/applications",
    os.path.expanduser("~/.local/share/applications"),
)
DESKTOP = os.path.expanduser("~/Desktop")
# Not "System", the category of terminals and file managers.
SYSTEM = {"Settings", "PackageManager", "Screensaver"}
TERMINAL = ["xterm", "-e"]
LARGEST_FILE = 64 * 1024
LONGEST_TEXT = 1000
MOST_APPS = 1000
GRACE = 3.0
CHECK_INTERVAL = 0.02
COMMAND_NAME = 15


class RequestError(Exception):
    """The request cannot be carried out; the text says why."""


def list_apps(request: dict[str, Any]) -> dict[str, Any]:
    """Return the apps of the start menu, of the desktop, or of both, sorted by name."""
    places = [*(MENUS if request["start_menu"] else ()), *([DESKTOP] if request["desktop"] else ())]
    found: dict[str, dict[str, str]] = {}
    for place in places:
        for file in desktop_files(place):
            # A file of the user replaces that of the system with the same name.
            app = read_app(os.path.join(place, file), request["ignore_system_app"])
            found.pop(file, None)
            if app is not None and len(found) < MOST_APPS:
                found[file] = app
    return {"apps": sorted(found.values(), key=lambda app: app["name"].lower())}


def desktop_files(directory: str) -> list[str]:
    """Return the names of the descriptions of apps in a directory."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(name for name in names if name.endswith(".desktop"))[:MOST_APPS]


def read_app(path: str, ignore_system: bool) -> dict[str, str] | None:
    """Return an app, or None if the file describes none that is to be shown."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the names are case-sensitive
    try:
        with open(path, encoding="utf-8", opener=open_file) as file:
            parser.read_string(file.read(LARGEST_FILE))
        entry = parser["Desktop Entry"]
        program = shlex.split(re.sub(r"%[a-zA-Z]", "", entry["Exec"]))
    except (OSError, ValueError, KeyError, configparser.Error):
        return None
    hidden = any(entry.get(name) == "true" for name in ("NoDisplay", "Hidden"))
    system = SYSTEM & set(entry.get("Categories", "").split(";"))
    if hidden or not program or entry.get("Type") != "Application" or (ignore_system and system):
        return None
    name = os.path.basename(program[0])[:COMMAND_NAME]
    command = [*(TERMINAL if entry.get("Terminal") == "true" else ()), *program]
    return {
        "name": entry.get("Name", name)[:LONGEST_TEXT],
        "start_cmd": " ".join(map(shlex.quote, command))[:LONGEST_TEXT],
        "stop_cmd": f"pkill -x {shlex.quote(name)}",
        "work_directory": entry.get("Path", "")[:LONGEST_TEXT],
    }


def open_file(path: str, flags: int) -> int:
    """Open a file; opening a FIFO must not wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def start(request: dict[str, Any]) -> dict[str, Any]:
    """Start a program that outlives this one, and return its process."""
    command, directory = request["command"], request["directory"] or None
    try:
        # The caller may run any program in this session, with the same rights.
        process = subprocess.Popen(  # noqa: S603
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise RequestError(f"start_cmd: {command[0]} cannot be started: {error}") from error
    process.returncode = 0  # it is not waited for; the agent of the session adopts it
    end = time.monotonic() + GRACE
    # While the kernel loads a program, its command line is empty and its name may be the old one.
    while is_running(process.pid) and not read(process.pid, "cmdline") and time.monotonic() < end:
        time.sleep(CHECK_INTERVAL)
    return {"processes": [describe(process.pid)]}


def describe(pid: int) -> dict[str, Any]:
    """Return the pid, the name and the command line of a process."""
    line = read(pid, "cmdline").rstrip("\0").replace("\0", " ")
    return {"pid": pid, "name": read(pid, "comm").rstrip("\n"), "line": line}


def read(pid: int, name: str) -> str:
    """Return the beginning of a file of a process; empty if that is gone."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read(LONGEST_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def stop(request: dict[str, Any]) -> dict[str, Any]:
    """Ask processes to end, and kill those that do not."""
    pids = [request["pid"]] if "pid" in request else list(named(request["name"]))
    running = [pid for pid in pids if is_running(pid)]
    if not running:
        raise RequestError(
            f"no process has the {'pid' if 'pid' in request else 'name'} "
            f"{request.get('pid', request.get('name'))}"
        )
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(running, number)
        end = time.monotonic() + GRACE
        while running and time.monotonic() < end:
            time.sleep(CHECK_INTERVAL)
            running = [pid for pid in running if is_running(pid)]
    if running:
        raise RequestError(f"process {running[0]} does not end")
    return {}


def named(name: str) -> Iterator[int]:
    """Yield the processes with a name, which the kernel keeps up to 15 bytes of."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in (1, os.getpid()):
            program = read(int(entry), "cmdline").split("\0")[0]
            if name in (read(int(entry), "comm").rstrip("\n"), os.path.basename(program)):
                yield int(entry)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and is not collected does not."""
    return read(pid, "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"], ["X"])


def send(pids: list[int], number: int) -> None:
    """Send a signal to processes, as far as they are there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


ACTIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "list": list_apps,
    "start": start,
    "stop": stop,
}


def main() -> None:
    """Carry out the request of standard input, and write the answer."""
    request = json.load(sys.stdin)
    try:
        answer = ACTIONS[request["do"]](request)
    except RequestError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
