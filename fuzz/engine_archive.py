"""Target: an archive of images, as a client loads it into a docker engine.

Whatever is not refused is a tar of plain files that are there once, in which no file names an image
but the manifest, and that by the names alone which were chosen. An input is an archive, in which a
line `+PATH` begins a file, so that inputs need no checksums; or, without such a line, its bytes.
"""

import io
import json
import tarfile

from airlock_modules.engine import Refused
from airlock_modules.engine.archive import ArchiveRewriter
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 4096
_NAME = "chosen:1"


def _pack(data: bytes) -> bytes:
    if not data.startswith(b"+"):
        return data
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for part in data[1:].split(b"\n+"):
                path, _, content = part.partition(b"\n")
                entry = tarfile.TarInfo(path.decode("utf-8", "surrogateescape"))
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()


def _check(data: bytes) -> None:
    archive = _pack(data)
    rewriter = ArchiveRewriter(lambda _digest, names: (_NAME,) if names else ())
    try:
        # In two pieces, whose border may be anywhere.
        middle = len(data) * 7 % (len(archive) + 1)
        written = b"".join(map(rewriter.feed, (archive[:middle], archive[middle:])))
        written += rewriter.end()
    except Refused:
        return
    with tarfile.open(fileobj=io.BytesIO(written), mode="r:") as opened:
        entries = opened.getmembers()
        files = {each.name: opened.extractfile(each) for each in entries if each.isreg()}
    paths = [each.name for each in entries]
    if len(set(paths)) != len(paths) or not all(each.isreg() or each.isdir() for each in entries):
        raise BrokenPromiseError(f"{paths!a} can be read in two ways")
    if "repositories" in files:
        raise BrokenPromiseError("an older form names images")
    manifest = files.get("manifest.json")
    for image in () if manifest is None else json.load(manifest):
        if image["RepoTags"] not in (None, [_NAME]) or image.keys() - {"Config", "Layers"} != {
            "RepoTags"
        }:
            raise BrokenPromiseError(f"{image!a} has a name that was not chosen")
    index = files.get("index.json")
    for each in () if index is None else json.load(index)["manifests"]:
        if "annotations" in each:
            raise BrokenPromiseError(f"{each!a} has a name in its annotations")


_MANIFEST = b'[{"Config":"blobs/sha256/ab","RepoTags":["node:20"],"Layers":["blobs/sha256/cd"]}]'
_INDEX = b'{"manifests":[{"digest":"sha256:ab","annotations":{"a":"node:20"}}]}'
TARGET = Target(
    check=_check,
    seeds=(
        b"+blobs/sha256/cd\nlayer\n+manifest.json\n" + _MANIFEST,
        b"+index.json\n" + _INDEX + b"\n+repositories\n{}\n+oci-layout\n{}",
        _pack(b"+manifest.json\n" + _MANIFEST)[:2048],
    ),
    words=(
        b"\n+manifest.json\n",
        b"\n+./manifest.json\n",
        b"\n+repositories\n",
        b"\n+index.json\n",
        b"../",
        b'"RepoTags":null',
        b'"RepoTags":["a"]',
        b'"annotations":{}',
        b"\0" * 512,
    ),
    longest=_MAX_LENGTH,
)
