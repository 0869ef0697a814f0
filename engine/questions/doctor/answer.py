"""`regulars doctor`: is this installation fit to keep its promises? It only looks; nothing is changed and nothing sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from engine.errors import ContentError, RegularsError, Severity
from engine.model import Channel, MessageClass
from engine.provider import Provider
from engine.questions.check import check
from engine.questions.doctor.books import Proof, books, motion, prove
from engine.questions.doctor.clocks import clocks
from engine.questions.doctor.dns import Dns
from engine.questions.doctor.finding import Finding, Verdict, good, wrong
from engine.questions.doctor.inboxes import inboxes
from engine.questions.doctor.mail import mail
from engine.questions.doctor.money import spending
from engine.questions.doctor.place import place
from engine.questions.doctor.storage import storage
from engine.questions.doctor.vendors import opened, secrets, vendors
from engine.settings import Settings
from engine.store import Database, open_database

PATIENCE = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """Everything that was found, as of an instant (UTC). `proof` is None where the books could not be read."""

    as_of: datetime
    findings: tuple[Finding, ...]
    proof: Proof | None

    @property
    def healthy(self) -> bool:
        return not any(finding.verdict is Verdict.WRONG for finding in self.findings)


def diagnose(settings: Settings, folder: Path, *, now: datetime, dns: Dns | None) -> Diagnosis:
    """Look at everything. `dns` is None for whoever wants no network: then vendors are not asked either."""
    providers, findings = opened(settings, folder)
    try:
        findings += [*_rules(folder), *secrets(settings, providers)]
        proof = _ledger(settings, folder, providers, findings, now)
        if dns is not None:
            findings += vendors(providers, patience=PATIENCE, now=now)
            findings += _mail(settings, providers, dns)
    finally:
        for provider in providers.values():
            provider.close()
    return Diagnosis(as_of=now, findings=tuple(findings), proof=proof)


def _rules(folder: Path) -> Iterator[Finding]:
    errors = sum(problem.severity is Severity.ERROR for problem in check(folder))
    if errors:
        yield wrong(
            "rules",
            f"`regulars check` finds {errors} error{'s' if errors > 1 else ''}",
            "Run it: it shows each with its line.",
        )
    else:
        yield good("rules", "`regulars check` finds no error")


def _ledger(
    settings: Settings, folder: Path, providers: Mapping[str, Provider], findings: list[Finding], now: datetime
) -> Proof | None:
    """The database, and where it is fit to be read, the books."""
    seen = storage(settings.database, folder)
    findings += seen.findings
    if not seen.readable:
        return None
    try:
        database = open_database(settings.database, secret=settings.secret.reveal(), folder=folder)
    except RegularsError as error:
        findings.append(wrong("database", str(error)))
        return None
    try:
        findings += place(database, settings, folder)
        return _read(database, settings, providers, findings, now)
    finally:
        database.close()


def _read(
    database: Database, settings: Settings, providers: Mapping[str, Provider], findings: list[Finding], now: datetime
) -> Proof:
    proof, zone = prove(database), settings.time_zone
    findings += books(proof)
    with database.reading() as connection:
        findings += [*motion(connection, now=now, zone=zone), *clocks(connection, now=now, zone=zone)]
        findings += spending(connection, settings, now=now)
        findings += inboxes(connection, providers, now=now)
    return proof


def _mail(settings: Settings, providers: dict[str, Provider], dns: Dns) -> Iterator[Finding]:
    """Each From domain of the email routes, once with each provider that carries it."""
    routes = settings.channels.get(Channel.EMAIL)
    seen = set[tuple[str, str]]()
    ways = [(kind, hop) for kind in MessageClass if routes and (route := routes.of(kind)) for hop in route.all_hops()]
    for message_class, hop in ways:
        provider = providers.get(hop.provider)
        if provider is None:
            continue
        try:
            records = provider.mail_records(hop.sender)
        except ContentError as error:
            yield wrong(
                "mail", f"the From address of {message_class} email: {error.what}", "See channels.email in config.yaml."
            )
            continue
        if records is not None and (records.domain, hop.provider) not in seen:
            seen.add((records.domain, hop.provider))
            yield from mail(records, dns)
