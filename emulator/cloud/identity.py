"""Identity tokens as Google signs them for service accounts, and the certificates that prove them.

The key is made at first start and never leaves the state folder; nothing outside this process can sign.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ISSUER = "https://accounts.google.com"
LIFETIME_S = 3600
_CERTIFICATE_LIFE = timedelta(days=3650)


class Identity:
    """Signs tokens for any service account, and publishes the certificate that verifies them."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        key_file, certificate_file = folder / "identity-key.pem", folder / "identity-certificate.pem"
        if not key_file.exists():
            _make(key_file)
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError(f"{key_file} is not an RSA key")
        self._key = key
        self._kid = hashlib.sha256(_public(key)).hexdigest()[:40]
        if not certificate_file.exists():
            _write(certificate_file, _certificate(key, datetime.fromtimestamp(clock(), UTC)))
        self._certificate = certificate_file.read_text()

    def token(self, service_account: str, audience: str) -> str:
        """Return a token that says *service_account* speaks to *audience*, good for an hour."""
        now = int(self._clock())
        account_id = _account_id(service_account)
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "azp": account_id,
            "sub": account_id,
            "email": service_account,
            "email_verified": True,
            "iat": now,
            "exp": now + LIFETIME_S,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def certificates(self) -> dict[str, str]:
        """Key id to PEM certificate, as https://www.googleapis.com/oauth2/v1/certs answers."""
        return {self._kid: self._certificate}


def _account_id(email: str) -> str:
    """The 21 digits that Google knows a service account by; here they follow from its name."""
    return str(10**20 + int.from_bytes(hashlib.sha256(email.encode()).digest()) % (9 * 10**20))


def _public(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _make(key_file: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _write(key_file, pem)
    # A certificate of another key would prove nothing.
    key_file.with_name("identity-certificate.pem").unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """Write all of the file or nothing of it, for our eyes only."""
    unfinished = path.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    unfinished.rename(path)


def _certificate(key: rsa.RSAPrivateKey, now: datetime) -> bytes:
    # Needed at the first start only.
    from cryptography import x509

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "emulated-identity")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _CERTIFICATE_LIFE)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
