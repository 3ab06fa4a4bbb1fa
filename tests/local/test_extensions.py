"""Extensions of browsers and descriptions of devices, in contexts of the local service."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentbay_async import (
    AsyncAgentBay,
    AsyncExtensionsService,
    AsyncMobileSimulateService,
    BWList,
    ContextSync,
    InvalidArgumentError,
    MobileSimulateMode,
    SyncPolicy,
    WhiteList,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from agentbay_local import LocalService


@pytest.fixture
async def bay(service: LocalService) -> AsyncIterator[AsyncAgentBay]:
    """Return a client of the service."""
    async with AsyncAgentBay(service.api_key, endpoint=service.endpoint) as client:
        yield client


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the file of an extension."""
    file = tmp_path / "adblock.zip"
    file.write_bytes(b"PK first")
    return file


async def test_an_extension_is_uploaded_replaced_and_deleted(
    bay: AsyncAgentBay, package: Path, tmp_path: Path
) -> None:
    """Its id is the name of the file in the context, which the option names."""
    extensions = AsyncExtensionsService(bay, "my-extensions")
    assert extensions.context_id is None
    made = await extensions.create(str(package))
    assert (made.name, made.id[:4], made.id[-4:]) == ("adblock.zip", "ext_", ".zip")
    assert [each.id for each in await extensions.list()] == [made.id]

    second = tmp_path / "second.zip"
    await asyncio.to_thread(second.write_bytes, b"PK second")
    assert (await extensions.update(made.id, str(second))).id == made.id
    option = await extensions.create_extension_option([made.id])
    assert (option.context_id, option.extension_ids) == (extensions.context_id, [made.id])
    target = tmp_path / "copy"
    path = f"/tmp/extensions/{made.id}"
    assert await bay.context.download_file(option.context_id, path, target)
    assert await asyncio.to_thread(target.read_bytes) == b"PK second"

    assert await extensions.delete(made.id) is True
    assert await extensions.list() == []


async def test_a_context_without_a_name_is_made_up_and_cleaned_up(
    bay: AsyncAgentBay, package: Path
) -> None:
    """That of the caller stays."""
    own = AsyncExtensionsService(bay)
    assert await own.cleanup()
    await own.create(str(package))
    assert own.auto_created
    assert (own.context_name or "").startswith("extensions-")
    named = AsyncExtensionsService(bay, "kept")
    await named.list()
    assert await own.cleanup()
    assert await named.cleanup()
    assert not await bay.context.get(own.context_name)
    assert await bay.context.get("kept")


async def test_a_file_that_is_no_extension_is_refused(bay: AsyncAgentBay, package: Path) -> None:
    """Before a context is made for it."""
    extensions = AsyncExtensionsService(bay, "none")
    with pytest.raises(FileNotFoundError, match="local_path"):
        await extensions.create(str(package) + "x")
    other = package.with_suffix(".crx")
    await asyncio.to_thread(other.touch)
    with pytest.raises(InvalidArgumentError, match=r"\.zip"):
        await extensions.create(str(other))
    assert not await bay.context.get("none")
    with pytest.raises(ValueError, match=r"no extension 'ext_1\.zip'"):
        await extensions.update("ext_1.zip", str(package))
    with pytest.raises(InvalidArgumentError, match="extension_ids"):
        await extensions.create_extension_option([])


async def test_a_description_gets_a_context_of_its_own(bay: AsyncAgentBay) -> None:
    """The configuration names it, so that a new phone gets it."""
    simulation = AsyncMobileSimulateService(bay)
    result = await simulation.upload_mobile_info('{"brand": "x"}')
    simulation.set_simulate_enable(True)
    simulation.set_simulate_mode(MobileSimulateMode.ALL)

    config = simulation.get_simulate_config()
    assert (config.simulate, config.simulate_mode) == (True, MobileSimulateMode.ALL)
    assert config.simulated_context_id == result.mobile_simulate_context_id
    folder = config.simulate_path or ""
    listed = await bay.context.list_files(result.mobile_simulate_context_id, folder)
    assert [entry.file_name for entry in listed.entries] == ["dev_info.json"]

    again = AsyncMobileSimulateService(bay)
    again.set_simulate_context_id(result.mobile_simulate_context_id)
    assert again.get_simulate_context_id() == config.simulated_context_id
    assert again.get_simulate_config().simulate_path == folder


async def test_a_description_may_be_kept_in_a_context_of_the_caller(bay: AsyncAgentBay) -> None:
    """Its white list then includes the description; the session has the context already."""
    context = (await bay.context.create("phone")).context
    policy = SyncPolicy(bw_list=BWList([WhiteList("/data")]))
    sync = ContextSync(context.id, "/data/local", policy)
    simulation = AsyncMobileSimulateService(bay)
    assert not await simulation.has_mobile_info(sync)
    assert await simulation.upload_mobile_info('{"brand": "x"}', sync)
    assert await AsyncMobileSimulateService(bay).has_mobile_info(sync)
    assert [one.path for one in policy.bw_list.white_lists] == ["/data", "/agentbay_mobile_info/"]
    config = simulation.get_simulate_config()
    assert config.simulated_context_id is None
    assert config.simulate_path == "/data/local/agentbay_mobile_info/"


@pytest.mark.parametrize("content", ["", "{", "{}"])
async def test_a_description_is_json(bay: AsyncAgentBay, content: str) -> None:
    """No context is made for something else."""
    simulation = AsyncMobileSimulateService(bay)
    with pytest.raises(InvalidArgumentError, match="mobile_dev_info_content"):
        await simulation.upload_mobile_info(content)
    assert simulation.get_simulate_context_id() is None
