"""Tests of `engine.archive`."""

import io
import json
import tarfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.engine import Refused
from airlock_modules.engine.archive import ArchiveRewriter

_ID = "ab" * 32
_IMAGE = {"Config": f"blobs/sha256/{_ID}", "RepoTags": ["node:20"], "Layers": ["blobs/layer"]}
_INDEX = {
    "schemaVersion": 2,
    "manifests": [{"digest": "sha256:1", "annotations": {"io.containerd.image.name": "node:20"}}],
}
_FILES = {
    "blobs/layer": b"x" * 700,
    "index.json": json.dumps(_INDEX).encode(),
    "manifest.json": json.dumps([_IMAGE]).encode(),
    "repositories": b'{"node":{"20":"1"}}',
}


def _entry(path: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    entry = tarfile.TarInfo(path)
    entry.type, entry.size = kind, len(content)
    padding = b"\0" * (-len(content) % 512)
    return entry.tobuf(tarfile.GNU_FORMAT) + content + padding


def _pack(*entries: bytes) -> bytes:
    return b"".join(entries) + b"\0" * 1024


_ARCHIVE = _pack(_entry("blobs", kind=tarfile.DIRTYPE), *(_entry(*each) for each in _FILES.items()))


def _rewrite(pieces: Iterable[bytes], *, name: str = "") -> tuple[bytes, list[tuple[str, ...]]]:
    found: list[tuple[str, ...]] = []

    def rename(digest: str, names: tuple[str, ...]) -> tuple[str, ...]:
        found.append((digest, *names))
        return (name,) if name else ()

    rewriter = ArchiveRewriter(rename)
    return b"".join([*map(rewriter.feed, pieces), rewriter.end()]), found


def _unpack(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
        files = [(each.name, opened.extractfile(each)) for each in opened]
        return {path: file.read() for path, file in files if file is not None}


def test_names_are_replaced_and_the_rest_is_kept() -> None:
    """In none of the three files that name images is a name left that was not chosen."""
    archive, found = _rewrite([_ARCHIVE])
    assert found == [(_ID, "node:20")]
    files = _unpack(archive)
    assert b"node" not in archive
    assert (files["blobs/layer"], files.keys() & {"repositories"}) == (_FILES["blobs/layer"], set())
    assert json.loads(files["manifest.json"]) == [{**_IMAGE, "RepoTags": None}]
    archive, _ = _rewrite([_ARCHIVE], name="mine:1")
    assert json.loads(_unpack(archive)["manifest.json"]) == [{**_IMAGE, "RepoTags": ["mine:1"]}]


@given(sizes=st.lists(st.integers(1, 1500), min_size=1, max_size=10))
def test_pieces_of_any_size_give_the_same_archive(sizes: list[int]) -> None:
    """An entry may come in many pieces, and a piece have many entries."""
    pieces: list[bytes] = []
    at = 0
    while at < len(_ARCHIVE):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(_ARCHIVE[at : at + size])
        at += size
    assert _rewrite(pieces) == _rewrite([_ARCHIVE])


def test_what_is_behind_the_end_is_dropped() -> None:
    """Another reader might take it for more entries."""
    archive, _ = _rewrite([_ARCHIVE, _entry("manifest.json", b"[]")])
    assert archive == _rewrite([_ARCHIVE])[0]


def test_a_loaded_image_has_nothing_but_what_the_archive_has() -> None:
    """An engine goes by the paths of the manifest, never by a digest of what others have there."""
    renamed: list[tuple[str, ...]] = []

    def rename(digest: str, names: tuple[str, ...]) -> tuple[str, ...]:
        renamed.append((digest, *names))
        return ()

    def load(*entries: bytes) -> dict[str, bytes]:
        rewriter = ArchiveRewriter(rename, is_loaded=True)
        return _unpack(rewriter.feed(_pack(*entries)) + rewriter.end())

    layout = _entry("./oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    entries = [_entry(*each) for each in _FILES.items()]
    files = load(layout, *entries)
    assert files.keys() == {"blobs/layer", "manifest.json"}
    assert load(*reversed(entries), layout) == files
    # One in each place of the docker save of two images that share a layer.
    other = {**_IMAGE, "Config": f"blobs/sha256/{'cd' * 32}", "RepoTags": None}
    both = load(layout, _entry("manifest.json", json.dumps([_IMAGE, other]).encode()))
    assert [each["Layers"] for each in json.loads(both["manifest.json"])] == [["blobs/layer"]] * 2
    assert renamed == [(_ID, "node:20")] * 3 + [("cd" * 32,)]
    with pytest.raises(Refused, match=r"no manifest\.json"):
        load(layout, _entry("index.json", _FILES["index.json"]))


_MANIFEST = _entry("manifest.json", _FILES["manifest.json"])


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"\x1f\x8b" + b"\0" * 600,
        _ARCHIVE[:2000],
        _pack(_entry("manifest.json", b"[]"), _MANIFEST),
        _pack(_entry("manifest.json", b"[]"), _entry("./manifest.json", _FILES["manifest.json"])),
        _pack(_entry("a/../manifest.json", b"[]")),
        _pack(_entry("/manifest.json", b"[]")),
        _pack(_entry("a//manifest.json", b"[]")),
        _pack(_entry("manifest.json", kind=tarfile.SYMTYPE)),
        _pack(_entry("manifest.json", kind=tarfile.LNKTYPE)),
        _pack(_entry("x", b"y", tarfile.XHDTYPE), _MANIFEST),
        _pack(_entry("x", b"manifest.json", tarfile.GNUTYPE_LONGNAME), _entry("y", b"[]")),
        _pack(_entry("x", b"y", tarfile.GNUTYPE_SPARSE)),
        _pack(_entry("x", kind=tarfile.CHRTYPE)),
        _pack(_entry("x\nmanifest.json", b"[]")),
        _pack(_entry("manifest.json", b"[")),
        _pack(_entry("manifest.json", b"{}")),
        _pack(_entry("manifest.json", b'[{"RepoTags":["a"]}]')),
        _pack(_entry("manifest.json", b'[{"Config":"a","Layers":[],"RepoTags":[1]}]')),
        _pack(_entry("index.json", b"[]")),
        _pack(_entry("manifest.json", b" " * ((1 << 20) + 1))),
    ],
)
def test_an_archive_that_can_be_read_in_two_ways_is_refused(archive: bytes) -> None:
    """As is one that is cut off, compressed, or has links, devices or extended headers."""
    with pytest.raises(Refused):
        _rewrite([archive])
