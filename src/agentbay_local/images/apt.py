"""Debian packages for a layer: found, fetched and verified by the machine's apt, not installed.

apt works with state and cache directories of its own, but the machine's sources, keys and list of
installed packages: it fetches what is missing. It verifies signatures and hashes as always. Scripts
of packages are not run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "Apt",
    "AptError",
    "Package",
    "apt_is_there",
    "installed_packages",
    "maintainer_script",
    "open_content",
    "sha256_of",
]

_STATUS = Path("/var/lib/dpkg/status")
_PROGRAMS = ("apt-get", "apt-cache", "dpkg-deb")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(:[a-z0-9]+)?(=[A-Za-z0-9.+:~-]+|/[A-Za-z0-9.-]+)?")
_PIECE = 1024 * 1024
# Hooks of the machine, for example of containers, would work on its own cache.
_CONFIGURATION = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear Dir::Cache::archives;
APT::Install-Recommends "false";
APT::Get::AllowUnauthenticated "false";
APT::Keep-Downloaded-Packages "true";
Acquire::Retries "3";
Debug::NoLocking "true";
"""


class AptError(RuntimeError):
    """apt cannot provide the packages; the text says why."""


@attrs.frozen
class Package:
    """A package that was fetched.

    Attributes:
        name: Its name.
        version: Its version.
        architecture: The processors that it is for, or "all".
        sha256: The hash of its archive, which the signed index of its source has too.
        archive: The archive.
        stanza: What the index says of it.
    """

    name: str
    version: str
    architecture: str
    sha256: str
    archive: Path
    stanza: str


def apt_is_there() -> bool:
    """Return whether this machine has apt and its list of installed packages."""
    return _STATUS.exists() and all(shutil.which(program) for program in _PROGRAMS)


def installed_packages() -> str:
    """Return a hash of what is installed on this machine, on which the missing packages depend."""
    digest = hashlib.sha256()
    if _STATUS.exists():
        with _STATUS.open("rb") as file:
            for line in file:
                if line.startswith((b"Package:", b"Version:", b"Status:")):
                    digest.update(line)
    return digest.hexdigest()


class Apt:
    """apt with directories of its own.

    Args:
        directory: An empty directory for its state and cache, removed by the caller.
        installed: Stanzas of packages in the layers below, which count as installed too.

    Raises:
        AptError: This machine has no apt.
    """

    def __init__(self, directory: Path, installed: Iterable[str] = ()) -> None:
        if not apt_is_there():
            raise AptError(
                "this machine has no apt: make a root file system elsewhere, for example with a "
                "container engine, and run `agentbay image import DIR|TAR`"
            )
        self._archives = directory / "cache" / "archives"
        for path in (directory / "state" / "lists" / "partial", self._archives / "partial"):
            path.mkdir(parents=True)
        self._status = directory / "status"
        self._configuration = directory / "apt.conf"
        self._write_status(installed)
        self._configuration.write_text(
            f'{_CONFIGURATION}Dir::State "{directory}/state/";\nDir::Cache "{directory}/cache/";\n'
            f'Dir::Cache::archives "archives/";\nDir::State::status "{self._status}";\n'
            f'Dir::State::extended_states "{directory}/state/extended";\n'
        )

    def fetch(self, names: Sequence[str]) -> list[Package]:
        """Fetch packages with what they depend on and this machine lacks, and verify them.

        Raises:
            AptError: A package does not exist, cannot be fetched, or is not what the index says.
            ValueError: A name is not one of a package.
        """
        for name in names:
            if not _PACKAGE.fullmatch(name):
                raise ValueError(f"apt: {name!r:.100} is not the name of a package")
        updated = self._run("apt-get", "-q", "update")
        options = ("-q", "-y", "--no-remove", "--download-only")
        try:
            self._run("apt-get", *options, "install", "--", *names)
        except AptError as error:
            # A source that cannot be reached is only a warning, and its packages are unknown then.
            warnings = [line for line in updated.stderr.splitlines() if line.startswith("W: ")]
            raise AptError("; ".join([str(error), *warnings])) from error
        return self._packages()

    def _packages(self) -> list[Package]:
        archives = sorted(self._archives.glob("*.deb"))
        fields = [_fields_of_archive(archive) for archive in archives]
        wanted = [f"{name}:{machine}={version}" for name, version, machine in fields]
        # "all" is no architecture to apt-cache.
        wanted = [one.replace(":all=", "=") for one in wanted]
        index = _index(self._run("apt-cache", "show", "--", *wanted).stdout if wanted else "")
        return [
            _verified(archive, one, index.get(one, {}))
            for archive, one in zip(archives, fields, strict=True)
        ]

    def _write_status(self, installed: Iterable[str]) -> None:
        with self._status.open("wb") as file:
            file.write(_STATUS.read_bytes())
            for stanza in installed:
                file.write(f"\n{stanza.strip()}\nStatus: install ok installed\n".encode())

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of apt.

        Raises:
            AptError: It fails; the text has its errors.
        """
        done = subprocess.run(  # noqa: S603 - the names are checked, and follow "--"
            [program, "-c", str(self._configuration), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
        if done.returncode:
            raise AptError(_reasons(done.stderr) or f"{program} failed ({done.returncode})")
        return done


def open_content(archive: Path) -> subprocess.Popen[bytes]:
    """Start a program that writes the files of a package, as a tar archive, to its output."""
    return subprocess.Popen(  # noqa: S603 - a path of our own
        [_program("dpkg-deb"), "--fsys-tarfile", str(archive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def maintainer_script(archive: Path, name: str) -> str:
    """Return a script of a package, such as "postinst", or "" if it has none."""
    done = subprocess.run(  # noqa: S603 - as above
        [_program("dpkg-deb"), "--info", str(archive), name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return "" if done.returncode else done.stdout


def _program(name: str) -> str:
    return shutil.which(name) or name


def _fields_of_archive(archive: Path) -> tuple[str, str, str]:
    done = subprocess.run(  # noqa: S603 - as above
        [
            _program("dpkg-deb"),
            "--show",
            "--showformat=${Package} ${Version} ${Architecture}",
            archive,
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    fields = done.stdout.split(" ")
    if done.returncode or len(fields) != 3:
        raise AptError(f"{archive.name} is not a package: {_reasons(done.stderr)}")
    return fields[0], fields[1], fields[2]


def _index(output: str) -> dict[tuple[str, str, str], dict[str, str]]:
    """Return the stanzas of `apt-cache show` by package and then by their SHA-256."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for stanza in re.split(r"\n\n+", output):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): *(.*)$", stanza, re.MULTILINE))
        key = tuple(fields.get(name, "") for name in ("Package", "Version", "Architecture"))
        if fields.get("SHA256"):
            found.setdefault((key[0], key[1], key[2]), {})[fields["SHA256"]] = stanza
    return found


def _verified(archive: Path, fields: tuple[str, str, str], hashes: dict[str, str]) -> Package:
    with archive.open("rb") as file:
        digest = sha256_of(file)
    if digest not in hashes:
        raise AptError(f"{archive.name} is not the file that the signed index describes")
    return Package(*fields, digest, archive, hashes[digest])


def sha256_of(file: IO[bytes]) -> str:
    """Return the SHA-256 of the rest of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _reasons(text: str) -> str:
    """Return the errors in what apt has written, or all of it if there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.removeprefix("E: ") for line in lines if line.startswith("E: ")]
    return "; ".join(errors or lines[-5:])
