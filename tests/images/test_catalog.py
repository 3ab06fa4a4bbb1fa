"""Images of a service: values, those of this machine, and what clients are told of the others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from agentbay_async import AsyncAgentBay, CreateSessionParams
from agentbay_local import Image, Isolation, Limits, LocalService
from agentbay_local.images import Images, ImageStore, parse_image
from agentbay_local.images.catalog import tool_not_offered
from agentbay_local.protocol.errors import ApiError
from agentbay_local.tools.schemas import FEATURES, TOOLS

from .archives import pack

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """Return a layer with one program."""
    program = tmp_path / "layer" / "usr" / "bin" / "hello-layer"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho hello from the layer\n")
    program.chmod(0o755)
    return tmp_path / "layer"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "a b"}, "name must be"),
        ({"name": ""}, "name must be"),
        ({"name": "../up"}, "name must be"),
        ({"name": "windows_latest"}, "need Windows"),
        ({"name": "x", "layers": "/opt/one"}, "layers must be a list"),
        ({"name": "x", "features": {"shell", "phone"}}, "features must be of"),
    ],
)
def test_a_bad_image_is_refused_with_its_argument(values: dict[str, object], message: str) -> None:
    """When it is made."""
    with pytest.raises(ValueError, match=message):
        Image(**values)  # type: ignore[arg-type]  # the point of the test


def test_an_image_of_a_recipe_has_its_features_and_limits(layer: Path) -> None:
    """If it has the layers that they need."""
    image = Image("browser_latest", layers=[layer])
    assert image.features == {"shell", "code", "browser"}
    assert image.limits.processes > Limits().processes
    assert Image("linux_latest", layers=[layer]).features == {"shell", "code", "browser", "desktop"}
    assert Image("linux_latest").features == {"shell", "code"}
    assert Image("linux_latest").limits == Limits()


def test_limits_of_an_image_replace_defaults_that_are_smaller() -> None:
    """But neither larger ones, nor what the user of the service chose."""
    image = Image("x", limits=Limits(processes=1000, memory_bytes=None, open_files=16))
    assert image.limits_over(Limits()) == Limits(processes=1000, memory_bytes=None)
    chosen = Limits(processes=300, memory_bytes=2**20)
    assert image.limits_over(chosen) == chosen


def test_images_are_found_by_name(layer: Path) -> None:
    """Those that the service was given come first; other names of the cloud lead to the same."""
    images = Images([Image("tools", layers=[layer]), Image("linux_latest", layers=[layer])])
    assert images.offered("tools").layers == (layer,)
    assert images.offered(None).layers == images.offered("linux_latest").layers == (layer,)
    assert images.offered("aio-ubuntu-2404").layers == (layer,)
    assert images.offered("code_latest").layers == ()
    assert Images().offered(None) == Image("linux_latest")


@pytest.mark.parametrize("name", ["windows_latest", "browser_latest", "unknown", "..", ""])
def test_a_session_whose_image_is_gone_has_the_basic_tools(name: str) -> None:
    """It can still be looked up."""
    tools = Images().tools[name]
    assert {FEATURES[tool] for tool in tools} == {"shell", "code"}
    assert json.loads(tools.short_list)


def test_other_levels_refuse_layers(layer: Path) -> None:
    """With the reason; the plain images stay."""
    with pytest.raises(ValueError, match="'tools' has layers, which need isolation 'namespaces'"):
        Images([Image("tools", layers=[layer])], isolation=Isolation.LANDLOCK)
    images = Images(isolation=Isolation.LANDLOCK)
    assert images.offered(None).name == "linux_latest"
    with pytest.raises(ApiError, match="start the service with isolation 'namespaces'"):
        images.offered("browser_latest")


def test_a_service_refuses_layers_that_cannot_be_used(layer: Path, tmp_path: Path) -> None:
    """Before it starts."""
    with pytest.raises(ValueError, match="twice"):
        LocalService(images=[Image("x", layers=[layer]), Image("x", layers=[layer])])
    with pytest.raises(ValueError, match="must be a directory that has a directory usr"):
        LocalService(images=[Image("x", layers=[tmp_path])])
    (layer / "lib").mkdir()
    with pytest.raises(ValueError, match="move its content into usr/lib"):
        LocalService(images=[Image("x", layers=[layer])])
    with pytest.raises(ValueError, match="need isolation 'namespaces'"):
        LocalService(images=[Image("x", layers=[layer])], isolation="none")


@pytest.mark.parametrize(
    "text", ["tools", "tools=", "=/opt", "tools=/", "a b=/opt", "tools=/nowhere"]
)
def test_an_option_that_is_no_image_is_refused(text: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=r"image|name|layers"):
        parse_image(text)


def test_an_option_is_an_image(layer: Path) -> None:
    """Of one layer, with the features of its name."""
    assert parse_image(f"tools={layer}") == Image("tools", layers=[layer])
    assert "browser" in parse_image(f"browser_latest={layer}").features


def entry(store: Path, name: str, layer: Path, **more: object) -> Path:
    """Write the manifest of an image."""
    store.mkdir(exist_ok=True)
    file = store / f"{name}.json"
    values = {"layers": [str(layer)], "features": ["shell", "code"], "limits": {}, **more}
    file.with_suffix(".new").write_text(json.dumps(values))
    file.with_suffix(".new").replace(file)
    return file


def test_an_image_of_this_machine_is_offered_as_soon_as_it_is_there(
    layer: Path, tmp_path: Path
) -> None:
    """A running service needs no restart; one that is damaged is not used in silence."""
    images = Images(store=ImageStore(tmp_path / "images"))
    with pytest.raises(ApiError, match="agentbay image build browser_latest"):
        images.offered("browser_latest")
    file = entry(tmp_path / "images", "browser_latest", layer, limits={"processes": 900})
    image = images.offered("browser_latest")
    assert (image.layers, image.limits.processes) == ((layer,), 900)
    file.write_text("{}")
    with pytest.raises(ApiError, match="agentbay image remove browser_latest"):
        images.offered("browser_latest")
    file.unlink()
    with pytest.raises(ApiError, match="agentbay image build browser_latest"):
        images.offered("browser_latest")


def test_tools_follow_from_features() -> None:
    """Every tool belongs to one; the answer for a tool of another feature says which image."""
    assert set(FEATURES) == set(TOOLS)
    images = Images([Image("x", features={"shell"}), Image("y")])
    assert "run_code" not in images.tools["x"]
    assert "run_code" not in images.tools["x"].short_list
    assert "run_code" in images.tools["y"].short_list
    assert "`agentbay image build browser_latest`" in tool_not_offered("x", "run_code")


@pytest.mark.parametrize("packed", [False, True])
async def test_a_session_has_the_image_that_it_was_made_with(
    layer: Path, packed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its programs, its limits and its tools; others have none of it."""
    monkeypatch.setenv("AGENTBAY_IMAGES", str(tmp_path / "images"))
    if packed:
        layer = pack(layer, tmp_path / "layer.tar")
    image = Image("tools", layers=[layer], features={"shell"}, limits=Limits(processes=700))
    async with (
        LocalService(images=[image]) as service,
        AsyncAgentBay(service.api_key, endpoint=service.endpoint) as bay,
    ):
        if not service.isolation.available:
            pytest.skip(service.isolation.reason)
        tools = CreateSessionParams(image_id="tools")
        async with bay.session(tools) as session, bay.session() as other:
            done = (
                await session.command.execute_command(
                    "hello-layer; grep processes /proc/self/limits"
                )
            ).unwrap()
            assert done.stdout.splitlines()[0] == "hello from the layer"
            assert int(done.stdout.split()[-3]) >= 700
            names = {tool.name for tool in (await session.list_mcp_tools()).tools}
            assert "shell" in names
            assert "run_code" not in names
            refused = await session.call_mcp_tool("run_code", {"language": "python", "code": "1"})
            assert "Tool 'run_code' is not offered by image 'tools' here" in refused.error_message
            assert not (await other.command.execute_command("hello-layer")).success
