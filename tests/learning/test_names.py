"""Names are checked without torch, and as those who make the things check them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from h2q.errors import InvalidInputError
from h2q.learning import backbones, losses, names


def test_the_tables_agree() -> None:
    assert sorted(names.LOSSES) == losses.names()
    assert set(names.BACKBONES) == {each for each in backbones.names() if ":" not in each}


@pytest.mark.parametrize("name", ["cel", "HyP²", "CEL", "pml:TripletMarginLoss", "own.code:Loss"])
def test_losses_that_may_exist_pass(name: str) -> None:
    names.check_loss(name)


@pytest.mark.parametrize(
    "name",
    ["vgg16", "timm:vgg16", "resnet50", "resnet50.a1_in1k", "local-dir:x", "vit_base_patch8_224",
     "tf_efficientnet_b0_ap"],
)  # fmt: skip
def test_backbones_that_may_exist_pass(name: str) -> None:
    names.check_backbone(name)


@pytest.mark.parametrize(
    ("arguments", "near"),
    [(("--loss", "cell"), "'cel'"), (("--backbone", "resnte50"), "'resnet50'"),
     (("--backbone", "timm:restnet18"), "'resnet18'")],
)  # fmt: skip
def test_a_typo_is_said_before_torch_is_imported(arguments: tuple[str, str], near: str) -> None:
    code = (
        "import sys; from click.testing import CliRunner; import typer.main\n"
        "from h2q.cli._app import app\n"
        "result = CliRunner().invoke(typer.main.get_command(app), sys.argv[1:])\n"
        "print(result.output); assert 'torch' not in sys.modules and result.exit_code"
    )
    command = [sys.executable, "-c", code, "train", "--data", "digits", "--out", "x", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert f"did you mean {near}" in done.stdout


def test_typos_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'dpsh'"):
        names.check_loss("dphs")
