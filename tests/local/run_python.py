"""Ask code and commands of one session about their Python, and print the answers as JSON.

Run in a separate process, whose user is the user of the service. Its arguments: a directory, and
the level of isolation.
"""

# ruff: noqa: T201 - the answers are printed for the test that started this program
from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentbay_local.code import Kernels, read_only_mounts, session_python
from agentbay_local.sandbox.base import Isolation, SandboxSpec
from agentbay_local.sandbox.host.uids import private_uid
from agentbay_local.sandbox.probe import backend_for

if TYPE_CHECKING:
    from agentbay_local.sandbox.base import Sandbox

LOOK = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "executable": sys.executable,
    "version": sys.version,
    "prefix": [sys.prefix, sys.base_prefix],
    "packages": [path for path in sys.path if path.endswith("-packages")],
    "own": sysconfig.get_path("purelib"),
    "IPython": importlib.util.find_spec("IPython").origin,
}))
"""
INSTALL = "import sysconfig; open(sysconfig.get_path('purelib') + '/mine.py', 'w').write('n = 42')"
WHEEL = """
import zipfile
about = "theirs-1.0.dist-info/"
with zipfile.ZipFile("theirs-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("theirs.py", "n = 43")
    wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: theirs\\nVersion: 1.0\\n")
    kind = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
    wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\n" + kind)
    wheel.writestr(about + "RECORD", "")
"""
PIP = f"""
python3 -m pip --version > /dev/null || python3 -m ensurepip || exit 77
python3 -c '{WHEEL}' && pip install --no-index --no-deps theirs-1.0-py3-none-any.whl
"""


async def command(sandbox: Sandbox, line: str | list[str]) -> str:
    """Run a command that must succeed, and return its output."""
    done = await sandbox.run(line, timeout=120)
    assert done.exit_code == 0, (line, done)
    return done.stdout.decode()


async def ask(place: Path, level: Isolation) -> dict[str, Any]:
    """Start a session, and return what its commands and its code say."""
    backend = backend_for(level)
    spec = SandboxSpec(
        place / "root",
        private_uid(f"{place}/python") if level is not Isolation.NONE else None,
        read_only=read_only_mounts(),
        python=session_python(),
    )
    async with await backend.start(spec) as sandbox:

        async def get(session: str) -> Sandbox:
            return sandbox

        kernels = Kernels(get)

        async def code(source: str) -> str:
            outcome = await kernels.run("s-1", "python", source, 120)
            assert outcome.end.error is None, outcome
            return outcome.stdout

        answers: dict[str, Any] = {
            "code": json.loads(await code(LOOK)),
            "python3": json.loads(await command(sandbox, ["python3", "-c", LOOK])),
            "python": json.loads(await command(sandbox, ["python", "-c", LOOK])),
            "isolated": json.loads(await command(sandbox, ["python3", "-I", "-c", LOOK])),
        }
        await command(sandbox, ["python3", "-c", INSTALL])
        seen = "import mine; print(mine.n)"
        answers["installed"] = [await code(seen), await command(sandbox, ["python", "-c", seen])]
        installed = await sandbox.run(PIP, timeout=120)
        answers["pip"] = [installed.exit_code, installed.stderr.decode()]
        if installed.exit_code == 0:
            seen = "import theirs; print(theirs.n)"
            answers["by pip"] = [await code(seen), await command(sandbox, ["python", "-c", seen])]
        shared = [path for path in answers["code"]["packages"] if path != answers["code"]["own"]]
        if level is not Isolation.NONE:
            planted = [f"{path}/agentbay-planted" for path in shared]
            answers["planted"] = (await sandbox.run(["touch", *planted], timeout=30)).exit_code
        listing = await sandbox.run(["ls", sys.base_prefix], timeout=30)
        answers["interpreter is named"] = listing.exit_code == 0
        await command(sandbox, ["python3", "-m", "venv", "--without-pip", "nested"])
        answers["nested"] = await command(sandbox, ["nested/bin/python", "-c", "print(44)"])
        own = answers["code"]["own"]
        await command(sandbox, ["rm", f"{own}/mine.py"])
        await kernels.close_all()
    async with await backend.start(spec) as sandbox:
        answers["kept"] = await command(sandbox, f"ls {own}")
    await backend.close()
    return answers


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(Path(sys.argv[1]), Isolation(sys.argv[2])))))
