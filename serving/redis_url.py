"""What a Redis URL may look like, so that no part of a password is ever taken for a host, a port or a path."""

from urllib.parse import urlsplit


def url_is_readable(url: str) -> bool:
    """Whether user, password, host and port of the URL are told apart; "" is.

    >>> url_is_readable("redis://app:p%2Fss@cache:6379/0"), url_is_readable("redis://app:p/ss@cache:6379/0")
    (True, False)
    """
    if not url:
        return True
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:  # its message would quote what was taken for the port
        return False
    beyond_host = parts.query + parts.fragment + ("" if parts.scheme == "unix" else parts.path)
    return "@" not in beyond_host
