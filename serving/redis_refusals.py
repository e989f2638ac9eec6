"""Why a server refuses: what it or the client library said, as the error that tells an operator what to do."""

import ssl

from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError

from serving.errors import NotPermitted, StoreRefused, UntrustedStore, WrongCredentials

_IN_SCRIPT = ("NOPERM", "ACL failure in script", "No permissions to access a key")


def refusal(error: Exception, *, address: str) -> StoreRefused:
    """What to raise for an error that repeating will not cure."""
    if is_distrust(error):
        return UntrustedStore(f"the certificate of {address} is not trusted: {_innermost(error)}")
    if isinstance(error, NoPermissionError) or any(told in str(error) for told in _IN_SCRIPT):
        return NotPermitted(f"{address} does not permit this user: {error}")
    if isinstance(error, AuthenticationError | AuthorizationError):
        return WrongCredentials(
            f"{address} refused the credentials: {error}. Check REDIS_URL, user name and password"
        )
    return StoreRefused(f"{address} answered {type(error).__name__}: {error}")


def is_distrust(error: BaseException) -> bool:
    """Whether the error comes from a certificate that did not pass."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _innermost(error: BaseException) -> BaseException:
    return _causes(error)[-1]


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in found:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found
