"""How Kafka is spoken to: what the two clients are given, and what is refused before they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from features.errors import SettingError
from infra.kafka.settings import KafkaSettings
from infra.settings import load_settings, read_settings, secrets, write_settings

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n"
SCRAM = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": 'o"\\scar'}
OAUTH = {
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "OAUTHBEARER",
    "oauth_token_url": "https://id/token",
    "oauth_client_id": "headrace",
    "oauth_scope": "kafka",
}
FILES = {"ssl_ca_file": "ca.pem", "ssl_certificate_file": "own.pem", "ssl_key_file": "own.key"}
SECRET = 'hunter2"\\'  # noqa: S105 - a test's
VARIABLES = ("SASL_PASSWORD", "SSL_KEY_PASSWORD", "OAUTH_CLIENT_SECRET")
HIDDEN = {f"HEADRACE_KAFKA__{name}": f"{SECRET}{number}" for number, name in enumerate(VARIABLES)}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with certificates and a key, and every secret in the environment."""
    for name, text in (("ca.pem", CERTIFICATE), ("own.pem", CERTIFICATE), ("own.key", KEY)):
        (tmp_path / name).write_text(text)
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def kafka(project: Path, **keys: Any) -> KafkaSettings:
    """The section with these keys."""
    return load_settings(project, kafka={"bootstrap": "a:1", **keys}).kafka


def refused(project: Path, **keys: Any) -> str:
    """The one line that refuses these keys, at the latest when a client is made."""
    with pytest.raises(SettingError) as caught:
        kafka(project, **keys).client("a:1")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


def test_scram_is_the_same_for_both_clients(project: Path) -> None:
    """kafka-python is given the password, the Java client a reference to it; the user name is quoted for JAAS."""
    settings = kafka(project, **SCRAM, **FILES)
    assert settings.client("a:1,b:2") == {
        "bootstrap_servers": ["a:1", "b:2"],
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": 'o"\\scar',
        "sasl_plain_password": f"{SECRET}0",
        "ssl_cafile": str(project / "ca.pem"),
        "ssl_certfile": str(project / "own.pem"),
        "ssl_keyfile": str(project / "own.key"),
        "ssl_password": f"{SECRET}1",
    }
    security = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"
    login = 'username="o\\"\\\\scar" password="${headrace:jaas:HEADRACE_KAFKA__SASL_PASSWORD}";'
    assert settings.properties() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f"{security}.scram.ScramLoginModule required {login}",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(project / "ca.pem"),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": f"${{headrace:file:{project / 'own.pem'}}}",
        "ssl.keystore.key": f"${{headrace:key:{project / 'own.key'}}}",
        "config.providers": "headrace",
        "config.providers.headrace.class": "headrace.kafka.Secrets",
    }


def test_oauth_is_the_same_for_both_clients(project: Path) -> None:
    """Endpoint, id and scope are settings; the Java client is given a reference to the secret."""
    settings = kafka(project, **OAUTH)
    assert type(settings.client("a:1")["sasl_oauth_token_provider"]).__name__ == "ClientCredentials"
    properties = settings.properties()
    told = {key.removeprefix("sasl.oauthbearer."): value for key, value in properties.items() if "oauthbearer." in key}
    assert told == {
        "jwt.validator.class": "org.apache.flink.kafka.shaded.org.apache.kafka.common.security.oauthbearer.ClientJwtValidator",
        "token.endpoint.url": "https://id/token",
        "client.credentials.client.id": "headrace",
        "client.credentials.client.secret": "${headrace:environment:HEADRACE_KAFKA__OAUTH_CLIENT_SECRET}",
        "scope": "kafka",
    }
    assert properties["sasl.jaas.config"].endswith(".OAuthBearerLoginModule required;")


def test_plaintext_says_nothing_to_the_java_client(project: Path) -> None:
    """The SQL of a local stack stays as it is."""
    assert kafka(project).properties() == {}


def test_no_secret_is_written_or_shown(project: Path) -> None:
    """Processes have secrets from their environment alone; what is written or printed of the settings holds none."""
    settings = load_settings(project, kafka={"bootstrap": "a:1", **SCRAM, **FILES})
    write_settings(settings, project / "settings.json")
    assert "hunter2" not in repr(settings) + settings.model_dump_json() + (project / "settings.json").read_text()
    assert read_settings(project / "settings.json") == settings
    assert secrets(settings) == HIDDEN


@pytest.mark.parametrize("name", ["sasl_password", "ssl_key_password", "oauth_client_secret"])
def test_no_secret_is_taken_from_the_file(project: Path, name: str) -> None:
    """A file is committed and copied."""
    (project / "headrace.toml").write_text(f'[kafka]\n{name} = "hunter2"\n')
    message = refused(project)
    assert f"kafka.{name} is a secret; set HEADRACE_KAFKA__{name.upper()} in the environment instead" in message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"security_protocol": "SASL_SSL"}, "security_protocol = SASL_SSL needs sasl_mechanism; set it to one of PLAIN, SCRAM-"),
        (
            {"sasl_mechanism": "PLAIN", "sasl_username": "me"},
            "sasl_mechanism is for SASL_SSL and SASL_PLAINTEXT; got security_pr",
        ),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI"}, "'SCRAM-SHA-512' or 'OAUTHBEARER'; got 'GSSAPI'"),
        ({"security_protocol": "TLS"}, "'SASL_PLAINTEXT' or 'SASL_SSL'; got 'TLS'"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN"}, "sasl_mechanism = PLAIN needs sasl_username; set it"),
        ({**OAUTH, "oauth_client_id": None}, "sasl_mechanism = OAUTHBEARER needs oauth_client_id; set it"),
        (
            {**OAUTH, "oauth_token_url": "id/token"},
            "oauth_token_url begins with https:// or http://; got id/token; write the whole",
        ),
        ({**OAUTH, "oauth_token_url": "file:///t"}, "oauth_token_url begins with https:// or http://; got file:///t; write the"),
        ({"ssl_ca_file": "ca.pem"}, "ssl_ca_file is for SASL_SSL and SSL; got security_protocol = PLAINTEXT"),
        ({"security_protocol": "SSL", "ssl_key_file": "own.key"}, "ssl_certificate_file and ssl_key_file go together"),
        ({"security_protocol": "SSL", "bootstrap": None}, "the local broker speaks PLAINTEXT; set bootstrap"),
        ({"security_protocol": "SSL", "ssl_ca_file": "no.pem"}, "no.pem cannot be read: No such file or directory; fix its path"),
        ({"security_protocol": "SSL", "ssl_ca_file": "own.key"}, "own.key has no '-----BEGIN CERTIFICATE-----'; keytool"),
        (
            {"security_protocol": "SSL", "ssl_certificate_file": "own.pem", "ssl_key_file": "own.pem"},
            "own.pem has no '-----BEGIN PRIVATE KEY-----'; openssl pkcs8 -topk8",
        ),
    ],
)
def test_what_cannot_work_is_refused(project: Path, keys: dict[str, Any], message: str) -> None:
    """In one line, before anything is started."""
    assert message in refused(project, **keys)


@pytest.mark.parametrize("keys", [SCRAM, OAUTH, {"security_protocol": "SSL", **FILES}])
def test_a_missing_secret_is_named(project: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]) -> None:
    """When a client is made: a plan can be read without; an encrypted key's password is never asked for on a terminal."""
    (project / "own.key").write_text(KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"))
    for name in HIDDEN:
        monkeypatch.delenv(name)
    assert kafka(project, **keys).properties()
    assert " is a secret and is not set; set HEADRACE_KAFKA__" in refused(project, **keys)
