"""Our own signed links: unsubscribe, invitation, open, click. A link holds the message's number and a signature, nothing personal."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
LONGEST_TOKEN = 80
SIGNATURE_BYTES = 16
"""128 bits, so that a link fits into an SMS. Keyed BLAKE2 (RFC 7693) takes half the time of an HMAC, and the interpreter's
lock is not let go for it: a message has many links."""


class Links:
    """Makes and reads the links of messages. They never expire: an unsubscribe link must work for as long as a mail is kept.

    Each purpose has a key of its own, so that a click's token is no unsubscribe token. A token that was changed in any
    character, cut, or made for another purpose reads as None.
    """

    def __init__(self, secret: str, public_url: str) -> None:
        self.root = public_url.rstrip("/")
        self._clicks, self._leaving = f"{self.root}/c/", f' href="{self.root}/u/'
        self._ours = (f"{self.root}/u/", f"{self.root}/o/", self._clicks)
        names = ("unsubscribe", "open", "click", "invitation")
        self._unsubscribe, self._open, self._click, self._invitation = (_key(secret, name) for name in names)

    def unsubscribe(self, message_id: int) -> str:
        return f"{self.root}/u/{_token(self._unsubscribe, message_id)}"

    def of_reader(self, message_id: int) -> dict[str, str]:
        """What the templates of a message to one person get as `links`."""
        return {"unsubscribe": self.unsubscribe(message_id), "invitation": self.invitation(message_id)}

    def open(self, message_id: int) -> str:
        return f"{self.root}/o/{_token(self._open, message_id)}.gif"

    def click(self, message_id: int, link_id: int) -> str:
        return f"{self._clicks}{_token(self._click, message_id, link_id)}"

    def invitation(self, message_id: int) -> str:
        """What a message's reader brings along to another channel. Letters, digits, - and _ alone, as Telegram wants it."""
        return _token(self._invitation, message_id).replace(".", "_", 1)

    def clicks(self, message_id: int, link_ids: Sequence[int]) -> list[str]:
        """The click links of one message, made together: the same as one by one."""
        key, begin = self._click, f"{_digits(message_id)}-"
        values = [begin + _digits(number) for number in link_ids]
        hashes = [blake2b(value.encode(), key=key, digest_size=SIGNATURE_BYTES).digest() for value in values]
        # each made 18 bytes long, so that its base64 has a length and a place of its own
        signed = b64encode(b"\0\0".join([*hashes, b""]), b"-_").decode()
        root = self._clicks
        return [
            f"{root}{value}.{signed[at : at + 22]}" for value, at in zip(values, range(0, len(signed), 24), strict=True)
        ]

    def is_ours(self, url: str) -> bool:
        """Whether a URL is one of these links already: such a one is never wrapped again."""
        return url.startswith(self._ours)

    def leaves_by(self, tag: str) -> bool:
        """Whether an HTML tag, written as usual, leads to an unsubscribe link: told without reading the tag."""
        return self._leaving in tag

    def read_unsubscribe(self, token: str) -> int | None:
        numbers = _read(self._unsubscribe, token, 1)
        return numbers[0] if numbers else None

    def read_invitation(self, token: str) -> int | None:
        numbers = None if "." in token else _read(self._invitation, token.replace("_", ".", 1), 1)
        return numbers[0] if numbers else None

    def read_open(self, token: str) -> int | None:
        """The token with or without its `.gif`."""
        numbers = _read(self._open, token.removesuffix(".gif"), 1)
        return numbers[0] if numbers else None

    def read_click(self, token: str) -> tuple[int, int] | None:
        """The message and the link that was clicked."""
        numbers = _read(self._click, token, 2)
        return (numbers[0], numbers[1]) if numbers else None


def _key(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"regulars link {purpose}".encode(), "sha256")


def _token(key: bytes, *numbers: int) -> str:
    value = "-".join(map(_digits, numbers))
    signature = blake2b(value.encode(), key=key, digest_size=SIGNATURE_BYTES).digest()
    return f"{value}.{b64encode(signature, b'-_')[:-2].decode()}"


def _read(key: bytes, token: str, count: int) -> list[int] | None:
    """The numbers of a token. It is signed anew and compared whole: base64 has several spellings, a token has one."""
    try:
        numbers = [int(word, 36) for word in token[:LONGEST_TOKEN].partition(".")[0].split("-")]
        genuine = len(numbers) == count and hmac.compare_digest(_token(key, *numbers).encode(), token.encode())
    except ValueError:
        return None
    return numbers if genuine else None


@lru_cache(maxsize=1024)  # a message is asked for with each of its links
def _digits(number: int) -> str:
    """A whole number from 0 on, in base 36."""
    if number < 0:
        raise ValueError("a message's number is never negative")
    digits = ""
    while number >= 36:
        number, rest = divmod(number, 36)
        digits = DIGITS[rest] + digits
    return DIGITS[number] + digits
