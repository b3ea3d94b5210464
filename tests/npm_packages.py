"""Packages of npm for tests: installed once into a folder of their own, or the test is skipped with why."""

import fcntl
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

import pytest

_PATIENCE_SECONDS = 90


def installed(*packages: str) -> Path:
    """The folder whose node_modules hold these packages, each named with its exact version.

    They are kept under the machine's folder of temporary files, and looked up there by what they are, so that
    the registry is asked once. Without node, npm or the registry the test that asks is skipped.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there")
    name = sha256(" ".join(sorted(packages)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tessera-npm-{Path.home().stat().st_uid}" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            _install(folder, packages)
    return folder


def _install(folder: Path, packages: tuple[str, ...]) -> None:
    (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--save-exact", *packages]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"the npm registry did not answer within {_PATIENCE_SECONDS} s")
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["no reason was told"]
        pytest.skip(f"npm could not install {' '.join(packages)}: {told[-1][:200]}")
    (folder / "done").touch()


def run_script(folder: Path, script: Path, given: str) -> str:
    """What a script of ours prints on `given`, with the packages of a folder at hand."""
    copy = folder / script.name
    copy.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        ["node", str(copy)], cwd=folder, input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
