"""Archives of images, as `load` and `save` carry them: a tar whose names of images are replaced.

A tar can be read in many ways. Here each entry is read strictly, and its header written anew: a
plain file or directory with a normal path that is there once. Of the files, three say which names
the images get; they are read whole, and rewritten.

An engine whose images are containerd's goes by OCI's two files, `oci-layout` and `index.json`: by
digests of what it has, also of a person's image, whether that is in the archive or not. Without
them each engine goes by `manifest.json`, which names files of the archive alone.
"""

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from airlock_modules.engine.strict import malformed
from airlock_wire.text import quote

_BLOCK = 512
_MAX_NAMING = 1 << 20
_MAX_ENTRIES = 10_000
_MAX_PATH = 100
_MANIFEST, _INDEX, _REPOSITORIES = "manifest.json", "index.json", "repositories"
_BY_DIGEST = (_INDEX, "oci-layout")

Names = tuple[str, ...]
Rename = Callable[[str, Names], Names]
"""Gets the hexadecimal digest of an image's configuration, and its names; returns the new ones."""


class ArchiveRewriter:
    """Rewrites an archive that is fed in pieces. All methods raise Refused."""

    def __init__(self, rename: Rename, *, is_loaded: bool = False) -> None:
        """With `is_loaded`, for an engine, an image has nothing but what the archive has."""
        self._rename = rename
        self._is_loaded = is_loaded
        # Of these `repositories` is an older form of what the manifest says.
        self._dropped = frozenset({_REPOSITORIES, *(_BY_DIGEST if is_loaded else ())})
        self._pending = bytearray()
        self._paths: set[str] = set()
        # Bytes of a file's data, padding included, that are passed on; and a naming file that is
        # being read: its path, and the bytes of its data without and with padding.
        self._left = 0
        self._naming: tuple[str, int, int] | None = None
        self._is_ended = False

    def feed(self, data: bytes) -> bytes:
        """The rewritten bytes that `data` completes."""
        self._pending += data
        return b"".join(self._take())

    def end(self) -> bytes:
        """The end of the archive; what is behind it was dropped."""
        if not self._is_ended:
            raise malformed("the archive is cut off")
        if self._is_loaded and _MANIFEST not in self._paths:
            raise malformed(f"the archive has no {_MANIFEST}, which docker save writes")
        return b"\0" * (2 * _BLOCK)

    def _take(self) -> Iterator[bytes]:
        while self._pending and not self._is_ended:
            if self._left:
                piece = bytes(self._pending[: self._left])
                del self._pending[: self._left]
                self._left -= len(piece)
                yield piece
            elif self._naming is not None:
                path, length, size = self._naming
                if len(self._pending) < size:
                    return
                content = bytes(self._pending[:length])
                del self._pending[:size]
                self._naming = None
                yield from self._write_naming(path, content)
            elif len(self._pending) < _BLOCK:
                return
            else:
                block = bytes(self._pending[:_BLOCK])
                del self._pending[:_BLOCK]
                yield from self._begin(block)
        if self._is_ended:
            self._pending.clear()

    def _begin(self, block: bytes) -> Iterator[bytes]:
        """Read an entry's header."""
        if not block.strip(b"\0"):
            self._is_ended = True
            return
        try:
            entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.TarError, UnicodeDecodeError):
            raise malformed("the archive is no plain tar") from None
        path = entry.name.removeprefix("./")
        path = path.rstrip("/") if entry.isdir() else path
        _check(entry, path)
        if path in self._paths or len(self._paths) >= _MAX_ENTRIES:
            raise malformed(f"the archive has {quote(path, limit=80)} twice, or too many entries")
        self._paths.add(path)
        size = entry.size + -entry.size % _BLOCK
        if entry.isdir():
            yield _write_header(path, 0, kind=tarfile.DIRTYPE) if path not in ("", ".") else b""
        elif path in (_MANIFEST, _INDEX, *self._dropped):
            if entry.size > _MAX_NAMING:
                raise malformed(f"{path} of the archive is too long")
            self._naming = path, entry.size, size
        else:
            self._left = size
            yield _write_header(path, entry.size)

    def _write_naming(self, path: str, content: bytes) -> Iterator[bytes]:
        if path in self._dropped:
            return
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise malformed(f"{path} of the archive is no JSON") from None
        made = _rewrite_index(value) if path == _INDEX else self._rewrite_manifest(value)
        written = json.dumps(made).encode()
        yield _write_header(path, len(written))
        yield written + b"\0" * (-len(written) % _BLOCK)

    def _rewrite_manifest(self, value: Any) -> list[dict[str, Any]]:
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise malformed(f"{_MANIFEST} of the archive is no list of images")
        return [self._rewrite_image(each) for each in value]

    def _rewrite_image(self, image: Mapping[str, Any]) -> dict[str, Any]:
        names = image.get("RepoTags") or []
        config, layers = image.get("Config"), image.get("Layers")
        is_good = isinstance(config, str) and isinstance(layers, list)
        if not is_good or not isinstance(names, list) or not all(map(_is_text, names)):
            raise malformed(f"{_MANIFEST} of the archive has no image that can be read")
        digest = str(config).removeprefix("blobs/sha256/").removesuffix(".json")
        renamed = list(self._rename(digest, tuple(names)))
        return {"Config": config, "RepoTags": renamed or None, "Layers": layers}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _rewrite_index(value: Any) -> dict[str, Any]:
    """An index of OCI without names."""
    manifests = value.get("manifests") if isinstance(value, dict) else None
    if not isinstance(manifests, list) or not all(isinstance(each, dict) for each in manifests):
        raise malformed(f"{_INDEX} of the archive has no manifests")
    kept = [
        {key: each[key] for key in ("mediaType", "digest", "size", "platform") if key in each}
        for each in manifests
    ]
    return {"schemaVersion": 2, "mediaType": value.get("mediaType"), "manifests": kept}


def _check(entry: tarfile.TarInfo, path: str) -> None:
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE):
        raise malformed(f"{quote(path, limit=80)} of the archive is neither a file nor a directory")
    segments = path.split("/")
    is_odd = any(each in ("", ".", "..") for each in segments) and not (
        entry.isdir() and path in ("", ".")
    )
    if is_odd or not path.isascii() or not path.isprintable() or len(path) > _MAX_PATH:
        raise malformed(f"{quote(path, limit=80)} of the archive is no plain path")
    if entry.size < 0 or (entry.isdir() and entry.size):
        raise malformed(f"{quote(path, limit=80)} of the archive has no possible size")


def _write_header(path: str, size: int, *, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = tarfile.TarInfo(path)
    made.type, made.size = kind, size
    made.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    # GNU's form has files of more than 8 GiB too.
    return made.tobuf(tarfile.GNU_FORMAT)
