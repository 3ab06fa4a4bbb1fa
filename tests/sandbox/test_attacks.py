"""Every attack of `attacks`, against a service that runs as root and one that does not."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.image_cache import readable_by_all, ready_image
from tests.ordinary_user import WAYS, directory_of, for_a_user, user_with_programs

from agentbay_local.sandbox.base import Isolation
from agentbay_local.sandbox.cgroups.detection import detect
from agentbay_local.sandbox.inside import confinement

from .attacks import ATTACKS
from .conftest import check_forked
from .floods import FLOODS
from .run_file_attacks import ATTACKS as FILE_ATTACKS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NEEDS_SIGNALS = ("signal_to_the_service",)
ROOT = Path(__file__).parents[2]
FROM_INSIDE, BY_FILES = "tests.sandbox.run_attacks", "tests.sandbox.run_file_attacks"
BY_FLOODS = "tests.sandbox.run_floods"
BY_THE_HARNESS = ("link_flipped_under_a_host_side_read", "session_ended_by_its_own_attack")

#: What each level lets through, accepted with open eyes.
ACCEPTED = {
    Isolation.NAMESPACES: {"command_line_of_the_kernel", "path_of_the_host_in_mountinfo"},
    # Nothing hides what /proc says of the host, nor its names.
    Isolation.LANDLOCK: {
        "command_line_of_the_kernel",
        "keys_of_the_host",
        "locks_of_the_host",
        "name_of_the_host",
        "names_of_files_of_the_host",
        "neighbours_of_the_host",
        "path_of_the_host_in_a_command_line",
        "processes_of_the_host_in_proc",
        "socket_names_of_the_host",
        "users_of_the_host",
    },
}


@functools.cache
def outcomes(
    level: Isolation, uid: int, *chosen: str, harness: str = FROM_INSIDE
) -> dict[str, Any]:
    """Run all attacks of a harness once, against a service of this user."""
    # Code runs by the Python and the packages of the service.
    program, variables = for_a_user() if uid and chosen == ("code",) else (sys.executable, {})
    with directory_of(uid) as place:
        done = subprocess.run(
            [program, "-m", harness, str(place), str(uid), level.value, *chosen],
            env={**os.environ, **variables},
            cwd=ROOT,
            capture_output=True,
            timeout=500,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(params=WAYS)
def uid(request: pytest.FixtureRequest) -> int:
    """Return the user to become; 0 keeps the present one."""
    return user_with_programs(request.param)


@pytest.fixture(params=list(ACCEPTED), ids=lambda level: str(level.value))
def level(request: pytest.FixtureRequest) -> Isolation:
    """Return each isolating level that the machine supports."""
    if request.param is Isolation.NAMESPACES:
        request.getfixturevalue("isolating")
    elif not confinement.abi():
        pytest.skip("this kernel has no Landlock")
    chosen: Isolation = request.param
    return chosen


@pytest.mark.parametrize("name", [*ATTACKS, *BY_THE_HARNESS])
def test_attack_from_inside_is_blocked(level: Isolation, uid: int, name: str) -> None:
    """Nothing of the host or of another session can be reached, read, changed or ended."""
    outcome = outcomes(level, uid)[name]

    if name in ACCEPTED[level]:
        assert outcome in ("through", "blocked")  # some kernels show less
    elif name in NEEDS_SIGNALS and level is Isolation.LANDLOCK and confinement.abi() < 6 and uid:
        assert outcome
    else:
        assert outcome.startswith("blocked")


@pytest.mark.usefixtures("isolating")
def test_attacks_are_made_in_forked_sandboxes(uid: int) -> None:
    """Of root and of an ordinary user; some machines let nobody fork them."""
    check_forked(outcomes(Isolation.NAMESPACES, uid)["sandboxes_were"] == "forked")


@pytest.mark.slow
@pytest.mark.usefixtures("isolating")
@pytest.mark.parametrize("way", ["alone", "layer"])
@pytest.mark.parametrize("name", [*ATTACKS, *BY_THE_HARNESS])
def test_attack_from_another_session_is_blocked(uid: int, way: str, name: str) -> None:
    """Neither one that bubblewrap has started itself, nor an overlay, opens a way."""
    outcome = outcomes(Isolation.NAMESPACES, uid, way)[name]

    if name in ACCEPTED[Isolation.NAMESPACES]:
        assert outcome in ("through", "blocked")
    else:
        assert outcome.startswith("blocked")


@pytest.mark.slow
@pytest.mark.usefixtures("isolating")
@pytest.mark.parametrize("name", [*ATTACKS, *BY_THE_HARNESS])
def test_attack_by_the_code_of_a_forked_kernel_is_blocked(uid: int, name: str) -> None:
    """It was a copy of the agent, and has nothing of it."""
    outcome = outcomes(Isolation.NAMESPACES, uid, "code")[name]

    # The descriptor is that of its own conversation with the service, as for every kernel.
    if name in ACCEPTED[Isolation.NAMESPACES] | {"inherited_descriptors"}:
        assert outcome in ("through", "blocked")
    else:
        assert outcome.startswith("blocked")


@pytest.fixture(scope="session")
def layers_for_all() -> Iterator[list[Path]]:
    """Give the layers of the image with a browser where an ordinary user can read them."""
    with readable_by_all(ready_image("browser_latest").layers) as layers:
        yield layers


@pytest.mark.slow
@pytest.mark.usefixtures("isolating")
@pytest.mark.parametrize(
    "name", [*ATTACKS, *BY_THE_HARNESS, "conversation_of_the_service_and_the_browser"]
)
def test_attack_from_a_browser_is_blocked(
    request: pytest.FixtureRequest, uid: int, name: str
) -> None:
    """Chromium has no sandbox of its own: so much reaches a page that takes over its process."""
    layers: Sequence[Path] = ready_image("browser_latest").layers
    if uid:
        layers = request.getfixturevalue("layers_for_all")
    outcome = outcomes(Isolation.NAMESPACES, uid, "browser", *map(str, layers))[name]

    # The descriptors are those that the browser gives to the process of a page.
    if name in ACCEPTED[Isolation.NAMESPACES] | {"inherited_descriptors"}:
        assert outcome in ("through", "blocked")
    else:
        assert outcome.startswith("blocked")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FILE_ATTACKS))
def test_service_is_not_misused_by_files(level: Isolation, uid: int, name: str) -> None:
    """It reads, writes and copies only what the session could, and only so much."""
    assert outcomes(level, uid, harness=BY_FILES)[name] == "blocked"


@pytest.fixture(params=["kernel", "watched"])
def enforced_by(request: pytest.FixtureRequest, uid: int) -> str:
    """Return who enforces the limits of a session: the kernel by control groups, or the service."""
    by = str(request.param)
    if by == "kernel" and (uid or not {"memory", "pids", "cpu"} <= detect().parents.keys()):
        pytest.skip("needs control groups for memory, processes and processor time")
    return by


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FLOODS))
def test_flood_is_stopped_and_others_go_on(
    level: Isolation, uid: int, enforced_by: str, name: str
) -> None:
    """The limit that stopped it is named, or the kernel refused it."""
    outcome = outcomes(level, uid, enforced_by, harness=BY_FLOODS)[name]

    assert re.search(FLOODS[name].stopped, outcome["told"])
    assert "timed out" not in outcome["told"]
    assert outcome["others_go_on"]
    if FLOODS[name].goes_on:
        assert outcome["goes_on"]


#: Attacks that only look, so that they may be tried where nothing stops them.
HARMLESS = (
    "abstract_socket_of_the_host",
    "interfaces_of_the_host",
    "name_of_the_host",
    "names_of_files_of_the_host",
    "processes_of_the_host_in_proc",
    "shared_memory_of_the_host",
    "socket_names_of_the_host",
    "socket_file_of_the_host",
    "system_v_shared_memory_of_the_host",
    "tcp_service_of_the_host",
    "temporary_files_of_the_host",
    "udp_service_of_the_host",
)


def test_attacks_succeed_without_isolation() -> None:
    """The attacks are real: an unconfined process succeeds with them."""
    outcome = outcomes(Isolation.NONE, user_with_programs("as a user"), *HARMLESS)

    assert dict.fromkeys(HARMLESS, "through") == outcome


def test_attacks_refuse_to_run_as_root() -> None:
    """As root they would harm a machine without isolation."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    attacks = Path(__file__).with_name("attacks.py")
    done = subprocess.run(
        [sys.executable, attacks, "no-attack"],
        input="{}",
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (1, "", "attacks are not for root\n")
