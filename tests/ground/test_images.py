"""Images are what their bytes say: type and size, whatever they are called, and nothing where they are cut short."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.images import GIF, JPEG, PNG, WEBP, ImageLimits, Picture, picture
from engine.testing.vendors.images import png

SOI, APP0, APP1 = b"\xff\xd8", b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\xff\xe1\x00\x08Exif\0\0"
TABLES, RESTART, SCAN = b"\xff\xdb\x00\x04\0\0\xff\xc4\x00\x04\0\0", b"\xff\xd0", b"\xff\xda\x00\x03\0" + b"\x11" * 9
FRAME = b"\xff%c" + struct.pack(">HBHHB", 8, 8, 480, 640, 0)


def riff(chunk: bytes, data: bytes) -> bytes:
    body = b"WEBP" + chunk + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


SAMPLES = [
    (png(640, 480), PNG, (640, 480)),
    (b"GIF89a" + struct.pack("<HHBBB", 640, 480, 0, 0, 0) + b";", GIF, (640, 480)),
    (b"GIF87a" + struct.pack("<HHBBB", 1, 2, 0, 0, 0) + b";", GIF, (1, 2)),
    (SOI + APP0 + TABLES + FRAME % 0xC0 + SCAN, JPEG, (640, 480)),
    (SOI + APP0 + RESTART + b"\xff" + FRAME % 0xC2 + SCAN, JPEG, (640, 480)),  # progressive, with a filler before
    (SOI + APP1 + FRAME % 0xC0 + SCAN, JPEG, None),  # Exif may turn it
    (SOI + APP0 + SCAN, JPEG, None),
    (riff(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640, 480 | 0x4000)), WEBP, (640, 480)),
    (riff(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)), WEBP, (640, 480)),
    (riff(b"VP8X", b"\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")), WEBP, (640, 480)),
    (riff(b"ANIM", b"\0" * 20), WEBP, None),
    (b"GIF89a" + b"\0" * 7, GIF, None),  # no image is nothing wide
]  # fmt: skip


@pytest.mark.parametrize(("data", "kind", "size"), SAMPLES)
def test_what_an_image_is(data: bytes, kind: str, size: tuple[int, int] | None) -> None:
    """Its type and, where it is told plainly, how wide and high it is shown."""
    found = picture(data)
    assert found == Picture(data=data, type=kind, size=size)
    assert found.name.rpartition(".")[2] == kind.partition("/")[2]


@pytest.mark.parametrize(
    "data", [b"", b"<svg/>", b"<html>\x89PNG\r\n\x1a\n", b"BM\0\0", b"RIFF\0\0\0\0WAVE", b"GIF90a", b"\xff\xd8", b"%PDF-1.7"]
)  # fmt: skip
def test_what_is_no_image(data: bytes) -> None:
    """Pages, other formats, and what only has an image somewhere in it."""
    assert picture(data) is None


@given(st.sampled_from(SAMPLES), st.integers(0, 60), st.binary(max_size=30))
def test_broken_images_raise_nothing(sample: tuple[bytes, str, object], cut: int, rest: bytes) -> None:
    """Cut anywhere, and followed by anything: a picture or none."""
    found = picture(sample[0][:cut] + rest)
    assert found is None or found.size is None or all(side > 0 for side in found.size)


def test_what_a_vendor_takes() -> None:
    """Other types, one byte and one pixel too many are objected to; in words that say what would do."""
    limits = ImageLimits(types=(JPEG, PNG), most_bytes=1000, most_pixels=640 * 480)
    fits = Picture(data=b"x" * 1000, type=PNG, size=(640, 480))
    assert limits.objection(fits) is None
    assert limits.objection(Picture(data=b"x", type=JPEG)) is None
    told = limits.objection(Picture(data=b"x", type=GIF))
    assert told == ("image_type", "the image is GIF, and the vendor takes JPEG, PNG")
    for data, size in ((b"x" * 1001, (1, 1)), (b"x", (641, 480))):
        wrong = limits.objection(Picture(data=data, type=PNG, size=size))
        assert wrong is not None and wrong[0] == "image_too_large"
