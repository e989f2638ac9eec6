"""Valkey as a careful shop runs it: no user without a password, each with the ACL of docs/security.md, and TLS."""

import re
import select
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from streams.embedded import EmbeddedRedis
from tests.certificates import Authority

DOCUMENT = Path(__file__).parents[1] / "docs" / "security.md"
PASSWORDS = {
    "headwater": "valkey-pass-7%@/#",
    "headwater-doctor": "doctor-pass-11",
    "storefront": "window-pass-13",
    "administrator": "root-pass-17",
}
_ADMINISTRATOR = "user administrator on >PASSWORD ~* &* +@all"


def documented_users() -> list[str]:
    """The lines of the ACL file in docs/security.md."""
    [block] = re.findall(r"```acl\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


class SecureRedis(EmbeddedRedis):
    """An embedded server with an ACL file, for users of PASSWORDS; nobody else gets in."""

    def __init__(self, *, prefix: str = "hw", users: Sequence[str] | None = None) -> None:
        super().__init__()
        self._prefix = prefix
        self._users = users

    def command(self, port: int, *, folder: Path) -> Sequence[str]:
        lines = [*(self._users or documented_users()), _ADMINISTRATOR]
        text = "\n".join(_for_prefix(_with_password(line), prefix=self._prefix) for line in lines)
        (folder / "users.acl").write_text(text + "\n")
        return [*super().command(port, folder=folder), "--aclfile", str(folder / "users.acl")]

    def answers(self, port: int) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"-NOAUTH")
        except OSError:
            return False


def _with_password(line: str) -> str:
    user = line.split()[1]
    return line.replace(">PASSWORD", f">{PASSWORDS[user]}") if user in PASSWORDS else line


def _for_prefix(line: str, *, prefix: str) -> str:
    return line.replace("~hw:", f"~{prefix}:")


@contextmanager
def tls_in_front(
    port: int, *, authority: Authority, mutual: bool = False, hosts: str = "IP:127.0.0.1"
) -> Iterator[int]:
    """A port that speaks TLS and hands on to `port`: Valkey's wheel is built without TLS, stunnel does the same.

    mutual: only clients with a certificate of the authority get through. hosts: what its own certificate names.
    """
    signed = authority.sign("redis", hosts=hosts)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(signed.certificate, signed.key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, context, port), daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(5)


def _accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            raw, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(raw, context, port), daemon=True).start()


def _relay(raw: socket.socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),  # a client that does not trust us ends the handshake
        raw,
        context.wrap_socket(raw, server_side=True) as near,
        socket.create_connection(("127.0.0.1", port)) as far,
    ):
        while True:
            ready = [near] if near.pending() else select.select([near, far], [], [])[0]
            for side in ready:
                data = side.recv(65_536)
                if not data:
                    return
                (far if side is near else near).sendall(data)
