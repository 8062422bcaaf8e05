"""What is shipped: wheel, source archive, pins, and the versions they claim."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import leukoscope

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# torch itself names the exact versions of these, and only some of its builds need them.
CUDA = re.compile(r"nvidia-|cuda-|triton")


def reached(requirements: Iterable[str]) -> dict[str, Version]:
    """Follow requirements to every installed distribution that they bring along."""
    found: dict[str, set[str]] = {}
    waiting = [Requirement(text) for text in requirements]
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        extras = {"", *wanted.extras} | found.get(name, set())
        if extras == found.get(name) or CUDA.match(name):
            continue
        found[name] = extras
        waiting += needs(name, extras)
    return {name: Version(importlib.metadata.version(name)) for name in found}


def needs(name: str, extras: set[str]) -> Iterator[Requirement]:
    """List what an installed distribution needs here, with these extras."""
    for text in importlib.metadata.requires(name) or ():
        wanted = Requirement(text)
        marker = wanted.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield wanted


def pins() -> dict[str, Version]:
    """Read the constraints file."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            wanted = Requirement(line)
            (pin,) = wanted.specifier
            assert pin.operator == "=="
            if wanted.marker is None or wanted.marker.evaluate():
                found[canonicalize_name(wanted.name)] = Version(pin.version)
    return found


def test_every_dependency_is_pinned() -> None:
    """What the project, its extras and its build reach is pinned, at the version installed here."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    named = [*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]]
    installed = reached([*named, *(text for extra in extras for text in extra)])
    pinned = pins()
    assert installed.keys() - pinned.keys() == set()
    differing = {name for name in installed if installed[name].public != pinned[name].public}
    assert differing == set()


def test_one_version_everywhere() -> None:
    """The package, the citation and the newest entry of the change log name one version."""
    version = PROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## \[(\d[^]]*)\]", changes, re.MULTILINE)
    assert leukoscope.__version__ == version
    assert citation["version"] == version
    assert released[:1] == [version]
    assert citation["license"] == PROJECT["project"]["license"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source archive, and the wheel from it, into one folder."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def only(folder: Path, pattern: str) -> Path:
    """Find the one file of this pattern."""
    (found,) = folder.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(archives: Path) -> None:
    """Every file of the package, data as well as code, and the licence are in the wheel."""
    with zipfile.ZipFile(only(archives, "*.whl")) as wheel:
        names = set(wheel.namelist())
    source = ROOT / "src"
    kept = {path for path in source.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped == {path.relative_to(source).as_posix() for path in kept}
    version = PROJECT["project"]["version"]
    assert f"leukoscope-{version}.dist-info/licenses/LICENSE" in names


def test_the_source_archive_can_be_worked_on(archives: Path) -> None:
    """The source archive holds tests, scripts, pins, documents and the licence."""
    with tarfile.open(only(archives, "*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {path.name for path in ROOT.glob("*.md")} | {
        *("LICENSE", "CITATION.cff", "constraints.txt", "pyproject.toml"),
        *("scripts/setup", "scripts/demo", "scripts/test", "scripts/check", ".importlinter"),
        *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")),
        *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("tests/**/*.py")),
    }
    assert expected - names == set()


def lend(names: Iterable[str], site: Path) -> None:
    """Link the packages of installed distributions into another environment."""
    for name in names:
        distribution = importlib.metadata.distribution(name)
        tops = {file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(distribution.locate_file(top))))


def test_the_wheel_works_without_extras(archives: Path, tmp_path: Path) -> None:
    """In an environment with only the bare dependencies, the wheel's command shows its help.

    The dependencies are lent from this environment, so that the test needs no network; what
    belongs to an extra, torch above all, is not there.
    """
    venv.create(tmp_path / "env", with_pip=False)
    bare = tmp_path / "env" / "bin" / "python"
    site = only(tmp_path / "env" / "lib", "python*") / "site-packages"
    lend(reached(PROJECT["project"]["dependencies"]), site)
    install = [sys.executable, "-m", "pip", "--python", str(bare), "install", "--no-deps"]
    wheel = str(only(archives, "*.whl"))
    subprocess.run([*install, "--no-index", "--quiet", wheel], check=True)
    assert subprocess.run([bare, "-c", "import torch"], capture_output=True, check=False).returncode
    command = [str(bare.with_name("leukoscope")), "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "train" in result.stdout
    shutil.rmtree(tmp_path / "env")
