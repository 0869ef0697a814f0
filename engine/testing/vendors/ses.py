"""An Amazon SES of one's own, with its SNS: takes SendEmail, and notifies signed with a certificate of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlencode, urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from engine.provider import Http, Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

OUR_KEY = "regulars_message"
REGION = "eu-west-1"
TOPIC = f"arn:aws:sns:{REGION}:123456789012:ses-events"
SNS = f"https://sns.{REGION}.amazonaws.com"
CERTIFICATE = f"{SNS}/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem"


class SesVendor(HttpVendor):
    """`refuse` may return an error type for an address, like MessageRejected. `confirmed`: topics whose question was answered.
    `identities`: what it keeps about domains.
    """

    def __init__(
        self,
        *,
        access_key_id: str = "AKIAFORTESTS",
        secret_access_key: str = "secret-for-tests",  # noqa: S107
        refuse: Callable[[str], str | None] | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._credentials = Credentials(access_key_id, secret_access_key)
        self._refuse = refuse
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._certificate = _certificate(self._key)
        self.confirmed: list[str] = []
        self.may_send = True
        self.identities: dict[str, dict[str, Any]] = {}

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        if request.path == urlsplit(CERTIFICATE).path:
            return Reply(status=200, body=self._certificate), None
        if request.query.get("Action") == "ConfirmSubscription":
            self.confirmed.append(request.query["TopicArn"])
            return Reply(status=200, body=b"<ConfirmSubscriptionResponse/>"), None
        if not self._signed(request):
            return _error(403, "InvalidSignatureException", "The request signature we calculated does not match"), None
        if (request.method, request.path) == ("GET", "/v2/email/account"):
            return Reply(status=200, body={"SendingEnabled": self.may_send, "ProductionAccessEnabled": True}), None
        if request.method == "GET" and (name := request.path.removeprefix("/v2/email/identities/")) in self.identities:
            return Reply(status=200, body=self.identities[name]), None
        if (request.method, request.path) != ("POST", "/v2/email/outbound-emails"):
            return _error(404, "NotFoundException", "not found"), None
        mail = request.json()
        (to,) = mail["Destination"]["ToAddresses"]
        refusal = self._refuse(to) if self._refuse else None
        if refusal:
            return _error(400, refusal, f"Address {to} is refused"), None
        simple, tags = mail["Content"]["Simple"], {tag["Name"]: tag["Value"] for tag in mail.get("EmailTags", [])}
        name, address = parseaddr(mail["FromEmailAddress"])
        shown = str(make_header(decode_header(name)))
        number = f"0102018f{len(self.accepted):08x}-3c9d2a1b-000000"
        received = Received(
            key=tags.get(OUR_KEY),
            to=to,
            sender=f"{shown} <{address}>" if shown else address,
            subject=simple["Subject"]["Data"],
            text=simple["Body"]["Text"]["Data"],
            html=simple["Body"].get("Html", {}).get("Data"),
            headers={header["Name"]: header["Value"] for header in simple.get("Headers", [])},
            provider_message_id=number,
            request=request,
        )
        return Reply(status=200, body={"MessageId": number}), received

    def _signed(self, request: Request) -> bool:
        """Whether AWS would find the signature right: over the method, the host, the headers named in it, and the body."""
        given = request.headers.get("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        headers = {name: request.headers.get(name, "") for name in names if name != "host"}
        copy = AWSRequest(request.method, f"http://{request.headers['host']}{request.path}", headers, request.body)
        copy.context["timestamp"] = request.headers.get("x-amz-date", "")
        auth = SigV4Auth(self._credentials, "ses", REGION)
        signature = auth.signature(auth.string_to_sign(copy, auth.canonical_request(copy)), copy)
        return given.startswith(f"AWS4-HMAC-SHA256 Credential={self._credentials.access_key}/") and given.endswith(
            f"Signature={signature}"
        )

    def event(self, received: Received, word: str, *, at: datetime, **own: Any) -> dict[str, Any]:
        """One event about an email, as SES publishes it; `own` are the fields under its word."""
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        tags = {OUR_KEY: [received.key]} if received.key else {}
        mail = {
            "timestamp": stamp,
            "messageId": received.provider_message_id,
            "destination": [received.to],
            "tags": tags,
        }
        place = {"Rendering Failure": "failure", "DeliveryDelay": "deliveryDelay"}.get(word, word.lower())
        return {"eventType": word, "mail": mail, place: {"timestamp": stamp, **own}}

    def notification(self, url: str, event: Any, *, now: datetime, version: str = "2", **changes: str) -> Webhook:
        """The signed notification of an event."""
        told = event if isinstance(event, str) else json.dumps(event)
        note = {"Type": "Notification", "Message": told, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"}
        return self._webhook(url, note, now, version, changes)

    def question(self, url: str, *, now: datetime, **changes: str) -> Webhook:
        """The signed question of a topic, whether this address wants its notifications."""
        asked = urlencode({"Action": "ConfirmSubscription", "TopicArn": TOPIC, "Token": "2336412f37"})
        note = {
            "Type": "SubscriptionConfirmation",
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37",
            "Message": "You have chosen to subscribe to the topic.",
            "SubscribeURL": f"{SNS}/?{asked}",
        }
        return self._webhook(url, note, now, "2", changes)

    def _webhook(
        self, url: str, note: Mapping[str, str], now: datetime, version: str, changes: Mapping[str, str]
    ) -> Webhook:
        stamp = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        whole = {**note, "TopicArn": TOPIC, "Timestamp": stamp, "SignatureVersion": version, **changes}
        names = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        said = "".join(f"{name}\n{whole[name]}\n" for name in names if name in whole)
        digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303
        signature = base64.b64encode(self._key.sign(said.encode(), padding.PKCS1v15(), digest)).decode()
        last = {"SigningCertURL": CERTIFICATE, "UnsubscribeURL": f"{SNS}/?Action=Unsubscribe"}
        body = json.dumps({**whole, "Signature": signature, **last, **changes}).encode()
        headers = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": whole["Type"]}
        return Webhook(method="POST", url=url, headers=headers, body=body)


class SnsHttp(Http):
    """The HTTP client for a provider under test: what it asks of SNS's own host, the stand-in answers."""

    def __init__(self, vendor: SesVendor) -> None:
        super().__init__()
        self._vendor = vendor

    def exchange(self, method: str, url: str, **more: Any) -> Any:
        return super().exchange(method, url.replace(SNS, self._vendor.url), **more)


def _certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
    certificate = builder.not_valid_after(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36500))
    return certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _error(status: int, kind: str, message: str) -> Reply:
    return Reply(status=status, body={"message": message}, headers={"x-amzn-ErrorType": kind})
