"""What is shipped: the locks, the wheel, the image's recipe and the scripts around them."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")


def normalised(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> dict[str, str]:
    """Each requirement's name and everything that stands with it."""
    logical_lines = (PROJECT / lock).read_text().replace("\\\n", " ").splitlines()
    entries = [line for line in logical_lines if line.strip() and not line.lstrip().startswith("#")]
    return {normalised(re.split(r"[=\s;\[]", entry, maxsplit=1)[0]): entry for entry in entries}


def pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def requirement_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return normalised(match[0])


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """A Dockerfile's instructions in order, continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE).replace("\\\n", " ")
    split = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), rest.strip()) for word, rest in split]


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    return instructions((PROJECT / "Dockerfile").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_requirement_by_hash(lock: str) -> None:
    """What is installed is byte for byte what was locked."""
    entries = locked(lock)
    assert entries
    loose = [name for name, entry in entries.items() if not re.search(r"==\S+.*--hash=sha256:[0-9a-f]{64}", entry)]
    assert loose == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host(lock: str) -> None:
    """The locks work with whatever index the installing machine uses."""
    found = re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|\s@\s", (PROJECT / lock).read_text())
    assert found is None, found


def test_what_the_project_needs_is_locked() -> None:
    """No dependency is added to pyproject.toml without `make lock`."""
    project = pyproject()
    groups = project["dependency-groups"]
    runtime = {requirement_name(requirement) for requirement in project["project"]["dependencies"] + groups["build"]}
    development = {requirement_name(requirement) for requirement in groups["dev"] if isinstance(requirement, str)}
    assert runtime - locked("requirements.lock").keys() == set()
    assert development - locked("requirements-dev.lock").keys() == set()


def test_the_two_locks_agree() -> None:
    """The tests run on the versions that are shipped."""
    shipped, tested = locked("requirements.lock"), locked("requirements-dev.lock")
    assert {name: entry.split()[0] for name, entry in shipped.items() if name in tested} == {
        name: entry.split()[0] for name, entry in tested.items() if name in shipped
    }


def test_the_wheel_holds_the_whole_package(tmp_path: Path) -> None:
    """The wheel builds without a network, and templates, styles and type marks are in it."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"),
            *("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(PROJECT)),
        ],
        check=True,
        capture_output=True,
        timeout=100,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("router/")}
    in_the_tree = {
        (Path(folder) / name).relative_to(PROJECT).as_posix()
        for folder, _, names in os.walk(PROJECT / "router", followlinks=True)
        for name in names
        if "__pycache__" not in Path(folder).parts
    }
    assert packed == in_the_tree
    assert any(name.endswith(".html") for name in packed), "the preview's templates"
    assert any(name.endswith(".css") for name in packed), "the preview's style"
    assert "router/lint/pages/OWN202.md" in packed, "what `router lint --explain` shows"


def test_the_image_is_debian(dockerfile: list[tuple[str, str]]) -> None:
    """google-re2 has wheels for glibc only."""
    images = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    assert images
    assert all(re.fullmatch(r"python:3\.1[1-4]-slim-(bookworm|trixie)", image) for image in images), images


def test_the_image_installs_the_lock_before_the_project(dockerfile: list[tuple[str, str]]) -> None:
    """A change of the project alone reuses the layer of the dependencies."""
    order = [f"{word} {rest}" for word, rest in dockerfile]
    install_lock = next(index for index, line in enumerate(order) if "--require-hashes -r requirements.lock" in line)
    copy_lock = next(index for index, line in enumerate(order) if line.startswith("COPY requirements.lock "))
    copy_project = next(index for index, line in enumerate(order) if line.startswith("COPY router "))
    install_project = next(index for index, line in enumerate(order) if "--no-deps --no-build-isolation ." in line)
    assert copy_lock < install_lock < copy_project < install_project
    assert not any(line.startswith("COPY . ") for line in order)


def test_the_image_runs_as_nobody_in_particular(dockerfile: list[tuple[str, str]]) -> None:
    """A numeric user that is not root, so that Kubernetes can check runAsNonRoot."""
    users = [rest for word, rest in dockerfile if word == "USER"]
    assert users == ["65532:65532"]
    assert [word for word, _ in dockerfile].index("USER") < [word for word, _ in dockerfile].index("ENTRYPOINT")


def test_the_image_passes_signals_and_checks_its_health(dockerfile: list[tuple[str, str]]) -> None:
    """SIGTERM reaches the router and not a shell; the health check needs nothing that the image lacks."""
    final = dict(dockerfile)
    assert final["ENTRYPOINT"] == '["router"]'
    assert final["CMD"] == '["serve"]'
    assert "/-/healthy" in final["HEALTHCHECK"]
    assert 'CMD ["python", ' in final["HEALTHCHECK"]


def test_the_image_writes_to_its_volume_only(dockerfile: list[tuple[str, str]]) -> None:
    """The root file system may be read-only: the database is on the volume and no byte code is written."""
    final = dict(dockerfile)
    assert final["VOLUME"] == "/data"
    assert "ROUTER_DATABASE=sqlite:////data/router.db" in final["ENV"]
    assert "PYTHONDONTWRITEBYTECODE=1" in final["ENV"]


def test_the_image_needs_no_more_than_docker_sends(dockerfile: list[tuple[str, str]]) -> None:
    """Whatever is copied is let through by .dockerignore, which ignores everything else."""
    let_through = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source for word, rest in dockerfile if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]
    }
    assert copied == let_through
    assert "*" in (PROJECT / ".dockerignore").read_text().splitlines()


def test_ci_is_a_script_that_bash_reads() -> None:
    """`.ci/run` can be started as it is."""
    script = PROJECT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_a_commit_is_checked_as_make_check_does() -> None:
    """The hooks call the tools of `make check`, all of them and from the same environment."""
    recipe = (PROJECT / "Makefile").read_text().split("\ncheck:", 1)[1].split("\n\n", 1)[0]
    of_make = set(re.findall(r"\$\(BIN\)/([a-z-]+)", recipe))
    hooks = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {hook["entry"].split()[0] for hook in hooks} == {f".venv/bin/{tool}" for tool in of_make}
