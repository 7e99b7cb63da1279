"""A secured Kafka: TLS by a CA of its own, SASL, client certificates, tokens, and ACLs without which nobody may do anything."""

from __future__ import annotations

import secrets
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
from tests.support.certificates import sign
from tests.support.children import child
from tests.support.tokens import Tokens

SECURED = """
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.both.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
sasl.oauthbearer.jwks.endpoint.url={keys}
sasl.oauthbearer.expected.audience=kafka
sasl.oauthbearer.expected.issuer=tests
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {plain};
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={oauth}.OAuthBearerLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class={oauth}.OAuthBearerValidatorCallbackHandler
"""
"""Behind the properties of a local broker, whose listener stays for the test itself: who comes there is a super user."""
OAUTH = "org.apache.kafka.common.security.oauthbearer"
SCRAM = {"SCRAM-SHA-256": ScramMechanism.SCRAM_SHA_256, "SCRAM-SHA-512": ScramMechanism.SCRAM_SHA_512}


class SecuredKafka:
    """One broker; each of ``users`` logs in with a mechanism, or with a certificate where it is ``SSL``.

    An endpoint on loopback gives the tokens of those with OAUTHBEARER.
    """

    def __init__(self, folder: Path, users: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.broker = Broker(folder / "kafka")
        self.users = dict(users)
        self.secrets = {user: f"{secrets.token_hex(8)}" for user in users}
        """What must be seen nowhere. A password has it in its midst, a key's password too."""
        self._ports = free_ports(2)
        self._tokens = Tokens(folder, {user: self.password(user) for user, how in users.items() if how == "OAUTHBEARER"})
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
        keys = self._tokens.keys.as_uri()
        with (self.broker.folder / "server.properties").open("a") as properties:
            properties.write(SECURED.format(**ports, folder=self.folder, plain=plain, keys=keys, oauth=OAUTH))
        command.insert(1, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={keys}")
        with self._tokens.served(), child(command, self.broker.folder / "console.log") as process:
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
        login = {"sasl_username": user, "sasl_password": self.password(user)}
        if how == "OAUTHBEARER":
            login = {"oauth_token_url": self._tokens.url, "oauth_client_id": user, "oauth_client_secret": self.password(user)}
        return KafkaSettings(
            bootstrap=f"127.0.0.1:{self._ports[0]}",
            security_protocol="SASL_SSL",
            sasl_mechanism=how,
            ssl_ca_file=ca,
            **login,
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
