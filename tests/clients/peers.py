"""Providers on loopback, as strict as the real ones: a mail server, push services, SendGrid, Twilio and SNS; and a program
that is told what becomes of notifications, which believes only what Standard Webhooks' own library does.

    peers.py CERTIFICATE KEY

The first line tells their ports and a device's keys; each further one what somebody got, or was refused. They misbehave by
the address something is for. A line of input, `{"call_back": {"url", "params", "token"}}`, has Twilio say that to the URL,
signed by the token; `{"secret": "whsec_…"}` is one more secret that webhooks may be signed by. They end with their input.
"""

import asyncio
import base64
import calendar
import hashlib
import hmac
import json
import logging
import os
import re
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from standardwebhooks import Webhook, WebhookVerificationError

MAIL_LOGIN = (b"carillon", b"bells")
SENDGRID_KEY = "SG.bells"
TWILIO = ("AC0123456789abcdef0123456789abcdef", "twilio-token")
AWS = {"id": "AKIDEXAMPLE", "secret": "aws-secret", "region": "eu-central-1"}

lock = threading.Lock()
logging.disable(logging.CRITICAL)  # what matters is told


def tell(peer, **what):
    with lock:
        print(json.dumps({"peer": peer, **what}), flush=True)


def from_url64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# ---- mail ----------------------------------------------------------------------------------------


class Mailbox:
    def __init__(self):
        self.dropped = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        refusals = {
            "busy421": "421 4.3.2 come back later",
            "grey450": "450 4.2.0 come back later",
            "nobody550": "550 5.1.1 no such user here",
            "policy550": "550 5.7.1 we do not like this",
            "full552": "552 5.2.2 mailbox full",
        }
        if name in refusals:
            tell("smtp", refused=address)
            return refusals[name]
        if name == "hang":
            tell("smtp", hangs=address)
            await asyncio.sleep(3600)
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        to = envelope.rcpt_tos
        tell(
            "smtp",
            to=to,
            sender=envelope.mail_from,
            tls=session.ssl is not None,
            user=session.auth_data.login.decode() if session.auth_data else None,
            session=id(session),
            data=envelope.content.decode("utf-8", "surrogateescape"),
        )
        if to[0].startswith("drop@") and to[0] not in self.dropped:
            self.dropped.add(to[0])
            server.transport.abort()
            return "250 never heard"
        if to[0].startswith("late@"):
            await asyncio.sleep(2)
        if to[0].startswith("slow@"):
            await asyncio.sleep(7)
        return "250 2.0.0 taken as 1234"


def login(server, session, envelope, mechanism, data):
    is_good = isinstance(data, LoginPassword) and (data.login, data.password) == MAIL_LOGIN
    return AuthResult(success=is_good, handled=False, auth_data=data)


def mail(secure):
    """Without TLS there is nothing to be had, and without a login neither. Its port."""
    loop, box = asyncio.new_event_loop(), Mailbox()
    strict = {"require_starttls": True, "auth_required": True, "auth_require_tls": True}
    factory = lambda: SMTP(box, tls_context=secure, authenticator=login, loop=loop, **strict)
    server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return server.sockets[0].getsockname()[1]


# ---- HTTP ----------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def answer(self, status, body=b"", kind="application/json", **headers):
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def hang(self):
        time.sleep(3600)

    def origin(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"


# ---- push services -------------------------------------------------------------------------------

device = ec.generate_private_key(ec.SECP256R1())
device_point = device.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
)
device_auth = os.urandom(16)


def hkdf(salt, secret, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def decrypt(body):
    """RFC 8188 and RFC 8291."""
    salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
    sender, sealed = body[21 : 21 + length], body[21 + length :]
    assert len(sealed) <= size, "more than one record"
    shared = device.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    secret = hkdf(device_auth, shared, b"WebPush: info\0" + device_point + sender, 32)
    key = hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
    nonce = hkdf(salt, secret, b"Content-Encoding: nonce\0", 12)
    text = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\0")
    assert text[-1:] == b"\2", "no last record"
    return text[:-1].decode()


def check_vapid(said, origin):
    """RFC 8292. The public key that it was signed with."""
    found = re.fullmatch(r"vapid t=([\w.-]+), ?k=([\w-]+)", said or "")
    assert found, "no VAPID"
    token, key = found.groups()
    head, claims, signature = token.split(".")
    assert json.loads(from_url64(head)) == {"typ": "JWT", "alg": "ES256"}, "another algorithm"
    raw = from_url64(signature)
    assert len(raw) == 64, "no signature"
    numbers = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), from_url64(key))
    public.verify(encode_dss_signature(*numbers), f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    claims = json.loads(from_url64(claims))
    assert claims["aud"] == origin, f"for {claims['aud']}, not {origin}"
    assert time.time() < claims["exp"] <= time.time() + 24 * 3600, "its end"
    assert claims["sub"].startswith(("mailto:", "https:")), "nobody to talk to"
    return key


push_left = set()


class Push(Handler):
    def do_POST(self):
        body, headers = self.body(), self.headers
        try:
            key = check_vapid(headers["authorization"], self.origin())
        except (AssertionError, InvalidSignature, ValueError, KeyError) as fault:
            tell("push", fault=f"{type(fault).__name__}: {fault}", path=self.path)
            return self.answer(403)
        try:
            assert headers["content-encoding"] == "aes128gcm", "its encoding"
            assert re.fullmatch(r"\d+", headers["ttl"] or ""), "its TTL"
            assert headers["urgency"] in ("very-low", "low", "normal", "high"), "its urgency"
            assert re.fullmatch(r"[\w-]{1,32}", headers["topic"] or ""), "its topic"
            assert len(body) <= 4096, "its size"
            text = decrypt(body)
        except Exception as fault:
            tell("push", fault=f"{type(fault).__name__}: {fault}", path=self.path)
            return self.answer(400)
        tell(
            "push",
            path=self.path,
            text=text,
            size=len(body),
            key=key,
            token=headers["authorization"],
            ttl=int(headers["ttl"]),
            urgency=headers["urgency"],
            topic=headers["topic"],
        )
        how = self.path.split("/")[1]
        if how == "late":
            time.sleep(2)
            how = "201"
        if how == "leaves":
            how = "410" if self.path in push_left else "201"
            push_left.add(self.path)
        if how == "hang":
            return self.hang()
        if how == "reset":
            return self.connection.close()
        if how == "redirect":
            return self.answer(307, location=f"{self.origin()}/201/elsewhere")
        if how == "endless":
            self.send_response(201)
            self.send_header("content-length", str(10**9))
            self.end_headers()
            with_time = time.time() + 60
            while time.time() < with_time:
                self.wfile.write(b"x" * 65536)
            return None
        more = {"location": f"{self.origin()}/m/7"} if how == "201" else {}
        more |= {"retry_after": 7} if how == "429" else {}
        return self.answer(int(how), **more)


# ---- SendGrid ------------------------------------------------------------------------------------

RESERVED = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
}  # fmt: skip


class Sendgrid(Handler):
    def fault(self, field, message):
        tell("sendgrid", fault=f"{field}: {message}")
        self.answer(400, {"errors": [{"message": message, "field": field, "help": None}]})

    def do_POST(self):
        body = self.body()
        if self.headers["authorization"] != f"Bearer {SENDGRID_KEY}":
            tell("sendgrid", fault="authorization")
            error = {"message": "The provided authorization grant is invalid, expired, or revoked"}
            return self.answer(401, {"errors": [error | {"field": None, "help": None}]})
        if self.path != "/v3/mail/send":
            return self.answer(404)
        if self.headers["content-type"] != "application/json":
            return self.answer(415)
        mail = json.loads(body)
        to = mail.get("personalizations", [{}])[0].get("to", [])
        address = r"[^@\s]+@[^@\s]+\.[^@\s]+"
        if len(to) != 1 or not re.fullmatch(address, to[0].get("email", "")):
            return self.fault("personalizations.0.to.0.email", f"{to} is no address")
        if not re.fullmatch(address, mail.get("from", {}).get("email", "")):
            return self.fault("from.email", "The from email does not contain a valid address.")
        if not mail.get("subject"):
            return self.fault("subject", "The subject is required.")
        kinds = [part.get("type") for part in mail.get("content", [])]
        if not kinds or kinds != sorted(kinds, key=lambda kind: kind != "text/plain"):
            return self.fault("content", "text/plain comes first")
        if not all(part.get("value") for part in mail["content"]):
            return self.fault("content.0.value", "The content value must be a string at least one character long.")
        if any(name.lower() in RESERVED or not isinstance(value, str) for name, value in mail["headers"].items()):
            return self.fault("headers", "reserved")
        if any("\n" in value or "\r" in value for value in mail["headers"].values()):
            return self.fault("headers", "line break")
        if not all(isinstance(value, str) for value in mail.get("custom_args", {}).values()):
            return self.fault("custom_args", "no text")
        name = to[0]["email"].split("@")[0]
        tell("sendgrid", mail=mail, to=to[0]["email"])
        if name == "hang":
            return self.hang()
        if name == "bad400":
            return self.fault("personalizations.0.to.0.email", f"Does not contain a valid address: {to[0]['email']}")
        if name == "forbidden403":
            error = {"message": "The from address does not match a verified Sender Identity.", "field": "from"}
            return self.answer(403, {"errors": [error | {"help": None}]})
        if name == "limited429":
            return self.answer(429, {"errors": []}, x_ratelimit_reset=int(time.time()) + 9, x_ratelimit_remaining=0)
        if name == "down503":
            return self.answer(503, {"errors": []})
        return self.answer(202, x_message_id="sg-1234")


# ---- Twilio --------------------------------------------------------------------------------------


def twilio_signature(url, params, token):
    text = url + "".join(name + value for name, value in sorted(params.items()))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Twilio(Handler):
    def refuse(self, status, code, **headers):
        more = {"code": code, "message": "To number: +14155550123", "more_info": "", "status": status}
        self.answer(status, more, **headers)

    def do_POST(self):
        form = dict(urllib.parse.parse_qsl(self.body().decode(), strict_parsing=True))
        sid, token = TWILIO
        if self.headers["authorization"] != "Basic " + base64.b64encode(f"{sid}:{token}".encode()).decode():
            tell("twilio", fault="authorization")
            return self.refuse(401, 20003)
        if self.path != f"/2010-04-01/Accounts/{sid}/Messages.json":
            return self.refuse(404, 20404)
        if self.headers["content-type"] != "application/x-www-form-urlencoded":
            return self.refuse(415, 20415)
        if not set(form) <= {"To", "From", "MessagingServiceSid", "Body", "StatusCallback", "ValidityPeriod"}:
            return self.refuse(400, 20001)
        if not re.fullmatch(r"\+[1-9]\d{5,14}", form.get("To", "")):
            return self.refuse(400, 21211)
        if ("From" in form) == ("MessagingServiceSid" in form):
            return self.refuse(400, 21603)
        if not 1 <= len(form.get("Body", "")) <= 1600:
            return self.refuse(400, 21602 if not form.get("Body") else 21617)
        if not 1 <= int(form.get("ValidityPeriod", 1)) <= 36000:
            return self.refuse(400, 21910)
        message = "SM" + hashlib.md5(json.dumps(form).encode()).hexdigest()
        told = {"MessageSid": message, "SmsSid": message, "MessageStatus": "delivered", "SmsStatus": "delivered"}
        told |= {"To": form["To"], "AccountSid": sid, "ApiVersion": "2010-04-01"}
        url = form.get("StatusCallback")
        signature = twilio_signature(url, told, token) if url else None
        tell("twilio", form=form, to=form["To"], says={"params": told, "signature": signature})
        last = form["To"][-3:]
        if last == "131":
            return self.refuse(400, 21610)
        if last == "132":
            return self.refuse(400, 21614)
        if last == "133":
            return self.refuse(429, 20429, retry_after=11)
        if last == "134":
            return self.hang()
        if last == "135":
            return self.refuse(500, 20500)
        if last == "136":
            message = f"{message[:20]}\0{message[20:]}"
        return self.answer(201, {"sid": message, "status": "queued", "error_code": None, "to": form["To"]})


def call_back(url, params, token):
    data = urllib.parse.urlencode(params).encode()
    headers = {"X-Twilio-Signature": twilio_signature(url, params, token)}
    try:
        status = urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30).status
    except urllib.error.HTTPError as fault:
        status = fault.code
    tell("twilio", called_back=url, status=status)


# ---- SNS -----------------------------------------------------------------------------------------


def aws_signature(handler, body):
    """Signature Version 4, by what came."""
    said = handler.headers["authorization"] or ""
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([\w-]+)/sns/aws4_request, SignedHeaders=([\w;-]+), "
        r"Signature=([0-9a-f]{64})",
        said,
    )
    assert found, "no signature"
    who, day, region, names, signature = found.groups()
    assert (who, region) == (AWS["id"], AWS["region"]), "another key"
    names = names.split(";")
    assert names == sorted(names) and {"host", "x-amz-date"} <= set(names), "too little is signed"
    at = handler.headers["x-amz-date"]
    assert abs(calendar.timegm(time.strptime(at, "%Y%m%dT%H%M%SZ")) - time.time()) < 300, "its time"
    lines = "".join(f"{name}:{handler.headers[name].strip()}\n" for name in names)
    canonical = f"POST\n{handler.path}\n\n{lines}\n{';'.join(names)}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{region}/sns/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + AWS["secret"].encode()
    for part in (day, region, "sns", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    assert hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == signature, "another signature"


class Sns(Handler):
    def refuse(self, status, code):
        error = f"<Type>Sender</Type><Code>{code}</Code><Message>of +14155550123</Message>"
        xml = f'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>{error}</Error></ErrorResponse>'
        self.answer(status, xml.encode(), kind="text/xml")

    def do_POST(self):
        body = self.body()
        try:
            aws_signature(self, body)
        except AssertionError as fault:
            tell("sns", fault=str(fault))
            return self.refuse(403, "SignatureDoesNotMatch")
        form = dict(urllib.parse.parse_qsl(body.decode(), strict_parsing=True))
        if form.get("Action") != "Publish" or form.get("Version") != "2010-03-31":
            return self.refuse(400, "InvalidAction")
        if not re.fullmatch(r"\+[1-9]\d{5,14}", form.get("PhoneNumber", "")) or not form.get("Message"):
            return self.refuse(400, "InvalidParameter")
        if len(form["Message"].encode()) > 1600:
            return self.refuse(400, "InvalidParameter")
        attributes = {}
        for number in range(1, 11):
            entry = f"MessageAttributes.entry.{number}"
            if f"{entry}.Name" in form:
                assert form[f"{entry}.Value.DataType"] == "String"
                attributes[form[f"{entry}.Name"]] = form[f"{entry}.Value.StringValue"]
        tell("sns", to=form["PhoneNumber"], text=form["Message"], attributes=attributes)
        last = form["PhoneNumber"][-3:]
        if last == "131":
            return self.refuse(400, "OptedOut")
        if last == "133":
            return self.refuse(400, "Throttling")
        if last == "134":
            return self.hang()
        if last == "135":
            return self.refuse(500, "InternalError")
        told = "<PublishResult><MessageId>567910cd-659e-55d4-8ccb-5aaf14679dc0</MessageId></PublishResult>"
        xml = f'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{told}</PublishResponse>'
        return self.answer(200, xml.encode(), kind="text/xml")


# ---- webhooks ------------------------------------------------------------------------------------

hook_secrets = []
hook_ids = set()


def verifies(secret, body, headers):
    try:
        return Webhook(secret).verify(body, headers) is not None
    except WebhookVerificationError:
        return False


class Hooks(Handler):
    """Answers as the path says: `/200/name`, `/hang/name`, `/slow/name`; `/flaky/name` takes what comes again."""

    def do_POST(self):
        body, headers = self.body(), dict(self.headers)
        by = [secret for secret in hook_secrets if verifies(secret, body, headers)]
        said = {name: self.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
        tell("hooks", path=self.path, by=by, said=said, kind=self.headers["content-type"], told=json.loads(body))
        how = self.path.split("/")[1]
        if how == "hang":
            return self.hang()
        if how == "slow":
            time.sleep(0.3)
            return self.answer(200)
        if how == "redirect":
            return self.answer(307, location=f"{self.origin()}/200/elsewhere")
        if how == "flaky":
            is_new = said["id"] not in hook_ids
            hook_ids.add(said["id"])
            return self.answer(500 if is_new else 204)
        return self.answer(int(how), **({"retry_after": 3} if how == "429" else {}))


# ---- all of them ---------------------------------------------------------------------------------


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Whoever hangs up has heard enough."""


def serve(handler):
    server = Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
secure.load_cert_chain(sys.argv[1], sys.argv[2])
ports = {"smtp": mail(secure)}
for name, handler in {"push": Push, "sendgrid": Sendgrid, "twilio": Twilio, "sns": Sns, "hooks": Hooks}.items():
    ports[name] = serve(handler)
tell("all", ports=ports, p256dh=url64(device_point), auth=url64(device_auth))
for line in sys.stdin:
    said = json.loads(line)
    if "secret" in said:
        hook_secrets.append(said["secret"])
        tell("known", secret=said["secret"])
    else:
        call_back(**said["call_back"])
os._exit(0)
