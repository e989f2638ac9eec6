"""What to do about a server that refuses, by why it does."""

import ssl

from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailedError,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)

from serving.errors import NotPermitted, StoreError, UntrustedStore, WrongCredentials

START_BROKER = "start the broker, or correct KAFKA_BOOTSTRAP_SERVERS and the KAFKA_ security settings"


def redis_advice(error: Exception) -> str:
    """For a store that does not work."""
    match error:
        case WrongCredentials():
            return "correct REDIS_USERNAME and REDIS_PASSWORD (or those in REDIS_URL), or the server's ACL"
        case NotPermitted():
            return "give the user the commands and key patterns of docs/security.md (Redis), under REDIS_PREFIX"
        case UntrustedStore():
            return (
                "set REDIS_SSL_CA_CERTS to the authority that signed the server's certificate, and use the name in "
                "it in REDIS_URL"
            )
        case StoreError():
            return "start the server, or correct REDIS_URL, REDIS_PASSWORD and the REDIS_SSL_ settings"
        case _:
            return "correct the REDIS_ settings"
