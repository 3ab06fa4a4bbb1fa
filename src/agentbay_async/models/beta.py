"""Values and results of the trial features: networks of your own, and skills."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from agentbay_async import _check
from agentbay_async.models.results import Result

if TYPE_CHECKING:
    from collections.abc import Sequence


@attrs.frozen
class Network:
    """A network that sessions and machines of yours can join.

    Attributes:
        network_id: Its id, for ``CreateSessionParams(beta_network_id=...)``.
        network_token: The token with which a machine joins it: a secret.
    """

    network_id: str
    network_token: str = attrs.field(repr=False)


class NetworkResult(Result[Network]):
    """A network and the token to join it."""

    __slots__ = ()

    @property
    def network_id(self) -> str:
        """The id of the network; raises the error of a failed result."""
        return self.unwrap().network_id

    @property
    def network_token(self) -> str:
        """The token, a secret; raises the error of a failed result."""
        return self.unwrap().network_token


class NetworkStatusResult(Result[bool]):
    """Whether a machine has joined a network."""

    __slots__ = ()

    @property
    def online(self) -> bool:
        """Whether one has; raises the error of a failed result."""
        return self.unwrap()


@attrs.frozen
class SkillInfo:
    """What is known of one skill."""

    name: str
    description: str = ""
    skill_id: str = ""


@attrs.frozen
class SkillsMetadata:
    """Skills, and the directory in a session that has them."""

    skills: list[SkillInfo]
    skills_root_path: str


class SkillsMetadataResult(Result[SkillsMetadata]):
    """The skills that were asked for."""

    __slots__ = ()

    @property
    def skills(self) -> list[SkillInfo]:
        """The skills; raises the error of a failed result."""
        return self.unwrap().skills

    @property
    def skills_root_path(self) -> str:
        """The directory of skills in a session; raises the error of a failed result."""
        return self.unwrap().skills_root_path


def _ids(value: Sequence[str]) -> list[str]:
    ids = _check.sequence(value, "skill_ids", str)
    return [_check.identifier(entry, "each of skill_ids") for entry in ids]


@attrs.frozen
class ContextSkills:
    """Skills to copy into a directory of a context, or to remove from it.

    Attributes:
        context_id: The id of the context.
        skill_ids: The ids of the skills.
        path: The directory in the context.
    """

    context_id: str
    skill_ids: list[str] = attrs.field(converter=_ids)
    path: str

    def __attrs_post_init__(self) -> None:
        _check.identifier(self.context_id, "context_id")
        _check.text(self.path, "path")
