"""A program that uses the service in every way: actions, direct calls, frames, files, links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from agentbay_async import AsyncAgentBay, ContextSync, CreateSessionParams

if TYPE_CHECKING:
    from pathlib import Path

    from agentbay_async import AsyncSession


async def use_everything(bay: AsyncAgentBay, directory: Path, secret: str) -> list[object]:
    """Run the program; return what it has seen, which a replay has to show again."""
    context = (await bay.context.get("cassette-test", create=True)).context
    sync = ContextSync(context_id=context.id, path="/mnt/data")
    params = CreateSessionParams(labels={"purpose": "cassette"}, context_syncs=[sync])
    async with bay.session(params) as session:
        seen = [await _commands(session, secret), await _files(session, directory, secret)]
        seen.append(await _terminal(session))
        seen.append(await _code(session))
        seen.append("resourceId=" in session.resource_url)
        seen.append((await session.get_labels()).data)
        seen.append((await session.context.sync()).success)
    seen.append((await bay.get("s-that-never-was")).code)
    content = directory / "from-context.bin"
    upload = await bay.context.upload_file(context.id, "/a.bin", b"\xff\x00" + secret.encode())
    seen.append(upload.unwrap().size)
    (await bay.context.download_file(context.id, "/a.bin", content)).unwrap()
    seen.append(content.stat().st_size)
    seen.append((await bay.context.delete(context)).success)
    return seen


async def _commands(session: AsyncSession, secret: str) -> list[object]:
    result = await session.command.run(f"echo the key is {secret}; exit 3")
    return [result.exit_code, len(result.stdout)]


async def _files(session: AsyncSession, directory: Path, secret: str) -> list[object]:
    text = f"first line\n{secret}\n"
    (await session.file_system.write_file("/tmp/a.txt", text)).unwrap()
    back = (await session.file_system.read_file("/tmp/a.txt")).content
    source = directory / "to-upload.txt"
    source.write_text(text * 3)
    (await session.file_system.upload_file(str(source), "/tmp/b.txt")).unwrap()
    return [len(back), back.startswith("first line")]


async def _terminal(session: AsyncSession) -> bool:
    terminal = await session.pty.create()
    output = b""
    await terminal.send_input("echo $((40 + 2))\n")
    with anyio.fail_after(60):
        async for chunk in terminal:
            output += chunk
            if b"42" in output:
                break
    await terminal.kill()
    return b"42" in output


async def _code(session: AsyncSession) -> str:
    return (await session.code.run_code("print(6 * 7)")).stdout.strip()
