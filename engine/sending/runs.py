"""What a run's messages have in common, read back as it was launched: later edits of the rules do not reach it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from engine.content.render import Renderer
from engine.content.templates import TemplateVersion
from engine.guards import Guards
from engine.model import Plain
from engine.policy.facts import Terms, terms_of
from engine.rules.campaign import Campaign
from engine.store import Database
from engine.store.tables import runs, template_versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """A run as its senders need it: the campaign, the compiled template, the trigger's own values; of a post with variants, how
    many runs it had before.
    """

    run_id: int
    campaign: Campaign
    renderer: Renderer
    data: Mapping[str, Plain]
    earlier: int = 0

    def watched(self, guards: Guards) -> bool:
        """Whether a guard wants to know how its messages fare."""
        return (guards.of(self.campaign.guards) if self.campaign.guards.model_fields_set else guards).watching

    @property
    def terms(self) -> Terms:
        return terms_of(self.campaign)


def runs_before(connection: Connection, campaign: str, run_id: int | None = None) -> int:
    """How many runs a campaign had before this one; or until now."""
    count = select(func.count()).select_from(runs).where(runs.c.campaign == campaign)
    return connection.execute(count.where(runs.c.id < run_id) if run_id is not None else count).scalar_one()


class Runs:
    """Reads runs and compiles their templates, each once; the least recently used are forgotten."""

    REMEMBERED = 256

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._runs: OrderedDict[int, Launched] = OrderedDict()
        self._campaigns: OrderedDict[str, Campaign] = OrderedDict()
        self._renderers: OrderedDict[str, Renderer] = OrderedDict()

    def get(self, run_id: int) -> Launched:
        """The run with this id."""
        with self._lock:
            return self._run(run_id)

    def _run(self, run_id: int) -> Launched:
        if run_id not in self._runs:
            with self._database.reading() as connection:
                row = connection.execute(select(runs).where(runs.c.id == run_id)).one()
            if row.definition_hash not in self._campaigns:
                _remember(
                    self._campaigns, row.definition_hash, Campaign.model_validate(row.definition), self.REMEMBERED
                )
            campaign = self._campaigns[row.definition_hash]
            run = Launched(
                run_id=run_id,
                campaign=campaign,
                renderer=self._renderer(row.template_hash),
                data=row.data,
                earlier=self._earlier(campaign, run_id),
            )
            _remember(self._runs, run_id, run, self.REMEMBERED)
        self._runs.move_to_end(run_id)
        return self._runs[run_id]

    def _earlier(self, campaign: Campaign, run_id: int) -> int:
        if not (campaign.variants and campaign.is_public):
            return 0
        with self._database.reading() as connection:
            return runs_before(connection, campaign.campaign, run_id)

    def _renderer(self, template_hash: str) -> Renderer:
        if template_hash not in self._renderers:
            with self._database.reading() as connection:
                row = connection.execute(
                    select(template_versions).where(template_versions.c.hash == template_hash)
                ).one()
            version = TemplateVersion(name=row.name, hash=row.hash, sources=row.sources)
            _remember(self._renderers, template_hash, Renderer(version), self.REMEMBERED)
        return self._renderers[template_hash]


def _remember(where: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    where[key] = value
    while len(where) > most:
        where.popitem(last=False)
