"""All services by an older official client: it ends with "conforms" if all is as it expects.

Its first argument is the version of the client, which decides what can be asked of it.
"""

import json
import sys
import threading
import urllib.request

from agentbay import AgentBay
from agentbay.context_sync import ContextSync, SyncPolicy
from agentbay.session_params import CreateSessionParams, ListSessionParams

VERSION = tuple(map(int, sys.argv[1].split(".")))
CODE_HAS_A_SERVICE = VERSION >= (0, 5)
CONTEXTS_HAVE_FILES = VERSION >= (0, 6)
DELETE_SAVES_FILES = VERSION >= (0, 6)
LISTS_HAVE_IDS = VERSION >= (0, 9)
FILES_ARE_TRANSFERRED = VERSION >= (0, 9)

bay = AgentBay()


def listed(labels):
    """Return the ids of the sessions with some labels, page by page."""
    params = ListSessionParams(labels=labels, max_results=2)
    ids = []
    while True:
        page = bay.list_by_labels(params)
        assert page.success, page.error_message
        ids += (
            page.session_ids
            if LISTS_HAVE_IDS
            else [session.session_id for session in page.sessions]
        )
        if not page.next_token:
            assert page.total_count == len(ids), (page.total_count, ids)
            return ids
        params.next_token = page.next_token


def sessions():
    """Create, label, list and describe."""
    suite = f"older-{sys.argv[1]}"
    made = []
    for number in range(3):
        params = CreateSessionParams(
            image_id="linux_latest", labels={"suite": suite, "number": str(number)}
        )
        result = bay.create(params)
        assert result.success and result.request_id, result.error_message
        made.append(result.session)
    assert sorted(listed({"suite": suite})) == sorted(one.session_id for one in made)
    assert listed({"suite": suite, "number": "1"}) == [made[1].session_id]
    if LISTS_HAVE_IDS:
        page = bay.list(labels={"suite": suite}, limit=2)
        assert page.success and len(page.session_ids) == 2 and page.total_count == 3, page
        found = bay.get(made[0].session_id)
        assert found.success and found.session.session_id == made[0].session_id
        assert not bay.get("s-never-was").success
    session = made[0]
    assert session.set_labels({"suite": suite, "state": "marked"}).success
    assert session.get_labels().data == {"suite": suite, "state": "marked"}
    information = session.info()
    assert information.success and information.data.session_id == session.session_id
    assert "resourceId=" in information.data.resource_url, information.data.resource_url
    for other in made[1:]:
        deleted = bay.delete(other)
        assert deleted.success, deleted.error_message
    assert listed({"suite": suite}) == [session.session_id]
    return session


def commands(session):
    """What a command prints, its failure, and its time limit."""
    done = session.command.execute_command("echo 'two  words'; pwd", timeout_ms=20_000)
    assert done.success, done.error_message
    # These versions hand on the answer as it is, which newer ones take apart.
    assert json.loads(done.output)["stdout"] == "two  words\n/home/wuying\n", done.output
    failed = session.command.execute_command("echo no >&2; exit 3", timeout_ms=20_000)
    assert "no" in (failed.output or "") + (failed.error_message or ""), vars(failed)
    late = session.command.execute_command("sleep 30", timeout_ms=300)
    assert not late.success and late.error_message, vars(late)


def code(session):
    """A value, kept state, and an error."""
    run = session.code.run_code if CODE_HAS_A_SERVICE else session.command.run_code
    first = run("x = 20\nprint('out', x * 2 + 2)", "python", timeout_s=60)
    assert first.success and "out 42" in first.result, vars(first)
    again = run("print(x)", "python", timeout_s=60)
    assert again.success and "20" in again.result, vars(again)
    failed = run("1 / 0", "python", timeout_s=60)
    assert not failed.success and "ZeroDivisionError" in failed.error_message, vars(failed)
    assert not run("1", "cobol", timeout_s=60).success


def files(session):
    """Write, read, edit, list, search, move, and a file of several requests."""
    system = session.file_system
    text = "first line\nüñïcödé 🏖\n"
    assert system.create_directory("/tmp/kept/deep").success
    assert system.write_file("/tmp/kept/a.txt", text).success
    assert system.write_file("/tmp/kept/a.txt", "more\n", mode="append").success
    assert system.read_file("/tmp/kept/a.txt").content == text + "more\n"
    edited = system.edit_file("/tmp/kept/a.txt", [{"oldText": "first", "newText": "only"}])
    assert edited.success, edited.error_message
    described = system.get_file_info("/tmp/kept/a.txt")
    assert described.success and described.file_info["isFile"] is True, vars(described)
    names = {entry["name"]: entry["isDirectory"] for entry in entries(system, "/tmp/kept")}
    assert names == {"a.txt": False, "deep": True}, names
    assert system.move_file("/tmp/kept/a.txt", "/tmp/kept/b.txt").success
    assert not system.read_file("/tmp/kept/a.txt").success
    found = system.search_files("/tmp/kept", "b.txt")
    assert found.success and any("b.txt" in match for match in found.matches), vars(found)
    several = system.read_multiple_files(["/tmp/kept/b.txt"])
    assert several.success and "only line" in several.contents["/tmp/kept/b.txt"], vars(several)
    large = "0123456789" * 15_000
    write = getattr(system, "write_large_file", system.write_file)
    read = getattr(system, "read_large_file", system.read_file)
    written = write("/tmp/kept/large.txt", large)
    assert written.success, written.error_message
    assert read("/tmp/kept/large.txt").content == large


def entries(system, path):
    """Return the entries of a directory."""
    result = system.list_directory(path)
    assert result.success, result.error_message
    return result.entries


def links(session):
    """A server inside is reached by its link."""
    serve = "cd /tmp/kept; nohup python3 -m http.server 30150 > /dev/null 2>&1 &"
    assert session.command.execute_command(serve, timeout_ms=20_000).success
    wait = "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 30150))'"
    until = f"until {wait} 2> /dev/null; do sleep 0.1; done"
    up = session.command.execute_command(until, timeout_ms=45_000)
    assert up.success, up.error_message
    link = session.get_link("https", 30150)
    assert link.success, link.error_message
    with urllib.request.urlopen(link.data + "/b.txt") as answer:
        assert answer.read().decode().startswith("only line")


def contexts():
    """What one session writes below the mount, the next one reads."""
    name = f"older-{sys.argv[1]}"
    made = bay.context.get(name, create=True)
    assert made.context.id and made.context_id == made.context.id, vars(made)
    assert made.context.id in {one.id for one in bay.context.list().contexts}
    sync = ContextSync.new(made.context.id, "/mnt/data", SyncPolicy.default())
    for expected in ("", "kept"):
        result = bay.create(CreateSessionParams(context_syncs=[sync]))
        assert result.success, result.error_message
        session = result.session
        if expected:
            settle(session, "download")
            assert session.file_system.read_file("/mnt/data/note.txt").content == expected
        assert session.file_system.write_file("/mnt/data/note.txt", "kept").success
        if DELETE_SAVES_FILES:
            deleted = bay.delete(session, sync_context=True)
        else:
            assert session.context.sync().success
            settle(session, "upload")
            deleted = bay.delete(session)
        assert deleted.success, deleted.error_message
    if CONTEXTS_HAVE_FILES:
        kept = bay.context.list_files(made.context.id, "/mnt/data")
        assert [entry.file_name for entry in kept.entries] == ["note.txt"], vars(kept)
        url = bay.context.get_file_download_url(made.context.id, "/mnt/data/note.txt").url
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == b"kept"
        assert bay.context.delete_file(made.context.id, "/mnt/data/note.txt").success
    context = made.context
    context.name = f"{name}-renamed"
    assert bay.context.update(context).success
    assert bay.context.delete(context).success
    assert not bay.context.get(f"{name}-renamed").context_id


def settle(session, direction):
    """Wait until a task is done; the service says so at once."""
    for _ in range(600):
        tasks = [
            task
            for task in session.context.info().context_status_data
            if task.task_type == direction
        ]
        if tasks and all(task.status == "Success" for task in tasks):
            return
        session.command.execute_command("sleep 0.1", timeout_ms=20_000)
    raise AssertionError(f"no {direction} has ended: {tasks}")


def transfers(session):
    """Files of this machine go to the session and come back."""
    place = "/temp/file-transfer/there.bin"  # where these versions mount their own context
    with open("here.bin", "wb") as file:
        file.write(bytes(range(256)) * 300)
    up = session.file_system.upload_file("here.bin", place)
    assert up.success, up.error
    down = session.file_system.download_file(place, "back.bin")
    assert down.success, down.error
    with open("back.bin", "rb") as file:
        assert file.read() == bytes(range(256)) * 300


def watches(session):
    """A change of a directory is reported to the callback."""
    seen = threading.Event()

    def look(events):
        if any("new-" in event.path for event in events):
            seen.set()

    watching = session.file_system.watch_directory("/tmp/kept", look, interval=0.2)
    watching.start()
    # Again and again, because what happens before the first look is not a change.
    for number in range(300):
        assert session.file_system.write_file(f"/tmp/kept/new-{number}.txt", "x").success
        if seen.wait(0.5):
            break
    watching.stop_event.set()
    watching.join()
    assert seen.is_set()


def not_offered(session):
    """What only the cloud has fails with words, not with an exception."""
    for refused in (
        session.ui.screenshot(),
        session.window.list_root_windows(),
        session.application.get_installed_apps(True, False, True),
        session.oss.upload("bucket", "object", "/tmp/kept/b.txt"),
    ):
        assert not refused.success and "not offered" in refused.error_message, vars(refused)


def main():
    """Do all of it."""
    session = sessions()
    commands(session)
    code(session)
    files(session)
    links(session)
    if FILES_ARE_TRANSFERRED:
        transfers(session)
        watches(session)
    not_offered(session)
    contexts()
    assert bay.delete(session).success
    assert listed({"suite": f"older-{sys.argv[1]}"}) == []
    print("conforms")


main()
