"""A program for the official client, blocking: it ends with "conforms" if all is as it expects."""

from agentbay import AgentBay, ContextSync, CreateSessionParams, SyncPolicy

bay = AgentBay()

# Sessions and labels.
made = []
for number in range(3):
    params = CreateSessionParams(labels={"suite": "blocking", "number": str(number)})
    result = bay.create(params)
    assert result.success, result.error_message
    assert result.request_id
    made.append(result.session)

page = bay.list(labels={"suite": "blocking"}, limit=2)
assert page.success, page.error_message
assert len(page.session_ids) == 2, page.session_ids
assert page.total_count == 3, page.total_count
assert page.next_token
assert {entry["sessionStatus"] for entry in page.session_ids} == {"RUNNING"}
second = bay.list(labels={"suite": "blocking"}, page=2, limit=2)
assert len(second.session_ids) == 1, second.session_ids
assert not second.next_token
listed = {entry["sessionId"] for entry in page.session_ids + second.session_ids}
assert listed == {session.session_id for session in made}
assert not bay.list(labels={"suite": "no such"}).session_ids
assert not bay.list(page=99, limit=2).success

session = made[0]
assert session.set_labels({"suite": "blocking", "state": "marked"}).success
assert session.get_labels().data == {"suite": "blocking", "state": "marked"}
assert bay.list(labels={"state": "marked"}).total_count == 1
found = bay.get(session.session_id)
assert found.success, found.error_message
assert found.session.session_id == session.session_id
assert session.get_status().status == "RUNNING"
assert session.info().data.session_id == session.session_id
assert session.keep_alive().success
assert not bay.get("s-never-was").success

# Commands and files.
command = session.command.run("printf out; printf err >&2; exit 3")
assert (command.stdout, command.stderr, command.exit_code) == ("out", "err", 3), command
assert not command.success
command = session.command.execute_command("pwd; echo $A", cwd="/tmp", envs={"A": "b c"})
assert command.success and command.stdout == "/tmp\nb c\n", command
command = session.command.run("sleep 30", timeout_ms=300)
assert not command.success and command.error_message and not command.output, command

files = session.file_system
assert files.create_directory("/tmp/kept/deep").success
text = "first line\nüñïcödé 🏖\n"
assert files.write_file("/tmp/kept/a.txt", text).success
assert files.write_file("/tmp/kept/a.txt", "more\n", mode="append").success
read = files.read_file("/tmp/kept/a.txt")
assert read.success and read.content == text + "more\n", read
assert files.read_file("/tmp/kept/a.txt", format="bytes").content == (text + "more\n").encode()
large = "0123456789" * 20_000
assert files.write_file("/tmp/kept/large.txt", large).success
assert files.read_file("/tmp/kept/large.txt").content == large
info = files.get_file_info("/tmp/kept/a.txt")
assert info.success and int(info.file_info["size"]) == len((text + "more\n").encode()), info
assert info.file_info["isFile"] is True
names = {entry.name for entry in files.list_directory("/tmp/kept").entries}
assert names == {"a.txt", "large.txt", "deep"}, names
edit = files.edit_file("/tmp/kept/a.txt", [{"oldText": "first", "newText": "only"}])
assert edit.success, edit.error_message
assert files.read_file("/tmp/kept/a.txt").content.startswith("only line")
assert files.search_files("/tmp/kept", "*.txt").matches
several = files.read_multiple_files(["/tmp/kept/a.txt"])
assert several.success and "only line" in several.contents["/tmp/kept/a.txt"], several
assert files.move_file("/tmp/kept/a.txt", "/tmp/kept/b.txt").success
assert not files.read_file("/tmp/kept/a.txt").success
assert files.delete_file("/tmp/kept/b.txt").success
assert not files.get_file_info("/tmp/kept/b.txt").success

# Contexts: bytes of one session are read in the next.
context = bay.context.get("official-blocking", create=True)
assert context.success and context.context_id, context.error_message
assert bay.context.get("official-blocking").context_id == context.context_id
assert context.context_id in {entry.id for entry in bay.context.list().contexts}
sync = ContextSync.new(context.context_id, "/mnt/data", SyncPolicy.default())
for expected in ("", "kept by the official client"):
    result = bay.create(CreateSessionParams(context_syncs=[sync]))
    assert result.success, result.error_message
    worker = result.session
    if expected:
        assert worker.file_system.read_file("/mnt/data/note.txt").content == expected
        status = worker.context.info().context_status_data
        assert {task.status for task in status} == {"Success"}, status
    written = worker.file_system.write_file("/mnt/data/note.txt", "kept by the official client")
    assert written.success, written.error_message
    deleted = bay.delete(worker, sync_context=True)
    assert deleted.success, deleted.error_message

listing = bay.context.list_files(context.context_id, "/")
assert listing.success and [entry.file_name for entry in listing.entries] == ["note.txt"], listing
assert bay.context.get_file_download_url(context.context_id, "/note.txt").url.startswith("http")
assert bay.context.delete_file(context.context_id, "/note.txt").success
assert bay.context.clear(context.context_id).success
renamed = bay.context.get("official-blocking").context
renamed.name = "official-blocking-renamed"
assert bay.context.update(renamed).success
assert bay.context.delete(renamed).success
assert not bay.context.get("official-blocking-renamed").context_id

# The end of sessions.
assert session.beta_pause(poll_interval=0.1).success
assert session.beta_resume(poll_interval=0.1).success
for session in made:
    deleted = bay.delete(session)
    assert deleted.success, deleted.error_message
assert bay.list(labels={"suite": "blocking"}).total_count == 0

print("conforms")
