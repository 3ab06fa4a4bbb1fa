"""Tar archives and OCI layouts for tests, hostile ones among them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: Any) -> tarfile.TarInfo:
    """Return a member of an archive."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def archive(*members: tuple[tarfile.TarInfo, bytes] | tarfile.TarInfo, **options: Any) -> bytes:
    """Return an archive of members, and the content of those that have one."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for one in members:
            info, content = one if isinstance(one, tuple) else (one, None)
            if content is not None:
                info.size = len(content)
            tar.addfile(info, None if content is None else io.BytesIO(content))
    return buffer.getvalue()


def files(**contents: str) -> bytes:
    """Return an archive of files."""
    return archive(*((member(name), text.encode()) for name, text in contents.items()))


def layout(
    directory: Path,
    *layers: bytes,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    compressed: bool = True,
) -> Path:
    """Write an OCI layout of layers, after `change` has changed its index."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    packed = [blob(gzip.compress(layer) if compressed else layer) for layer in layers]
    manifest = blob(json.dumps({"schemaVersion": 2, "layers": packed}).encode())
    wanted = {"os": "linux", "architecture": MACHINE}
    other = {"os": "unknown", "architecture": "unknown"}
    inner = blob(
        json.dumps(
            {"manifests": [{**manifest, "platform": wanted}, {**manifest, "platform": other}]}
        ).encode()
    )
    index: dict[str, Any] = {"manifests": [inner]}
    change(index)
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def pack(directory: Path, target: Path) -> Path:
    """Pack a directory into a tar archive."""
    with tarfile.open(target, "w") as tar:
        tar.add(directory, ".")
    return target
