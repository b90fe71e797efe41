"""Who may call the functions that nobody but Google calls."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from functions.adapters.http import ONCE, HttpClient
from functions.adapters.identity import TokenVerifier
from functions.core.errors import BadSignature, UpstreamError
from tests.fakes.web import Reply, Web, web_server

ACCOUNT = "pusher@project.iam.gserviceaccount.com"
AUDIENCE = "https://functions.example.org/cull"


def a_key() -> tuple[rsa.RSAPrivateKey, str]:
    """A key and its certificate."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    return key, certificate.public_bytes(serialization.Encoding.PEM).decode()


KEY, CERTIFICATE = a_key()
OTHER_KEY, OTHER_CERTIFICATE = a_key()


def claims(**changed: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "email": ACCOUNT,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    return {**good, **changed}


def signed(payload: Any, key: rsa.RSAPrivateKey = KEY, kid: Any = "k1", alg: str = "RS256") -> str:
    return "Bearer " + jwt.encode(payload, key, algorithm=alg, headers={"kid": kid} if kid else {})


def hashed(payload: Any, secret: str) -> str:
    """Signed with a public certificate as if it were a shared secret."""
    text = unsigned({"alg": "HS256", "kid": "k1", "typ": "JWT"}, payload).rpartition(".")[0]
    signature = hmac.digest(secret.encode(), text.removeprefix("Bearer ").encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def unsigned(header: Any, payload: Any) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload))
    return f"Bearer {'.'.join(parts)}.AAAA"


class Certificates:
    """A web server with certificates."""

    def __init__(self, web: Web, **certificates: str) -> None:
        self.web = web
        self.headers = {"Cache-Control": "public, max-age=600, must-revalidate"}
        self.certificates = certificates
        web.answer = lambda reply: reply.send(200, json.dumps(self.certificates).encode(), self.headers)

    @property
    def fetched(self) -> int:
        return len(self.web.seen)


@pytest.fixture
def certificates() -> Iterator[Certificates]:
    with web_server() as web:
        yield Certificates(web, k1=CERTIFICATE)


def a_verifier(certificates: Certificates, **changed: Any) -> TokenVerifier:
    client = HttpClient("Google", certificates.web.url, retry=ONCE)
    options = {"certs_url": f"{certificates.web.url}/certs", "audience": AUDIENCE, "service_account": ACCOUNT}
    return TokenVerifier(client, **{**options, **changed})


def test_a_token_of_the_service_account_is_accepted(certificates: Certificates) -> None:
    a_verifier(certificates).verify(signed(claims()))
    a_verifier(certificates).verify(signed(claims(iss="accounts.google.com")).replace("Bearer", "bearer"))


NOW = int(time.time())
BAD_CLAIMS = {
    "other audience": {"aud": "https://functions.example.org/other"},
    "audiences": {"aud": [AUDIENCE]},
    "other issuer": {"iss": "https://accounts.example.org"},
    "other account": {"email": "somebody@example.org"},
    "no account": {"email": None},
    "account not verified": {"email_verified": False},
    "almost verified": {"email_verified": "true"},
    "expired": {"iat": NOW - 7200, "exp": NOW - 3600},
    "not yet": {"iat": NOW + 3600, "exp": NOW + 7200},
    "for ever": {"exp": None},
    "no number": {"exp": "later"},
}


@pytest.mark.parametrize("changed", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
def test_a_token_with_another_claim_is_refused(certificates: Certificates, changed: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        a_verifier(certificates).verify(signed(claims(**changed)))


BAD_HEADERS = {
    "nothing": "",
    "no token": "Bearer ",
    "other scheme": signed(claims()).replace("Bearer", "Basic"),
    "no jwt": "Bearer x",
    "dots": "Bearer ..",
    "no base64": "Bearer !.!.!",
    "no signature": unsigned({"alg": "none", "kid": "k1"}, claims()),
    "wrong signature": unsigned({"alg": "RS256", "kid": "k1"}, claims()),
    "shared secret": unsigned({"alg": "HS256", "kid": "k1"}, claims()),
    "key id is a list": unsigned({"alg": "RS256", "kid": ["k1"]}, claims()),
    "hashed with the public key": hashed(claims(), CERTIFICATE),
    "hashed with nothing": hashed(claims(), ""),
    "key of another kind": unsigned({"alg": "ES256", "kid": "k1"}, claims()),
    "own key in the header": unsigned({"alg": "RS256", "kid": "k1", "jwk": {"kty": "oct", "k": "AAAA"}}, claims()),
    "own keys in the header": unsigned({"alg": "RS256", "kid": "k1", "jku": "http://127.0.0.1:1/certs"}, claims()),
    "null algorithm": unsigned({"alg": None, "kid": "k1"}, claims()),
    "changed claims": ".".join([signed(claims()).split(".")[0], "e30", signed(claims()).split(".")[2]]),
    "algorithm is a list": unsigned({"alg": ["RS256"], "kid": "k1"}, claims()),
    "claims are a list": unsigned({"alg": "RS256", "kid": "k1"}, []),
    "header is a list": unsigned([], claims()),
    "deep": f"Bearer {base64.urlsafe_b64encode(b'[' * 5000).decode()}.e30.AAAA",
    "long": "Bearer " + "x" * 100_000,
    "no key id": signed(claims(), kid=None),
    "unknown key": signed(claims(), key=OTHER_KEY, kid="k2"),
    "another key": signed(claims(), key=OTHER_KEY),
    "other algorithm": signed(claims(), alg="PS256"),
    "latin-1": "Bearer \xff.\xff.\xff",
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_what_is_no_token_of_google_is_refused(certificates: Certificates, header: str) -> None:
    with pytest.raises(BadSignature):
        a_verifier(certificates).verify(header)


@pytest.mark.parametrize("missing", [{"audience": ""}, {"service_account": ""}], ids=str)
def test_without_a_configured_caller_nobody_may_call(certificates: Certificates, missing: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        a_verifier(certificates, **missing).verify(signed(claims(aud="", email="")))


def test_an_oversized_token_is_not_even_looked_at(certificates: Certificates) -> None:
    with pytest.raises(BadSignature):
        a_verifier(certificates).verify(signed(claims(padding="x" * 8192)))
    assert certificates.fetched == 0


@pytest.mark.parametrize(
    ("headers", "life_s"),
    [
        ({"Cache-Control": "public, max-age=600, must-revalidate", "Age": "200"}, 400),
        ({"Cache-Control": "max-age=999999999"}, 86_400),
        ({"Cache-Control": "max-age=600", "Age": "soon"}, 600),
        ({"Cache-Control": "max-age=1"}, 60),
        ({"Cache-Control": "no-cache"}, 300),
        ({}, 300),
    ],
    ids=str,
)
def test_certificates_live_as_their_answer_says_within_reason(
    certificates: Certificates, headers: dict[str, str], life_s: float
) -> None:
    now = [0.0]
    certificates.headers = headers
    verifier = a_verifier(certificates, clock=lambda: now[0])
    for now[0], fetched in ((0.0, 1), (life_s - 0.5, 1), (life_s, 2)):
        verifier.verify(signed(claims()))
        assert certificates.fetched == fetched


def test_certificates_are_kept_as_long_as_they_may_be(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    for now[0] in (0.0, 300.0, 599.0):
        verifier.verify(signed(claims()))
    assert certificates.fetched == 1
    now[0] = 600.0
    verifier.verify(signed(claims()))
    assert certificates.fetched == 2


def test_a_withdrawn_key_is_not_trusted_for_longer(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    verifier.verify(signed(claims()))
    certificates.certificates = {"k2": OTHER_CERTIFICATE}
    now[0] = 600.0
    with pytest.raises(BadSignature):
        verifier.verify(signed(claims()))


def test_a_new_key_is_found(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    verifier.verify(signed(claims()))
    certificates.certificates = {"k1": CERTIFICATE, "k2": OTHER_CERTIFICATE}
    now[0] = 61.0
    verifier.verify(signed(claims(), key=OTHER_KEY, kid="k2"))


def test_unknown_keys_are_looked_for_once_a_minute(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    for number in range(600):
        now[0] = number / 10
        with pytest.raises(BadSignature):
            verifier.verify(signed(claims(), kid=f"unknown-{number % 3}"))
    assert certificates.fetched == 1


def test_without_certificates_nobody_can_tell(certificates: Certificates) -> None:
    certificates.web.answer = lambda reply: reply.send(500)
    with pytest.raises(UpstreamError):
        a_verifier(certificates).verify(signed(claims()))


def test_a_certificate_service_that_is_out_is_asked_now_and_then_however_many_call(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    certificates.web.answer = lambda reply: reply.send(500)
    for number in range(300):
        now[0] = number / 10
        with pytest.raises(UpstreamError):
            verifier.verify(signed(claims(), kid=f"k{number % 3}"))
    assert certificates.fetched == 3


def test_known_callers_are_heard_while_the_certificate_service_is_out(certificates: Certificates) -> None:
    now = [0.0]
    verifier = a_verifier(certificates, clock=lambda: now[0])
    verifier.verify(signed(claims()))
    certificates.web.answer = lambda reply: reply.send(500)
    now[0] = 599.0
    with pytest.raises(UpstreamError):
        verifier.verify(signed(claims(), key=OTHER_KEY, kid="k2"))
    verifier.verify(signed(claims()))


def test_known_callers_do_not_wait_for_a_strangers_key(certificates: Certificates) -> None:
    now, asked, release = [0.0], threading.Event(), threading.Event()
    verifier = a_verifier(certificates, clock=lambda: now[0])
    verifier.verify(signed(claims()))

    def hang(reply: Reply) -> None:
        asked.set()
        release.wait(30)
        reply.send(500)

    certificates.web.answer = hang
    now[0] = 100.0
    with ThreadPoolExecutor(1) as pool:
        stranger = pool.submit(verifier.verify, signed(claims(), key=OTHER_KEY, kid="k2"))
        assert asked.wait(30)
        verifier.verify(signed(claims()))
        release.set()
        assert isinstance(stranger.exception(), UpstreamError)


@pytest.mark.parametrize("body", [b"[]", b"1", b"{}", b'{"k1": 1}', b'{"k1": "no certificate"}', b'{"keys": []}'])
def test_certificates_that_are_none_let_nobody_in(certificates: Certificates, body: bytes) -> None:
    certificates.web.answer = lambda reply: reply.send(200, body)
    with pytest.raises((BadSignature, UpstreamError)):
        a_verifier(certificates).verify(signed(claims()))
