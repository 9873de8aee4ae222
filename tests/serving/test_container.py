"""The container file, the compose file and the unit say what their readers understand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def test_the_container_file_is_sound() -> None:
    program = Path(sys.executable).with_name("hadolint")
    if not program.exists():
        pytest.skip("hadolint is not installed")
    run = subprocess.run([program, "Containerfile"], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_the_container_file_names_what_is_there() -> None:
    text = (ROOT / "Containerfile").read_text()
    for names in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for name in names.split():
            assert (ROOT / name).exists(), name
    found = re.search(r"'\.\[([\w,]+)\]'", text)
    assert found is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(found[1].split(",")) <= set(project["optional-dependencies"])


@pytest.fixture
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "compose.yaml").read_text()))


def test_the_compose_file_follows_the_specification(compose: dict[str, Any]) -> None:
    compose_spec = pytest.importorskip("compose_spec")
    read = compose_spec.PyCompose.from_yaml((ROOT / "compose.yaml").read_text())
    read.validate()
    assert sorted(read.service_names()) == sorted(compose["services"])
    # Names that only the file as a whole can tell.
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= set(compose["services"])
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in compose["volumes"]


def test_compose_starts_the_command_as_it_is(compose: dict[str, Any]) -> None:
    from typer.main import get_command

    from h2q.cli._app import app

    group: Any = get_command(app)
    for words in (compose["services"]["h2q"]["command"], _words_of_containerfile()):
        name, *rest = words
        command = group.commands[name]
        with command.make_context(name, list(rest)) as context:
            assert context.params["host"] == "0.0.0.0"  # noqa: S104 - compared


def _words_of_containerfile() -> list[str]:
    found = re.search(r"^CMD \[(.+)\]$", (ROOT / "Containerfile").read_text(), re.MULTILINE)
    assert found is not None
    return re.findall(r'"([^"]*)"', found[1])


def test_the_unit_is_understood(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    text = (ROOT / "docs" / "serving.md").read_text()
    found = re.search(r"```ini\n(\[Unit\].+?)```", text, re.DOTALL)
    assert found is not None
    # The program is where the reader will put it; here is one that is there.
    unit = found[1].replace("/opt/h2q/bin/h2q", sys.executable).replace("User=h2q", "User=root")
    path = tmp_path / "h2q.service"
    path.write_text(unit)
    run = subprocess.run([program, "verify", "--man=no", path], capture_output=True, text=True)
    complaints = [line for line in run.stderr.splitlines() if "h2q.service" in line]
    assert not complaints
