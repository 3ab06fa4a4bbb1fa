"""``agentbay mcp``: sessions as tools for clients of the Model Context Protocol."""

from __future__ import annotations

import asyncio
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from agentbay_async import AsyncAgentBay, Budget, Config, ConfigurationError, LocalOptions

if TYPE_CHECKING:
    from agentbay_mcp import McpOptions

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("mcp")(serve)


def serve(
    http: Annotated[bool, typer.Option("--http", help="Serve HTTP, not standard input.")] = False,
    host: Annotated[str, typer.Option(help="The address of --http.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port of --http.")] = 8765,
    image: Annotated[
        list[str] | None, typer.Option(help="An image that sessions may have; may be repeated.")
    ] = None,
    max_sessions: Annotated[int, typer.Option(min=1, help="Sessions at once.")] = 10,
    idle_minutes: Annotated[
        int, typer.Option(min=1, help="Release a session after so long without use.")
    ] = 30,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the sessions at the end.")] = False,
    files: Annotated[
        Path | None, typer.Option(help="The directory for the tools upload and download.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="A host that sessions may reach, with --endpoint local; may be repeated."
        ),
    ] = None,
    budget_sessions: Annotated[
        int | None, typer.Option(min=1, help="Sessions of this server in all.")
    ] = None,
    budget_hours: Annotated[
        float | None, typer.Option(help="Hours of all sessions together; then none are created.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help='The service, or "local" for one in this process.')
    ] = None,
) -> None:
    """Serve sessions as tools to an MCP client, such as an editor or an agent.

    The sessions are deleted when the client disconnects, or with --http when the server ends.
    """
    try:
        from agentbay_mcp import McpOptions
    except ImportError as error:
        raise ConfigurationError(
            f"agentbay mcp needs the package {error.name}",
            hint="Install it with: pip install 'agentbay-async[mcp]'",
        ) from error
    options = McpOptions(image or [], max_sessions, idle_minutes, keep, files)
    # Also for another service, which the client refuses.
    local = LocalOptions(allow_hosts=allow_host) if allow_host else None
    is_limited = budget_sessions is not None or budget_hours is not None
    config = Config(budget=Budget(budget_sessions, budget_hours)) if is_limited else None
    bay = AsyncAgentBay(cfg=config, endpoint=endpoint, local=local)
    asyncio.run(_serve(bay, options, (host, port) if http else None))


async def _serve(
    client: AsyncAgentBay, options: McpOptions, address: tuple[str, int] | None
) -> None:
    from agentbay_mcp import make_server

    async with client as bay:
        server = make_server(bay, options)
        if address is None:
            await server.run_stdio_async()
        else:
            await server.run_streamable_http_async(host=address[0], port=address[1])
