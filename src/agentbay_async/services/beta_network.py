"""Networks of your own (``bay.beta_network``), a trial feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentbay_async import _check
from agentbay_async._protocol import schema
from agentbay_async.errors import BadAnswerError
from agentbay_async.models.beta import Network, NetworkResult, NetworkStatusResult
from agentbay_async.models.results import returns_result

if TYPE_CHECKING:
    from agentbay_async._api import Api


class AsyncBetaNetwork:
    """Networks that join sessions to machines of yours.

    A trial feature of the cloud; the local service does not offer it.

    Example:
        ::

            network = (await bay.beta_network.get_network_bind_token()).unwrap()
            # Let a machine of yours join with network.network_token, then:
            await bay.create(CreateSessionParams(beta_network_id=network.network_id))
    """

    __slots__ = ("__weakref__", "_api")

    def __init__(self, api: Api) -> None:
        self._api = api

    @returns_result(NetworkResult)
    async def get_network_bind_token(self, network_id: str | None = None) -> NetworkResult:
        """Return a token with which a machine joins a network.

        Args:
            network_id: The network; ``None`` creates one.
        """
        request = schema.CreateNetwork(
            network_id=None if network_id is None else _check.identifier(network_id, "network_id"),
            login_region_id=self._api.settings.region_id,
        )
        answer = await self._api.call(request)
        data = answer.data
        if data is None or not data.network_id:
            raise BadAnswerError(
                "CreateNetwork: the answer has no network", request_id=answer.request_id
            )
        network = Network(data.network_id, data.network_token or "")
        return NetworkResult.ok(network, answer.request_id)

    @returns_result(NetworkStatusResult)
    async def describe(self, network_id: str) -> NetworkStatusResult:
        """Return whether a machine has joined a network."""
        request = schema.DescribeNetwork(network_id=_check.identifier(network_id, "network_id"))
        answer = await self._api.call(request)
        online = answer.data is not None and bool(answer.data.online)
        return NetworkStatusResult.ok(online, answer.request_id)
