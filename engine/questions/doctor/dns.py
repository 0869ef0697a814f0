"""Asking DNS for text records: the one place that knows dnspython."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class DnsFault(Exception):
    """DNS did not answer, so that nothing can be said."""


class Dns(Protocol):
    def texts(self, name: str) -> Sequence[str]:
        """The TXT records at a name, each as one text; none where there is none. Raises DnsFault."""
        ...


class Resolver:
    """The machine's own resolver, or the one at `server`; each question has a few seconds."""

    def __init__(self, *, server: tuple[str, int] | None = None, seconds: float = 5.0) -> None:
        import dns.resolver  # here: no other command needs it

        self._resolver = dns.resolver.Resolver(configure=server is None)
        self._resolver.lifetime = seconds
        if server is not None:
            self._resolver.nameservers, self._resolver.port = [server[0]], server[1]

    def texts(self, name: str) -> Sequence[str]:
        import dns.exception
        import dns.resolver

        try:
            answer = self._resolver.resolve(name, "TXT", search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DnsFault(type(error).__name__) from error
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
