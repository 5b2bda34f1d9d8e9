"""TLS to Redis: proved against the operator's own authority, alone, found by Sentinel, and on a cluster."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.store.connect import connect
from gateway.store.keys import partition
from gateway.store.scripts import Scripts
from tests.support.ports import free_port
from tests.support.redis_nodes import Node, node, wait_for

# The server the gateway brings along is built without TLS.
SERVER: Final = shutil.which("redis-server")

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server isn't installed (apt-get install redis-server)")


_SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """A certificate authority of the test's own; `ca` is its certificate's file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._certificate(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.ca = folder / f"{name}.pem"
        self.ca.write_bytes(own.public_bytes(Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1, for either end: its file and its key's."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]),
            key,
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        )
        files = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        files[0].write_bytes(made.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        # Python 3.13 asks for what RFC 5280 wants of an authority: a critical constraint, its uses, and who signed it.
        authority = isinstance(extension, x509.BasicConstraints)
        made = made.add_extension(extension, critical=authority)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(signer, critical=False)
        if authority:
            made = made.add_extension(_SIGNS, critical=True)
        return made.sign(self._key, SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "authority")


@pytest.fixture(scope="module")
def options(authority: Authority) -> dict[str, str]:
    """A server that speaks TLS on one port, and knows its callers by certificate if they have one."""
    certificate, key = authority.issue("server")
    return {
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.ca),
        "tls-auth-clients": "optional",
        "tls-replication": "yes",
    }


@pytest.fixture
def server(options: dict[str, str], tmp_path: Path) -> Generator[tuple[Node, int]]:
    """A server, and the port on which it speaks TLS."""
    port = free_port()
    with node(tmp_path, options={**options, "tls-port": str(port)}, binary=SERVER) as made:
        yield made, port


async def use(url: str) -> None:
    client = await connect(url, max_connections=4)
    scripts = Scripts(client)
    try:
        assert await scripts.note(partition(3), "item", b"state", 60_000) == "ok"
        assert await client.get("{t}none") is None
    finally:
        await scripts.close()
        await client.aclose()


async def test_a_server_that_the_authority_vouches_for(server: tuple[Node, int], authority: Authority) -> None:
    await use(f"rediss://127.0.0.1:{server[1]}?ca_file={authority.ca}")


async def test_a_server_under_another_name_is_refused(server: tuple[Node, int], authority: Authority) -> None:
    with pytest.raises(RedisConnectionError, match=r"(?i)certificate"):
        await use(f"rediss://localhost:{server[1]}?ca_file={authority.ca}")


async def test_a_server_nobody_vouches_for_is_refused(server: tuple[Node, int], tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    for query in (f"?ca_file={other.ca}", ""):
        with pytest.raises(RedisConnectionError, match=r"(?i)certificate"):
            await use(f"rediss://127.0.0.1:{server[1]}{query}")


async def test_plain_text_to_a_tls_port_is_refused(server: tuple[Node, int]) -> None:
    with pytest.raises(RedisError):
        await use(f"redis://127.0.0.1:{server[1]}")


async def test_a_server_that_wants_a_certificate_too(server: tuple[Node, int], authority: Authority) -> None:
    server[0].ask("CONFIG", "SET", "tls-auth-clients", "yes")
    url = f"rediss://127.0.0.1:{server[1]}?ca_file={authority.ca}"
    with pytest.raises(RedisError):
        await use(url)
    certificate, key = authority.issue("caller")
    await use(f"{url}&cert_file={certificate}&key_file={key}")


async def test_a_primary_found_by_sentinel_over_tls(
    server: tuple[Node, int], options: dict[str, str], authority: Authority, tmp_path: Path
) -> None:
    port, folder = free_port(), tmp_path / "sentinel"
    folder.mkdir()
    lines = f"sentinel monitor main 127.0.0.1 {server[1]} 1\n"
    with node(
        folder, options={**options, "tls-port": str(port)}, sentinel=True, binary=SERVER, lines=lambda _: lines
    ) as watcher:
        wait_for(lambda: watcher.ask("SENTINEL", "CKQUORUM", "main"), "the sentinel doesn't find the primary")
        await use(f"rediss+sentinel://127.0.0.1:{port}/main?ca_file={authority.ca}")
        with pytest.raises(RedisConnectionError):
            await use(f"rediss+sentinel://127.0.0.1:{port}/main")


async def test_a_cluster_over_tls(options: dict[str, str], authority: Authority, tmp_path: Path) -> None:
    port = free_port()
    own = {"tls-port": str(port), "cluster-enabled": "yes", "cluster-port": str(free_port()), "tls-cluster": "yes"}
    with node(tmp_path, options={**options, **own}, binary=SERVER) as one:
        one.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_for(lambda: "cluster_state:ok" in one.ask("CLUSTER", "INFO"), "the cluster is not whole")
        await use(f"rediss+cluster://127.0.0.1:{port}?ca_file={authority.ca}")
        with pytest.raises(RedisConnectionError, match=r"(?i)certificate"):
            await use(f"rediss+cluster://127.0.0.1:{port}")
