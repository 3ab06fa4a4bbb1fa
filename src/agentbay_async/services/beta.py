"""The trial features that are not at home elsewhere (``bay.beta``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentbay_async._api import Api
    from agentbay_async.services.beta_skills import AsyncBetaSkills


class AsyncBeta:
    """Trial features of the cloud."""

    __slots__ = ("__weakref__", "_api", "_skills")

    def __init__(self, api: Api) -> None:
        self._api = api
        self._skills: AsyncBetaSkills | None = None

    @property
    def skills(self) -> AsyncBetaSkills:
        """Skills of the account."""
        if self._skills is None:
            from agentbay_async.services.beta_skills import AsyncBetaSkills

            self._skills = AsyncBetaSkills(self._api)
        return self._skills
