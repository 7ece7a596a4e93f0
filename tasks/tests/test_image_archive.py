"""Archives of images, from archives such as ``docker image save`` writes."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from tasks.release.image_archive import write_archive

EPOCH = 1_000_000_000
"""2001-09-09T01:46:40Z."""


def _save(path: Path, *, time: int, stamp: str, content: bytes = b"text") -> Path:
    """Write what an engine saves of an image with one layer, built at ``time``."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        old = tarfile.TarInfo("old")
        old.mtime = 5
        archive.addfile(old)
        program = tarfile.TarInfo("bin/program")
        program.size, program.mode, program.mtime, program.uid = len(content), 0o4755, time, 7
        program.pax_headers = {
            "SCHILY.xattr.security.capability": "\x01\udcff",
            "atime": f"{time}.5",
        }
        archive.addfile(program, io.BytesIO(content))
        link = tarfile.TarInfo("bin/link")
        link.type, link.linkname, link.mtime = tarfile.SYMTYPE, "program", time
        archive.addfile(link)
        same = tarfile.TarInfo("bin/same")
        same.type, same.linkname, same.mtime = tarfile.LNKTYPE, "bin/program", time
        archive.addfile(same)
        gone = tarfile.TarInfo("etc/.wh.passwd")
        gone.mtime = time
        archive.addfile(gone)
    config = {
        "architecture": "amd64",
        "config": {"Labels": {"a": "b"}},
        "created": stamp,
        "history": [{"created": "1990-01-01T00:00:00Z"}, {"created": stamp}, {"empty_layer": True}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:of an earlier layer"]},
    }
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer.getvalue(),
        "manifest.json": json.dumps(
            [{"Config": "config.json", "RepoTags": ["x:y"], "Layers": ["layer.tar"]}]
        ).encode(),
    }
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), time
            archive.addfile(entry, io.BytesIO(data))
    return path


def _write(folder: Path, *, time: int, stamp: str, content: bytes = b"text") -> bytes:
    saved = _save(folder / "saved.tar", time=time, stamp=stamp, content=content)
    write_archive(saved, folder / "out.tar", name="airlock-shim:1.0", epoch=EPOCH)
    return (folder / "out.tar").read_bytes()


def _read(content: bytes) -> tuple[dict[str, bytes], Any]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive}  # type: ignore[union-attr]
    return files, json.loads(files["manifest.json"])[0]


def test_time_of_the_build_does_not_show(tmp_path: Path) -> None:
    """Two builds of the same content at different times give the same bytes."""
    first = _write(tmp_path, time=1_500_000_000, stamp="2017-07-14T02:40:00.123456789Z")
    second = _write(tmp_path, time=1_700_000_000, stamp="2023-11-14T22:13:20.5+00:00")
    assert first == second


def test_other_content_shows(tmp_path: Path) -> None:
    """What differs in more than its time gives other bytes."""
    stamp = "2017-07-14T02:40:00Z"
    first = _write(tmp_path, time=1_500_000_000, stamp=stamp)
    assert first != _write(tmp_path, time=1_500_000_000, stamp=stamp, content=b"tex!")


def test_layer_keeps_everything_but_times(tmp_path: Path) -> None:
    """Modes, owners, links, whiteouts and capabilities stay, and so do times before the epoch."""
    files, entry = _read(_write(tmp_path, time=1_500_000_000, stamp="2017-07-14T02:40:00Z"))
    with tarfile.open(fileobj=io.BytesIO(files[entry["Layers"][0]])) as layer:
        found = {item.name: item for item in layer}
        assert list(found) == ["old", "bin/program", "bin/link", "bin/same", "etc/.wh.passwd"]
        program = found["bin/program"]
        assert layer.extractfile(program).read() == b"text"  # type: ignore[union-attr]
    assert (program.mode, program.uid, program.mtime) == (0o4755, 7, EPOCH)
    assert program.pax_headers["SCHILY.xattr.security.capability"] == "\x01\udcff"
    assert "atime" not in program.pax_headers
    assert (found["bin/link"].type, found["bin/link"].linkname) == (tarfile.SYMTYPE, "program")
    assert (found["bin/same"].type, found["bin/same"].linkname) == (tarfile.LNKTYPE, "bin/program")
    assert found["old"].mtime == 5


def test_configuration_is_dated_and_kept(tmp_path: Path) -> None:
    """Only dates after the epoch change, and the layers' digests are those of the new ones."""
    files, entry = _read(_write(tmp_path, time=1_500_000_000, stamp="2017-07-14T02:40:00Z"))
    config = json.loads(files[entry["Config"]])
    (layer,) = entry["Layers"]
    assert config["created"] == "2001-09-09T01:46:40Z"
    assert config["history"][0]["created"] == "1990-01-01T00:00:00Z"
    assert config["history"][2] == {"empty_layer": True}
    assert config["config"] == {"Labels": {"a": "b"}}
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(files[layer]).hexdigest()}"]
    assert entry["RepoTags"] == ["airlock-shim:1.0"]


def test_it_is_an_image_layout_too(tmp_path: Path) -> None:
    """Index, manifest and blobs refer to each other by size and digest, as OCI tools read them."""
    files, _ = _read(_write(tmp_path, time=1_500_000_000, stamp="2017-07-14T02:40:00Z"))
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (reference,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(_fetch(files, reference))
    for descriptor in (manifest["config"], *manifest["layers"]):
        _fetch(files, descriptor)


def _fetch(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    algorithm, _, value = descriptor["digest"].partition(":")
    content = files[f"blobs/{algorithm}/{value}"]
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (value, descriptor["size"])
    return content
