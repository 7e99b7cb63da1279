"""A secured Kafka: TLS by a CA of its own, SASL, client certificates, tokens, and ACLs without which nobody may do anything."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from infra.kafka.rights import Right
from infra.kafka.settings import SECRETS, KafkaSettings, variable
from infra.local.broker import Broker, free_ports
from tests.support.children import child

SECURED = """
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.both.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {plain};
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
"""Behind the properties of a local broker, whose listener stays for the test itself: who comes there is a super user."""
SCRAM = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}


class SecuredKafka:
    """One broker; each of ``users`` logs in with a mechanism, or with a certificate where it is ``SSL``."""

    def __init__(self, folder: Path, users: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.broker = Broker(folder / "kafka")
        self.users = dict(users)
        self.secrets = {user: f"{secrets.token_hex(8)}" for user in users}
        """What must be seen nowhere. A password has it in its midst, a key's password too."""
        self._ports = free_ports(2)
        sign(folder, "broker")
        (folder / "broker.both.pem").write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
        for user in (user for user, how in users.items() if how == "SSL"):
            sign(folder, user, self.password(user))

    @contextmanager
    def running(self) -> Iterator[SecuredKafka]:
        """The broker, with its users made."""
        command = self.broker.prepare()
        plain = " ".join(f'user_{user}="{self.password(user)}"' for user, how in self.users.items() if how == "PLAIN")
        ports = {**self.broker.ports._asdict(), "sasl": self._ports[0], "tls": self._ports[1]}
        with (self.broker.folder / "server.properties").open("a") as properties:
            properties.write(SECURED.format(**ports, folder=self.folder, plain=plain))
        with child(command, self.broker.folder / "console.log") as process:
            self.broker.wait(lambda: process.poll() is None)
            with self._admin() as admin:
                made = [
                    UserScramCredentialUpsertion(user, SCRAM[how], self.password(user), iterations=4096)
                    for user, how in self.users.items()
                    if how in SCRAM
                ]
                assert not any(admin.alter_user_scram_credentials(made).values())
            yield self

    def password(self, user: str) -> str:
        """With what JAAS would end at, or read as another sign; the broker's own list of PLAIN users can't hold such."""
        return self.secrets[user] if self.users[user] == "PLAIN" else f"a\"b\\{self.secrets[user]}'; #"

    def settings(self, user: str) -> KafkaSettings:
        """How ``user`` speaks to Kafka."""
        how, ca = self.users[user], self.folder / "ca.pem"
        if how == "SSL":
            return KafkaSettings(
                bootstrap=f"127.0.0.1:{self._ports[1]}",
                security_protocol="SSL",
                ssl_ca_file=ca,
                ssl_certificate_file=self.folder / f"{user}.pem",
                ssl_key_file=self.folder / f"{user}.key",
                ssl_key_password=self.password(user),
            )
        return KafkaSettings(
            bootstrap=f"127.0.0.1:{self._ports[0]}",
            security_protocol="SASL_SSL",
            sasl_mechanism=how,
            sasl_username=user,
            sasl_password=self.password(user),
            ssl_ca_file=ca,
        )

    def client(self, user: str) -> dict[str, Any]:
        """What a kafka-python client of ``user`` is given."""
        settings = self.settings(user)
        return settings.client(str(settings.bootstrap))

    def environment(self, user: str) -> dict[str, str]:
        """The variables with which a process of ours is ``user``."""
        settings, variables = self.settings(user), dict[str, str]()
        for name in settings.model_fields_set:
            value = getattr(settings, name)
            variables[variable(name)] = value.get_secret_value() if name in SECRETS else str(value)
        return variables

    def grant(self, user: str, *rights: Right | tuple[str, str, str]) -> None:
        """Allow ``user`` to do this, and nothing else."""
        with self._admin() as admin:
            admin.create_acls(list(_acls(user, rights)))

    def revoke(self, user: str, *rights: Right | tuple[str, str, str]) -> None:
        """Take it back."""
        with self._admin() as admin:
            admin.delete_acls(list(_acls(user, rights)))

    def _admin(self) -> closing[Any]:
        return closing(KafkaAdminClient(bootstrap_servers=self.broker.bootstrap))


def _acls(user: str, rights: Iterable[Right | tuple[str, str, str]]) -> Iterator[ACL]:
    for operation, resource, name in rights:
        pattern = ResourcePattern(ResourceType[resource.upper()], name)
        yield ACL(f"User:{user}", "*", ACLOperation[operation], ACLPermissionType.ALLOW, pattern)


def sign(folder: Path, name: str, password: str | None = None) -> None:
    """``name.pem`` and ``name.key`` (PKCS #8, encrypted where there is a password) in ``folder``, signed by its ``ca.pem``."""
    if not (folder / "ca.pem").is_file():
        _openssl(folder, *_NEW, "-x509", "-days", "2", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, *_NEW, "-subj", f"/CN={name}", "-keyout", "plain.key", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    authority = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    _openssl(folder, "x509", "-req", "-in", "request.pem", *authority, "-out", f"{name}.pem")
    encrypted = ("-v2", "aes256", "-passout", "env:PASSWORD") if password else ("-nocrypt",)
    _openssl(folder, "pkcs8", "-topk8", "-in", "plain.key", *encrypted, "-out", f"{name}.key", PASSWORD=password or "")


_NEW = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(folder: Path, *arguments: str, **environment: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
