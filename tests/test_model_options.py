"""The model that a command's options describe."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch

from captum_fv.cli.inputs import load_siamese, model_name
from captum_fv.cli.options import add_model_options
from captum_fv.core.vectors import unit_length
from captum_fv.siamese import SiameseCosine

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        return {"grid": x, "embedding": x.flatten(1)[:, :7]}

def build():
    return Net()

number = 3
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    return name


def loaded(*arguments: str) -> SiameseCosine:
    parser = ArgumentParser()
    add_model_options(parser)
    return load_siamese(parser.parse_args(arguments))


def test_a_function_of_ones_own_builds_the_model(own_module: str) -> None:
    siamese = loaded("--model", f"{own_module}:build", "--output", "embedding")
    assert type(siamese.backbone).__name__ == "Net"
    assert not siamese.backbone.training
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(
        siamese.embed_images(x), unit_length((x.flatten(1)[:, :7] - 0.5) / 0.5)
    )
    assert model_name(f"{own_module}:build") == "build"


def test_what_is_no_function(own_module: str) -> None:
    with pytest.raises(ValueError, match="want module:function, importable from here"):
        loaded("--model", f"{own_module}:nothing")
    with pytest.raises(ValueError, match="want module:function, importable from here"):
        loaded("--model", "nowhere_at_all:build")
    with pytest.raises(ValueError, match=r"it returned int; want an nn\.Module"):
        loaded("--model", f"{own_module}:number")
    with pytest.raises(ValueError, match=r"--channel-order: .* builds the model itself"):
        loaded("--model", f"{own_module}:build", "--channel-order", "BGR")


def test_three_numbers_for_mean_and_std(own_module: str) -> None:
    model = ("--model", f"{own_module}:build", "--output", "embedding")
    siamese = loaded(*model, "--mean", "0.4,0.5,0.6", "--std", "0.25")
    x = torch.rand(1, 3, 1, 3)  # seven numbers reach into the third channel
    normalised = (x - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / 0.25
    wanted = unit_length(normalised.flatten(1)[:, :7])
    torch.testing.assert_close(siamese.embed_images(x), wanted)
    with pytest.raises(SystemExit):
        loaded(*model, "--mean", "0.4,0.5")


def test_channel_order_of_a_program(tmp_path: Path) -> None:
    class First(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1].flatten(1)

    path = tmp_path / "first.pt2"
    batch = torch.export.Dim("batch", min=1)
    example = torch.rand(2, 3, 8, 8)
    program = torch.export.export(First().eval(), (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    x = torch.rand(2, 3, 8, 8)
    for order, channel in (("RGB", 0), ("BGR", 2)):
        siamese = loaded("--model", str(path), "--channel-order", order, "--mean", "0")
        torch.testing.assert_close(siamese.embed_images(x), unit_length(x[:, channel].flatten(1)))


def test_an_output_by_its_index(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x.flatten(1)

    path = tmp_path / "two.pt2"
    torch.export.save(torch.export.export(Two().eval(), (torch.rand(1, 3, 8, 8),)), path)
    x = torch.rand(3, 3, 8, 8)
    for index in ("1", "-1"):
        embeddings = loaded("--model", str(path), f"--output={index}").embed_images(x)
        torch.testing.assert_close(embeddings, unit_length((x.flatten(1) - 0.5) / 0.5))
