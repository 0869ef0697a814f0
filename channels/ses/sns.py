"""Amazon SNS: which notification is believed. The signature alone is not enough: anybody can have a topic that SNS signs for.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import Certificate

from engine.errors import ForgedWebhook

PATIENCE_SECONDS = 10.0
_HOST = re.compile(r"sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?")
_CERTIFICATE = re.compile(r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem")
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SIGNED_QUESTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": _SIGNED,
    "SubscriptionConfirmation": _SIGNED_QUESTION,
    "UnsubscribeConfirmation": _SIGNED_QUESTION,
}
"""What the signature stands over, by the notification's type: these fields, in this order."""

HASHES: Mapping[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  (SNS still uses it)


def verified(
    body: bytes, *, topic: str, certificate: Callable[[str], Certificate], tolerance: int, now: datetime
) -> Mapping[str, str]:
    """The notification's fields, once its topic, its age and its signature have proved right. Raises ForgedWebhook.

    certificate: the one at a URL, which is on SNS's own host. tolerance: seconds that it may be old; 0 for any age.
    """
    note = _fields(body)
    if note.get("TopicArn") != topic:
        raise ForgedWebhook("the notification is of another topic", remedy="Check topic_arn in config.yaml.")
    kind, version, url = note.get("Type", ""), note.get("SignatureVersion", ""), note.get("SigningCertURL", "")
    if version not in HASHES or not _of_sns(url) or not _CERTIFICATE.fullmatch(urlsplit(url).path):
        raise ForgedWebhook("the notification is not one that SNS signs")
    said = _said(note, kind)
    try:
        sent_at = datetime.fromisoformat(note["Timestamp"])
        key = certificate(url).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ValueError("SNS signs with RSA")
        signature = base64.b64decode(note["Signature"], validate=True)
        if base64.b64encode(signature).decode() != note["Signature"]:  # spare bits are no second way to write it
            raise ValueError("not canonical base64")
        key.verify(signature, said.encode(), padding.PKCS1v15(), HASHES[version])
        old = bool(tolerance) and abs(now - sent_at) >= timedelta(seconds=tolerance)
    except (InvalidSignature, KeyError, ValueError, TypeError) as error:
        raise ForgedWebhook("the signature is not SNS's") from error
    if old:
        raise ForgedWebhook("the notification is too old", remedy="Check this machine's clock.")
    return note


def _said(note: Mapping[str, str], kind: str) -> str:
    """What the signature stands over. All of it must be there, or its pieces could be told apart in more than one way."""
    names = SIGNED.get(kind)
    if names is None or not set(names) - {"Subject"} <= set(note):
        raise ForgedWebhook("the notification is not one that SNS signs")
    return "".join(f"{name}\n{note[name]}\n" for name in names if name in note)


def subscribe_url(note: Mapping[str, str]) -> str:
    """Where a topic's question is answered with yes. Raises ForgedWebhook where that is not SNS, or is about another topic."""
    url = note.get("SubscribeURL", "")
    asked = parse_qs(urlsplit(url).query)
    if (
        not _of_sns(url)
        or asked.get("Action") != ["ConfirmSubscription"]
        or asked.get("TopicArn") != [note["TopicArn"]]
    ):
        raise ForgedWebhook("the subscription is not confirmed at SNS")
    return url


def _fields(body: bytes) -> dict[str, str]:
    try:
        note = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ForgedWebhook("the notification cannot be read") from error
    if not isinstance(note, dict):
        raise ForgedWebhook("the notification cannot be read")
    return {name: value for name, value in note.items() if isinstance(value, str)}


def _of_sns(url: str) -> bool:
    """Whether a URL is of SNS's own host, by its plain form: no port, no name or password, no trick with either."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and _HOST.fullmatch(parts.netloc) is not None and url.isascii() and url.isprintable()
