"""The operations that the official client and ours perform: one program, run by both.

``python operations.py ENDPOINT`` performs them one after another, with the client that this Python
can import: the package ``agentbay_async`` if it is there, else the official ``agentbay``. Each is
announced to the recorder at the endpoint, which thereby knows whose requests follow.

A name that only one of the clients has is part of the comparison: the operation then ends with an
error, and the error is compared like everything else.
"""

import asyncio
import dataclasses
import importlib
import inspect
import itertools
import os
import sys
import tempfile
import types
import typing
import urllib.parse
import urllib.request
from importlib.util import find_spec
from pathlib import Path

api = importlib.import_module("agentbay_async" if find_spec("agentbay_async") else "agentbay")

LARGE = "0123456789abcdef\n" * 20_000  # 340 KB: more than our client sends through the tools
SMALL = "a small file\n"
TEXT = 'first line\nüñïcödé "quoted" {json}\n'

operations = {}


def operation(name):
    """Register a coroutine function, or a plain one, that takes a `Surroundings`."""

    def add(function):
        operations[name] = function
        return function

    return add


def call(path, /, *args, **kwargs):
    """Register a call of one method, by its path: ``session.command.run``.

    Paths that begin with ``direct`` go to the session that has an address of its own.
    """
    shown = [*map(show, args), *(f"{name}={show(value)}" for name, value in kwargs.items())]
    name = f"{path}({', '.join(shown)})"
    assert name not in operations, name

    async def perform(here):
        target = here
        for part in path.split("."):
            target = getattr(target, part)
        return target(*args, **kwargs)

    operations[name] = perform


def show(value):
    """Return an argument for the name of an operation."""
    text = "..." if callable(value) else repr(value)
    return text if len(text) <= 60 else f"{text[:20]}...{text[-1]}"


class Surroundings:
    """What operations use: a client, two sessions, and a directory of this machine.

    Attributes:
        bay: The client.
        session: A session without an address of its own: its tools are called through the API.
        direct: A session with an address and a WebSocket of its own.
        directory: An empty directory.
    """

    def __init__(self, directory):
        self.bay = api.AsyncAgentBay()
        self.session = None
        self.direct = None
        self.directory = directory


# Sessions.


@operation("look up")
async def look_up(here):
    """Look up the two sessions that the following operations use."""
    here.session = (await here.bay.get("s-plain")).session
    found = await here.bay.get("s-direct")
    here.direct = found.session
    return found


def create(name, /, **fields):
    """Register the creation of a session; a field may be a function that makes its value."""

    async def perform(here):
        values = {key: value() if callable(value) else value for key, value in fields.items()}
        return await here.bay.create(api.CreateSessionParams(**values))

    operations[f"create: {name}"] = perform


def full_policy():
    """Return a policy with each value other than its default."""
    return api.SyncPolicy(
        upload_policy=api.UploadPolicy(
            auto_upload=False,
            upload_mode=api.UploadMode.ARCHIVE,
            archive_exclude_paths=["/logs"],
        ),
        download_policy=api.DownloadPolicy(auto_download=False),
        delete_policy=api.DeletePolicy(sync_local_file=False),
        extract_policy=api.ExtractPolicy(
            extract=False, delete_src_file=False, extract_current_folder=True
        ),
        recycle_policy=api.RecyclePolicy(
            lifecycle=api.Lifecycle.LIFECYCLE_30DAYS, paths=["/cache"]
        ),
        bw_list=api.BWList(
            white_lists=[
                api.WhiteList(path="/src", exclude_paths=["/build"]),
                api.WhiteList(
                    path=".*[.]py",
                    exclude_paths=["x*"],
                    is_path_regex=True,
                    is_exclude_regex=True,
                ),
            ]
        ),
        mapping_policy=api.MappingPolicy(path="/data"),
    )


def phone(**fields):
    """Return settings of a phone."""
    return api.ExtraConfigs(mobile=api.MobileExtraConfig(**fields))


@operation("create: defaults")
async def create_default(here):
    """Create without parameters."""
    return await here.bay.create()


create("image", image_id="code_latest")
create("labels", labels={"project": "demo", "größe": 'a "b"'})
create("policy", policy_id="p-1")
create("framework", framework="langchain")
create("idle seconds", idle_release_timeout=90)
create("lifetime", lifecycle_policy=lambda: api.LifecyclePolicy(10, 20))
create("lifetime: idle only", lifecycle_policy=lambda: api.LifecyclePolicy(idle_release_timeout=7))
create("manual release", lifecycle_policy=lambda: api.LifecyclePolicy(manual_release=True))
create("network", beta_network_id="n-1")
create("record the browser", enable_browser_replay=True)
create("do not record the browser", enable_browser_replay=False)
create("skills", load_skills=True)
create("some skills", load_skills=True, skill_names=["pdf", "git"])
create("no skills", load_skills=False)
create("context", context_syncs=lambda: [api.ContextSync.new("c-1", "/mnt/a")])
create(
    "default policy",
    context_syncs=lambda: [api.ContextSync.new("c-1", "/mnt/a", api.SyncPolicy.default())],
)
create(
    "two contexts",
    context_syncs=lambda: [
        api.ContextSync.new("c-1", "/mnt/a", full_policy()),
        api.ContextSync.new("c-2", "/mnt/b"),
    ],
)
create(
    "mounts",
    image_id="aio-ubuntu-2404",
    beta_context_mounts=lambda: [
        api.BetaContextMount.new("c-1", "/mnt/a"),
        api.BetaContextMount.new(
            "c-2",
            "/mnt/b",
            api.BetaContextMountAccessMode.READ_ONLY,
            api.BetaContextMountStrategy.PERFORMANCE,
            "sub",
        ),
    ],
)
create(
    "context and mount",
    context_syncs=lambda: [api.ContextSync.new("c-1", "/mnt/a")],
    beta_context_mounts=lambda: [api.BetaContextMount.new("c-2", "/mnt/b")],
)
create(
    "phone",
    image_id="mobile_latest",
    extra_configs=lambda: phone(
        lock_resolution=True,
        hide_navigation_bar=False,
        uninstall_blacklist=["com.a", "com.b"],
        app_manager_rule=api.AppManagerRule("White", ["com.c"]),
    ),
)
create(
    "phone with a black list",
    extra_configs=lambda: phone(app_manager_rule=api.AppManagerRule("Black", ["com.d"])),
)
create(
    "simulated phone",
    extra_configs=lambda: phone(
        simulate_config=api.MobileSimulateConfig(
            simulate=True, simulate_path="/tmp/phone", simulated_context_id="c-1"
        )
    ),
)
create(
    "no wait for the files",
    context_syncs=lambda: [api.ContextSync("c-1", "/mnt/a", None, False)],
)
create("browser context", browser_context=lambda: api.BrowserContext("c-1"))
create(
    "whole browser context",
    browser_context=lambda: api.BrowserContext(
        "c-1",
        auto_upload=False,
        sync_mode=api.BrowserSyncMode.MINIMAL,
        extension_option=api.ExtensionOption("c-2", ["ext_1.zip"]),
        fingerprint_context=api.BrowserFingerprintContext("c-3"),
    ),
)

call("bay.list")
call("bay.list", labels={"project": "demo"}, limit=5)
call("bay.list", page=2, limit=2)
call("bay.list", status="RUNNING", image_id="code_latest")


@operation("bay.delete")
async def delete(here):
    """Create and delete."""
    return await here.bay.delete((await here.bay.create()).session)


@operation("bay.delete, with files")
async def delete_with_files(here):
    """Upload the files of a context before the session is deleted."""
    sync = api.ContextSync.new("c-1", "/mnt/a")
    session = (await here.bay.create(api.CreateSessionParams(context_syncs=[sync]))).session
    return await session.delete(sync_context=True)


call("session.set_labels", {"project": "demo", "größe": 'a "b"'})
call("session.get_labels")
call("session.info")
call("session.get_status")
call("session.keep_alive")
call("session.beta_pause", poll_interval=0.01)
call("session.beta_resume", poll_interval=0.01)
call("bay.get", "s-direct")
call("session.get_link")
call("session.get_link", "https", 30100)
call("session.get_link", protocol_type="wss", port=30199, options="x")
call("session.list_mcp_tools")
call("session.list_mcp_tools", image_id="code_latest")
call("session.get_metrics")
call("session.call_mcp_tool", "any_tool", {"text": "ü", "list": [1, 2.5, None], "flag": True})
call("session.call_mcp_tool", "press_keys", {"keys": ["CTRL", "Enter", "minus"]})

# Contexts of the account.


call("bay.context.get", "store")
call("bay.context.get", "store", create=True)
call("bay.context.get", context_id="c-1")
call("bay.context.create", "store")
call("bay.context.list")


@operation("bay.context.list, of a session")
async def list_contexts(here):
    """List the second page of a session's contexts."""
    params = api.ContextListParams(max_results=5, next_token="t-2", session_id="s-plain")
    return await here.bay.context.list(params)


@operation("bay.context.update")
async def rename_context(here):
    """Rename a context."""
    context = (await here.bay.context.get("store")).context
    renamed = type(context)(id=context.id, name="renamed")
    return await here.bay.context.update(renamed)


@operation("bay.context.delete")
async def delete_context(here):
    """Delete a context."""
    return await here.bay.context.delete((await here.bay.context.get("store")).context)


call("bay.context.list_files", "c-1", "/mnt/a")
call("bay.context.list_files", "c-1", "")
call("bay.context.list_files", "c-1", "/mnt/a", page_number=2, page_size=10)
call("bay.context.list_files", "c-1", "/mnt/a", max_results=10)
call("bay.context.list_files", "c-1", "/mnt/a", max_results=10, next_token="t-2")
call("bay.context.get_file_upload_url", "c-1", "/mnt/a/ü b.txt")
call("bay.context.get_file_download_url", "c-1", "/mnt/a/ü b.txt")
call("bay.context.delete_file", "c-1", "/mnt/a/ü b.txt")
call("bay.context.start_clear", "c-1")
call("bay.context.get_clear_status", "c-1")
call("bay.context.clear", "c-1", poll_interval=0.01)

# Contexts in a session.


def bind(name, wait=True):
    """Register the binding of contexts to a running session."""

    async def perform(here):
        contexts = [
            api.ContextSync.new("c-1", "/mnt/a"),
            api.ContextSync.new("c-2", "/mnt/b", full_policy()),
            api.BetaContextMount.new("c-3", "/mnt/c"),
        ]
        return await here.session.context.bind(*contexts, wait_for_completion=wait)

    operations[name] = perform


bind("session.context.bind")
bind("session.context.bind, without waiting", wait=False)
call("session.context.list_bindings")
call("session.context.info")
call("session.context.info", context_id="c-1", path="/mnt/a", task_type="upload")


def sync(name, *args, **kwargs):
    """Register a sync of a session that has one context."""

    async def perform(here):
        first = api.ContextSync.new("c-1", "/mnt/a")
        await here.session.context.bind(first, wait_for_completion=False)
        return await here.session.context.sync(*args, **kwargs)

    operations[name] = perform


sync("session.context.sync")
sync("session.context.sync, one context", "c-1", "/mnt/a", "download")
sync("session.context.sync, with looks", max_retries=5, retry_interval=100)

# Commands, code, variables.

for where in ("session", "direct"):
    call(f"{where}.command.execute_command", "echo ü")
    call(f"{where}.command.run", "pwd", 2000, "/tmp", {"A": "b c"})
    call(f"{where}.code.run_code", "print(1)", "python")
    call(f"{where}.code.run_code", "1", "javascript", timeout_s=5)
    call(f"{where}.env.set", {"STAGE": "test", "B": "ü"})
    call(f"{where}.env.get")
    call(f"{where}.env.get", ["STAGE"])

call("direct.get_metrics")
call("direct.call_mcp_tool", "any_tool", {"text": "ü"})
call("session.call_mcp_tool", "any_tool", {}, 5000, 1000, True)
call("session.call_mcp_tool", "any_tool", {}, auto_gen_session=True)
call("session.get_metrics", read_timeout=5000, connect_timeout=1000)
call("direct.call_mcp_tool", "shell", {"command": "true"})


@operation("direct.code.run_code, streamed")
async def stream_code(here):
    """Run code, and get its output as it comes."""
    lines = []
    stream = {"stream_beta": True} if accepts(here.direct.code.run_code, "stream_beta") else {}
    run = here.direct.code.run_code
    return await run("print(1)", "python", 5, on_stdout=lines.append, **stream)


def accepts(function, name):
    """Return whether a function has a parameter of this name."""
    return name in inspect.signature(function).parameters


# Files.

for where in ("session", "direct"):
    files = f"{where}.file_system"
    call(f"{files}.create_directory", "/tmp/a")
    call(f"{files}.write_file", "/tmp/a/t.txt", TEXT)
    call(f"{files}.write_file", "/tmp/a/t.txt", TEXT, "append")
    call(f"{files}.write_file", "/tmp/a/large.txt", LARGE)
    call(f"{files}.read_file", "/tmp/small.txt")
    call(f"{files}.read_file", "/tmp/small.txt", format="bytes")
    call(f"{files}.read_file", "/tmp/empty.txt")
    call(f"{files}.read_file", "/tmp/large.txt")
    call(f"{files}.read_file", "/tmp/large.txt", format="bytes")
    call(f"{files}.read_multiple_files", ["/tmp/small.txt", "/tmp/small2.txt"])
    call(f"{files}.get_file_info", "/tmp/small.txt")
    call(f"{files}.list_directory", "/tmp/a")
    call(f"{files}.edit_file", "/tmp/small.txt", [{"oldText": "small", "newText": "big"}])
    call(f"{files}.edit_file", "/tmp/small.txt", [{"oldText": "a", "newText": ""}], dry_run=True)
    call(f"{files}.search_files", "/tmp", "*.txt")
    call(f"{files}.search_files", "/tmp", "*.txt", ["a*", "b*"])
    call(f"{files}.move_file", "/tmp/a", "/tmp/b")
    call(f"{files}.delete_file", "/tmp/b")
    call(f"{files}.get_file_transfer_context_path")


def write(here, name, content):
    """Write a file of this machine, and return its path."""
    path = Path(here.directory, name)
    path.write_text(content)
    return str(path)


def upload(name, content, **kwargs):
    """Register the upload of a file into the session."""

    async def perform(here):
        source = write(here, "source.txt", content)
        target = "/tmp/file-transfer/target.txt"
        return await here.session.file_system.upload_file(source, target, **kwargs)

    operations[name] = perform


upload("upload a small file", SMALL)
upload("upload a large file", LARGE)
upload("upload a large file, as text", LARGE, content_type="text/plain", poll_interval=0.1)
upload("upload a file without waiting", SMALL, wait=False)


def download(name, path, **kwargs):
    """Register the download of a file of the session."""

    async def perform(here):
        target = str(Path(here.directory, "target.txt"))
        return await here.session.file_system.download_file(path, target, **kwargs)

    operations[name] = perform


download("download a small file", "/tmp/file-transfer/small.txt")
download("download a large file", "/tmp/file-transfer/large.txt")
download("download a file without waiting", "/tmp/file-transfer/large.txt", wait=False)


async def watch(session, event):
    """Watch a directory until a change was reported, or for a moment if there is none."""
    changes = []
    thread = session.file_system.watch_directory("/tmp/watched", changes.extend, interval=0.05)
    await settled(thread.start())
    await asyncio.to_thread(thread.ready_event.wait, 30)
    await asyncio.to_thread(event)
    await until(lambda: changes)
    thread.stop_event.set()
    await until(lambda: not thread.is_alive())
    return bool(changes)


@operation("session.file_system.watch_directory")
async def watch_polls(here):
    """Watch a directory of a session that has no WebSocket."""
    return await watch(here.session, lambda: control("change"))


@operation("direct.file_system.watch_directory")
async def watch_pushes(here):
    """Watch a directory of a session that pushes its changes."""
    return await watch(here.direct, lambda: control("push"))


async def until(done):
    """Wait until something is so, or fail."""
    for _ in range(3000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError("it did not come true")


# Git.

REPO = "/home/wuying/repo"
call("session.git.clone", "https://example.com/a/repo.git")
call("session.git.clone", "https://example.com/r.git", path=REPO, branch="dev", depth=1)
call("session.git.init", REPO)
call("session.git.init", REPO, initial_branch="main", bare=True)
call("session.git.add", REPO)
call("session.git.add", REPO, files=["a b.txt", "-c"])
call("session.git.add", REPO, stage_all=False)
call("session.git.commit", REPO, "it's a message")
call("session.git.commit", REPO, "m", author_name="Me", author_email="m@e", allow_empty=True)
call("session.git.status", REPO)
call("session.git.log", REPO)
call("session.git.log", REPO, max_count=3)
call("session.git.list_branches", REPO)
call("session.git.create_branch", REPO, "topic")
call("session.git.create_branch", REPO, "topic", checkout=False)
call("session.git.checkout_branch", REPO, "main")
call("session.git.delete_branch", REPO, "topic")
call("session.git.delete_branch", REPO, "topic", force=True)
call("session.git.remote_add", REPO, "origin", "https://example.com/r.git")
call("session.git.remote_add", REPO, "o", "https://e.com/r.git", fetch=True, overwrite=True)
call("session.git.remote_get", REPO, "origin")
call("session.git.reset", REPO, mode="hard", target="HEAD~1")
call("session.git.reset", REPO, paths=["a b.txt"])
call("session.git.restore", REPO, ["a b.txt"])
call("session.git.restore", REPO, ["a"], staged=True, worktree=True, source="HEAD")
call("session.git.pull", REPO)
call("session.git.pull", REPO, remote="origin", branch="main")
call("session.git.configure_user", REPO, "Me", "me@example.com")
call("session.git.set_config", REPO, "core.autocrlf", "input", scope="local")
call("session.git.get_config", REPO, "user.name")

# Terminals.


@operation("direct.pty")
async def use_terminal(here):
    """Open a terminal, type, resize, and end it."""
    pty = await here.direct.pty.create()
    await pty.send_input(b"echo \xc3\xbc\n")
    await pty.send_input(b"\xff\x00")
    await pty.resize(100, 30)
    await pty.kill()
    return await pty.wait()


@operation("direct.pty, with options")
async def open_terminal(here):
    """Open a terminal with all options, and leave it."""
    options = {"cwd": "/tmp", "envs": {"A": "b"}, "shell": "/bin/sh"}
    pty = await here.direct.pty.create(120, 40, **options, timeout_s=20)
    await settled(pty.disconnect())


@operation("direct.pty, attached again")
async def attach_terminal(here):
    """Attach to a terminal, list all, and end one by its id."""
    pty = await here.direct.pty.connect("pty-1")
    await here.direct.pty.list()
    await settled(pty.disconnect())
    return await here.direct.pty.kill("pty-1")


# The desktop and the phone.

for name, args in {
    "click_mouse": (1, 2),
    "move_mouse": (1, 2),
    "drag_mouse": (1, 2, 3, 4),
    "scroll": (1, 2),
    "get_cursor_position": (),
    "input_text": ("ü text",),
    "press_keys": (["Ctrl", "A"],),
    "release_keys": (["Ctrl", "A"],),
    "get_screen_size": (),
    "screenshot": (),
    "list_root_windows": (),
    "get_active_window": (),
    "activate_window": (7,),
    "close_window": (7,),
    "maximize_window": (7,),
    "minimize_window": (7,),
    "restore_window": (7,),
    "resize_window": (7, 800, 600),
    "fullscreen_window": (7,),
    "focus_mode": (True,),
    "get_installed_apps": (),
    "start_app": ("gedit",),
    "list_visible_apps": (),
    "stop_app_by_pname": ("gedit",),
    "stop_app_by_pid": (7,),
    "stop_app_by_cmd": ("killall gedit",),
}.items():
    call(f"session.computer.{name}", *args)

call("session.computer.click_mouse", 1, 2, "double_left")
call("session.computer.drag_mouse", 1, 2, 3, 4, "right")
call("session.computer.scroll", 1, 2, "left", 5)
call("session.computer.press_keys", ["ctrl", "PageDown", "f5", "Slash"], hold=True)
call("session.computer.get_installed_apps", False, True, False)
call("session.computer.list_root_windows", timeout_ms=500)
call("session.computer.start_app", "gedit", "/tmp", "main")
call("direct.computer.beta_take_screenshot")
call("direct.computer.beta_take_screenshot", "jpeg")
call("direct.computer.click_mouse", 1, 2)

for name, args in {
    "tap": (1, 2),
    "swipe": (1, 2, 3, 4),
    "input_text": ("ü",),
    "send_key": (4,),
    "get_clickable_ui_elements": (),
    "get_all_ui_elements": (),
    "get_installed_apps": (True, False, True),
    "start_app": ("monkey -p com.a",),
    "stop_app_by_cmd": ("com.a",),
    "screenshot": (),
    "get_adb_url": ("QAAA",),
}.items():
    call(f"session.mobile.{name}", *args)

call("session.mobile.swipe", 1, 2, 3, 4, 900)
call("session.mobile.get_all_ui_elements", 500, "xml")
call("session.mobile.start_app", "monkey -p com.a", "", ".Main")
call("direct.mobile.beta_take_screenshot")
call("direct.mobile.beta_take_long_screenshot")
call("direct.mobile.beta_take_long_screenshot", 3, "jpeg", 80)


@operation("session.mobile.configure")
async def configure_phone(here):
    """Change the settings of a running phone."""
    return await here.session.mobile.configure(phone(lock_resolution=True).mobile)


call("session.mobile.set_resolution_lock", True)
call("session.mobile.set_app_whitelist", ["com.a"])
call("session.mobile.set_app_blacklist", ["com.a"])
call("session.mobile.set_navigation_bar_visibility", True)
call("session.mobile.set_uninstall_blacklist", ["com.a"])

# The browser.


def size(kind, width, height):
    """Return a size: the official client has classes for them, ours takes pairs."""
    return getattr(api, kind)(width, height) if hasattr(api, kind) else (width, height)


def sample(kind):
    """Return a value of this type; a data class has something in each field."""
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__"):
        hints = typing.get_type_hints(kind)
        return kind(**{name: sample(hint) for name, hint in hints.items()})
    kind = typing.get_origin(kind) or kind
    return kind() if isinstance(kind, type) and kind is not types.UnionType else None


def one_proxy(**fields):
    """Return the keyword for a proxy: a list in the official client, in ours it is one."""
    made = api.BrowserProxy(**fields)
    in_list = accepts(api.BrowserOption, "proxies")
    return {"proxies": [made]} if in_list else {"proxy": made}


async def fresh_session(here, kind):
    """Look up a session that no operation used before: clients remember whether a browser runs."""
    return (await here.bay.get(f"s-{kind}-{next(numbers)}")).session


numbers = itertools.count(1)


def browser(name, options):
    """Register the start of a browser; `options` makes the keywords of its options."""

    async def perform(here):
        session = await fresh_session(here, "plain")
        return await session.browser.initialize(api.BrowserOption(**options()))

    operations[f"browser: {name}"] = perform


browser("defaults", dict)
browser(
    "all options",
    lambda: {
        "use_stealth": True,
        "user_agent": "me",
        "viewport": size("BrowserViewport", 800, 600),
        "screen": size("BrowserScreen", 1024, 768),
        "fingerprint": api.BrowserFingerprint(["desktop"], ["linux"], ["en-US"]),
        "fingerprint_persistent": True,
        "solve_captchas": True,
        "auto_login": True,
        "call_for_user": True,
        "extension_path": "/tmp/more/",
        "cmd_args": ["--a"],
        "default_navigate_url": "https://example.com",
        "browser_type": "chrome",
    },
)
browser(
    "fingerprint of another browser",
    lambda: {"fingerprint_format": sample(api.FingerprintFormat)},
)
browser(
    "own proxy", lambda: one_proxy(proxy_type="custom", server="p:1", username="u", password="p")
)
browser("service's proxy", lambda: one_proxy(proxy_type="wuying", strategy="polling", pollsize=3))
browser("restricted proxy", lambda: one_proxy(proxy_type="wuying", strategy="restricted"))
browser(
    "managed proxy",
    lambda: one_proxy(
        proxy_type="managed",
        strategy="matched",
        user_id="u",
        isp="i",
        country="c",
        province="p",
        city="t",
    ),
)
browser(
    "managed proxy by turns",
    lambda: one_proxy(proxy_type="managed", strategy="polling", user_id="u"),
)


@operation("browser: no options")
async def start_browser(here):
    """Start the browser as the image has it."""
    return await (await fresh_session(here, "plain")).browser.initialize()


def with_browser(name):
    """Register a function that takes a session whose browser runs, and the rest."""

    def add(function):
        async def perform(here):
            session = await fresh_session(here, "direct")
            await session.browser.initialize(api.BrowserOption())
            return await function(session)

        operations[f"browser: {name}"] = perform
        return function

    return add


@operation("browser: recorded")
async def record_browser(here):
    """Start the browser of a session that is recorded."""
    made = await here.bay.create(api.CreateSessionParams(enable_browser_replay=True))
    return await made.session.browser.initialize(api.BrowserOption())


@with_browser("endpoint")
async def get_endpoint(session):
    """Get the address of its DevTools."""
    await session.browser.get_endpoint_url()


@with_browser("destroy")
async def destroy_browser(session):
    """Stop it."""
    await session.browser.destroy()


@with_browser("navigate")
async def navigate(session):
    """Open a page."""
    target = session.browser
    await (target if hasattr(target, "navigate") else target.operator).navigate("https://a.b")


@with_browser("operator.screenshot")
async def screenshot(session):
    """Take a picture of the page."""
    await session.browser.operator.screenshot()


@with_browser("operator.act")
async def act(session):
    """Act on the page."""
    await session.browser.operator.act(api.ActOptions("click", use_vision=True))


@with_browser("operator.observe")
async def observe(session):
    """Look for elements of the page."""
    await session.browser.operator.observe(api.ObserveOptions("the button"))


@with_browser("operator.extract")
async def extract(session):
    """Read the page into a model."""
    operator = session.browser.operator
    schema = importlib.import_module("pydantic").create_model("Page", title=(str, ""))
    await operator.extract(api.ExtractOptions("the title", schema))


@with_browser("operator.login")
async def log_in(session):
    """Log in to the page."""
    await session.browser.operator.login("{}")


@with_browser("operator.close")
async def close(session):
    """Close the page."""
    await session.browser.operator.close()


@with_browser("notifications")
async def notify(session):
    """Listen to the browser, and answer it."""
    await session.browser.register_callback(lambda message: None)
    await session.browser.send_takeover_done(3)


# The service's agents.


@operation("agent: a first task in the browser")
async def first_task(here):
    """Give a task to a browser that does not run yet."""
    return await (await fresh_session(here, "plain")).agent.browser.execute_task("do it")


@operation("agent: the browser with options")
async def start_with_agent(here):
    """Start the browser through its agent."""
    agent = (await fresh_session(here, "plain")).agent.browser
    return await agent.initialize(api.BrowserOption(use_stealth=True))


call("session.agent.computer.execute_task", "do it")
call("session.agent.computer.get_task_status", "task-1")
call("session.agent.computer.terminate_task", "task-1")
call("session.agent.computer.execute_task_and_wait", "do it", 60)
call("session.agent.browser.execute_task", "do it")
call("session.agent.browser.execute_task_and_wait", "do it", 60, True, None, True)
call("session.agent.browser.get_task_status", "task-1")
call("session.agent.browser.terminate_task", "task-1")
call("session.agent.mobile.execute_task", "do it")
call("session.agent.mobile.execute_task", "do it", max_steps=7)
call("session.agent.mobile.execute_task_and_wait", "do it", 60)
call("session.agent.mobile.get_task_status", "task-1")
call("session.agent.mobile.terminate_task", "task-1")
call("direct.agent.mobile.execute_task_and_wait", "do it", 60, on_content=lambda event: None)

# The object storage, skills, networks.

call("session.oss.env_init", "id", "secret", "token")
call("session.oss.env_init", "id", "secret", "token", "oss.example.com", "cn-hangzhou")
call("session.oss.upload", "bucket", "object", "/tmp/a")
call("session.oss.download", "bucket", "object", "/tmp/a")
call("session.oss.upload_anonymous", "https://e.com/a?b=c", "/tmp/a")
call("session.oss.download_anonymous", "https://e.com/a?b=c", "/tmp/a")
call("bay.beta_skills.get_metadata")
call("bay.beta_skills.get_metadata", image_id="code_latest", skill_names=["pdf"])
call("bay.beta.skills.get_metadata", skill_ids=["k-1", "k-2"])
ITEMS = [{"context_id": "c-1", "skill_ids": ["k-1"], "path": "/skills"}]
call("bay.beta_skills.bind_context", ITEMS)
call("bay.beta_skills.unbind_context", ITEMS)
call("bay.beta_network.get_network_bind_token")
call("bay.beta_network.get_network_bind_token", "n-1")
call("bay.beta_network.describe", "n-1")


@operation("extensions")
async def use_extensions(here):
    """Upload an extension of the browser, list, replace and delete it."""
    package = write(here, "extension.zip", "PK")
    service = api.AsyncExtensionsService(here.bay, "c-1")
    await service.create(package)
    await service.update("note.txt", package)
    return await service.delete("note.txt")


@operation("simulated phone")
async def simulate_phone(here):
    """Upload what a phone is to look like."""
    return await api.AsyncMobileSimulateService(here.bay).upload_mobile_info('{"a": 1}')


# Requests that are refused.


def refused(name, kind, use):
    """Register what `use` does with a session of a kind that refuses something."""

    async def perform(here):
        session = await fresh_session(here, kind)
        return await use(session)

    operations[f"refused: {name}"] = perform


refused("the state of an ended session", "ended", lambda session: session.get_status())
refused("the labels of an ended session", "ended", lambda session: session.get_labels())
refused("a command in an ended session", "ended", lambda session: session.command.run("true"))
refused("the end of an ended session", "ended", lambda session: session.delete())
refused("labels, while the service is busy", "busy", lambda session: session.get_labels())
refused("a command, while the service is busy", "busy", lambda session: session.command.run("ls"))
refused("a direct command", "direct-refused", lambda session: session.command.run("ls"))
refused(
    "a direct file", "direct-refused", lambda session: session.file_system.read_file("/tmp/small")
)

# The program.


async def settled(value):
    """Return a value, which may still have to be awaited."""
    return await value if inspect.isawaitable(value) else value


def control(command, **fields):
    """Tell the recorder something."""
    address = f"{os.environ['AGENTBAY_ENDPOINT']}/-/{command}?{urllib.parse.urlencode(fields)}"
    urllib.request.urlopen(address, data=b"", timeout=60).close()


async def perform(function, here):
    """Perform one operation; return how it ended, and why."""
    try:
        result = await settled(await settled(function(here)))
    except Exception as error:  # whatever a client raises is compared
        # Libraries name their errors as they like: only a name that is missing is told apart.
        missing = isinstance(error, (AttributeError, TypeError, NameError))
        return "misses a name" if missing else "raised", f"{type(error).__name__}: {error}"
    failed = getattr(result, "success", True) is False or result is False
    return "failed" if failed else "succeeded", str(getattr(result, "error_message", ""))


async def main(only):
    """Perform the operations, in the order in which they are written."""
    with tempfile.TemporaryDirectory() as directory:
        here = Surroundings(directory)
        for name, function in operations.items():
            if name == "look up" or name.startswith(only):
                control("begin", operation=name)
                outcome, reason = await perform(function, here)
                control("end", outcome=outcome, reason=reason[:500])


def stay_on_this_machine(event, args):
    """Refuse connections to other machines: the official client sends telemetry from a thread."""
    if event == "socket.getaddrinfo" and args[0] not in ("127.0.0.1", "localhost", None):
        raise OSError(f"no connection to {args[0]} in a test")


if __name__ == "__main__":
    sys.addaudithook(stay_on_this_machine)
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
