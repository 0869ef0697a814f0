"""Where images lie, and how vendors read the ones that they are handed: by their own look at the bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from engine.testing.vendors.server import HttpVendor, Received, Reply, Request


class ImageHost(HttpVendor):
    """A web server with images, by their path."""

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[str, bytes] = {"/new.png": png()}

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        found = self.images.get(request.path)
        return (Reply(status=404) if found is None else Reply(status=200, body=found)), None


def png(width: int = 3, height: int = 2, *, weight: int = 0) -> bytes:
    """A PNG of one colour; with so many bytes of comment, which nobody shows."""
    rows = zlib.compress((b"\0" + b"\x33" * width) * height)
    comment = [(b"tEXt", b"Comment\0" + b"x" * weight)] if weight else []
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    parts = [head, *comment, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def kind_of(data: bytes) -> str:
    """The type of an image, as a vendor finds it out; empty for none."""
    begins = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"RIFF": "image/webp"}
    return next((kind for begin, kind in begins.items() if data.startswith(begin)), "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of a form: its bytes, and of a file its name and type."""

    data: bytes
    filename: str = ""
    type: str = ""


def parts(request: Request) -> Mapping[str, Part]:
    """The parts of a form that brings a file (RFC 7578), by their names; empty where it is no such form."""
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    if kind != "multipart/form-data":
        return {}
    boundary = b"--" + rest.partition("boundary=")[2].strip('" ').encode()
    found = {}
    for piece in request.body.split(boundary)[1:-1]:
        head, _, data = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        told = {}
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            told[name.lower()] = value
        place = dict(each.split("=", 1) for each in told["content-disposition"].split("; ")[1:])
        found[place["name"].strip('"')] = Part(
            data=data.removesuffix(b"\r\n"),
            filename=place.get("filename", "").strip('"'),
            type=told.get("content-type", ""),
        )
    return found
