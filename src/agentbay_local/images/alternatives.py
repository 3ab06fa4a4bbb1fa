"""Alternatives of packages, such as x-terminal-emulator: found in their scripts, which do not run.

A package calls `update-alternatives --install LINK NAME PATH PRIORITY`, with further links after
`--slave`. Calls with variables of the shell are left out.
"""

from __future__ import annotations

import os
import posixpath
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["links_of_alternatives"]

_DIRECTORY = "/etc/alternatives"


def links_of_alternatives(scripts: Iterable[str]) -> Mapping[str, str]:
    """Return the links that packages would have made, with their targets.

    Of several choices the one with the highest priority counts. A name that the machine has chosen
    for already is left out.

    Args:
        scripts: The scripts that would run after the installation of the packages.

    Example:
        >>> call = "update-alternatives --install /usr/bin/none none /usr/bin/none-one 30"
        >>> dict(links_of_alternatives([call]))
        {'/usr/bin/none': '/etc/alternatives/none', '/etc/alternatives/none': '/usr/bin/none-one'}
    """
    best: dict[str, int] = {}
    chosen: dict[str, list[tuple[str, str, str]]] = {}
    for script in scripts:
        for priority, links in _calls(script):
            name = links[0][1]
            if priority > best.get(name, -1):
                best[name], chosen[name] = priority, links
    found: dict[str, str] = {}
    for link, name, path in (one for links in chosen.values() for one in links):
        if not os.path.lexists(f"{_DIRECTORY}/{name}"):
            found[link] = f"{_DIRECTORY}/{name}"
            found[f"{_DIRECTORY}/{name}"] = path
    return found


def _calls(script: str) -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    """Yield the priority and the links of each call: link, name and path."""
    for line in script.replace("\\\n", " ").splitlines():
        if "update-alternatives" not in line or "--install" not in line or "$" in line:
            continue
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        words = words[words.index("--install") + 1 :] if "--install" in words else []
        if len(words) < 4 or not words[3].isdigit():
            continue
        links = [(words[0], words[1], words[2])]
        for place in [number for number, word in enumerate(words) if word == "--slave"]:
            links += [
                (one[0], one[1], one[2]) for one in [words[place + 1 : place + 4]] if len(one) == 3
            ]
        if all(
            _is_plain(link) and _is_plain(path) and "/" not in name for link, name, path in links
        ):
            yield int(words[3]), links


def _is_plain(path: str) -> bool:
    return path.startswith("/") and path == posixpath.normpath(path)
