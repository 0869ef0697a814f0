"""All providers pass the one contract."""

from __future__ import annotations

import email
import email.policy
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar

import pytest

from channels.bluesky import Bluesky, BlueskySettings
from channels.bluesky.posts import record_key
from channels.console import Console, ConsoleSettings
from channels.facebook import Facebook, FacebookSettings
from channels.file import File, FileSettings
from channels.instagram import Instagram, InstagramSettings
from channels.linkedin import LinkedIn, LinkedInSettings
from channels.mastodon import Mastodon, MastodonSettings
from channels.sendgrid import SendGrid, SendGridSettings
from channels.ses import Ses, SesSettings
from channels.smtp import Smtp, SmtpSettings
from channels.telegram import Telegram, TelegramSettings
from channels.twilio import Twilio, TwilioSettings
from channels.vonage import Vonage, VonageSettings
from channels.webhook import WORDS as HOOK_WORDS
from channels.webhook import Hook, WebhookSettings
from channels.x import X, XSettings
from engine.model import Channel, EventName
from engine.provider import Http, Outgoing, Provider, Webhook
from engine.testing.contract import FROM, TO, ProviderContract
from engine.testing.http_contract import HttpContract
from engine.testing.look_up_contract import LookUpContract
from engine.testing.vendors import graph_events
from engine.testing.vendors.bluesky import HANDLE, BlueskyVendor
from engine.testing.vendors.graph import ACCOUNT_ID, PAGE_ID, GraphVendor, InstagramVendor, no
from engine.testing.vendors.linkedin import ORGANISATION, PERSON, LinkedInVendor
from engine.testing.vendors.mastodon import MastodonVendor
from engine.testing.vendors.sendgrid import SendGridVendor
from engine.testing.vendors.server import Received, Reply
from engine.testing.vendors.ses import REGION, TOPIC, SesVendor, SnsHttp
from engine.testing.vendors.smtp import SmtpVendor
from engine.testing.vendors.telegram import TelegramVendor
from engine.testing.vendors.twilio import ACCOUNT, TwilioVendor
from engine.testing.vendors.vonage import VonageVendor
from engine.testing.vendors.webhook import WebhookReceiver
from engine.testing.vendors.x import XVendor
from engine.testing.webhook_contract import WebhookContract


class TestSendGrid(LookUpContract, WebhookContract):
    vendor: SendGridVendor
    environment: ClassVar[Mapping[str, str]] = {"T_SENDGRID_KEY": "SG.canary-key.0123456789abcdef"}
    words: ClassVar[Mapping[str, EventName]] = {
        "processed": EventName.ACCEPTED,
        "deferred": EventName.DEFERRED,
        "delivered": EventName.DELIVERED,
        "bounce": EventName.BOUNCED,
        "dropped": EventName.REJECTED,
        "open": EventName.OPENED,
        "click": EventName.CLICKED,
        "spamreport": EventName.COMPLAINED,
        "spam report": EventName.COMPLAINED,
        "unsubscribe": EventName.OPTED_OUT,
        "group_unsubscribe": EventName.OPTED_OUT,
        "group_resubscribe": EventName.OPTED_IN,
        "account_status_change": EventName.OTHER,
    }
    signature_headers = ("x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp")
    signs_time = True

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with SendGridVendor(api_key=self.environment["T_SENDGRID_KEY"]) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {"api_key": "${env:T_SENDGRID_KEY}", "base_url": url, "webhook_key": self.vendor.public_key}
        return SendGrid(SendGridSettings.model_validate(settings), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        about = Received(key=key, to=TO[Channel.EMAIL], provider_message_id="m1")
        return self.vendor.webhook("https://shop.example/w", [self.vendor.event(about, word, at=now)], now=now)


class TestTwilio(LookUpContract, WebhookContract):
    vendor: TwilioVendor
    environment: ClassVar[Mapping[str, str]] = {"T_TWILIO_TOKEN": "canary0token0123456789abcdef"}
    words: ClassVar[Mapping[str, EventName]] = {
        "accepted": EventName.ACCEPTED,
        "scheduled": EventName.ACCEPTED,
        "queued": EventName.ACCEPTED,
        "sending": EventName.ACCEPTED,
        "sent": EventName.ACCEPTED,
        "delivered": EventName.DELIVERED,
        "partially_delivered": EventName.DELIVERED,
        "read": EventName.OPENED,
        "undelivered": EventName.BOUNCED_SOFT,
        "failed": EventName.REJECTED,
        "canceled": EventName.REJECTED,
        "receiving": EventName.OTHER,
        "received": EventName.REPLIED,
    }
    signature_headers = ("x-twilio-signature",)
    signs_url = True

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with TwilioVendor(auth_token=self.environment["T_TWILIO_TOKEN"]) as self.vendor:
            yield

    medium = "sms"

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {
            "account_sid": ACCOUNT,
            "auth_token": "${env:T_TWILIO_TOKEN}",
            "medium": self.medium,
            "base_url": url,
        }
        return Twilio(TwilioSettings.model_validate(settings), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        url = f"https://shop.example/v1/webhooks/texts?message={key}"
        about = Received(
            key=key, to=TO[Channel.SMS], sender=FROM[Channel.SMS], provider_message_id="SM1", callback_url=url
        )
        return self.vendor.callback(about, word)


class TestTwilioWhatsApp(TestTwilio):
    medium = "whatsapp"


class TestTwilioMessenger(TestTwilio):
    medium = "messenger"


class TestVonage(HttpContract, WebhookContract):
    vendor: VonageVendor
    environment: ClassVar[Mapping[str, str]] = {
        "T_VONAGE_SECRET": "canary-secret-0123456789",
        "T_VONAGE_SIGNATURE": "canary-signature-0123456789abcdef",
    }
    words: ClassVar[Mapping[str, EventName]] = {
        "accepted": EventName.ACCEPTED,
        "unknown": EventName.ACCEPTED,
        "buffered": EventName.DEFERRED,
        "delivered": EventName.DELIVERED,
        "expired": EventName.BOUNCED_SOFT,
        "failed": EventName.BOUNCED_SOFT,
        "deleted": EventName.BOUNCED_SOFT,
        "rejected": EventName.REJECTED,
    }
    signature_headers = ()  # the signature is one of the fields: see test_vonage.py
    signs_time = True
    refusals_inside: ClassVar[Sequence[Reply]] = [
        Reply(status=200, body={"message-count": "1", "messages": [{"status": status, "error-text": "no"}]})
        for status in ("1", "2", "4", "5", "7", "33", "99", "")
    ]

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        secret, signing = (self.environment[name] for name in ("T_VONAGE_SECRET", "T_VONAGE_SIGNATURE"))
        with VonageVendor(api_secret=secret, signature_secret=signing) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {
            "api_key": "key-for-tests",
            "api_secret": "${env:T_VONAGE_SECRET}",
            "signature_secret": "${env:T_VONAGE_SIGNATURE}",
            "base_url": url,
        }
        return Vonage(VonageSettings.model_validate(settings), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        url = "https://shop.example/v1/webhooks/texts"
        about = Received(
            key=key, to=TO[Channel.SMS], sender=FROM[Channel.SMS], provider_message_id="0A1", callback_url=url
        )
        return self.vendor.receipt(about, word, at=now)


class AHook:
    vendor: WebhookReceiver
    environment: ClassVar[Mapping[str, str]] = {
        "T_HOOK_SECRET": "whsec_Y2FuYXJ5LXNlY3JldC0wMTIzNDU2Nzg5YWJj",
        "T_HOOK_REPORTS": "whsec_Y2FuYXJ5LXJlcG9ydHMtMDEyMzQ1Njc4OWFi",
    }
    words = HOOK_WORDS
    signature_headers = ("webhook-id", "webhook-timestamp", "webhook-signature")
    signs_time = True
    channel: Channel = Channel.WEBHOOK
    remembers = False

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        secret, reports = self.environment.values()
        with WebhookReceiver(secrets=[secret], report_secret=reports, remembers=self.remembers) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {
            "url": f"{url}/in",
            "signing_secrets": ["${env:T_HOOK_SECRET}"],
            "report_secrets": ["${env:T_HOOK_REPORTS}"],
            "channel": self.channel,
            "idempotent": self.remembers,
        }
        return Hook(WebhookSettings.model_validate(settings), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        return self.vendor.report("https://shop.example/w", word, {"key": key}, identity=f"{key}:{word}", now=now)


class TestHook(AHook, HttpContract, WebhookContract):
    pass


class TestHookThatRemembers(AHook, WebhookContract):
    """Its channel is email here, which has the most in it."""

    channel = Channel.EMAIL
    remembers = True

    def make(self, http: Http) -> Provider:
        return self.make_at(self.vendor.url, http)

    def received(self) -> Sequence[Received]:
        return self.vendor.accepted


class TestTelegram(HttpContract, WebhookContract):
    vendor: TelegramVendor
    environment: ClassVar[Mapping[str, str]] = {
        "T_TELEGRAM_TOKEN": "110201543:canary-token-0123456789abcdef",
        "T_TELEGRAM_SECRET": "canary-secret-0123456789abcdef",
    }
    words: ClassVar[Mapping[str, EventName]] = {
        "message": EventName.REPLIED,
        "message_reaction": EventName.REACTED,
        "my_chat_member": EventName.OPTED_OUT,
        "edited_message": EventName.OTHER,
        "channel_post": EventName.OTHER,
        "message_reaction_count": EventName.COUNTED,
    }
    signature_headers = ("x-telegram-bot-api-secret-token",)
    signs_body = False

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        token, secret = self.environment.values()
        with TelegramVendor(token=token, secret=secret) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {"bot_token": "${env:T_TELEGRAM_TOKEN}", "webhook_secret": "${env:T_TELEGRAM_SECRET}"}
        return Telegram(TelegramSettings.model_validate({**settings, "base_url": url}), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        url, chat = "https://shop.example/w", int(TO[Channel.TELEGRAM])
        match word:
            case "message":
                return self.vendor.says(url, chat, "Thanks", at=now)
            case "message_reaction":
                return self.vendor.reacts(url, chat, 1, "👍", at=now)
            case "message_reaction_count":
                return self.vendor.counts(url, 1, 3, 4, at=now)
            case "my_chat_member":
                return self.vendor.blocks(url, chat, at=now)
        return self.vendor.update(url, word, {})


class TestMastodon(LookUpContract):
    vendor: MastodonVendor
    environment: ClassVar[Mapping[str, str]] = {"T_MASTODON_TOKEN": "canary-token-0123456789abcdef"}

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with MastodonVendor(access_token=self.environment["T_MASTODON_TOKEN"]) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {"server": url, "access_token": "${env:T_MASTODON_TOKEN}"}
        return Mastodon(MastodonSettings.model_validate(settings), http=http)


class TestBluesky(LookUpContract):
    vendor: BlueskyVendor
    environment: ClassVar[Mapping[str, str]] = {"T_BLUESKY_PASSWORD": "canary-pass-word-0123"}

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with BlueskyVendor(app_password=self.environment["T_BLUESKY_PASSWORD"]) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {"handle": HANDLE, "app_password": "${env:T_BLUESKY_PASSWORD}", "server": url}
        return Bluesky(BlueskySettings.model_validate(settings), http=http)

    def key_told(self, outgoing: Outgoing) -> str:
        return record_key(outgoing.key, outgoing.at)


class TestFacebook(LookUpContract, WebhookContract):
    vendor: GraphVendor
    signature_headers = ("x-hub-signature-256",)
    words: ClassVar[Mapping[str, EventName]] = {
        "comment": EventName.REPLIED,
        "reaction": EventName.REACTED,
        "status": EventName.OTHER,
        "photo": EventName.OTHER,
    }
    environment: ClassVar[Mapping[str, str]] = {
        "T_META_TOKEN": "EAAcanary0123456789abcdef",
        "T_META_SECRET": "canary0secret0123456789abcdef",
    }
    refusals_inside: ClassVar[Sequence[Reply]] = [
        replace(no(code, "no"), status=200) for code in (1, 4, 100, 190, 200, 368, 12345)
    ]

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        token, secret = self.environment.values()
        with GraphVendor(access_token=token, app_secret=secret) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        keys = {"access_token": "${env:T_META_TOKEN}", "app_secret": "${env:T_META_SECRET}", "base_url": url}
        return Facebook(FacebookSettings.model_validate({"page_id": PAGE_ID, **keys}), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        told = graph_events.of_page({"item": word, "comment_id": "1000_7"}, at=now)
        return graph_events.signed("https://shop.example/w", told, self.environment["T_META_SECRET"])


class TestInstagram(TestFacebook):
    vendor: InstagramVendor
    words: ClassVar[Mapping[str, EventName]] = {
        "comments": EventName.REPLIED,
        "live_comments": EventName.REPLIED,
        "mentions": EventName.OTHER,
        "story_insights": EventName.OTHER,
    }

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        token, secret = self.environment.values()
        with InstagramVendor(access_token=token, app_secret=secret) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        keys = {"access_token": "${env:T_META_TOKEN}", "app_secret": "${env:T_META_SECRET}", "base_url": url}
        return Instagram(InstagramSettings.model_validate({"account_id": ACCOUNT_ID, **keys}), http=http)

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        told = graph_events.of_account(word, {"text": "Nice"}, at=now)
        return graph_events.signed("https://shop.example/w", told, self.environment["T_META_SECRET"])


class AtLinkedIn(HttpContract):
    vendor: LinkedInVendor
    environment: ClassVar[Mapping[str, str]] = {"T_LINKEDIN_TOKEN": "AQXcanary0123456789abcdef"}
    author: ClassVar[str]

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with LinkedInVendor(access_token=self.environment["T_LINKEDIN_TOKEN"]) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {"author": self.author, "access_token": "${env:T_LINKEDIN_TOKEN}", "base_url": url}
        return LinkedIn(LinkedInSettings.model_validate(settings), http=http)


class TestLinkedInOfAnOrganisation(AtLinkedIn, LookUpContract):
    author = ORGANISATION


class TestLinkedInOfAPerson(AtLinkedIn):
    author = PERSON


class TestLinkedInByRefreshToken(AtLinkedIn, LookUpContract):
    author = ORGANISATION
    environment: ClassVar[Mapping[str, str]] = {
        "T_LINKEDIN_REFRESH": "AQWcanary0123456789abcdef",
        "T_LINKEDIN_SECRET": "WPLcanary0123456789",
    }

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with LinkedInVendor(refresh_token=self.environment["T_LINKEDIN_REFRESH"]) as self.vendor:
            self.vendor.client = ("86vhj2q7ukf83q", self.environment["T_LINKEDIN_SECRET"])
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        keys = {"client_id": "86vhj2q7ukf83q", "client_secret": "${env:T_LINKEDIN_SECRET}"}
        given = {"author": self.author, "refresh_token": "${env:T_LINKEDIN_REFRESH}", **keys}
        settings = LinkedInSettings.model_validate({**given, "base_url": url, "token_url": url})
        return LinkedIn(settings, http=http)


class TestX(LookUpContract):
    vendor: XVendor
    environment: ClassVar[Mapping[str, str]] = {
        "T_X_KEY": "canarykey0123456789",
        "T_X_KEY_SECRET": "canarykeysecret0123456789",
        "T_X_TOKEN": "2244994945-canarytoken0123456789",
        "T_X_TOKEN_SECRET": "canarytokensecret0123456789",
    }

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        key, key_secret, token, token_secret = self.environment.values()
        with XVendor(keys=(key, key_secret, token, token_secret)) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        names = ("api_key", "api_key_secret", "access_token", "access_token_secret")
        given = {name: f"${{env:{variable}}}" for name, variable in zip(names, self.environment, strict=True)}
        return X(XSettings.model_validate({**given, "base_url": url}), http=http)


class TestSes(HttpContract, WebhookContract):
    vendor: SesVendor
    environment: ClassVar[Mapping[str, str]] = {
        "T_AWS_ID": "AKIACANARY0123456789",
        "T_AWS_SECRET": "canary/secret+0123456789abcdef",
    }
    words: ClassVar[Mapping[str, EventName]] = {
        "Send": EventName.ACCEPTED,
        "Delivery": EventName.DELIVERED,
        "DeliveryDelay": EventName.DEFERRED,
        "Bounce": EventName.BOUNCED,
        "Complaint": EventName.COMPLAINED,
        "Reject": EventName.REJECTED,
        "Rendering Failure": EventName.REJECTED,
        "Open": EventName.OPENED,
        "Click": EventName.CLICKED,
        "Subscription": EventName.OPTED_OUT,
    }
    signature_headers = ()  # SNS signs in the body: see test_ses.py
    signs_time = True

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        keys = {"access_key_id": self.environment["T_AWS_ID"], "secret_access_key": self.environment["T_AWS_SECRET"]}
        with SesVendor(**keys) as self.vendor:
            yield

    def make_at(self, url: str, http: Http) -> Provider:
        settings = {
            "region": REGION,
            "access_key_id": "${env:T_AWS_ID}",
            "secret_access_key": "${env:T_AWS_SECRET}",
            "topic_arn": TOPIC,
            "base_url": url,
        }
        return Ses(SesSettings.model_validate(settings), http=SnsHttp(self.vendor))

    def report(self, word: str, *, key: str, now: datetime) -> Webhook:
        about = Received(key=key, to=TO[Channel.EMAIL], provider_message_id="0102-m1")
        own = {
            "Bounce": {"bounceType": "Permanent", "bounceSubType": "General"},
            "Subscription": {"newTopicPreferences": {"unsubscribeAll": True}},
        }
        event = self.vendor.event(about, word, at=now, **own.get(word, {}))
        return self.vendor.notification("https://shop.example/w", event, now=now)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
class TestSmtp(ProviderContract):
    vendor: SmtpVendor
    vendor_loggers = ("mail.log", "mail.debug")
    environment: ClassVar[Mapping[str, str]] = {"T_SMTP_PASSWORD": "canary-password-0123456789"}

    @pytest.fixture(autouse=True)
    def _vendor(self) -> Iterator[None]:
        with SmtpVendor(users={"regulars": self.environment["T_SMTP_PASSWORD"]}) as self.vendor:
            yield

    def make(self, http: Http) -> Provider:
        settings = {
            "host": self.vendor.host,
            "port": str(self.vendor.port),
            "security": "none",
            "username": "regulars",
            "password": "${env:T_SMTP_PASSWORD}",
        }
        return Smtp(SmtpSettings.model_validate(settings), http=http)

    def received(self) -> Sequence[Received]:
        return self.vendor.accepted


class OnTheScreen(ProviderContract):
    """The console standing in for one channel; its stream is read back."""

    channel: Channel

    @pytest.fixture(autouse=True)
    def _stream(self) -> None:
        self.stream = io.StringIO()

    def make(self, http: Http) -> Provider:
        return Console(ConsoleSettings.model_validate({"channel": self.channel}), http=http, stream=self.stream)

    def received(self) -> Sequence[Received]:
        return [_read_frame(frame) for frame in self.stream.getvalue().split("┌─")[1:]]


class TestConsoleEmail(OnTheScreen):
    channel = Channel.EMAIL


class TestConsoleSms(OnTheScreen):
    channel = Channel.SMS


class TestConsoleWhatsApp(OnTheScreen):
    channel = Channel.WHATSAPP


class TestConsoleMessenger(OnTheScreen):
    channel = Channel.MESSENGER


class TestConsoleTelegram(OnTheScreen):
    channel = Channel.TELEGRAM


class TestConsoleSocial(OnTheScreen):
    channel = Channel.SOCIAL


class TestConsoleWebhook(OnTheScreen):
    channel = Channel.WEBHOOK


class InAFolder(ProviderContract):
    """The folder standing in for one channel; its files are read back."""

    channel: Channel

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "outbox"

    def make(self, http: Http) -> Provider:
        settings = {"folder": str(self.folder), "channel": self.channel}
        return File(FileSettings.model_validate(settings), http=http)

    def received(self) -> Sequence[Received]:
        return [_read_file(path) for path in sorted(self.folder.glob("*"), key=lambda path: path.stat().st_mtime_ns)]


class TestFileEmail(InAFolder):
    channel = Channel.EMAIL


class TestFileSms(InAFolder):
    channel = Channel.SMS


class TestFileWhatsApp(InAFolder):
    channel = Channel.WHATSAPP


class TestFileMessenger(InAFolder):
    channel = Channel.MESSENGER


class TestFileTelegram(InAFolder):
    channel = Channel.TELEGRAM


class TestFileSocial(InAFolder):
    channel = Channel.SOCIAL


class TestFileWebhook(InAFolder):
    channel = Channel.WEBHOOK


def _read_frame(frame: str) -> Received:
    title, *lines = frame.splitlines()
    head, _, body = "\n".join(line.removeprefix("│ ") for line in lines[:-1]).partition("\n\n")
    fields = dict(line.partition(": ")[::2] for line in head.split("\n"))
    text, _, html = body.partition("\n\n-- HTML --\n")
    template, _, variables = fields.get("Template", "").partition(" ")
    return Received(
        key=title.strip(" ─").rpartition(" · ")[2],
        to=None if fields["To"] == "everybody" else fields["To"],
        sender=fields["From"],
        subject=fields.get("Subject", ""),
        text=text,
        html=html or None,
        headers={name: value for name, value in fields.items() if name.startswith("List-")},
        image=fields.get("Image"),
        image_alt=fields.get("Image-Alt", ""),
        template=template or None,
        variables=json.loads(variables or "{}"),
    )


def _read_file(path: Path) -> Received:
    if path.suffix == ".json":
        record = json.loads(path.read_bytes())
        template = record.get("template", {"name": None, "variables": {}})
        return Received(
            key=record["key"],
            to=record["to"],
            sender=record["from"],
            text=record["text"],
            image=record.get("image"),
            image_alt=record.get("image_alt", ""),
            template=template["name"],
            variables=template["variables"],
        )
    if path.suffix == ".txt":
        head, _, text = path.read_text().partition("\n\n")
        fields = dict(line.partition(": ")[::2] for line in head.split("\n"))
        return Received(key=fields["Key"], to=fields["To"], sender=fields["From"], text=text)
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    return Received(
        key=message["X-Regulars-Message"],
        to=str(message["To"]),
        subject=str(message["Subject"]),
        text=parts["text/plain"],
        html=parts.get("text/html"),
        headers={name: str(value) for name, value in message.items()},
    )
