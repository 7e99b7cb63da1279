"""How Kafka is spoken to: one section of the settings, as the arguments of kafka-python and as the properties of the Java client.

A secret is in the environment alone. kafka-python is given it; the Java client is given a reference, which the operator's class
``headrace.kafka.Secrets`` resolves in the process where the client runs: what Flink shows of a job holds no secret.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, SecretStr, model_validator

from features.errors import SettingError
from features.sql.flink.options import CLIENT
from infra.section import PREFIX, Section

LOCAL_JVM = "-Xms256m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""C1 alone: C2 takes 9 to 12 s of CPU in the first 30 s of events, when Flink's compilers need the cores."""
SECURITY = f"{CLIENT}.common.security"
MODULES = {
    "PLAIN": f"{SECURITY}.plain.PlainLoginModule",
    "SCRAM-SHA-256": f"{SECURITY}.scram.ScramLoginModule",
    "SCRAM-SHA-512": f"{SECURITY}.scram.ScramLoginModule",
    "OAUTHBEARER": f"{SECURITY}.oauthbearer.OAuthBearerLoginModule",
}
"""The Java client's login modules."""
CERTIFICATE, ENCRYPTED_KEY = "CERTIFICATE", "ENCRYPTED PRIVATE KEY"
KEY = "PRIVATE KEY"
"""PKCS #8, the one form that both clients read."""


class KafkaSettings(Section):
    """Where Kafka is, how it is spoken to, and the topics that Headrace creates."""

    bootstrap: str | None = None
    """Kafka's address, `host:port`, several with commas; none: the broker of the local stack."""
    partitions: int = Field(default=2, ge=1)
    """The number of partitions of a topic that Headrace creates."""
    replication: int = Field(default=-1, ge=-1)
    """The replication factor of a topic that Headrace creates; -1: the cluster's default."""
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    """Kafka's `isolation.level`: `read_committed` leaves out what aborted Kafka transactions wrote, and waits for open
    ones to end; `read_uncommitted` reads all records as they come."""
    jvm_options: str = LOCAL_JVM
    """The options of the JVM of the local stack's broker."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How Kafka is spoken to, by the stream job and every other process (docs/secured-kafka.md)."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    """How a client proves who it is; for SASL_PLAINTEXT and SASL_SSL."""
    sasl_username: str | None = None
    """The user name for PLAIN and SCRAM."""
    sasl_password: SecretStr | None = None
    """The password for PLAIN and SCRAM, a secret: it is read from the environment only."""
    ssl_ca_file: Path | None = None
    """The certificates that sign the brokers', a PEM file, relative to the project; none: what the system and the JVM trust."""
    ssl_certificate_file: Path | None = None
    """The client's certificate with those between it and its signer, a PEM file, relative to the project; none: none is shown."""
    ssl_key_file: Path | None = None
    """The key of the client's certificate, a PEM file in PKCS #8, relative to the project."""
    ssl_key_password: SecretStr | None = None
    """The password of an encrypted `ssl_key_file`, a secret: it is read from the environment only."""
    oauth_token_url: str | None = None
    """Where OAUTHBEARER gets its tokens: an endpoint for OAuth 2 client credentials, whose certificate the system trusts."""
    oauth_client_id: str | None = None
    """The client's id at that endpoint."""
    oauth_client_secret: SecretStr | None = None
    """The client's secret at that endpoint; it is read from the environment only."""
    oauth_scope: str | None = None
    """The scope of the tokens; none: the endpoint's default."""

    @property
    def has_sasl(self) -> bool:
        """Whether a client says who it is by SASL."""
        return self.security_protocol.startswith("SASL_")

    @property
    def has_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol.endswith("SSL")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for problem in self._problems():
            raise ValueError(problem)
        return self

    def _problems(self) -> Any:
        """Combinations that cannot work, each as a line; secrets and files are looked at when a client is made."""
        protocol, mechanism = self.security_protocol, self.sasl_mechanism
        if protocol != "PLAINTEXT" and self.bootstrap is None:
            yield f"security_protocol = {protocol} is for a Kafka of your own, the local broker speaks PLAINTEXT; set bootstrap"
        if self.has_sasl and mechanism is None:
            choices = ", ".join(get_args(get_args(type(self).model_fields["sasl_mechanism"].annotation)[0]))
            yield f"security_protocol = {protocol} needs sasl_mechanism; set it to one of {choices}"
        if not self.has_sasl and mechanism:
            yield f"sasl_mechanism is for SASL_SSL and SASL_PLAINTEXT; got security_protocol = {protocol}; change one of them"
        if not self.has_tls and (files := [name for name in _SSL if getattr(self, name)]):
            yield f"{files[0]} is for SASL_SSL and SSL; got security_protocol = {protocol}; change one of them"
        if (self.ssl_certificate_file is None) != (self.ssl_key_file is None):
            yield "ssl_certificate_file and ssl_key_file go together; set both, to one file where it holds both"
        needed = ("oauth_token_url", "oauth_client_id") if mechanism == "OAUTHBEARER" else ("sasl_username",) if mechanism else ()
        for name in needed:
            if not getattr(self, name):
                yield f"sasl_mechanism = {mechanism} needs {name}; set it"
        if self.oauth_token_url and not re.match(r"https?://[^/]", self.oauth_token_url):
            yield f"oauth_token_url begins with https:// or http://; got {self.oauth_token_url}; write the whole address"

    def within(self, project: Path) -> KafkaSettings:
        """The same with its files as absolute paths."""
        files = {name: (project / getattr(self, name)).absolute() for name in _SSL if getattr(self, name)}
        return self.model_copy(update=files)

    def require(self) -> None:
        """Raise `SettingError` where a secret or a file that a client needs is missing, or one of the clients cannot read it."""
        if self.has_sasl:
            self._secret("oauth_client_secret" if self.sasl_mechanism == "OAUTHBEARER" else "sasl_password")
        if self.ssl_ca_file:
            _marked("ssl_ca_file", self.ssl_ca_file, CERTIFICATE, "keytool -exportcert -rfc writes a store's certificate as PEM")
        if self.ssl_certificate_file:
            _marked("ssl_certificate_file", self.ssl_certificate_file, CERTIFICATE, "write it as PEM")
        if self.ssl_key_file:
            advice = f"openssl pkcs8 -topk8 -in {self.ssl_key_file} -out NEW.pem writes it as PKCS #8"
            found = _marked("ssl_key_file", self.ssl_key_file, f"{ENCRYPTED_KEY}|{KEY}", advice)
            if found == ENCRYPTED_KEY:
                self._secret("ssl_key_password")

    def client(self, bootstrap: str) -> dict[str, Any]:
        """What a kafka-python client is given. Raises `SettingError` where a secret or a file is missing."""
        self.require()
        client: dict[str, Any] = {"bootstrap_servers": bootstrap.split(","), "security_protocol": self.security_protocol}
        if self.sasl_mechanism:
            client["sasl_mechanism"] = self.sasl_mechanism
        if self.sasl_mechanism == "OAUTHBEARER":
            from infra.kafka.tokens import ClientCredentials

            client["sasl_oauth_token_provider"] = ClientCredentials(
                str(self.oauth_token_url), str(self.oauth_client_id), self._secret("oauth_client_secret"), self.oauth_scope
            )
        elif self.sasl_mechanism:
            client |= {"sasl_plain_username": self.sasl_username, "sasl_plain_password": self._secret("sasl_password")}
        if self.ssl_ca_file:
            client["ssl_cafile"] = str(self.ssl_ca_file)
        if self.ssl_certificate_file:
            client |= {"ssl_certfile": str(self.ssl_certificate_file), "ssl_keyfile": str(self.ssl_key_file)}
        if self.ssl_key_password:
            client["ssl_password"] = self.ssl_key_password.get_secret_value()
        return client

    def reader(self, bootstrap: str) -> dict[str, Any]:
        """What a kafka-python consumer is given."""
        return {**self.client(bootstrap), "isolation_level": self.isolation_level}

    def properties(self) -> dict[str, str]:
        """What a Java client is given beside Kafka's address: secrets, certificate and key as references."""
        if self.security_protocol == "PLAINTEXT":
            return {}
        properties = {"security.protocol": self.security_protocol, **self._login()}
        if self.ssl_ca_file:
            properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": str(self.ssl_ca_file)}
        if self.ssl_certificate_file:
            properties |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": _reference("file", str(self.ssl_certificate_file)),
                "ssl.keystore.key": _reference("key", str(self.ssl_key_file)),
            }
        if any("${" in value for value in properties.values()):
            properties |= {"config.providers": "headrace", "config.providers.headrace.class": "headrace.kafka.Secrets"}
        return properties

    def _login(self) -> dict[str, str]:
        if self.sasl_mechanism is None:
            return {}
        login = f"{MODULES[self.sasl_mechanism]} required"
        if self.sasl_mechanism != "OAUTHBEARER":
            user, password = _escaped(str(self.sasl_username)), _reference("jaas", variable("sasl_password"))
            login += f' username="{user}" password="{password}"'
            return {"sasl.mechanism": self.sasl_mechanism, "sasl.jaas.config": f"{login};"}
        scope = {"sasl.oauthbearer.scope": self.oauth_scope} if self.oauth_scope else {}
        return {
            "sasl.mechanism": self.sasl_mechanism,
            "sasl.jaas.config": f"{login};",
            "sasl.login.callback.handler.class": f"{SECURITY}.oauthbearer.OAuthBearerLoginCallbackHandler",
            "sasl.oauthbearer.jwt.validator.class": f"{SECURITY}.oauthbearer.ClientJwtValidator",  # the default needs jose4j
            "sasl.oauthbearer.token.endpoint.url": str(self.oauth_token_url),
            "sasl.oauthbearer.client.credentials.client.id": str(self.oauth_client_id),
            "sasl.oauthbearer.client.credentials.client.secret": _reference("environment", variable("oauth_client_secret")),
            **scope,
        }

    def _secret(self, name: str) -> str:
        secret: SecretStr | None = getattr(self, name)
        if secret is None or not secret.get_secret_value():
            raise SettingError(f"kafka.{name} is a secret and is not set; set {variable(name)} in the environment")
        return secret.get_secret_value()


_SSL = ("ssl_ca_file", "ssl_certificate_file", "ssl_key_file")
SECRETS = tuple(name for name, field in KafkaSettings.model_fields.items() if SecretStr in get_args(field.annotation))
"""The keys that are secrets."""


def variable(name: str) -> str:
    """The environment variable of a key."""
    return f"{PREFIX}KAFKA__{name.upper()}"


def _reference(kind: str, name: str) -> str:
    return f"${{headrace:{kind}:{name}}}"


def _escaped(text: str) -> str:
    """As it stands between the quotes of a JAAS configuration."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _marked(name: str, file: Path, marks: str, advice: str) -> str:
    """The first of the marks, separated by ``|``, that a block of the PEM file begins with; `SettingError` where none does."""
    try:
        found = re.search(rf"-----BEGIN ({marks})-----", file.read_text(errors="replace"))
    except OSError as error:
        raise SettingError(f"kafka.{name} is a PEM file; {file} cannot be read: {error.strerror}; fix its path") from None
    if found is None:
        wanted = marks.split("|")[-1]
        raise SettingError(f"kafka.{name} is a PEM file; {file} has no '-----BEGIN {wanted}-----'; {advice}")
    return found[1]
