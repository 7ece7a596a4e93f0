"""Writing an image as a file: the same bytes for the same content, built by any engine.

The output of ``docker image save`` contains build times in its layers and its configuration. Not
every engine can omit them (BuildKit's ``rewrite-timestamp`` needs an exporter that the engine's
built-in builder lacks), so they are removed here.

The result is an OCI image layout (https://github.com/opencontainers/image-spec, image-layout.md)
with the ``manifest.json`` that ``docker image load`` of any version reads.
"""

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"

_TIMES = ("mtime", "atime", "ctime")
"""Extended tar headers with times; mtime is in the plain header too."""


class _Blobs:
    """Writes content by digest."""

    def __init__(self, archive: tarfile.TarFile, *, epoch: int) -> None:
        self._archive = archive
        self._epoch = epoch
        self._written: set[str] = set()

    def add(self, content: bytes | IO[bytes], media_type: str) -> dict[str, Any]:
        """Write a blob, once, and return its descriptor."""
        file = io.BytesIO(content) if isinstance(content, bytes) else content
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        value = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        if value not in self._written:
            self.write(f"blobs/sha256/{value}", file, size)
            self._written.add(value)
        return {"mediaType": media_type, "digest": f"sha256:{value}", "size": size}

    def write(self, name: str, file: IO[bytes], size: int) -> None:
        """Write ``size`` bytes from the start of ``file`` under a name."""
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = size, self._epoch, 0o644
        file.seek(0)
        self._archive.addfile(entry, file)


def write_archive(saved: Path, out: Path, *, name: str, epoch: int) -> None:
    """Write the one image in ``saved``, a file of ``docker image save``, to ``out`` as ``name``.

    Times after ``epoch``, in seconds since 1970, become that; earlier ones stay. ``name`` is
    ``REPOSITORY:TAG``.
    """
    with tarfile.open(saved) as source, tarfile.open(out, "w") as target:
        (entry,) = json.load(_open(source, "manifest.json"))
        blobs = _Blobs(target, epoch=epoch)
        layers = []
        for path in entry["Layers"]:
            with _open(source, path) as layer, tempfile.TemporaryFile(dir=out.parent) as rewritten:
                _rewrite_layer(layer, rewritten, epoch=epoch)
                layers.append(blobs.add(rewritten, _LAYER))
        described = json.load(_open(source, entry["Config"]))
        described["rootfs"]["diff_ids"] = [layer["digest"] for layer in layers]
        config = blobs.add(_encode(_redate(described, epoch=epoch)), _CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
        reference = blobs.add(_encode(manifest), _MANIFEST)
        _, _, tag = name.rpartition(":")
        reference["annotations"] = {"org.opencontainers.image.ref.name": tag}
        names = [f"blobs/{layer['digest'].replace(':', '/')}" for layer in (config, *layers)]
        for path, content in {
            "index.json": {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [reference]},
            "manifest.json": [{"Config": names[0], "RepoTags": [name], "Layers": names[1:]}],
            "oci-layout": {"imageLayoutVersion": "1.0.0"},
        }.items():
            encoded = _encode(content)
            blobs.write(path, io.BytesIO(encoded), len(encoded))


def _rewrite_layer(layer: IO[bytes], out: IO[bytes], *, epoch: int) -> None:
    with (
        tarfile.open(fileobj=layer) as source,
        tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for entry in source:
            entry.mtime = min(int(entry.mtime), epoch)
            # Keep the others, such as the capabilities of a program.
            entry.pax_headers = {
                key: value for key, value in entry.pax_headers.items() if key not in _TIMES
            }
            target.addfile(entry, source.extractfile(entry) if entry.isreg() else None)


def _redate(config: Mapping[str, Any], *, epoch: int) -> dict[str, Any]:
    latest = datetime.fromtimestamp(epoch, UTC)

    def clamp(described: Mapping[str, Any]) -> dict[str, Any]:
        if "created" not in described:
            return dict(described)
        # Python 3.11 parses at most six digits of a second's fraction.
        whole = datetime.fromisoformat(described["created"][:19]).replace(tzinfo=UTC)
        return {**described, "created": f"{min(whole, latest):%Y-%m-%dT%H:%M:%SZ}"}

    return {**clamp(config), "history": [clamp(step) for step in config.get("history", ())]}


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file in {archive.name!r}")
    return file


def _encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
