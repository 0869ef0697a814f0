"""Local servers that behave like the vendors, keep a record of what they truly took, and misbehave when told to."""

from engine.testing.vendors.server import (
    Cut,
    Drip,
    Fault,
    HttpVendor,
    Received,
    Reply,
    Request,
    Reset,
    Silence,
    closed_port,
    full_port,
)

__all__ = [
    "Cut",
    "Drip",
    "Fault",
    "HttpVendor",
    "Received",
    "Reply",
    "Request",
    "Reset",
    "Silence",
    "closed_port",
    "full_port",
]
