"""Certificates, keys and signatures of tests, by openssl."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def sign(folder: Path, name: str, password: str | None = None) -> None:
    """``name.pem`` and ``name.key`` (PKCS #8, encrypted where there is a password) in ``folder``, signed by its ``ca.pem``."""
    if not (folder / "ca.pem").is_file():
        openssl(folder, *_NEW, "-x509", "-days", "2", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(folder, *_NEW, "-subj", f"/CN={name}", "-keyout", "plain.key", "-out", "request.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    authority = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl(folder, "x509", "-req", "-in", "request.pem", *authority, "-out", f"{name}.pem")
    encrypted = ("-v2", "aes256", "-passout", "env:PASSWORD") if password else ("-nocrypt",)
    openssl(folder, "pkcs8", "-topk8", "-in", "plain.key", *encrypted, "-out", f"{name}.key", PASSWORD=password or "")


_NEW = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(folder: Path, *arguments: str, given: bytes = b"", **environment: str) -> bytes:
    """What openssl writes, run in ``folder``."""
    done = subprocess.run(
        ["openssl", *arguments], cwd=folder, env={**os.environ, **environment}, input=given, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
