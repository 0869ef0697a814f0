"""Pictures as bytes: what kind and how large one is, as its first bytes say; and what a vendor takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

JPEG, PNG, GIF, WEBP = "image/jpeg", "image/png", "image/gif", "image/webp"
NAMES: Mapping[str, str] = {JPEG: "JPEG", PNG: "PNG", GIF: "GIF", WEBP: "WebP"}

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLimits:
    """What a vendor takes of images that it is handed as bytes: of which types, how many bytes, how many pixels."""

    types: tuple[str, ...]
    most_bytes: int
    most_pixels: int | None = None

    def objection(self, picture: Picture) -> tuple[str, str] | None:
        """Why it would be refused, as a code and in words; None where it would not be."""
        width, height = picture.size or (0, 0)
        if picture.type not in self.types:
            takes = ", ".join(NAMES[each] for each in self.types)
            return "image_type", f"the image is {NAMES[picture.type]}, and the vendor takes {takes}"
        if len(picture.data) > self.most_bytes:
            return "image_too_large", f"the image is larger than {self.most_bytes:,} bytes"
        if self.most_pixels is not None and width * height > self.most_pixels:
            return "image_too_large", f"the image has more than {self.most_pixels:,} pixels"
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """An image's bytes and their MIME type. `size`: width and height in pixels, where they can be told as they are shown."""

    data: bytes = field(repr=False)
    type: str
    size: Size | None = None

    @property
    def name(self) -> str:
        """A file name, for vendors that want one."""
        return f"image.{NAMES[self.type].lower()}"


def picture(data: bytes) -> Picture | None:
    """The picture that these bytes are; None where they are none of those that we know, whatever whoever sent them calls them."""
    for kind, (begins, sized) in _KINDS.items():
        if begins(data):
            try:
                size = sized(data)
            except IndexError:
                size = None
            return Picture(data=data, type=kind, size=size if size and all(size) else None)
    return None


def _png(data: bytes) -> Size:
    """https://www.w3.org/TR/png-3/#11IHDR"""
    return _number(data, 16, 4, "big"), _number(data, 20, 4, "big")


def _gif(data: bytes) -> Size:
    """https://www.w3.org/Graphics/GIF/spec-gif89a.txt, 18. Logical Screen Descriptor"""
    return _number(data, 6, 2, "little"), _number(data, 8, 2, "little")


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def _jpeg(data: bytes) -> Size | None:
    """From the frame's header (ITU-T T.81, B.2.2). With Exif data it may be shown turned by a quarter: then nothing is told."""
    at = 2
    while data[at] == 0xFF:
        mark, at = data[at + 1], at + 2
        if mark == 0xFF:  # a filler
            at -= 1
        elif mark in _FRAMES:
            return _number(data, at + 5, 2, "big"), _number(data, at + 3, 2, "big")
        elif mark not in _ALONE:
            if mark == 0xE1 and data[at + 2 : at + 6] == b"Exif":
                return None
            at += max(_number(data, at, 2, "big"), 2)
    return None


def _webp(data: bytes) -> Size | None:
    """https://www.rfc-editor.org/rfc/rfc9649#section-2.5"""
    match data[12:16]:
        case b"VP8 ":
            return _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF
        case b"VP8L":
            bits = _number(data, 21, 4, "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _number(data, 24, 3, "little") + 1, _number(data, 27, 3, "little") + 1
    return None


def _number(data: bytes, at: int, length: int, order: Literal["big", "little"]) -> int:
    """Raises IndexError where the data ends before."""
    if at + length > len(data):
        raise IndexError(at)
    return int.from_bytes(data[at : at + length], order)


_KINDS: Mapping[str, tuple[Callable[[bytes], bool], Callable[[bytes], Size | None]]] = {
    JPEG: (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg),
    PNG: (lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png),
    GIF: (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif),
    WEBP: (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
}
