"""Links that the scripts of packages would have made."""

from __future__ import annotations

from agentbay_local.images.alternatives import links_of_alternatives

TERMINAL = """
set -e
if [ "$1" = "configure" ]; then
    update-alternatives --install /usr/bin/x-layered-terminal x-layered-terminal \\
        /usr/bin/plain 20 --slave /usr/share/man/man1/x-layered-terminal.1.gz \\
        x-layered-terminal.1.gz /usr/share/man/man1/plain.1.gz
fi
"""


def test_the_highest_priority_is_taken_with_its_further_links() -> None:
    """Of all packages together."""
    better = TERMINAL.replace("plain", "better").replace(" 20 ", " 40 ")
    expected = {
        "/usr/bin/x-layered-terminal": "/etc/alternatives/x-layered-terminal",
        "/etc/alternatives/x-layered-terminal": "/usr/bin/better",
        "/usr/share/man/man1/x-layered-terminal.1.gz": "/etc/alternatives/x-layered-terminal.1.gz",
        "/etc/alternatives/x-layered-terminal.1.gz": "/usr/share/man/man1/better.1.gz",
    }
    assert links_of_alternatives([TERMINAL, better]) == expected
    assert links_of_alternatives([better, TERMINAL]) == expected


def test_other_calls_are_left_out() -> None:
    """Those that need a shell, and those that name no file of a layer."""
    for line in (
        "update-alternatives --install $link layered /usr/bin/x 20",
        "update-alternatives --remove layered /usr/bin/x",
        "update-alternatives --install /usr/bin/layered",
        "update-alternatives --install /usr/bin/layered layered /usr/bin/x many",
        "update-alternatives --install /usr/bin/../../x layered /usr/bin/x 20",
        "update-alternatives --install /usr/bin/layered ../layered /usr/bin/x 20",
        "update-alternatives --install 'unclosed layered /usr/bin/x 20",
        "# update-alternatives --install /usr/bin/layered layered /usr/bin/x 20",
        "",
    ):
        assert links_of_alternatives([line]) == {}, line
