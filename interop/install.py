"""Environments of their own for what others wrote, in `.interop/`, from the package indexes only.

They are made once; a change of what they are made of makes them anew. Nothing goes into `.venv`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parent / ".interop"
INSTALL_SECONDS = 900
START_SECONDS = 120
KEPT = ("PATH", "LANG", "HOME", "TMPDIR", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""What a server sees of our environment: no key and no proxy."""


class NotHere(Exception):
    """Something that can't be installed or started on this machine, and why."""


def python_with(name: str, *packages: str) -> Path:
    """The interpreter of an environment `name` that has these packages. Raises `NotHere`."""
    folder = FOLDER / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / ".made-of"
    wanted = "\n".join((sys.version, *packages))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing {', '.join(packages)}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "-qq"]
        # Only what is built already: a compiler and an hour may not be there.
        _run([*pip, "--only-binary", ":all:", *packages])
        stamp.write_text(wanted)
    return python


def node_modules() -> Path:
    """A folder with what `package.json` names, installed. Raises `NotHere`."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotHere("there is no node with npm")
    folder = FOLDER / "node"
    wanted = (HERE / "node" / "package.json").read_text()
    stamp = folder / ".made-of"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("Installing what node needs", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(wanted)
        _run(["npm", "install", "--no-fund", "--no-audit", "--ignore-scripts", "--silent"], folder)
        stamp.write_text(wanted)
    return folder


def _run(command: Sequence[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise NotHere(f"{command[0]}: {e}") from None
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        raise NotHere(f"{' '.join(command)}: {' | '.join(lines[-3:])}")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running(
    name: str, command: Sequence[str], url: str, environment: dict[str, str] | None = None
) -> Iterator[None]:
    """A server that answers at `url` while the context lasts. Raises `NotHere` if it does not.

    What it prints goes to a file in `.interop/`. Of our environment it sees what `KEPT` names.
    """
    FOLDER.mkdir(exist_ok=True)
    log = FOLDER / f"{name}.log"
    kept = {k: v for k, v in os.environ.items() if k in KEPT}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=kept | (environment or {}),
            cwd=FOLDER,
        )
        try:
            _wait_for(url, process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            tail = log.read_text(errors="replace").strip().splitlines()[-3:]
            raise NotHere(f"it ended with code {process.returncode}: {' | '.join(tail)}")
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5)
            return
        except urllib.error.HTTPError as e:
            if e.code != 503:  # which says that it is not ready yet
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise NotHere(f"it did not answer within {START_SECONDS} seconds; see {log}")
