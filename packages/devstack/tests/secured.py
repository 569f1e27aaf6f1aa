"""A private Kafka as companies run it, with TLS of a private CA, SCRAM, OAUTHBEARER and rights, and
the token endpoint that belongs to it."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exports unsaid
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kite_devstack.kafka import private_kafka

HOST = "127.0.0.1"
PASSWORD = "CANARYscram0123"
CLIENT_SECRET = "CANARYoidc0123"


@dataclass(frozen=True)
class Secured:
    """Where it listens, each way another port."""

    plain: str
    """Without encryption; whoever comes here may do everything."""
    tls: str
    """TLS with a certificate of the client."""
    scram: str
    """TLS and SCRAM-SHA-512."""
    oauth: str
    """OAUTHBEARER without encryption."""
    folder: Path
    """With ca.pem, client.pem and client.key."""

    def allow(self, user: str, operation: AclOperation, kind: ResourceType, name: str) -> None:
        """Give a right."""
        binding = AclBinding(
            kind,
            name,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        admin = AdminClient({"bootstrap.servers": self.plain})
        for answer in admin.create_acls([binding]).values():
            answer.result(timeout=30)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[Secured]:
    """The broker; SCRAM knows the user ``ingest``."""
    _certificates(folder)
    tls, scram, oauth = _free_ports(3)
    home = folder / "broker"
    (home / "kafka").mkdir(parents=True)
    port = private_kafka(home, os.environ).choose_port()
    stores = {"keystore": folder / "server.both.pem", "truststore": folder / "ca.pem"}
    properties = {
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{port + 1},"
        f"TLS://{HOST}:{tls},SCRAM://{HOST}:{scram},OAUTH://{HOST}:{oauth}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port},TLS://{HOST}:{tls},"
        f"SCRAM://{HOST}:{scram},OAUTH://{HOST}:{oauth}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,"
        "SCRAM:SASL_SSL,OAUTH:SASL_PLAINTEXT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        **{f"ssl.{store}.type": "PEM" for store in stores},
        **{f"ssl.{store}.location": str(path) for store, path in stores.items()},
        "listener.name.tls.ssl.client.auth": "required",
        "listener.name.scram.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.scram.scram-sha-512.sasl.jaas.config": "org.apache.kafka.common."
        "security.scram.ScramLoginModule required;",
        "listener.name.oauth.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": "org.apache.kafka.common.security."
        'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";',
    }
    with private_kafka(home, os.environ, port, properties) as server:
        made = Secured(
            server.bootstrap,
            f"{HOST}:{tls}",
            f"{HOST}:{scram}",
            f"{HOST}:{oauth}",
            folder,
        )
        admin = AdminClient({"bootstrap.servers": made.plain})
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        user = UserScramCredentialUpsertion("ingest", credential, PASSWORD.encode())
        for answer in admin.alter_user_scram_credentials([user]).values():
            answer.result(timeout=30)
        yield made


@dataclass
class TokenEndpoint:
    """OAuth's client credentials grant: gives a token to who knows the secret."""

    url: str = ""
    status: int = 200
    """What it answers; 401 refuses everybody."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """The forms that came, with the header ``authorization``."""


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """It listens on this machine until the end."""
    endpoint = TokenEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form: dict[str, Any] = {name: values[0] for name, values in parse_qs(body).items()}
            endpoint.asked.append(form | {"authorization": self.headers["Authorization"]})
            answer = {"access_token": _unsecured_token(), "token_type": "bearer"}
            content = json.dumps(answer if endpoint.status == 200 else {"error": "invalid_client"})
            self.send_response(endpoint.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    endpoint.url = f"http://{HOST}:{server.server_port}/oauth2/token"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _unsecured_token() -> str:
    """A token that Kafka's validator for development takes."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": "ingest", "iat": now, "exp": now + 3600})
    return "".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") + "."
        for part in parts
    )


def _free_ports(count: int) -> list[int]:
    with_sockets = [socket.socket() for _ in range(count)]
    try:
        for each in with_sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in with_sockets]
    finally:
        for each in with_sockets:
            each.close()


def _certificates(folder: Path) -> None:
    """A CA, a certificate of the broker and one of the client, as PEM files."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key = ec.generate_private_key(ec.SECP256R1())
    _write(folder, "ca", ca_key, _certificate("the CA", ca_key, "the CA", ca_key))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, name, key, _certificate(name, key, "the CA", ca_key))
    both = [(folder / f"server.{end}").read_bytes() for end in ("key", "pem")]
    (folder / "server.both.pem").write_bytes(b"".join(both))


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: str, signer: ec.EllipticCurvePrivateKey
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address(HOST))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=key is signer, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: bytes) -> None:
    (folder / f"{name}.pem").write_bytes(certificate)
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
