"""No archive, whoever made it, leads out of its folder."""

from __future__ import annotations

import io
import tarfile
import zlib

import pytest

from app.bundles import archive
from app.bundles.archive import Content, InvalidBundle, Limits

LIMITS = Limits(max_bytes=10_000, max_files=5)


def crafted(*members: tuple[str, bytes | None], **fields: object) -> bytes:
    """A tar file with members as somebody else might write them."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as made:
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data or b"")
            for field, value in fields.items():
                setattr(header, field, value)
            made.addfile(header, io.BytesIO(data or b"") if data is not None else None)
    return output.getvalue()


def read(packed: bytes) -> dict[str, bytes]:
    return {"/".join(e.parts): content.read() for e, content in archive.entries(packed, LIMITS)}


def test_what_was_packed_is_read():
    long = "/".join(["folder" * 10] * 4) + "/ä.py"
    packed = archive.pack([Content("b.py", b"1", True), Content(long, b"2")])
    assert read(packed) == {"b.py": b"1", long: b"2"}
    assert archive.decompress([archive.compress(packed)], LIMITS.archive_bytes) == packed


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a\\b", "..", "a/\nb", "x" * 256],
)
def test_a_path_that_leads_elsewhere_is_refused(name):
    with pytest.raises(InvalidBundle):
        read(crafted((name, b"x")))


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "../up"),
        (tarfile.SYMTYPE, "train.py"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.DIRTYPE, ""),
    ],
)
def test_links_devices_and_folders_are_refused(kind, link):
    with pytest.raises(InvalidBundle, match="regular files only"):
        read(crafted(("a", None), type=kind, linkname=link))


def test_twice_the_same_path_is_refused():
    with pytest.raises(InvalidBundle, match="twice"):
        read(crafted(("a", b"1"), ("a", b"2")))


def test_a_file_that_is_a_folder_too_is_refused():
    with pytest.raises(InvalidBundle, match="is a file"):
        read(crafted(("a", b"1"), ("a/b", b"2")))


def test_limits_hold_for_the_content_whatever_is_announced():
    with pytest.raises(InvalidBundle, match="more than 5 files"):
        read(crafted(*((str(number), b"") for number in range(6))))
    with pytest.raises(InvalidBundle, match="more than"):
        read(crafted(("a", b"x" * 10_001)))
    bomb = zlib.compress(b"\0" * 50_000_000)
    with pytest.raises(InvalidBundle, match="larger than"):
        archive.decompress([bomb], LIMITS.archive_bytes)


@pytest.mark.parametrize("sent", [b"", b"junk", zlib.compress(b"x" * 1000)[:-5]])
def test_what_is_no_archive_is_refused(sent):
    with pytest.raises(InvalidBundle):
        archive.decompress([sent], 10_000)


def test_half_a_tar_file_is_refused():
    packed = archive.pack([Content("a.py", b"x" * 5000)])
    with pytest.raises(InvalidBundle):
        read(packed[:3000])


def test_any_split_into_parts_decompresses_alike():
    packed = archive.pack([Content("a.py", bytes(range(256)) * 30)])
    sent = archive.compress(packed)
    parts = [sent[start : start + 7] for start in range(0, len(sent), 7)]
    assert archive.decompress(parts, 100_000) == packed
