"""Installs Pants into the user's cache folder; started by ``./pants`` when it is not there yet.

Runs under the Python that Pants itself will use (3.7 to 3.9), so it imports the standard library
alone. What it leaves in the folder:

    venv/   a virtual environment with Pants
    pex     the Pex command line, built from the package index
    ready   shell assignments that ``./pants`` reads; written last, so it vouches for the rest
    lock    held while installing, so that two first starts at once do not clash
    log     what pip printed

Exit codes: 0 installed, 1 failed, 75 the package index cannot be reached.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).resolve().parent.parent / "3rdparty" / "python"
EXIT_FAILED = 1
EXIT_TRY_AGAIN = 75

# What pip 20 to 24 prints when it gets no answer, as against an answer it does not like.
UNREACHABLE = (
    "NewConnectionError",
    "Connection refused",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Read timed out",
    "ProxyError",
    "Max retries exceeded",
    "SSLError",
    "Could not fetch URL",
    "Name or service not known",
    "Temporary failure in name resolution",
)


class BootstrapError(Exception):
    """One sentence for the user, and the exit code that goes with it."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def say(text: str) -> None:
    print(f"pants: {text}", file=sys.stderr, flush=True)


def run_pip(venv: Path, log: Path, *arguments: str) -> None:
    """Run pip, showing what it collects as it goes and keeping all of it in the log."""
    command = [str(venv / "bin" / "python"), "-m", "pip", *arguments]
    command += ["--retries", "2", "--timeout", "20", "--disable-pip-version-check", "--no-input"]
    lines = []
    with (
        log.open("a") as sink,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            sink.write(line)
            lines.append(line.strip())
            if line.lstrip().startswith(("Downloading", "Using cached", "Installing collected")):
                print(f"  {line.strip()[:110]}", file=sys.stderr, flush=True)
    if process.returncode == 0:
        return
    if any(mark in line for line in lines for mark in UNREACHABLE):
        raise BootstrapError(
            "the package index cannot be reached, and the first start installs Pants from it; "
            "check the network or pip's index and proxy settings, then start again.",
            EXIT_TRY_AGAIN,
        )
    reason = next((line for line in reversed(lines) if line.startswith("ERROR")), "no reason given")
    raise BootstrapError(f"pip failed ({reason[:200]}); its output is in {log}.", EXIT_FAILED)


def locked(name: str) -> tuple[str, ...]:
    """What makes pip take the versions of 3rdparty/python/NAME-lock.txt, and check their hashes."""
    return ("--require-hashes", "-r", str(LOCKS / f"{name}-lock.txt"))


def output_of(venv: Path, *arguments: str) -> str:
    """What a Python call in the environment prints, or nothing when it fails."""
    result = subprocess.run(
        [str(venv / "bin" / "python"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return result.stdout.strip() if result.returncode == 0 else ""


def build_pex_cli(cache: Path, venv: Path, version: str) -> str:
    """Build the Pex command line from the package index; the same version gives the same bytes.

    Pex builds itself: a file made by the older Pex that Pants brings would start on no newer
    Python. Returns the line Pants compares it with: version, platform, SHA-256 and size in bytes.
    """
    wheels, library, root = cache / "wheels", cache / "pex_library", cache / "pex_root"
    log, target = cache / "log", cache / "pex"
    run_pip(venv, log, "download", "--no-deps", "-d", str(wheels), *locked("pex"))
    offline = ("--no-index", "--find-links", str(wheels))
    run_pip(venv, log, "install", "--target", str(library), *offline, f"pex=={version}")
    command = [str(venv / "bin" / "python"), "-m", "pex", f"pex=={version}", *offline]
    command += ["-c", "pex", "-o", str(target), "--python-shebang", "/usr/bin/env python"]
    command += ["--pex-root", str(root)]
    result = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(library)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    with log.open("ab") as sink:
        sink.write(result.stdout)
    if result.returncode != 0:
        raise BootstrapError(f"Pex could not be built; {log} shows why.", EXIT_FAILED)
    for folder in (wheels, library, root):
        shutil.rmtree(folder, ignore_errors=True)
    data = target.read_bytes()
    system = {"Linux": "linux", "Darwin": "macos"}.get(platform.system(), platform.system())
    machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    return f"v{version}|{system}_{machine}|{hashlib.sha256(data).hexdigest()}|{len(data)}"


def write_note(cache: Path, values: dict[str, str]) -> None:
    """Write the note in one step: it is whole or absent. It may hold an index password."""
    draft = cache / "ready.draft"
    draft.touch(mode=0o600)
    draft.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items()))
    os.replace(draft, cache / "ready")


def install(cache: Path, version: str, pex_version: str) -> None:
    venv, log = cache / "venv", cache / "log"
    if (cache / "ready").exists():
        (cache / "ready").unlink()
    shutil.rmtree(venv, ignore_errors=True)
    log.write_text("")
    say(f"first start: installing Pants {version} (about 60 MB) into {cache}")
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    run_pip(venv, log, "install", *locked("pants"))
    note = {"pants_base_python": os.environ.get("PANTS_PYTHON", "") or sys.executable}
    note["pants_index"] = output_of(venv, "-m", "pip", "config", "get", "global.index-url")
    note["pants_pex_known"] = build_pex_cli(cache, venv, pex_version)
    note["pants_pex_cli"] = str(cache / "pex")
    write_note(cache, note)
    say("installed; Pants now starts, and its first run installs what it needs from the lock")


def main(arguments: list[str]) -> int:
    cache, version, pex_version = Path(arguments[0]), arguments[1], arguments[2]
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is installing Pants; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (cache / "ready").exists():
                return 0
        install(cache, version, pex_version)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BootstrapError as error:
        say(str(error))
        sys.exit(error.code)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"Pants could not be installed: {error}.")
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        say("interrupted; the next start begins again.")
        sys.exit(130)
