"""Everything that is wrong in a workspace, before anything is sent: rules, config.yaml, providers, secrets, templates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel

from engine import document
from engine.content import templates
from engine.document import Pairs, Position, Text, position_of
from engine.errors import Problem, RegularsError, SecretMissing, Severity, UnknownName, WorkspaceError
from engine.model import POSTS, Channel, ConsentRule, MessageClass
from engine.provider import Http, Provider, ProviderSettings, Secret
from engine.questions.examples.read import read_examples
from engine.questions.promises import problems_of_promises
from engine.questions.ways import problems_of_ways
from engine.rules.campaign import Campaign, Schedule
from engine.rules.config import NAME
from engine.rules.workspace import Survey, survey
from engine.sending.providers import open_provider, provider_class

_DAY = timedelta(days=1)


def check(folder: Path) -> list[Problem]:
    """Every error and warning of a workspace, each at its place: config.yaml's, then the rules', then the templates'.

    Secrets are looked for in the environment; reading DIR/.env into it is the caller's part.
    """
    return problems_of(survey(folder))


def problems_of(found: Survey) -> list[Problem]:
    """The same of a workspace that is read already."""
    problems = [*found.problems]
    if isinstance(found.config, Pairs) and found.config.pairs:
        problems += [*_providers(found), *_secrets(found)]
        problems += [*_senders(found), *problems_of_ways(found)] if found.whole else ()
    for name, campaign in found.workspace.campaigns.items():
        problems += _campaign(found, campaign, found.drafts[name])
    problems += problems_of_promises(found)
    problems += [*_templates(found), *_templates_of_wrong(found), *_unused_templates(found), *_tests(found)]
    return sorted(dict.fromkeys(problems), key=_place)


def _place(problem: Problem) -> tuple[int, str, int, int]:
    file = problem.at.file
    rank = 0 if file.endswith(NAME) else 2 if file.startswith("templates/") else 1
    return rank, file, problem.at.line, problem.at.column


def _warning(at: Position, what: str, remedy: str = "") -> Problem:
    return Problem(at=at, what=what, remedy=remedy, severity=Severity.WARNING)


# ---------------------------------------------------------------- config.yaml


def _providers(found: Survey) -> Iterator[Problem]:
    """Vendors that are not installed, wrong settings, missing secrets, channels a vendor does not have."""
    routed = _routed(found)
    for name, definition in found.workspace.settings.providers.items():
        at = position_of(found.config, ("providers", name), key=True)
        if "use" not in definition:
            continue  # noted with config.yaml itself
        try:
            chosen = provider_class(str(definition["use"]))
            settings = _provider_settings(found, name, chosen)
            open_provider(name, definition, Http(), found.workspace.folder).close()
        except WorkspaceError as error:
            yield from error.problems
        except RegularsError as error:
            place = position_of(found.config, ("providers", name, "use"))
            yield Problem(at=place, what=f"{error.what}.", remedy=error.remedy)
        else:
            yield from _wrong_channel(found, name, chosen, settings)
            if name in routed:
                yield from _missing(found, ("providers", name), settings)
        if name not in routed:
            yield _warning(
                at, f'nothing is sent through the provider "{name}".', "Name it under `channels:`, or leave it out."
            )


def _routed(found: Survey) -> set[str]:
    channels = found.workspace.settings.channels.values()
    named = [route for routes in channels for kind in MessageClass if (route := routes.of(kind))]
    return {hop.provider for route in named for hop in route.all_hops()}


def _provider_settings(found: Survey, name: str, chosen: type[Provider]) -> ProviderSettings:
    providers = found.config.get("providers") if isinstance(found.config, Pairs) else None
    node = providers.get(name) if isinstance(providers, Pairs) else None
    assert isinstance(node, Pairs)
    rest = tuple((key, value) for key, value in node if key.value != "use")
    return document.validate(chosen.Settings, Pairs(rest, node.at))


def _wrong_channel(found: Survey, name: str, chosen: type[Provider], settings: ProviderSettings) -> Iterator[Problem]:
    promised = getattr(chosen, "capabilities", None)
    channel = promised.channel if promised else getattr(settings, "channel", None)
    for routed, routes in found.workspace.settings.channels.items():
        for kind in MessageClass:
            route = routes.of(kind)
            for path, hop in route.places() if route else ():
                if hop.provider == name and channel is not None and channel is not routed:
                    at = position_of(found.config, ("channels", routed.value, kind.value, *path))
                    what = f'the provider "{name}" carries {channel}, not {routed}.'
                    yield Problem(at=at, what=what, remedy=f"Name a provider that carries {routed}.")


def _missing(found: Survey, path: tuple[str | int, ...], value: object) -> Iterator[Problem]:
    """Of a setting, or of all within a block or a list."""
    if isinstance(value, Secret):
        yield from _unset(value, position_of(found.config, path))
    elif isinstance(value, BaseModel):
        fields = type(value).model_fields
        for name, inner in value:
            yield from _missing(found, (*path, fields[name].alias or name), inner)
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from _missing(found, (*path, number), inner)


def _secrets(found: Survey) -> Iterator[Problem]:
    """The workspace's own secrets that are not in the environment."""
    settings = found.workspace.settings
    for name, secret in (("secret", settings.secret), ("api_keys", settings.api_keys)):
        if secret and isinstance(found.config, Pairs) and found.config.get(name):
            yield from _unset(secret, position_of(found.config, (name,)))


def _unset(secret: Secret, at: Position) -> Iterator[Problem]:
    try:
        secret.reveal()
    except SecretMissing as error:
        yield Problem(at=at, what=f"{error.what}.", remedy=error.remedy)


def _senders(found: Survey) -> Iterator[Problem]:
    """Offers and receipts from one address, and offers without the sender's own address in the world."""
    settings = found.workspace.settings
    routes = settings.channels.get(Channel.EMAIL)
    offers, receipts = (routes.commercial, routes.transactional) if routes else (None, None)
    if offers and receipts and offers.sender == receipts.sender:
        at = position_of(found.config, ("channels", "email", "transactional", "from"))
        remedy = "Give them two addresses: whoever marks an offer as spam takes the receipts with it."
        yield _warning(at, "commercial and transactional email have the same From address.", remedy)
    if offers and not settings.postal_address:
        at = position_of(found.config, ("postal_address",), key=True)
        yield _warning(
            at,
            "commercial email without a postal address is against the law in many countries.",
            "Fill in `postal_address:`.",
        )


# ---------------------------------------------------------------- campaigns


def _campaign(found: Survey, campaign: Campaign, draft: Pairs) -> Iterator[Problem]:
    purpose = found.workspace.settings.purposes.get(campaign.purpose)
    if campaign.message_class is MessageClass.COMMERCIAL and purpose and purpose.consent is ConsentRule.NONE:
        what = f'a commercial campaign under the purpose "{campaign.purpose}" asks nobody for consent.'
        yield _warning(position_of(draft, ("purpose",)), what, "Name a purpose with consent: opt_in or opt_out.")
    if campaign.schedule and _wanders(campaign.schedule):
        remedy = "Say it with a cron, or set `time_zone: UTC` to accept it."
        what = "counted in hours, this comes an hour earlier or later by the clock when summer time begins or ends."
        yield _warning(position_of(draft, ("schedule", "every")), what, remedy)


def _wanders(schedule: Schedule) -> bool:
    """Whether a rhythm of whole days meets a clock change."""
    if schedule.every is None or schedule.start is None or schedule.every % _DAY:
        return False
    months = (datetime(schedule.start.year, month, 1) for month in range(1, 13))  # noqa: DTZ001  (a wall clock's time)
    return len({_offset(month, schedule.time_zone) for month in months}) > 1


def _offset(wall: datetime, zone: ZoneInfo) -> timedelta | None:
    return wall.replace(tzinfo=zone).utcoffset()


# ---------------------------------------------------------------- templates


def _templates(found: Survey) -> Iterator[Problem]:
    """What is wrong in the templates that campaigns name. Each is read once, however many campaigns share it."""
    versions: dict[str, templates.TemplateVersion] = {}
    readings: templates.Readings = {}
    for name, campaign in found.workspace.campaigns.items():
        try:
            if campaign.template not in versions:
                folder = found.workspace.folder / "templates"
                versions[campaign.template] = templates.read_template(folder, campaign.template)
        except UnknownName as error:
            yield _no_template(found.drafts[name], error, campaign.template, f" by {campaign.channel}")
        except WorkspaceError as error:
            yield from error.problems
        else:
            yield from templates.problems(
                versions[campaign.template],
                channel=campaign.channel,
                message_class=campaign.message_class,
                known=_known(found, campaign),
                readings=readings,
            )
            yield from _equal_variants(found, campaign, versions[campaign.template], readings)


def _equal_variants(
    found: Survey, campaign: Campaign, version: templates.TemplateVersion, readings: templates.Readings
) -> Iterator[Problem]:
    """They would be told apart in the report, and say the same."""
    if not campaign.variants:
        return
    folders = templates.locale_folders(version, campaign.channel)
    read = [(None, version.name), *folders.items()]
    for locale, folder in [(found.workspace.settings.locale, version.name)] if campaign.is_public else read:
        if templates.asks_for(version, campaign.channel, locale, "variant", readings=readings):
            continue
        at = position_of(found.drafts[campaign.campaign], ("variants",), key=True)
        what = f'every variant says the same: templates/{folder}/ never asks for "variant".'
        remedy = f'Write {{% if variant == "{campaign.variants[-1]}" %}}…{{% else %}}…{{% endif %}} in it, or leave `variants` out.'
        yield _warning(at, what, remedy)


def _known(found: Survey, campaign: Campaign) -> templates.Known:
    """The values that a campaign's templates may use."""
    known = templates.known_names(
        found.workspace.settings,
        campaign.trigger.data if campaign.trigger else None,
        customer=not (campaign.is_public and campaign.channel in POSTS),
        variants=bool(campaign.variants),
    )
    if not found.whole:
        known["customer"] = None
    return known


def _named_at(draft: Pairs) -> Position:
    """Where a campaign names its template: by `template`, or by its own name."""
    given = draft.get("template")
    return position_of(draft, ("template",) if isinstance(given, Text) and not given.empty else ("campaign",))


def _no_template(draft: Pairs, error: UnknownName, name: str, by: str = "") -> Problem:
    folder = f"Make the folder templates/{name}/ with the parts of a message{by}"
    near = error.remedy.startswith("Did")
    remedy = f"{error.remedy} {folder}, or name another." if near else f"{folder}, or name another with `template:`."
    return Problem(at=_named_at(draft), what=f"{error.what}.", remedy=remedy)


def _templates_of_wrong(found: Survey) -> Iterator[Problem]:
    """Of a campaign with mistakes, whether its template is there: that is told with them, not after them."""
    for draft in found.wrong:
        given = draft.get("template") or draft.get("campaign")
        if isinstance(given, Text) and not given.empty:
            try:
                templates.read_template(found.workspace.folder / "templates", given.value)
            except UnknownName as error:
                yield _no_template(draft, error, given.value)
            except WorkspaceError as error:
                yield from error.problems


def _unused_templates(found: Survey) -> Iterator[Problem]:
    used = {campaign.template for campaign in found.workspace.campaigns.values()}
    if any(problem.severity is Severity.ERROR for problem in found.problems):
        return  # a campaign that could not be read may be the one that uses it
    for path in sorted((found.workspace.folder / "templates").glob("[!_.]*")):
        if path.is_dir() and path.name not in used:
            yield _warning(
                Position(file=f"templates/{path.name}"), "is used by no campaign.", "Name it in one, or remove it."
            )


# ---------------------------------------------------------------- tests of the rules


def _tests(found: Survey) -> tuple[Problem, ...]:
    """What is wrong in the files of rules/tests/. Where rules or config.yaml are wrong, no name can be called unknown."""
    wrong = any(problem.severity is Severity.ERROR for problem in found.problems)
    return read_examples(found.workspace, whole=not wrong)[1]
