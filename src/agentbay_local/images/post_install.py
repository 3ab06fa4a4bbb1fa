"""Make what the scripts of packages would have made: caches, in a sandbox that has the layers.

Programs of the packages run for this, so they run isolated like every session. What they write
comes back as an archive, which is unpacked like any foreign one.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from agentbay_local.sandbox.base import Limits, SandboxSpec
from agentbay_local.sandbox.bubblewrap import BubblewrapBackend
from agentbay_local.sandbox.errors import SandboxError
from agentbay_local.sandbox.host.uids import private_uid

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["make_caches"]

_WITHIN = 300.0
_MOST_OUTPUT = 256 * 1024 * 1024
_LIMITS = Limits(processes=512, disk_bytes=2 * 1024**3)

# What the steps of the script work on; a step is left out if no layer has it.
_SOURCES = (
    "etc/ld.so.conf.d",
    "usr/share/applications",
    "usr/share/ca-certificates",
    "usr/share/fonts",
    "usr/share/glib-2.0/schemas",
    "usr/share/mime/packages",
    "usr/lib/*/gdk-pixbuf-2.0",
)
# The caches of fonts have the times of directories, so they are made where sessions will see the
# same directories.
_SCRIPT = r"""
out=$HOME/layer log=$HOME/log
mkdir -p "$out"
layers_have() { case " $LAYERED " in *" $1 "*) ;; *) return 1 ;; esac; }
there() { command -v "$1" >/dev/null; }
try() { "$@" >"$log" 2>&1 || { echo "$1 failed:"; tail -n 3 "$log"; } >&2; }

if layers_have etc/ld.so.conf.d && there /sbin/ldconfig; then
    mkdir -p "$out/etc"
    try /sbin/ldconfig -X -C "$out/etc/ld.so.cache"
fi
if layers_have usr/share/fonts && there fc-cache; then
    mkdir -p /var/cache/fontconfig "$out/var/cache"
    try fc-cache -s
    cp -r /var/cache/fontconfig "$out/var/cache/"
fi
if layers_have usr/share/mime/packages && there update-mime-database; then
    mkdir -p "$out/usr/share/mime"
    cp -r /usr/share/mime/packages "$out/usr/share/mime/"
    try update-mime-database "$out/usr/share/mime"
    rm -r "$out/usr/share/mime/packages"
fi
if layers_have usr/share/applications && there update-desktop-database; then
    mkdir -p "$HOME/entries" "$out/usr/share/applications"
    cp /usr/share/applications/*.desktop "$HOME/entries/" 2>/dev/null
    try update-desktop-database "$HOME/entries"
    cp "$HOME/entries/mimeinfo.cache" "$out/usr/share/applications/" 2>/dev/null
fi
schemas=usr/share/glib-2.0/schemas
for compile in /usr/bin/glib-compile-schemas /usr/lib/*/glib-2.0/glib-compile-schemas; do
    if layers_have $schemas && there "$compile"; then
        mkdir -p "$out/$schemas"
        try "$compile" --targetdir="$out/$schemas" /$schemas
        break
    fi
done
pixbuf='usr/lib/*/gdk-pixbuf-2.0'
for query in /usr/lib/*/gdk-pixbuf-2.0/gdk-pixbuf-query-loaders; do
    for version in "${query%/*}"/*/; do
        if layers_have "$pixbuf" && there "$query" && [ -d "${version}loaders" ]; then
            mkdir -p "$out$version"
            "$query" > "$out${version}loaders.cache" 2>"$log" || cat "$log" >&2
        fi
    done
done
certificates=etc/ssl/certs/ca-certificates.crt
if layers_have usr/share/ca-certificates && [ ! -e /$certificates ]; then
    mkdir -p "$out/${certificates%/*}"
    find /usr/share/ca-certificates -name '*.crt' -exec cat {} + > "$out/$certificates"
fi
exec tar -C "$out" -cf - .
"""


async def make_caches(layers: Sequence[Path], scratch: Path) -> tuple[io.BytesIO, list[str]]:
    """Make the caches of layers, as a session sees them.

    Args:
        layers: The layers of the image, lowest first.
        scratch: A directory for the files of the sandbox, removed by the caller.

    Returns:
        A tar archive of what belongs into the layer, and the complaints of the programs.

    Raises:
        SandboxError: The sandbox does not start with the layers, or nothing runs in it.
    """
    layered = [path for path in _SOURCES if any(any(one.glob(path)) for one in layers)]
    backend = BubblewrapBackend()
    spec = SandboxSpec(scratch / "root", private_uid(str(scratch)), _LIMITS, layers=tuple(layers))
    try:
        async with await backend.start(spec) as sandbox:
            done = await sandbox.run(
                _SCRIPT,
                timeout=_WITHIN,
                env={"LAYERED": " ".join(layered)},
                output_limit=_MOST_OUTPUT,
            )
    finally:
        await backend.close()
    complaints = done.stderr.decode("utf-8", "replace").splitlines()
    if done.exit_code or done.timed_out or len(done.stdout) >= _MOST_OUTPUT:
        raise SandboxError(f"programs do not run with the layers: {'; '.join(complaints[-5:])}")
    return io.BytesIO(done.stdout), complaints
