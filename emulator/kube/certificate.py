"""A certificate for the server, made once and kept in its state folder.

kubectl sends a token over TLS only. The certificate signs itself, so it is also the authority that clients are given.
Run as a program in a process of its own: the server never needs the library that makes certificates.
"""

from __future__ import annotations

import fcntl
import os
import ssl
import subprocess
import sys
from pathlib import Path

VALID_DAYS = 3650
CERTIFICATE, KEY = "server.crt", "server.key"
UNUSED = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def context(state: Path) -> ssl.SSLContext:
    """Return the TLS settings of the server, with the certificate from its state folder, made if missing."""
    certificate, key = state / CERTIFICATE, state / KEY
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "server.lock").open("w") as lock:
        # Another server may be about to find that the state folder is taken: its key would not fit our certificate.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (certificate.exists() and key.exists()):
            subprocess.run([sys.executable, "-m", "emulator.kube.certificate", str(state)], check=True, timeout=60)
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(certificate, key)
    return made


def make(state: Path) -> None:
    """Write a new key, and a certificate for this machine's own names."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "emulator.kube")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(**dict.fromkeys(UNUSED, False), digital_signature=True, key_cert_sign=True)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(public, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    _write(state / KEY, key.private_bytes(pem, form, serialization.NoEncryption()), mode=0o600)
    _write(state / CERTIFICATE, certificate.public_bytes(pem), mode=0o644)


def _write(path: Path, content: bytes, *, mode: int) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
    part.replace(path)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
