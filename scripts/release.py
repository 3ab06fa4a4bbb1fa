"""Build, check, install and publish the distribution.

    python scripts/release.py --dry-run      do everything but publish
    python scripts/release.py                publish, from a workflow that the index trusts

Needs the dependency group ``release``. What is published is what was checked: the same two files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
#: Imports every public name, runs a command in a sandbox, and tells the version.
SMOKE = """
import sys
from importlib.resources import files
import agentbay, agentbay_async, agentbay_local
for package in (agentbay, agentbay_async, agentbay_local):
    for name in package.__all__:
        getattr(package, name)
assert (files("agentbay_async") / ".agents/skills/agentbay/SKILL.md").is_file()
with agentbay.AgentBay(endpoint="local") as bay, bay.session() as session:
    assert session.command.run("echo works", check=True).stdout == "works\\n"
print(sys.version.split()[0], agentbay_async.__version__)
"""


class NotReadyError(Exception):
    """Something has to be mended before a release."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build, check, install and publish.")
    parser.add_argument("--dry-run", action="store_true", help="do everything but publish")
    options = parser.parse_args()
    try:
        version = version_of(ROOT)
        if not options.dry_run:
            check_publisher(os.environ, version, repository_of(ROOT))
        files = build(ROOT / "build" / "dist")
        check(files)
        for python in find_pythons():
            install(python, files, version)
    except NotReadyError as error:
        sys.stderr.write(f"release: {error}\n")
        return 2
    if options.dry_run:
        print("not published:", *(file.name for file in files))
    else:
        _run(sys.executable, "-m", "twine", "upload", *map(str, files))
    return 0


def version_of(root: Path) -> str:
    """Return the version, which the changelog has to describe."""
    module = (root / "src" / "agentbay_async" / "_installation.py").read_text("utf-8")
    [version] = re.findall(r'^__version__ = "(.*)"$', module, re.MULTILINE)
    changes = (root / "CHANGELOG.md").read_text("utf-8")
    if not re.search(rf"^## {re.escape(version)}\b", changes, re.MULTILINE):
        raise NotReadyError(f"CHANGELOG.md has no section {version}")
    return version


def repository_of(root: Path) -> str:
    """Return owner and name of the repository, which links of the README lead to."""
    text = (root / "pyproject.toml").read_text("utf-8")
    return re.findall(r'^Repository = "https://github.com/(.*)"$', text, re.MULTILINE)[0]


def check_publisher(environment: Mapping[str, str], version: str, repository: str) -> None:
    """Refuse to publish from anywhere but the workflow of this version's tag."""
    if "ACTIONS_ID_TOKEN_REQUEST_URL" not in environment:
        raise NotReadyError(
            "only a workflow that the index trusts publishes; push a tag, or use --dry-run"
        )
    if environment.get("GITHUB_REPOSITORY") != repository:
        raise NotReadyError(
            f"this is {environment.get('GITHUB_REPOSITORY')}, but pyproject.toml and the README "
            f"name {repository}; change them first, so that no link leads to somebody else"
        )
    if environment.get("GITHUB_REF_NAME") != f"v{version}":
        raise NotReadyError(f"the tag is {environment.get('GITHUB_REF_NAME')}, not v{version}")


def build(directory: Path) -> list[Path]:
    """Build the source distribution, and the wheel from it; return both."""
    shutil.rmtree(directory, ignore_errors=True)
    _run(sys.executable, "-m", "build", "--outdir", str(directory), str(ROOT))
    return sorted(directory.iterdir())


def check(files: list[Path]) -> None:
    """Check metadata, the README as the index shows it, and the contents of the wheel."""
    _run(sys.executable, "-m", "twine", "check", "--strict", *map(str, files))
    [wheel] = [file for file in files if file.suffix == ".whl"]
    _run(sys.executable, "-m", "check_wheel_contents", str(wheel))


def find_pythons() -> list[str]:
    """Return the supported Pythons of this machine that run."""
    found = []
    for version in PYTHONS:
        python = shutil.which(f"python{version}")
        # A shim of pyenv exists for versions that are not chosen here; it fails.
        if python and not subprocess.run([python, "-c", ""], capture_output=True).returncode:
            found.append(python)
        else:
            print(f"python{version}: not found here")
    if not found:
        raise NotReadyError("no supported Python was found")
    return found


def install(python: str, files: list[Path], version: str) -> None:
    """Install the wheel into a new environment, and use it from another directory."""
    [wheel] = [file for file in files if file.suffix == ".whl"]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        # A service of root runs bubblewrap as another user, who must reach it.
        place.chmod(0o755)
        _run(python, "-m", "venv", str(place / "env"))
        own = str(place / "env" / "bin" / "python")
        _run(own, "-m", "pip", "install", "--quiet", f"{wheel}[local,cli]")
        _run(own, "-W", "error", "-c", SMOKE, cwd=place)
        _run(str(place / "env" / "bin" / "agentbay"), "--version", cwd=place)
        _run(str(place / "env" / "bin" / "agentbay"), "--help", cwd=place, quiet=True)


def _run(*command: str, cwd: Path | None = None, quiet: bool = False) -> None:
    output = subprocess.DEVNULL if quiet else None
    # The wheel is tested, not the checkout.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, stdout=output, env=environment)
    if done.returncode:
        raise NotReadyError(f"failed: {' '.join(command[:4])} ...")


if __name__ == "__main__":
    sys.exit(main())
