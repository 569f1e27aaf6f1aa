"""What a packaged program must not carry, and that the check sees it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from check_pex_secrets import main

SECRET = "a-secret-of-this-machine"


def archive(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return data.getvalue()


def check(tmp_path: Path, members: dict[str, bytes]) -> int:
    """The verdict on one program with these files, in a checkout that has secrets."""
    (tmp_path / "dist").mkdir(exist_ok=True)
    program = b"#!/usr/bin/env python3\n" + archive({"app/cli.py": b"print(1)", **members})
    (tmp_path / "dist" / "app.pex").write_bytes(program)
    lines = f"# mine\nKITE_API_SECRET='{SECRET}'\nWS_BRIDGE_TOKENS=app/cli.py\nKITE_API_KEY=short\n"
    (tmp_path / ".env").write_text(
        lines + "export POSTGRES_DSN=postgresql://u:pass-of-the-db@h/d\n"
    )
    (tmp_path / "token.json").write_text(json.dumps({"access_token": "token-of-today", "n": 5}))
    return main(tmp_path / "dist", tmp_path)


def test_a_clean_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = {"configs/.env.example": b"KITE_API_SECRET=\n", "a.txt": b"short app/cli.py u h d"}
    assert check(tmp_path, clean) == 0
    assert capsys.readouterr().out == "1 programs without any of 5 secrets\n"


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"app/.env": b"A=1"}, "app.pex carries app/.env"),
        ({"token.json": b"{}"}, "app.pex carries token.json"),
        ({"a.py": SECRET.encode()}, "app.pex carries KITE_API_SECRET in a.py"),
        ({"a.py": b"x = 'token-of-today'"}, "app.pex carries access_token in a.py"),
        ({"a.py": b"pass-of-the-db"}, "app.pex carries POSTGRES_DSN in a.py"),
        ({"a.py": b"CANARY" + b"token/+=0123"}, "app.pex carries a planted secret in a.py"),
        ({"l.whl": archive({"b.py": SECRET.encode()})}, "carries KITE_API_SECRET in l.whl/b.py"),
        ({"data": archive({".env": b""})}, "app.pex carries data/.env"),
        ({"broken.zip": b"PK\x03\x04" + SECRET.encode()}, "KITE_API_SECRET in broken.zip"),
    ],
)
def test_a_program_with_a_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], members: dict[str, bytes], problem: str
) -> None:
    assert check(tmp_path, members) == 1
    shown = capsys.readouterr().out
    assert problem in shown
    assert SECRET not in shown


def test_a_program_in_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, {}) == 0
    (tmp_path / "dist" / "loose.pex" / "deps").mkdir(parents=True)
    (tmp_path / "dist" / "loose.pex" / "deps" / "a.py").write_text(SECRET)
    assert main(tmp_path / "dist", tmp_path) == 1
    assert "loose.pex carries KITE_API_SECRET in deps/a.py" in capsys.readouterr().out


def test_no_program_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path, tmp_path) == 1
    assert "there is no program in" in capsys.readouterr().out
