"""Email through Amazon SES: v2 SendEmail out, its events back through SNS.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import formataddr
from typing import Any, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from cryptography.x509 import Certificate, load_pem_x509_certificate
from pydantic import Field, model_validator

from channels import mime
from channels.ses import events, sns
from engine.errors import ContentError, ForgedWebhook, IntakeError, NoPlainAnswer, SecretMissing
from engine.model import Channel
from engine.provider import (
    A_MOMENT,
    USUAL_WAIT,
    Accepted,
    Answer,
    Capabilities,
    EmailContent,
    Http,
    MailRecords,
    NotSent,
    Outcome,
    Outgoing,
    Provider,
    ProviderEvent,
    ProviderSettings,
    Rejected,
    SecretRef,
    TextOrSecret,
    Verified,
    Webhook,
    outcome_of_status,
    reveal,
    safe_header,
    storable,
    told_to_wait,
    verified,
)

SET_UP = frozenset(
    {
        "AccessDeniedException",
        "AccountSuspendedException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MailFromDomainNotVerifiedException",
        "MissingAuthenticationTokenException",
        "NotFoundException",
        "OptInRequired",
        "SendingPausedException",
        "UnrecognizedClientException",
        "ExpiredTokenException",
    }
)
"""Our account, its rights or its sender is wrong: nothing was taken, and it can be put right."""

REFUSES_US = SET_UP - {"AccessDeniedException", "MailFromDomainNotVerifiedException", "NotFoundException"}
"""Of these: our keys or the whole account, whatever the message."""

LATER = frozenset({"LimitExceededException", "RequestLimitExceeded", "ThrottlingException", "TooManyRequestsException"})

WAITS: Mapping[str, timedelta] = {"daily": timedelta(hours=1), "rate": A_MOMENT}
"""How long to wait, by a word of SES's. A day's quota counts the last 24 hours: some of it is free again all the time."""

IDENTITY_SECONDS = 10.0
"""`doctor` waits so long for what SES keeps about a domain."""

_TAG = re.compile(r"[^A-Za-z0-9_-]")


class SesSettings(ProviderSettings):
    """region: where SES sends, like eu-west-1. access_key_id and secret_access_key: without them, the machine's own role.

    configuration_set: the one whose events go to `topic_arn`, the SNS topic whose notifications are believed.
    webhook_tolerance_seconds: how old a notification may be; SNS repeats for an hour. base_url: another host for the API.
    """

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    access_key_id: TextOrSecret | None = None
    secret_access_key: SecretRef | None = None
    session_token: SecretRef | None = None
    configuration_set: str | None = None
    topic_arn: TextOrSecret | None = None
    webhook_tolerance_seconds: int = Field(default=3600, ge=0)
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s]+$")

    @model_validator(mode="after")
    def _both_keys_or_none(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together")
        return self


class Ses(Provider):
    Settings = SesSettings
    settings: SesSettings
    capabilities = Capabilities(channel=Channel.EMAIL, echoes_key=True, webhooks=True, html=True, headers=True)

    def __init__(self, settings: SesSettings, *, http: Http) -> None:
        super().__init__(settings, http=http)
        self._lock = threading.Lock()
        self._role: Any = None
        self._certificates: dict[str, Certificate] = {}

    def send(self, outgoing: Outgoing, *, deadline: float) -> Outcome:
        try:
            body = json.dumps(self._email(outgoing)).encode()
            request = self._signed("POST", "/v2/email/outbound-emails", body)
        except (SecretMissing, BotoCoreError) as error:
            return NotSent(code="set_up", detail=_why(error))
        except ContentError as error:
            return Rejected(code="unsendable", detail=error.what)
        answer = self.http.call(
            "POST", request.url, deadline=deadline, headers=dict(request.headers.items()), body=body
        )
        if not isinstance(answer, Answer):
            return answer
        if answer.good:
            return Accepted(provider_message_id=storable(answer.fields().get("MessageId")) or None)
        return self._refusal(answer, outgoing)

    def verify(self, *, deadline: float) -> Verified:
        """The account: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetAccount.html"""
        try:
            request = self._signed("GET", "/v2/email/account", b"")
        except (SecretMissing, BotoCoreError) as error:
            return Verified(good=False, detail=_why(error))
        answer = self.http.call("GET", request.url, deadline=deadline, headers=dict(request.headers.items()))
        if isinstance(answer, Answer) and answer.good and answer.fields().get("SendingEnabled") is False:
            return Verified(good=False, detail="the account may not send")
        return verified(answer, "the account may send")

    def mail_records(self, sender: str) -> MailRecords:
        """As SES set them up for the domain, or the nearest one above it that it knows; without its answer what DNS says of any sender.

        https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_GetEmailIdentity.html
        """
        domain, until = mime.sender(sender).domain, time.monotonic() + IDENTITY_SECONDS
        name = domain
        while "." in name:
            if (identity := self._identity(name, until)) is not None:
                back, keys = _part(identity, "MailFromAttributes"), _part(identity, "DkimAttributes")
                selectors = [each for each in keys.get("Tokens") or () if isinstance(each, str)]
                dkim = {f"{selector}._domainkey.{name}": None for selector in selectors}
                envelope = storable(back.get("MailFromDomain")) or None
                return MailRecords(domain=domain, envelope=envelope, dkim=dkim)
            name = name.partition(".")[2]
        return MailRecords(domain=domain)

    def _identity(self, domain: str, deadline: float) -> Mapping[str, Any] | None:
        """What SES keeps about a domain; None where it does not know it, or does not say."""
        try:
            request = self._signed("GET", f"/v2/email/identities/{domain}", b"")
        except (SecretMissing, BotoCoreError):
            return None
        answer = self.http.call("GET", request.url, deadline=deadline, headers=dict(request.headers.items()))
        return answer.fields() if isinstance(answer, Answer) and answer.good else None

    def _signed(self, method: str, path: str, body: bytes) -> AWSRequest:
        """A request with AWS's signature over all of it. Raises SecretMissing or BotoCoreError."""
        host = (self.settings.base_url or f"https://email.{self.settings.region}.amazonaws.com").rstrip("/")
        request = AWSRequest(method, host + path, data=body)
        if body:
            request.headers["Content-Type"] = "application/json"
        SigV4Auth(self._credentials(), "ses", self.settings.region).add_auth(request)
        return request

    def _credentials(self) -> Any:
        """Those of config.yaml, else those that AWS gives this machine, which it renews itself. Raises SecretMissing."""
        if self.settings.access_key_id is not None and self.settings.secret_access_key is not None:
            token = self.settings.session_token.reveal() if self.settings.session_token else None
            return Credentials(reveal(self.settings.access_key_id), self.settings.secret_access_key.reveal(), token)
        with self._lock:
            self._role = self._role or Session().get_credentials()
        if self._role is None:
            raise SecretMissing("AWS_ACCESS_KEY_ID")
        return self._role.get_frozen_credentials()

    def _email(self, outgoing: Outgoing) -> Mapping[str, Any]:
        """SES writes Date and Message-ID itself; our key travels as a tag, which its events bring back."""
        content = outgoing.content
        if not isinstance(content, EmailContent):
            raise ContentError("an email needs a subject and a text")
        origin, to = mime.sender(outgoing.sender), mime.address(outgoing.to or "")
        if not (origin.address + to).isascii():
            raise ContentError("SES takes no address with letters beyond ASCII before its @")
        html = {} if content.html is None else {"Html": _text(content.html)}
        headers = {**mime.custom_headers(content), "X-Regulars-Message": outgoing.key}
        chosen = {"ConfigurationSetName": self.settings.configuration_set} if self.settings.configuration_set else {}
        return {
            "FromEmailAddress": formataddr((origin.name, origin.address)),
            "Destination": {"ToAddresses": [to]},
            "Content": {
                "Simple": {
                    "Subject": _text(safe_header(content.subject)),
                    "Body": {"Text": _text(content.text), **html},
                    "Headers": [{"Name": name, "Value": value} for name, value in headers.items()],
                }
            },
            "EmailTags": [
                {"Name": events.OUR_KEY, "Value": outgoing.key},
                {"Name": "campaign", "Value": _TAG.sub("_", outgoing.campaign)[:256] or "_"},
            ],
            **chosen,
        }

    def _refusal(self, answer: Answer, outgoing: Outgoing) -> Outcome:
        """The error's type says more than the status. An identity that is not verified is our set-up, no bad message."""
        fields = answer.fields()
        named = answer.headers.get("x-amzn-errortype") or storable(fields.get("__type"))
        code = named.split(":", 1)[0].rpartition("#")[2]
        told = fields.get("message") or fields.get("Message")
        detail = self.words(told, outgoing)
        if answer.status >= 500 or not code.isalnum():
            return outcome_of_status(answer, detail=detail)
        if code in LATER:
            usual = next((wait for word, wait in WAITS.items() if word in str(told).lower()), USUAL_WAIT)
            return NotSent(code=code, detail=detail, retry_after=told_to_wait(answer.headers, usual=usual))
        if code in SET_UP or "not verified" in str(told):
            return NotSent(code=code, detail=detail, no_access=code in REFUSES_US)
        return outcome_of_status(answer, code=code, detail=detail)

    def parse_events(self, webhook: Webhook, *, now: datetime) -> Sequence[ProviderEvent]:
        """The events of a notification. A topic of ours that asks whether we want it is told yes, and brings none.

        Raises NoPlainAnswer where SNS does not give its certificate, so that the notification comes again.
        """
        if self.settings.topic_arn is None:
            raise ForgedWebhook("no topic_arn is set, so nothing can prove that this came from SES")
        note = sns.verified(
            webhook.body,
            topic=reveal(self.settings.topic_arn),
            certificate=self._certificate,
            tolerance=self.settings.webhook_tolerance_seconds,
            now=now,
        )
        if note["Type"] == "SubscriptionConfirmation":
            self._fetch(sns.subscribe_url(note))
        if note["Type"] != "Notification":
            return []
        try:
            told = json.loads(note["Message"])
        except (ValueError, RecursionError) as error:
            if note["Message"].startswith("Successfully validated SNS topic"):
                return []
            raise IntakeError("the notification is not SES's JSON") from error
        return events.read(told, now)

    def _certificate(self, url: str) -> Certificate:
        if url not in self._certificates:
            certificate = load_pem_x509_certificate(self._fetch(url).encode())
            self._certificates = {url: certificate}  # SNS signs with one at a time
        return self._certificates[url]

    def _fetch(self, url: str) -> str:
        answer = self.http.call("GET", url, deadline=time.monotonic() + sns.PATIENCE_SECONDS)
        if not isinstance(answer, Answer) or not answer.good or not answer.complete:
            raise NoPlainAnswer("SNS does not answer", remedy="The notification will come again.")
        return answer.text


def _part(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = fields.get(name)
    return part if isinstance(part, dict) else {}


def _why(error: SecretMissing | BotoCoreError) -> str:
    return error.what if isinstance(error, SecretMissing) else type(error).__name__


def _text(value: str) -> Mapping[str, str]:
    return {"Data": storable(value), "Charset": "UTF-8"}
