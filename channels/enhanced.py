"""Enhanced status codes of mail, and which of them blame whom. https://www.rfc-editor.org/rfc/rfc3463"""

from __future__ import annotations

import re

BAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
"""Codes that blame the recipient's address itself (RFC 3463 §3.2, RFC 7505); policy codes (5.7.x) never do."""

MAILBOX_FULL = "5.2.2"

_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")


def find(text: str) -> str:
    """The first enhanced code in a server's words; empty where there is none."""
    match = _CODE.search(text[:2000])
    return match[1] if match else ""
