"""Certificates for tests: an authority, what it signs, and an authority that nobody trusts. Made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_DAYS = "2"


@dataclass(frozen=True)
class Signed:
    """A certificate and its key, as PEM files, and both in one."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A self-signed authority whose files lie in `folder`."""

    def __init__(self, folder: Path, *, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self.certificate = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", _DAYS, "-subj", f"/CN={name}"),
            *(
                "-addext",
                "basicConstraints=critical,CA:TRUE",
                "-addext",
                "keyUsage=critical,keyCertSign,cRLSign",
            ),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def sign(self, name: str, *, hosts: str = "IP:127.0.0.1,DNS:localhost") -> Signed:
        """A certificate that names `hosts`."""
        key, request, signed, extensions = (
            self._folder / f"{self._name}-{name}.{ending}" for ending in ("key", "csr", "pem", "ext")
        )
        extensions.write_text(f"subjectAltName={hosts}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", _DAYS, "-extfile", str(extensions), "-out", str(signed)),
        )
        both = self._folder / f"{self._name}-{name}-both.pem"
        both.write_text(key.read_text() + signed.read_text())
        return Signed(certificate=signed, key=key, both=both)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
