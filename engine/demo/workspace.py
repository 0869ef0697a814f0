"""The demo's workspace: the starter, with a Christmas mail, secrets of its own, and local stand-ins for the vendors."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine import shipped
from engine.demo.purchases import SHOP_ZONE
from engine.errors import RegularsError
from engine.testing.vendors.twilio import ACCOUNT

EXTRA = Path(__file__).parent / "extra"
"""What the demo adds to the starter: the Christmas campaign and its template."""

CARRIERS_BEGIN, CARRIERS_END = "who carries the messages", " how\n"
"""The headings in the starter's config.yaml around the providers and their routes."""

FACTS: Mapping[str, str] = {
    "workspace: example-records\n": "workspace: demo\n",
    "time_zone: Europe/Helsinki ": f"time_zone: {SHOP_ZONE.key} ",
    "currency: EUR\n": "currency: USD\n",
    "postal_address: Example Records, Example Street 1, 00100 Helsinki, Finland": (
        "postal_address: Example Records, 1 Example Street, Philadelphia, PA 19100, USA"
    ),
    "${env:REGULARS_SECRET}": "${env:DEMO_SECRET}",
    "${env:REGULARS_API_KEYS}": "${env:DEMO_API_KEYS}",
}
"""What differs from the starter's config.yaml. The variables have names of the demo's own, so that yours are left alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIns:
    """Where the local vendors listen, and our own HTTP door: URLs, and the mail server's port."""

    door: str
    smtp_port: int
    sendgrid: str
    twilio: str
    mastodon: str


SECRETS = ("DEMO_SECRET", "DEMO_API_KEYS", "DEMO_SENDGRID_KEY", "DEMO_TWILIO_TOKEN", "DEMO_MASTODON_TOKEN")
"""The variables of config.yaml and of the stand-ins."""


def new_secrets() -> dict[str, str]:
    """Fresh secrets by the names of their variables."""
    return {name: secrets.token_urlsafe(32) for name in SECRETS}


def build(folder: Path, stand_ins: StandIns, environment: Mapping[str, str]) -> None:
    """Make the workspace; `environment` goes into its .env. Raises RegularsError where the folder holds something already."""
    if folder.exists() and any(folder.iterdir()):
        raise RegularsError(
            "the folder is not empty", where=str(folder), remedy="Name one that does not exist yet, or an empty one."
        )
    starter = shipped.starter()
    for part in ("rules", "templates"):
        shutil.copytree(starter / part, folder / part)
    shutil.copytree(EXTRA, folder, dirs_exist_ok=True)
    config = _carried_by((starter / "config.yaml").read_text(encoding="utf-8"), _carriers(stand_ins))
    for former, new in {**FACTS, "public_url: http://127.0.0.1:8025 ": f"public_url: {stand_ins.door} "}.items():
        config = _replaced(config, former, new)
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    env = folder / ".env"
    env.touch(mode=0o600)
    env.write_text("".join(f"{name}={value}\n" for name, value in environment.items()), encoding="utf-8")


def quieten(folder: Path) -> None:
    """After the demo its vendors are gone: messages go into outbox/ and onto the screen, as in a starter workspace."""
    starter = (shipped.starter() / "config.yaml").read_text(encoding="utf-8")
    begin, end = _carriers_span(starter)
    path = folder / "config.yaml"
    path.write_text(_carried_by(path.read_text(encoding="utf-8"), starter[begin:end]), encoding="utf-8")


def _carried_by(config: str, carriers: str) -> str:
    begin, end = _carriers_span(config)
    return config[:begin] + carriers + config[end:]


def _carriers_span(config: str) -> tuple[int, int]:
    """Where the providers and their routes stand: from the line after one heading to the line of the next."""
    begin = config.index("\n", config.index(CARRIERS_BEGIN)) + 1
    return begin, config.rindex("\n", 0, config.index(CARRIERS_END, begin)) + 1


def _replaced(config: str, former: str, new: str) -> str:
    if config.count(former) != 1:
        raise RegularsError(f'the starter\'s config.yaml does not say "{former.strip()}" once')
    return config.replace(former, new)


def _carriers(at: StandIns) -> str:
    return f"""
# Local stand-ins for the vendors, for as long as the demo plays. They speak the real ones' protocols.
providers:
  relay: {{use: smtp, host: 127.0.0.1, port: {at.smtp_port}, security: none}}
  sendgrid:
    use: sendgrid
    base_url: {at.sendgrid}
    api_key: ${{env:DEMO_SENDGRID_KEY}}
    webhook_key: ${{env:DEMO_SENDGRID_WEBHOOK_KEY}}
  twilio:
    use: twilio
    base_url: {at.twilio}
    account_sid: {ACCOUNT}
    auth_token: ${{env:DEMO_TWILIO_TOKEN}}
  mastodon: {{use: mastodon, server: "{at.mastodon}", access_token: "${{env:DEMO_MASTODON_TOKEN}}"}}

channels:
  email:
    commercial: {{provider: relay, from: Example Records <hello@news.shop.example>}}
    transactional: {{provider: sendgrid, from: Example Records <receipts@shop.example>}}
  sms:
    commercial: {{provider: twilio, from: "+15005550006"}}
    transactional: {{provider: twilio, from: "+15005550006"}}
  social:
    commercial: {{provider: mastodon, from: "@records@mastodon.example"}}


"""
