"""Images that are really made: packages of apt and pip, and root file systems, in sessions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.ordinary_user import UNREACHABLE, WAYS, directory_of, for_a_user, is_reachable, user_of

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_cli.main import main
from agentbay_local import Limits, LocalService
from agentbay_local.images import ImageStore
from agentbay_local.images.apt import apt_is_there
from agentbay_local.sandbox.host import programs
from agentbay_local.sandbox.probe import probe

from .archives import archive, files, layout, member

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from agentbay_async import AsyncSession

    Command = Callable[..., str]
    Sessions = Callable[[str], AbstractAsyncContextManager[AsyncSession]]

WITHIN = 500
MAIN = "import sys; from agentbay_cli.main import main; sys.exit(main())"

pytestmark = pytest.mark.slow

apt_needed = pytest.mark.skipif(not apt_is_there(), reason="this machine has no apt")


@pytest.fixture(autouse=True)
async def _isolating() -> None:
    """Skip where sessions cannot be isolated, with the reason."""
    found = await probe()
    if not found.available:
        pytest.skip(found.reason)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageStore:
    """Return an empty store, which is that of the user."""
    monkeypatch.setenv("AGENTBAY_IMAGES", str(tmp_path / "images"))
    return ImageStore(tmp_path / "images")


@pytest.fixture
def image(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `agentbay image`, and returns what it wrote to both streams."""

    def call(arguments: tuple[str, ...]) -> int:
        try:
            return main(["image", *arguments])
        except SystemExit as end:  # of the parser
            return int(end.code or 0)

    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        # On a thread, because the loop of the test may run on this one.
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(call, arguments).result(WITHIN)
        said = "".join(capsys.readouterr())
        assert found == code, said
        return said

    return run


@pytest.fixture
async def session_of() -> AsyncIterator[Sessions]:
    """Return a function that makes a session of an image."""
    async with (
        LocalService() as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):

        def session(name: str) -> AbstractAsyncContextManager[AsyncSession]:
            return bay.session(CreateSessionParams(image_id=name))

        yield session


async def output(session: AsyncSession, line: str) -> str:
    """Return what a command that succeeds writes."""
    return (await session.command.execute_command(line, 60_000)).unwrap().stdout


@apt_needed
async def test_a_package_runs_in_a_session(
    store: ImageStore, image: Command, session_of: Sessions
) -> None:
    """With its alternative, and the record of what it is; the machine itself does not have it."""
    assert "tiny is ready" in image("build", "tiny", "--apt", "figlet")
    async with session_of("tiny") as session:
        assert "_" in await output(session, "figlet -f standard hi")
        assert "figlet-figlet" in await output(session, "readlink -f /usr/bin/figlet")
    record = store.manifest("tiny") or {}
    (package,) = record["apt"]
    assert package["name"] == "figlet"
    assert len(package["sha256"]) == 64
    listed = [json.loads(line) for line in image("list", "--json").splitlines()]
    assert [one["packages"] for one in listed if one["name"] == "tiny"] == [
        [f"figlet {package['version']}"]
    ]
    assert "tiny is removed" in image("remove", "tiny")
    assert store.names() == []


@apt_needed
async def test_the_caches_of_packages_are_made(
    store: ImageStore, image: Command, session_of: Sessions
) -> None:
    """A program that shows text must not read every font first."""
    image("build", "fonts", "--apt", "fontconfig", "fonts-inconsolata")
    made = store.get("fonts")
    assert made is not None
    assert list((made.layers[0] / "var/cache/fontconfig").glob("*.cache-*"))
    async with session_of("fonts") as session:
        assert "Inconsolata" in await output(session, "fc-list")
        assert await output(session, "fc-match Inconsolata family") == "Inconsolata\n"
        # Nothing had to be read again, which would have left a cache in the home.
        assert await output(session, "ls ~/.cache/fontconfig 2>/dev/null | wc -l") == "0\n"


@apt_needed
async def test_an_image_lies_over_another(
    store: ImageStore, image: Command, session_of: Sessions
) -> None:
    """What that has already is not fetched again; its services come first."""
    image("build", "low", "--apt", "figlet", "--service", "figlet-figlet low")
    high = ("--apt", "toilet", "figlet", "--from", "low", "--service", "toilet high")
    image("build", "high", *high)
    built = store.get("high")
    assert built is not None
    assert built.services == ("figlet-figlet low", "toilet high")
    names = [one["name"] for one in (store.manifest("high") or {})["apt"]]
    assert "toilet" in names
    assert "figlet" not in names
    async with session_of("high") as session:
        assert await output(session, "figlet-figlet hi && toilet hi")
        for number in (1, 2):
            log = f".service-{number}.log"
            assert await output(session, f"until [ -s {log} ]; do sleep 0.1; done; cat {log}")


_IN_A_SESSION = """
import asyncio, sys
from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import LocalService
async def main():
    async with (
        LocalService() as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
        bay.session(CreateSessionParams(image_id="tiny")) as session,
    ):
        print((await session.command.execute_command("figlet-figlet hi")).unwrap().stdout)
asyncio.run(main())
"""


@apt_needed
@pytest.mark.parametrize("way", WAYS)
def test_every_user_can_make_an_image(way: str) -> None:
    """Without the rights of root, and without a trace on the machine."""
    user = user_of(way)
    python, variables = for_a_user() if user else (sys.executable, {})
    if user and not is_reachable(programs.find_bubblewrap(programs.OVERLAYS_SINCE)):
        pytest.skip(UNREACHABLE)
    status = Path("/var/lib/dpkg/status").read_bytes()
    with directory_of(user) as place:
        for arguments in ([MAIN, "image", "build", "tiny", "--apt", "figlet"], [_IN_A_SESSION]):
            done = subprocess.run(
                [python, "-c", *arguments],
                cwd=place,
                env={
                    **variables,
                    "HOME": str(place),
                    "PATH": os.environ["PATH"],
                    "TMPDIR": str(place),
                    "AGENTBAY_LEDGER": str(place / "ledger"),
                },
                user=user or None,
                group=user or None,
                extra_groups=() if user else None,
                capture_output=True,
                text=True,
                timeout=WITHIN,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert "_" in done.stdout
        assert (place / ".local/share/agentbay/images/tiny.json").exists()
    assert Path("/var/lib/dpkg/status").read_bytes() == status


@apt_needed
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_an_interrupted_build(store: ImageStore, number: signal.Signals) -> None:
    """Nor does it disturb the next one."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "image", "build", "tiny", "--apt", "figlet"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "finding and fetching" in process.stderr.readline()
        process.send_signal(number)
        process.stderr.read()
        assert process.wait(WITHIN) != 0
    assert store.names() == []
    if number != signal.SIGKILL:
        assert list((store.directory / "staging").iterdir()) == []
    with store.staging() as directory:
        assert list((store.directory / "staging").iterdir()) == [directory]


@apt_needed
def test_builds_at_once_do_not_mix(store: ImageStore) -> None:
    """The last one of a name wins, whole."""
    wanted = {"one": "figlet", "two": "sl", "three": "figlet"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAIN, "image", "build", name, "--apt", package],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, package in [*wanted.items(), ("one", "figlet")]
    ]
    for process in processes:
        _, said = process.communicate(timeout=WITHIN)
        assert process.returncode == 0, said
    for name, package in wanted.items():
        made = store.get(name)
        assert made is not None
        (layer,) = made.layers
        assert (layer / "usr/share/doc" / package).is_dir()
    assert len(list((store.directory / "layers").iterdir())) == 3


@apt_needed
@pytest.mark.parametrize(
    ("package", "message"),
    [
        ("no-such-package-anywhere", "Unable to locate package no-such-package-anywhere"),
        ("figlet=9999", "Version '9999' for 'figlet' was not found"),
        ("figlet;id", "is not the name of a package"),
        ("../x", "is not the name of a package"),
    ],
)
def test_a_package_that_there_is_not_is_an_error(
    store: ImageStore, image: Command, package: str, message: str
) -> None:
    """In the words of apt, or before it is asked."""
    assert message in image("build", "tiny", "--apt", package, code=2)
    assert store.names() == []


@apt_needed
def test_what_is_ready_is_not_made_again_if_it_need_not(store: ImageStore, image: Command) -> None:
    """Unless the packages are others."""
    image("build", "tiny", "--apt", "figlet")
    first = store.get("tiny")
    assert "finding" not in image("build", "tiny", "--apt", "figlet", "--if-needed")
    assert store.get("tiny") == first
    image("build", "tiny", "--apt", "sl", "--if-needed")
    assert store.get("tiny") != first


def test_a_machine_without_apt_is_told_of_the_import(
    store: ImageStore, image: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one way that it has."""
    bwrap = programs.find_bubblewrap(programs.OVERLAYS_SINCE)
    monkeypatch.setenv("PATH", str(bwrap.parent))
    said = image("build", "browser_latest", code=2)
    assert "this machine has no apt" in said
    assert "agentbay image import DIR|TAR" in said
    assert store.names() == []


def wheel(directory: Path) -> Path:
    """Write a wheel with a module and a program."""
    path = directory / "layered-1.0-py3-none-any.whl"
    about = "layered-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("layered.py", "def main(): print('from the wheel')\n")
        archive.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: layered\nVersion: 1.0\n"
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/entry_points.txt", "[console_scripts]\nlayered = layered:main\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


async def test_a_python_package_is_imported_in_a_session(
    store: ImageStore,
    image: Command,
    tmp_path: Path,
    session_of: Sessions,
) -> None:
    """By commands and by code; its programs run."""
    pytest.importorskip("pip", reason="this Python has no pip")
    image("build", "py", "--pip", str(wheel(tmp_path)))
    assert (store.manifest("py") or {})["pip"][0]["name"] == "layered"
    async with session_of("py") as session:
        assert await output(session, "layered") == "from the wheel\n"
        ran = await session.code.run_code("import layered; layered.main()", "python")
        assert "from the wheel" in "".join(ran.unwrap().logs.stdout)
    made = store.get("py")
    assert made is not None
    (layer,) = made.layers
    here = [path for path in layer.rglob("*") if str(tmp_path).encode() in read(path)]
    assert here == []


def read(path: Path) -> bytes:
    """Return the content of a file; nothing of anything else."""
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize("kind", ["layout", "export"])
async def test_a_root_file_system_is_imported(
    store: ImageStore,
    image: Command,
    tmp_path: Path,
    kind: str,
    session_of: Sessions,
) -> None:
    """Of either kind; named after its file, if no name is given."""
    tool = archive((member("usr/bin/imported", mode=0o755), b"#!/bin/sh\necho imported\n"))
    if kind == "layout":
        source = layout(tmp_path / "tools", files(**{"etc/imported": "x"}), tool)
    else:
        source = tmp_path / "tools.tar"
        source.write_bytes(tool)
    assert "tools is ready" in image("import", str(source))
    image("import", str(source), "--name", "named")
    assert store.names() == ["named", "tools"]
    async with session_of("tools") as session:
        assert await output(session, "imported") == "imported\n"


def test_services_of_an_imported_image_run_in_sessions_of_the_command_line(
    store: ImageStore,
    image: Command,
    tmp_path: Path,
) -> None:
    """They are programs of the image, and start before the first command."""
    tool = b"#!/bin/sh\necho served $1\nexec sleep 1000\n"
    (tmp_path / "web.tar").write_bytes(archive((member("usr/bin/serve", mode=0o755), tool)))
    (tmp_path / "commands").write_text(
        "until [ -s .service-1.log ]; do sleep 0.1; done; cat .service-1.log\n"
    )
    image("import", str(tmp_path / "web.tar"), "--service", "serve one")
    made = store.get("web")
    assert made is not None
    assert made.services == ("serve one",)

    with LocalService() as service:
        done = subprocess.run(
            [sys.executable, "-c", MAIN, "bulk", "run", "commands", "--image", "web"],
            cwd=tmp_path,
            env={
                **os.environ,
                "AGENTBAY_ENDPOINT": service.endpoint,
                "AGENTBAY_API_KEY": service.api_key,
            },
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )

    assert (done.returncode, done.stdout) == (0, "served one\n"), done.stderr


@pytest.mark.parametrize(
    "content",
    [
        archive((member("../../usr/bin/x"), b"x")),
        archive((member("root/x"), b"x")),
        b"no archive",
    ],
)
def test_a_hostile_or_useless_archive_makes_no_image(
    store: ImageStore, image: Command, tmp_path: Path, content: bytes
) -> None:
    """And leaves nothing."""
    source = tmp_path / "x.tar"
    source.write_bytes(content)
    said = image("import", str(source), code=2)
    assert "Traceback" not in said
    assert store.names() == []
    assert list((store.directory / "staging").iterdir()) == []


def test_a_system_whose_library_breaks_programs_is_refused(
    store: ImageStore, image: Command, tmp_path: Path
) -> None:
    """A session with it could not even start."""
    broken = {
        str(path.relative_to("/")): "not a library"
        for path in [*Path("/usr/lib").glob("*/libc.so.6"), *Path("/usr").glob("lib*/libc.so.6")]
    }
    assert broken
    source = tmp_path / "x.tar"
    source.write_bytes(files(**broken))
    assert "did not start" in image("import", str(source), code=2)
    assert store.names() == []


@pytest.mark.parametrize(
    ("programs_of_it", "features"),
    [
        (["chromium"], {"browser"}),
        (["Xvfb", "openbox", "scrot"], {"desktop"}),
        (["Xvfb"], set()),
        ([], set()),
    ],
)
def test_features_follow_from_programs(
    store: ImageStore,
    image: Command,
    tmp_path: Path,
    programs_of_it: list[str],
    features: set[str],
) -> None:
    """Whatever the name of the image; what needs many processes gets larger limits."""
    place = tmp_path / "mine/usr/bin"
    place.mkdir(parents=True)
    for name in programs_of_it:
        (place / name).touch()
    image("add", "mine", str(tmp_path / "mine"))
    made = store.get("mine")
    assert made is not None
    assert made.features == {"shell", "code", *features}
    assert (made.limits.processes > Limits().processes) is bool(features)


def test_directories_are_an_image_where_they_are(
    store: ImageStore, image: Command, tmp_path: Path
) -> None:
    """They are not copied, and not removed with it."""
    (tmp_path / "mine/usr").mkdir(parents=True)
    assert "mine is ready" in image("add", "mine", str(tmp_path / "mine"))
    made = store.get("mine")
    assert made is not None
    assert made.layers == (tmp_path / "mine",)
    image("remove", "mine")
    assert (tmp_path / "mine/usr").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "nameless"], "name some with --apt or --pip"),
        (["build", "windows_latest"], "need Windows"),
        (["build", "a/b", "--apt", "x"], "name must be"),
        (["build", "x", "--apt", "y", "--from", "nothing"], "there is no image 'nothing'"),
        (["build", "x", "--pip", "-r/etc/passwd"], "expected at least one argument"),
        (["build", "x", "--pip", "./directory"], "neither a requirement nor a wheel"),
        (["add", "x", "/nowhere"], "must be a directory"),
        (["add", "x", __file__], f"agentbay image import {__file__} --name x"),
        (["import", "/nowhere"], "/nowhere"),
        (["remove", "nothing"], "there is no image 'nothing'"),
        (["remove", "../x"], "name must be"),
    ],
)
def test_a_mistake_is_named(
    store: ImageStore, image: Command, arguments: list[str], message: str
) -> None:
    """Before anything is fetched."""
    said = image(*arguments, code=2)
    assert message in said
    assert "Traceback" not in said
