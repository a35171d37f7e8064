"""Where drivers run: this environment for our own, one made from the package index for each peer
and for what this one lacks."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .drivers import Spec

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".bench"
"""Environments, certificates and logs; not part of the repository."""

_NOT_COUNTED = ("pip", "setuptools", "wheel")


class UnavailableError(Exception):
    """A driver can't run here; the text says why."""


def interpreter_of(spec: Spec) -> str:
    """The Python that runs a driver, its environment made first if there is none yet.

    Raises `UnavailableError`.
    """
    if not spec.is_peer:
        if all(importlib.util.find_spec(module) for module in spec.needs):
            return sys.executable
        return environment(f"with-{'-'.join(spec.needs)}", ("--editable", str(ROOT), *spec.needs))
    return environment(spec.name, spec.packages, spec.python)


def environment(name: str, packages: tuple[str, ...], python: tuple[int, int] = (3, 11)) -> str:
    """The interpreter of an environment with these packages. Raises `UnavailableError`."""
    home = CACHE / "env" / name
    interpreter = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = home / "installed.json"
    if done.exists() and json.loads(done.read_text("utf-8")) == list(packages):
        return str(interpreter)
    base = find_python(python)
    print(f"installing {' '.join(packages)} into {home.relative_to(ROOT)}", file=sys.stderr)
    _run([base, "-m", "venv", str(home)], name)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *packages], name)
    done.write_text(json.dumps(list(packages)), "utf-8")
    return str(interpreter)


def _run(command: list[str], what: str) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise UnavailableError(f"{what} can't be installed: {e}") from None
    if ran.returncode:
        lines = (ran.stderr or ran.stdout).strip().splitlines() or ["no reason given"]
        raise UnavailableError(f"{what} can't be installed: {lines[-1][:200]}")


def find_python(wanted: tuple[int, int]) -> str:
    """This Python if it is new enough, else one that is on the machine.

    Raises `UnavailableError`.
    """
    own: str = getattr(sys, "_base_executable", sys.executable)
    if sys.version_info >= wanted:
        return own
    names = [f"python3.{minor}" for minor in range(14, wanted[1] - 1, -1)]
    candidates = [path for path in map(shutil.which, names) if path]
    if pyenv := os.environ.get("PYENV_ROOT"):
        candidates += map(str, sorted(Path(pyenv).glob("versions/*/bin/python3"), reverse=True))
    test = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {wanted!r})"
    for candidate in candidates:
        try:
            ran = subprocess.run([candidate, "-c", test], capture_output=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if ran.returncode == 0:
            return candidate
    raise UnavailableError(f"it needs Python {wanted[0]}.{wanted[1]}, which is not found here")


def driver_variables() -> dict[str, str]:
    """The variables that drivers run with: none of the user's keys, proxies or settings."""
    keep = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH")
    variables = {name: os.environ[name] for name in keep if name in os.environ}
    home = CACHE / "home"
    home.mkdir(parents=True, exist_ok=True)
    # LiteLLM would ask the network for its price list.
    return {**variables, "HOME": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


class Closure(NamedTuple):
    """What an installation brings."""

    distributions: int
    """Besides the library itself."""
    megabytes: float
    """All of it, in 10^6 bytes, without compiled caches."""


_COUNT = """
import importlib.metadata as m, json, re, sys
skip, own = set(sys.argv[2:]), sys.argv[1]
found = {}
for d in m.distributions():
    name = re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower()
    if name not in skip:
        files = [d.locate_file(f) for f in d.files or () if "__pycache__" not in str(f)]
        found[name] = sum(f.stat().st_size for f in files if f.is_file())
print(json.dumps([len(set(found) - {own}), sum(found.values())]))
"""


def closure_of(spec: Spec) -> Closure:
    """What installing this library brings. Raises `UnavailableError`."""
    if spec.is_peer:
        python, own = interpreter_of(spec), spec.packages[0].partition("[")[0].partition("=")[0]
    else:
        shutil.rmtree(CACHE / "env" / "closure", ignore_errors=True)  # the code may have changed
        python, own = environment("closure", (str(ROOT),)), "llmwire"
    command = [python, "-c", _COUNT, own, *_NOT_COUNTED]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    count, size = json.loads(ran.stdout)
    return Closure(count, size / 1e6)


def certificates() -> tuple[Path, Path, Path] | None:
    """A certificate authority of our own, and a certificate and key that it vouches for.

    None where there is no openssl command to make them with.
    """
    home = CACHE / "tls"
    ca, ca_key, leaf, key = (home / n for n in ("ca.pem", "ca.key", "leaf.pem", "leaf.key"))
    if all(path.exists() for path in (ca, leaf, key)):
        return ca, leaf, key
    if shutil.which("openssl") is None:
        return None
    home.mkdir(parents=True, exist_ok=True)
    request, extensions = home / "leaf.csr", home / "leaf.ext"
    extensions.write_text(
        "subjectAltName=IP:127.0.0.1,DNS:localhost\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
        "utf-8",
    )
    new_key: list[Any] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    name = ["-subj", "/CN=llmwire bench"]
    signing: list[Any] = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "3650"]
    commands: list[list[Any]] = [
        ["req", "-x509", *new_key, "-days", "3650", "-keyout", ca_key, "-out", ca, *name, *usage],
        ["req", *new_key, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1"],
        ["x509", "-req", "-in", request, "-out", leaf, "-extfile", extensions, *signing],
    ]
    for command in commands:
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    return ca, leaf, key


def machine() -> dict[str, str]:
    """What the figures depend on."""
    import platform

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "system": system,
        "python": platform.python_version(),
    }
