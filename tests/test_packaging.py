"""What is in the distributions, and what their metadata says."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest

import swcalls

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_dependencies_are_the_three() -> None:
    assert [re.split(r"[><=]", name)[0] for name in PROJECT["dependencies"]] == ["aiohttp", "msgspec", "yarl"]


def test_the_version_is_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    found = [
        path
        for folder in ("swcalls", "examples", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if f'"{swcalls.__version__}"' in path.read_text()
    ]
    assert found == [ROOT / "swcalls/__init__.py"]


def test_the_type_marker_is_there() -> None:
    assert (ROOT / "swcalls/py.typed").exists()


@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling, the build backend")
def test_the_wheel_holds_the_package_and_the_sdist_what_belongs_to_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)], cwd=ROOT, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = f"swcalls-{swcalls.__version__}.dist-info"
        assert {name.partition("/")[0] for name in names} == {"swcalls", info}
        assert {f"{info}/licenses/LICENSE", "swcalls/py.typed"} <= set(names)
        assert not [name for name in names if "__pycache__" in name]
        metadata = message_from_bytes(archive.read(f"{info}/METADATA"))
        entry_points = archive.read(f"{info}/entry_points.txt").decode()
    assert metadata["Version"] == swcalls.__version__
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True) == (ROOT / "README.md").read_bytes()
    assert "swcalls = swcalls.cli:main" in entry_points
    assert "swcalls = swcalls.pytest_plugin" in entry_points
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        tops = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    folders = {"swcalls", "tests", "examples", "benchmarks", ".github"}
    assert tops - {"PKG-INFO", ".gitignore"} == {*folders, "README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml"}
