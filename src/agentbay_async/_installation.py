"""The version of this library, and whether another distribution has a part of its files.

The official client (``wuying-agentbay-sdk``) and the distribution ``agentbay``, of somebody else,
own the package ``agentbay`` too. pip installs each over the other in silence, and uninstalling one
removes files of the other.
"""

from __future__ import annotations

import os
import warnings

#: The build reads it from here.
__version__ = "0.1.0"

#: What only the other distributions have in that folder: in every version since 0.4.0 of the
#: official client, and in 1.9.2 of the other.
_OTHERS = {"api": "wuying-agentbay-sdk", "local.py": "agentbay"}


def explain_mixture(packages: str) -> str:
    """Return what is wrong with the folder ``agentbay`` in a directory, and the cure; or ``""``.

    Args:
        packages: The directory in which both packages of this library are.

    Example:
        >>> explain_mixture("/nowhere")
        ''
    """
    folder = os.path.join(packages, "agentbay")
    try:
        names = os.listdir(folder)
    except OSError:  # not installed, or in a zip archive
        return ""
    others = [owner for name, owner in _OTHERS.items() if name in names]
    if not others and "__init__.py" in names:
        return ""
    reason = (
        f"{' and '.join(others)} and agentbay-async both have the package agentbay in {packages}, "
        "and overwrite and remove each other's files"
        if others
        else f"the package agentbay in {packages} is not whole: an uninstall removed files of it"
    )
    remove = " ".join(["pip uninstall -y", *others, "agentbay-async"])
    return f"{reason}. To keep this library, run: {remove}; pip install agentbay-async"


def warn_of_mixture(package: str) -> None:
    """Warn if the installation that the folder of a package is in is mixed."""
    problem = explain_mixture(os.path.dirname(package))
    if problem:
        # As a warning of the import itself: which line imports it does not matter.
        warnings.warn(problem, RuntimeWarning, stacklevel=2)
