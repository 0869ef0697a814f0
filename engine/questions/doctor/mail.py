"""What receivers ask DNS about a sender of mail: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 7489), as Gmail and Yahoo want it.

https://support.google.com/a/answer/81126. An address's own reverse name and TLS are the relay's matter: they are not looked at.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence

from engine.provider import MailRecords
from engine.questions.doctor.dns import Dns, DnsFault
from engine.questions.doctor.finding import Finding, good, skipped, warning, wrong

AREA = "mail"
INVENTED = ("example", "test", "invalid", "localhost")  # RFC 2606: nobody can have these
MOST_LOOK_UPS = 10  # RFC 7208 §4.6.4
ASKS = ("include:", "exists:", "redirect=")
ASKS_TOO = ("a", "mx", "ptr")
POLICIES = ("none", "quarantine", "reject")


def mail(records: MailRecords, dns: Dns) -> Iterator[Finding]:
    """Everything about one From domain and the provider that carries its mail. Raises nothing."""
    sender = records.domain
    if sender.rpartition(".")[2].lower() in INVENTED:
        yield skipped(AREA, f"{sender} is a name for examples: DNS does not know it")
        return
    try:
        organisation, policy = _policy(sender, dns)
        yield policy
        if records.envelope is not None:
            yield _spf(records.envelope, dns)
        signed = list(_dkim(records.dkim, dns))
        yield from signed
        if not records.dkim:
            yield warning(AREA, f"how mail of {sender} is signed is not known here", "See `dkim:` in docs/channels.md.")
        yield from _aligned(sender, organisation, records)
    except DnsFault as error:
        yield warning(AREA, f"DNS does not answer about {sender} ({error})", "Try again; this proves nothing.")


# ---------------------------------------------------------------- DMARC


def _policy(sender: str, dns: Dns) -> tuple[str, Finding]:
    """The domain whose policy holds, found upwards from the sender's own (as RFC 9989 walks the tree), and what it is."""
    name = sender
    while name.count("."):
        found = [text for text in dns.texts(f"_dmarc.{name}") if _tags(text).get("v", "").upper() == "DMARC1"]
        if len(found) > 1:
            what = f"_dmarc.{name} has {len(found)} DMARC records, so that none counts"
            return name, wrong(AREA, what, "Leave one.")
        if found:
            return name, _dmarc(name, _tags(found[0]))
        name = name.partition(".")[2]
    remedy = f'Publish TXT at _dmarc.{sender}: "v=DMARC1; p=none; rua=mailto:…"; Gmail and Yahoo ask for one.'
    return sender, wrong(AREA, f"{sender} has no DMARC record", remedy)


def _dmarc(name: str, tags: Mapping[str, str]) -> Finding:
    policy = tags.get("p", "").lower()
    if policy not in POLICIES:
        return wrong(AREA, f"the DMARC record of {name} has no policy", 'Add "p=none", "p=quarantine" or "p=reject".')
    if policy == "none" and "rua" not in tags:
        remedy = "Add rua=mailto:… to hear of abuse."
        return warning(AREA, f"the DMARC record of {name} asks for nothing and reports to nobody", remedy)
    return good(AREA, f"DMARC of {name}: p={policy}")


def _tags(record: str) -> dict[str, str]:
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in parts if name.strip()}


# ---------------------------------------------------------------- SPF


def _spf(domain: str, dns: Dns) -> Finding:
    records = _spf_records(domain, dns)
    if not records:
        remedy = f'Publish TXT at {domain}, like "v=spf1 include:… -all"; your provider tells what to include.'
        return wrong(AREA, f"{domain}, where bounces go, has no SPF record", remedy)
    if len(records) > 1:
        return wrong(
            AREA, f"{domain} has {len(records)} SPF records: that is an error (RFC 7208 §4.5)", "Make one of them."
        )
    terms = records[0].lower().split()[1:]
    if {"+all", "all"} & set(terms):
        return wrong(AREA, f"the SPF record of {domain} lets everybody send in its name", "End it with -all or ~all.")
    asked = _look_ups(domain, dns, set())
    if asked > MOST_LOOK_UPS:
        what = f"the SPF record of {domain} takes {asked} look-ups; receivers stop after {MOST_LOOK_UPS}"
        return wrong(AREA, what, "Leave out what is not used any more.")
    return good(AREA, f"SPF of {domain}: {asked} of {MOST_LOOK_UPS} look-ups")


def _spf_records(domain: str, dns: Dns) -> list[str]:
    return [text for text in dns.texts(domain) if text.lower().split(" ")[0] == "v=spf1"]


def _look_ups(domain: str, dns: Dns, seen: set[str]) -> int:
    """How many DNS questions the record costs a receiver, with all that it includes."""
    if domain in seen or len(seen) > MOST_LOOK_UPS:
        return 0
    seen.add(domain)
    count = 0
    for record in _spf_records(domain, dns)[:1]:
        for term in (word.lstrip("+-~?") for word in record.lower().split()[1:]):
            if term.startswith(ASKS) or term.partition(":")[0].partition("/")[0] in ASKS_TOO:
                count += 1
            if term.startswith(("include:", "redirect=")):
                count += _look_ups(term.replace("=", ":").partition(":")[2], dns, seen)
    return count


# ---------------------------------------------------------------- DKIM


def _dkim(keys: Mapping[str, str | None], dns: Dns) -> Iterator[Finding]:
    for name, expected in keys.items():
        found = [tags for text in dns.texts(name) if "p" in (tags := _tags(text))]
        if not found:
            yield wrong(
                AREA, f"there is no DKIM key at {name}", "Publish the key that your provider, or your key file, has."
            )
        elif not (key := "".join(found[0]["p"].split())):
            yield wrong(AREA, f"the DKIM key at {name} is revoked: it is empty", "Publish the present one.")
        elif expected is not None and key != expected:
            yield wrong(
                AREA, f"the DKIM key at {name} is not the one that mail is signed with here", "Publish the present one."
            )
        else:
            yield _strength(name, found[0].get("k", "rsa").lower(), key)


def _strength(name: str, kind: str, key: str) -> Finding:
    """RFC 8301 §3.2: under 1024 bits a signature counts for nothing."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # here: it takes a while to load
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    if kind == "ed25519":
        return good(AREA, f"DKIM at {name}: Ed25519")
    try:
        read = load_der_public_key(base64.b64decode(key, validate=True))
    except (ValueError, binascii.Error):
        return wrong(AREA, f"the DKIM key at {name} cannot be read", "Publish it anew, in one piece.")
    bits = read.key_size if isinstance(read, RSAPublicKey) else 0
    if bits < 1024:
        return wrong(AREA, f"the DKIM key at {name} has {bits} bits: receivers ignore it", "Make one of 2048 bits.")
    return good(AREA, f"DKIM at {name}: {bits} bits")


# ---------------------------------------------------------------- alignment


def _aligned(sender: str, organisation: str, records: MailRecords) -> Iterator[Finding]:
    """DMARC passes where SPF or DKIM speaks for a domain of the From address's own organisation (RFC 7489 §3.1)."""
    signing = [name.partition("._domainkey.")[2] for name in records.dkim]
    if not signing and records.envelope is None:
        return
    domains: Sequence[str] = [*signing, *([records.envelope] if records.envelope else [])]
    if not any(_within(domain, organisation) for domain in domains):
        told = " and ".join(sorted(set(domains)))
        what = f"mail from {sender} is vouched for by {told} alone, so that DMARC fails"
        yield wrong(AREA, what, f"Sign with, or let bounces go to, a domain under {organisation}.")


def _within(domain: str, organisation: str) -> bool:
    domain, organisation = domain.lower(), organisation.lower()
    return domain == organisation or domain.endswith(f".{organisation}")
