"""Completion in real shells: a person types a part of a line and presses the Tab key."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from tests.terminal_user import Person

from agentbay_cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agentbay import AgentBay
    from agentbay_local import LocalService

#: Where shells keep what is theirs.
DIRECTORIES = ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME")
#: Shows the line, between marks that are not in the commands for that, and empties it.
SHOW = b"\x18q"
#: How each shell is started, and the lines of its settings: completion as docs/cli.md has it, and
#: the key.
SHELLS = {
    "bash": (
        ["bash", "--norc", "--noprofile", "-i"],
        [
            "source <(agentbay completion bash)",
            r"""bind -x '"\C-xq": printf "\n<%s%s>\n" is: "$READLINE_LINE"; READLINE_LINE='""",
        ],
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        [
            "mkdir .zfunc; agentbay completion zsh > .zfunc/_agentbay",
            "fpath=($HOME/.zfunc $fpath); autoload -Uz compinit; compinit -u -D",
            r"""show() { zle -I; printf '<%s%s>\n' is: "$BUFFER"; BUFFER= }; zle -N show""",
            "bindkey '^Xq' show",
        ],
    ),
    "fish": (
        ["fish", "--interactive"],
        [
            "agentbay completion fish | source",
            r"""bind \cxq 'printf "\n<%s%s>\n" is: (commandline -b); commandline ""'""",
        ],
    ),
}


@pytest.fixture(params=SHELLS)
def complete(
    request: pytest.FixtureRequest, user: LocalService, tmp_path: Path
) -> Iterator[Callable[[str], str]]:
    """Return a function that gives the line of a shell after a Tab key."""
    program, settings = SHELLS[request.param]
    if shutil.which(program[0]) is None:
        pytest.skip(f"{program[0]} is not installed here")
    process, screen = pty.fork()
    if process == 0:
        os.environ.update(TERM="dumb", **dict.fromkeys(DIRECTORIES, str(tmp_path)))
        os.environ["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
        os.execvp(program[0], program)
    person = Person(screen)
    person.types("".join(f"{line}\n" for line in [*settings, "echo rea'dy'"]).encode())
    person.sees(b"ready")

    def press(line: str) -> str:
        person.types(line.encode() + b"\t" + SHOW)
        person.sees(b"<is:")
        return person.sees(b">").decode()

    yield press
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(screen)


@pytest.mark.slow
def test_a_shell_completes_what_stands_in_the_help(
    complete: Callable[[str], str], bay: AgentBay
) -> None:
    """Commands of each kind, options, and ids of sessions; nothing else is changed."""
    # The first in zsh, where that is what loads the script.
    assert complete("agentbay conte") == "agentbay context "
    assert complete("agentbay context pus") == "agentbay context push "
    assert complete("agentbay run --detach --tim").split()[-1] == "--timeout"
    assert complete("agentbay local sto") == "agentbay local stop "
    assert complete("agentbay reap --old") == "agentbay reap --older-than "
    session_id = bay.create().session.session_id
    assert complete(f"agentbay rm {session_id[:4]}") == f"agentbay rm {session_id} "
    assert complete("agentbay nonsense") == "agentbay nonsense"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("agentbay local sto", "stop"),
        ("agentbay local --rea", "--ready"),
        ("agentbay local start --rea", "--ready"),
        ("agentbay image remo", "remove"),
        ("agentbay image build --fr", "--from"),
        ("agentbay doctor --clo", "--cloud"),
        ("agentbay migrate --js", "--json"),
        ("agentbay reap --old", "--older-than"),
        ("agentbay verify --js", "--json"),
        ("agentbay verify --older", ""),
    ],
)
def test_a_basic_command_offers_its_commands_and_options(
    line: str, offered: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a shell asks for them; the application itself knows only the names of these commands."""
    monkeypatch.setenv("_AGENTBAY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with contextlib.suppress(SystemExit):
        main([])
    assert capsys.readouterr().out.strip() == offered
