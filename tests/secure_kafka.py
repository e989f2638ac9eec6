"""Apache Kafka as a careful shop runs it: SASL and TLS listeners, users, and nothing allowed without an ACL."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from streams.kafka_admin import admin_client
from streams.kafka_home import KafkaHome
from streams.kafka_settings import KafkaSettings
from streams.processes import free_port
from tests.certificates import Authority

DOCUMENT = Path(__file__).parents[1] / "docs" / "security.md"
PASSWORDS = {
    "recommender": "correct-horse-battery",
    "learner": "staple-of-the-learner",
    "encoder": "vectors-only-please",
    "operator": "chooses-among-adapters",
    "storefront": "shop-window-1912",
    "stranger": "nothing-at-all",
}
_PROPERTIES = """\
listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller_port}},\
SASL_PLAINTEXT://127.0.0.1:{sasl},SASL_SSL://127.0.0.1:{sasl_tls},SSL://127.0.0.1:{tls}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},SASL_PLAINTEXT://127.0.0.1:{sasl},\
SASL_SSL://127.0.0.1:{sasl_tls},SSL://127.0.0.1:{tls}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,\
SASL_SSL:SASL_SSL,SSL:SSL
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.ssl.ssl.client.auth=required
listener.name.ssl.ssl.principal.mapping.rules=RULE:^CN=(.*?)$/$1/
"""
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required {users};"


@dataclass(frozen=True)
class SecureKafka:
    """A running broker: its listeners, and the authority whose certificate it shows."""

    admin: KafkaSettings  # without password: the super user
    authority: Authority
    ports: Mapping[str, int]  # by security protocol

    def settings(
        self, *, user: str, protocol: str = "SASL_PLAINTEXT", mechanism: str = "SCRAM-SHA-512", **more: Any
    ) -> KafkaSettings:
        """How `user` connects."""
        given: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{self.ports[protocol]}",
            "partitions": 4,
            "security_protocol": protocol,
        }
        if protocol.startswith("SASL"):  # with a certificate alone the user is its name
            given |= {
                "sasl_mechanism": mechanism,
                "sasl_username": user,
                "sasl_password": PASSWORDS[user],
            }
        if protocol.endswith("SSL"):
            given["ssl_cafile"] = str(self.authority.certificate)
        return KafkaSettings.model_validate(given | more)

    def allow(self, acls: Iterable[ACL]) -> None:
        """Add these."""
        with admin_client(self.admin) as client:
            result = client.create_acls(list(acls))
        assert result["failed"] == [], result["failed"]


def acl(user: str, *, on: str, name: str, operation: str) -> ACL:
    """One permission: `on` TOPIC or GROUP, `operation` READ, WRITE and so on."""
    return ACL(
        principal=f"User:{user}",
        host="*",
        operation=ACLOperation[operation],
        permission_type=ACLPermissionType.ALLOW,
        resource_pattern=ResourcePattern(ResourceType[on], name, ACLResourcePatternType.LITERAL),
    )


def documented_acls() -> list[ACL]:
    """Those of docs/security.md: a line is user, operation, kind and names."""
    [block] = re.findall(r"```kafka-acls\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    lines = [line.split() for line in block.splitlines()]
    return [
        acl(user, on=kind, name=name, operation=operation)
        for user, operation, kind, *names in lines
        for name in names
    ]


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """The broker of KAFKA_HOME with the users of PASSWORDS, who may do nothing yet."""
    authority = Authority(folder)
    ports = {protocol: free_port() for protocol in ("SASL_PLAINTEXT", "SASL_SSL", "SSL")}
    text = _PROPERTIES.format(
        sasl=ports["SASL_PLAINTEXT"],
        sasl_tls=ports["SASL_SSL"],
        tls=ports["SSL"],
        keystore=authority.sign("broker").both,
        truststore=authority.certificate,
    )
    users = " ".join(f'user_{name}="{password}"' for name, password in PASSWORDS.items())
    for listener in ("sasl_plaintext", "sasl_ssl"):
        text += f"listener.name.{listener}.plain.sasl.jaas.config={_PLAIN.format(users=users)}\n"
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            text += f"listener.name.{listener}.{mechanism}.sasl.jaas.config={_SCRAM}\n"
    with KafkaHome(Path(os.environ["KAFKA_HOME"]), folder=folder / "kafka", properties=text) as home:
        admin = KafkaSettings(bootstrap_servers=home.bootstrap_servers, partitions=4)
        with admin_client(admin) as client:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                made = [
                    UserScramCredentialUpsertion(name, mechanism, password=password)
                    for name, password in PASSWORDS.items()
                ]
                answer = client.alter_user_scram_credentials(made)
                assert not any(answer.values()), answer
        yield SecureKafka(admin=admin, authority=authority, ports=ports)
