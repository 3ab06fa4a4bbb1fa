"""Skills (``bay.beta_skills``), a trial feature: instructions for agents, kept by the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import ArgumentTypeError, InvalidArgumentError
from agentbay_async.models.beta import (
    ContextSkills,
    SkillInfo,
    SkillsMetadata,
    SkillsMetadataResult,
)
from agentbay_async.models.results import OperationResult, returns_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentbay_async._api import Api

# The variable is the official client's, for images with another directory.
_ROOT_VARIABLE = "AGENTBAY_OFFICIAL_SKILLS_ROOT"
_ROOT = "/home/wuying/skills"
_FIELDS = ("context_id", "skill_ids", "path")


class AsyncBetaSkills:
    """Skills of the account: look them up, and copy them into contexts.

    ``CreateSessionParams(load_skills=True)`` puts them into a session. A trial feature of the
    cloud; the local service does not offer it.

    Example:
        ::

            for skill in (await bay.beta_skills.get_metadata()).skills:
                print(skill.name, skill.description)
    """

    __slots__ = ("__weakref__", "_api")

    def __init__(self, api: Api) -> None:
        self._api = api

    @returns_result(SkillsMetadataResult)
    async def get_metadata(
        self,
        image_id: str | None = None,
        skill_names: Sequence[str] | None = None,
        skill_ids: Sequence[str] | None = None,
    ) -> SkillsMetadataResult:
        """Return what is known of skills, without a session.

        Args:
            image_id: The image whose directory of skills is returned.
            skill_names: Only skills with these names.
            skill_ids: Only skills with these ids; the other two arguments are ignored then.
        """
        if skill_ids is not None:
            ids = _check.sequence(skill_ids, "skill_ids", str)
            found = await self._api.call(schema.ListSkillMetaData(skill_id_list=ids))
            root = os.environ.get(_ROOT_VARIABLE, "").strip().rstrip("/") or _ROOT
            return _metadata(found.data or (), root, found.request_id)
        names = None if skill_names is None else _check.sequence(skill_names, "skill_names", str)
        image = None if image_id is None else _check.identifier(image_id, "image_id")
        request = schema.GetSkillMetaData(image_id=image, skill_group_ids=names)
        answer = await self._api.call(request)
        data = answer.data or schema.SkillList()
        return _metadata(data.meta_data_list or (), data.skill_path or "", answer.request_id)

    @returns_result(OperationResult)
    async def bind_context(
        self, items: Sequence[ContextSkills | Mapping[str, Any]]
    ) -> OperationResult[bool]:
        """Start to copy skills into contexts.

        Args:
            items: What to copy where; a mapping has the keys ``context_id``, ``skill_ids`` and
                ``path``.

        Raises:
            InvalidArgumentError: `items` is empty, or one lacks a key.
        """
        request = schema.BindContextSkillAsync(
            login_region_id=self._api.settings.region_id,
            context_skill_bind_items=_items(items),
        )
        return OperationResult.ok(True, (await self._api.call(request)).request_id)

    @returns_result(OperationResult)
    async def unbind_context(
        self, items: Sequence[ContextSkills | Mapping[str, Any]]
    ) -> OperationResult[bool]:
        """Start to remove skills from contexts; `items` is as in :meth:`bind_context`."""
        request = schema.UnbindContextSkillAsync(
            login_region_id=self._api.settings.region_id,
            context_skill_unbind_items=_items(items),
        )
        return OperationResult.ok(True, (await self._api.call(request)).request_id)


def _metadata(
    records: Iterable[schema.SkillRecord], root: str, request_id: str
) -> SkillsMetadataResult:
    skills = [
        SkillInfo(record.name, record.description or "", record.skill_id or "")
        for record in records
        if record.name
    ]
    return SkillsMetadataResult.ok(SkillsMetadata(skills, root), request_id)


def _items(items: object) -> list[schema.ContextSkills]:
    given = _check.sequence(items, "items", object)
    if not given:
        raise InvalidArgumentError("items must not be empty; give at least one")
    checked = [_item(entry, f"items[{index}]") for index, entry in enumerate(given)]
    return [
        schema.ContextSkills(entry.context_id, entry.skill_ids, entry.path) for entry in checked
    ]


def _item(value: object, name: str) -> ContextSkills:
    if isinstance(value, ContextSkills):
        return value
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(
            f"{name} must be ContextSkills or a mapping, not {type(value).__name__}"
        )
    if set(value) != set(_FIELDS):
        raise InvalidArgumentError(f"{name} must have the keys {', '.join(_FIELDS)}")
    return ContextSkills(**value)
