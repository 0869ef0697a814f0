"""A Twilio of one's own: takes Messages create, and calls back signed with the account's token."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from twilio.request_validator import RequestValidator

from engine.provider import Webhook
from engine.testing.vendors.server import Fault, HttpVendor, Received, Reply, Request

ACCOUNT = "AC00000000000000000000000000000000"
SMART = str.maketrans({"’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "\N{NO-BREAK SPACE}": " "})
"""Some of the look-alikes of Smart Encoding."""


class TwilioVendor(HttpVendor):
    """`refuse` may return Twilio's error code for a number: 21610 (opted out), 21211 (no such number)…

    statuses: what became of a message, by its sid: a status and an error code. page_size: the most in one page of the list.
    standing: the account's, active or suspended. trial: it is one, whose texts say so. smart: messaging services replace letters
    by look-alikes.
    """

    def __init__(
        self,
        *,
        account_sid: str = ACCOUNT,
        auth_token: str = "token-for-tests",  # noqa: S107
        refuse: Callable[[str], int | None] | None = None,
        misbehave: Callable[[Request], Fault | None] | None = None,
    ) -> None:
        super().__init__(misbehave=misbehave)
        self._account, self._token, self._refuse = account_sid, auth_token, refuse
        self.statuses: dict[str, tuple[str, int | None]] = {}
        self.page_size = 1000
        self.standing = "active"
        self.trial, self.smart = False, True

    def take(self, request: Request) -> tuple[Reply, Received | None]:
        basic = base64.b64encode(f"{self._account}:{self._token}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return _error(401, 20003, "Authenticate"), None
        if (request.method, request.path) == ("GET", f"/2010-04-01/Accounts/{self._account}.json"):
            return Reply(status=200, body={"sid": self._account, "status": self.standing}), None
        if request.path != f"/2010-04-01/Accounts/{self._account}/Messages.json":
            return _error(404, 20404, f"The requested resource {request.path} was not found"), None
        if request.method == "GET":
            return self._list(request.query), None
        form = request.form()
        refusal = self._objection(form)
        if refusal is not None:
            return refusal, None
        sid = "SM" + hashlib.sha256(f"{self.url} {len(self.accepted)}".encode()).hexdigest()[:32]
        received = Received(
            key=parse_qs(urlsplit(form.get("StatusCallback", "")).query).get("message", [None])[0],
            to=_bare(form["To"]),
            sender=_bare(form.get("From") or form.get("MessagingServiceSid", "")),
            text=form.get("Body", ""),
            provider_message_id=sid,
            callback_url=form.get("StatusCallback"),
            request=request,
            template=form.get("ContentSid"),
            variables=json.loads(form.get("ContentVariables", "{}")),
            at=self.clock(),
        )
        answer = {"sid": sid, "status": "queued", "to": form["To"], "from": form.get("From"), "num_segments": "1"}
        return Reply(status=201, body=answer), received

    def _list(self, query: Mapping[str, str]) -> Reply:
        """Messages to one recipient, the newest first, in pages. What waits in the queue was not sent on any date."""
        told = [one for one in self.told() if _field(one, "To") == query.get("To", _field(one, "To"))]
        if any(name.startswith("DateSent") for name in query):
            told = []
        size, page = min(int(query.get("PageSize", "50")), self.page_size), int(query.get("Page", "0"))
        following = urlencode({**query, "Page": page + 1, "PageToken": f"PASM{page}"})
        path = f"/2010-04-01/Accounts/{self._account}/Messages.json"
        more = len(told) > (page + 1) * size
        body = {
            "messages": [self._message(one) for one in told[page * size : (page + 1) * size]],
            "page": page,
            "page_size": size,
            "next_page_uri": f"{path}?{following}" if more else None,
        }
        return Reply(status=200, body=body)

    def _message(self, one: Received) -> dict[str, Any]:
        status, code = self.statuses.get(one.provider_message_id, ("queued", None))
        service = one.sender if one.sender.startswith("MG") else None
        return {
            "sid": one.provider_message_id,
            "status": status,
            "error_code": code,
            "direction": "outbound-api",
            "to": _field(one, "To"),
            "from": None if service else _field(one, "From"),
            "messaging_service_sid": service,
            "body": self._body(one, encoded=self.smart and service is not None),
            "date_created": format_datetime(one.at),
            "date_sent": None,
        }

    def _body(self, one: Received, *, encoded: bool) -> str:
        """The words that Twilio sent."""
        words = f"What {one.template} says" if one.template else one.text
        return ("Sent from your Twilio trial account - " if self.trial else "") + (
            words.translate(SMART) if encoded else words
        )

    def _objection(self, form: Mapping[str, str]) -> Reply | None:
        to = form.get("To", "")
        code = self._refuse(to) if self._refuse else None
        if code is not None:
            return _error(400, code, f"Message to {to} cannot be sent")
        checks = (
            (bool(to), 21604, "A 'To' phone number is required."),
            (_valid(to), 21211, f"The 'To' number {to} is not a valid phone number."),
            (bool(form.get("From") or form.get("MessagingServiceSid")), 21603, "A 'From' phone number is required."),
            (bool(form.get("Body") or form.get("ContentSid")), 21602, "Message body is required."),
            (_medium(form.get("From", to)) == _medium(to), 63007, "Twilio could not find a Channel with this From."),
            (
                len(form.get("Body", "")) <= 1600,
                21617,
                "The concatenated message body exceeds the 1600 character limit.",
            ),
        )
        return next((_error(400, code, message) for holds, code, message in checks if not holds), None)

    def callback(self, received: Received, status: str, *, error_code: int | None = None) -> Webhook:
        """The signed status callback about a message, to the URL that its sender gave."""
        form = {
            "MessageSid": received.provider_message_id,
            "MessageStatus": status,
            "SmsSid": received.provider_message_id,
            "SmsStatus": status,
            "To": _field(received, "To"),
            "From": _field(received, "From"),
            "AccountSid": self._account,
            "ApiVersion": "2010-04-01",
        }
        if error_code is not None:
            form["ErrorCode"] = str(error_code)
        return self.signed(received.callback_url or "", form)

    def inbound(self, url: str, *, sender: str, text: str, to: str = "+15005550006", opt_out_type: str = "") -> Webhook:
        """The signed webhook of a text that somebody sent to us; the same text from the same number is the same message."""
        sid = "SM" + hashlib.sha256(f"{sender} {text}".encode()).hexdigest()[:32]
        form = {"MessageSid": sid, "SmsStatus": "received", "From": sender, "To": to, "Body": text, "NumMedia": "0"}
        if opt_out_type:
            form["OptOutType"] = opt_out_type
        return self.signed(url, form)

    def signed(self, url: str, form: Mapping[str, str]) -> Webhook:
        """A form posted to `url` with the account's signature."""
        signature = RequestValidator(self._token).compute_signature(url, dict(form))
        headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
        return Webhook(method="POST", url=url, headers=headers, body=urlencode(form).encode())

    def asked(self, url: str, form: Mapping[str, str]) -> Webhook:
        """The same of a number that is set to HTTP GET: the fields in the query of the URL, which alone is signed."""
        called = f"{url}{'&' if '?' in url else '?'}{urlencode(form)}"
        signature = RequestValidator(self._token).compute_signature(called, {})
        return Webhook(method="GET", url=called, headers={"x-twilio-signature": signature}, body=b"")


def _valid(to: str) -> bool:
    """A number with its plus, for SMS and WhatsApp; for Messenger the digits by which a page knows somebody."""
    plain = _bare(to)
    return plain.isdigit() if _medium(to) == "messenger" else plain.startswith("+") and plain[1:].isdigit()


def _medium(address: str) -> str:
    return address.rpartition(":")[0]


def _bare(address: str) -> str:
    return address.rpartition(":")[2]


def _field(one: Received, name: str) -> str:
    """An address as it was given, with its medium before it."""
    plain = (one.to if name == "To" else one.sender) or ""
    return one.request.form().get(name, plain) if one.request else plain


def _error(status: int, code: int, message: str) -> Reply:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Reply(status=status, body={"code": code, "message": message, "more_info": more, "status": status})
