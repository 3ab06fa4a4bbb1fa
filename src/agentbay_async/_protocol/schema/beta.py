"""Actions of the trial features: networks of your own, and skills."""

from __future__ import annotations

from typing import ClassVar

import attrs

from agentbay_async._protocol.schema.base import Request, as_json, secret


@attrs.define
class Network:
    """``Data`` of CreateNetwork. Anyone with the token can join the network."""

    network_id: str | None = None
    network_token: str | None = secret()


@attrs.define
class CreateNetwork(Request[Network]):
    """Create a network, or return a new token of the one that ``network_id`` names."""

    ACTION: ClassVar[str] = "CreateNetwork"
    DATA: ClassVar[type] = Network

    network_id: str | None = None
    login_region_id: str | None = None


@attrs.define
class NetworkState:
    """``Data`` of DescribeNetwork."""

    online: bool | None = None


@attrs.define
class DescribeNetwork(Request[NetworkState]):
    """Get whether a machine has joined the network."""

    ACTION: ClassVar[str] = "DescribeNetwork"
    DATA: ClassVar[type] = NetworkState
    REPEATABLE: ClassVar[bool] = True

    network_id: str | None = None


@attrs.define
class SkillRecord:
    """What is known of one skill."""

    skill_id: str | None = None
    name: str | None = None
    description: str | None = None


@attrs.define
class SkillList:
    """``Data`` of GetSkillMetaData: the skills, and the directory in a session that has them."""

    skill_path: str | None = None
    meta_data_list: list[SkillRecord] | None = None


@attrs.define
class GetSkillMetaData(Request[SkillList]):
    """Get the skills of an image, or those of the given names."""

    ACTION: ClassVar[str] = "GetSkillMetaData"
    DATA: ClassVar[type] = SkillList
    REPEATABLE: ClassVar[bool] = True

    image_id: str | None = None
    skill_group_ids: list[str] | None = as_json()


@attrs.define
class ListSkillMetaData(Request[list[SkillRecord]]):
    """Get the skills of the given ids."""

    ACTION: ClassVar[str] = "ListSkillMetaData"
    DATA: ClassVar[object] = list[SkillRecord]
    REPEATABLE: ClassVar[bool] = True

    skill_id_list: list[str] | None = as_json()


@attrs.define
class ContextSkills:
    """Skills, and the directory of a context that holds them."""

    context_id: str | None = None
    skill_ids: list[str] | None = None
    path: str | None = None


@attrs.define
class BindContextSkillAsync(Request[None]):
    """Start to copy skills into contexts."""

    ACTION: ClassVar[str] = "BindContextSkillAsync"

    login_region_id: str | None = None
    context_skill_bind_items: list[ContextSkills] | None = as_json()


@attrs.define
class UnbindContextSkillAsync(Request[None]):
    """Start to remove skills from contexts."""

    ACTION: ClassVar[str] = "UnbindContextSkillAsync"

    login_region_id: str | None = None
    context_skill_unbind_items: list[ContextSkills] | None = as_json()
