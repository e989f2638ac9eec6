"""What to do about a server that refuses, by why it does."""

from serving.errors import NotPermitted, StoreError, UntrustedStore, WrongCredentials
from streams.kafka_refusal import Refusal

_BROKER = {
    Refusal.CREDENTIALS: "correct KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM, or the user on "
    "the broker",
    Refusal.CERTIFICATE: "set KAFKA_SSL_CAFILE to the authority that signed the broker's certificate, and use the "
    "name in it in KAFKA_BOOTSTRAP_SERVERS",
    Refusal.TLS: "set KAFKA_SECURITY_PROTOCOL to what the broker's listener at this port speaks; a listener that asks "
    "for certificates needs KAFKA_SSL_CERTFILE and KAFKA_SSL_KEYFILE",
    Refusal.AWAY: "start the broker, or correct KAFKA_BOOTSTRAP_SERVERS and the KAFKA_ security settings",
}


def broker_advice(refusal: Refusal) -> str:
    """For a broker that does not let us in."""
    return _BROKER[refusal]


def redis_advice(error: StoreError) -> str:
    """For a store that does not work."""
    match error:
        case WrongCredentials():
            return "correct REDIS_USERNAME and REDIS_PASSWORD (or those in REDIS_URL), or the server's ACL"
        case NotPermitted():
            return (
                "give the user the commands and key patterns of docs/security.md (Redis), under REDIS_PREFIX"
            )
        case UntrustedStore():
            return (
                "set REDIS_SSL_CA_CERTS to the authority that signed the server's certificate, and use the name in it "
                "in REDIS_URL"
            )
        case _:
            return "start the server, or correct REDIS_URL, REDIS_PASSWORD and the REDIS_SSL_ settings"
