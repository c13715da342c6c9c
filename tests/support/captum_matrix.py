"""Every method of Captum on a pair, compared with a model of two unshared copies.

`python -m tests.support.captum_matrix` writes the table in docs/captum_methods.md anew.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import captum.attr as captum
import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.captum_tools import split_layer_maps
from tests.support.captum_subjects import Subject, subjects

DOCS = Path(__file__).resolve().parents[2] / "docs" / "captum_methods.md"
COLUMNS = {  # backbone, and whether the model is a PartnerView
    "pair, ReLU": ("ReLU", False),
    "view, ReLU": ("ReLU", True),
    "pair, PReLU": ("PReLU", False),
    "view, PReLU": ("PReLU", True),
    "pair, unfolded": ("PReLU unfolded", False),
    "view, unfolded": ("PReLU unfolded", True),
}


@dataclass(frozen=True)
class Row:
    """A method, how it is called, and which of the notes in the docs go with it.

    An option that is a function is given the subject. `joint`: one call attributes several layers.
    """

    method: str
    options: dict[str, Any]
    notes: str = ""
    tunnel: bool = False
    joint: bool = False
    needs: str = "captum"

    @property
    def kind(self) -> type:
        return getattr(captum, self.method)

    @property
    def of(self) -> str:
        """What the maps are of."""
        if issubclass(self.kind, captum.NeuronAttribution):
            return "neuron"
        return "layer" if issubclass(self.kind, captum.LayerAttribution) else "image"

    def attribute(self, subject: Subject, layer: Any) -> Any:
        if self.method == "DataLoaderAttribution":
            return over_data(subject)
        layered = self.of != "image" or self.method == "GuidedGradCam"
        method = self.kind(subject.model, *([layer] if layered else []))
        method = captum.NoiseTunnel(method) if self.tunnel else method
        options = {
            name: value(subject) if callable(value) else value
            for name, value in self.options.items()
        }
        return method.attribute(subject.inputs, additional_forward_args=subject.extra, **options)


def over_data(subject: Subject) -> Any:
    """FeatureAblation of a sum of scores over a DataLoader."""
    given = subject.inputs if isinstance(subject.inputs, tuple) else (subject.inputs,)
    extra = () if subject.extra is None else (subject.extra[0].detach(),)
    data = torch.utils.data.TensorDataset(*given, *extra)
    return captum.DataLoaderAttribution(captum.FeatureAblation(subject.model)).attribute(
        torch.utils.data.DataLoader(data, batch_size=2),
        input_roles=(0,) * len(given) + (1,) * len(extra),
        feature_mask=subject.feature_mask,
        reduce=lambda total, scores, inputs: scores.sum() + (0 if total is None else total),
    )


BASE = {"baselines": lambda subject: subject.baselines}
SEVERAL = {"baselines": lambda subject: subject.several_baselines}
MASK = {"feature_mask": lambda subject: subject.feature_mask}
HALVES = {"feature_mask": lambda subject: subject.halves}
STEPS = {"n_steps": 4, **BASE}
TOGETHER = {"perturbations_per_eval": 8}
SAMPLES = {"n_samples": 24, **BASE, **MASK, **TOGETHER}
WINDOW = {
    "sliding_window_shapes": lambda subject: subject.each((3, 8, 8)),
    "strides": lambda subject: subject.each((3, 6, 6)),
}
NOISE = {"nt_samples": 3, "stdevs": 0.1}
CHANNELS = {"layer_mask": torch.arange(6).reshape(1, 6, 1, 1).repeat(1, 1, 5, 4)}
NEURON = {"neuron_selector": (3, 2, 2)}

ROWS = {
    "Saliency": Row("Saliency", {}),
    "InputXGradient": Row("InputXGradient", {}),
    "IntegratedGradients": Row("IntegratedGradients", {**STEPS, "internal_batch_size": 4}, "1"),
    "GradientShap": Row("GradientShap", SEVERAL, "1"),
    "DeepLift": Row("DeepLift", BASE, "1, 2, 3"),
    "DeepLiftShap": Row("DeepLiftShap", SEVERAL, "1, 2, 3"),
    "GuidedBackprop": Row("GuidedBackprop", {}, "2"),
    "Deconvolution": Row("Deconvolution", {}, "2"),
    "GuidedGradCam": Row("GuidedGradCam", {}, "2, 4"),
    "LRP": Row("LRP", {}, "5"),
    "FeatureAblation": Row("FeatureAblation", {**BASE, **MASK, **TOGETHER}, "6"),
    "FeaturePermutation": Row("FeaturePermutation", MASK, "6, 7"),
    "Occlusion": Row("Occlusion", {**BASE, **WINDOW}),
    "ShapleyValues": Row("ShapleyValues", {**BASE, **HALVES, **TOGETHER}, "1, 6"),
    "ShapleyValueSampling": Row("ShapleyValueSampling", SAMPLES | {"n_samples": 3}, "1, 6"),
    "Lime": Row("Lime", SAMPLES, "6", needs="sklearn"),
    "KernelShap": Row("KernelShap", SAMPLES, "1, 6", needs="sklearn"),
    "DataLoaderAttribution": Row("DataLoaderAttribution", {}, "6"),
    "NoiseTunnel(Saliency)": Row("Saliency", NOISE, tunnel=True),
    "NoiseTunnel(IntegratedGradients)": Row(
        "IntegratedGradients", {**NOISE, **STEPS, "nt_type": "vargrad"}, "1", tunnel=True
    ),
    "NoiseTunnel(LayerGradCam)": Row("LayerGradCam", NOISE, "4", tunnel=True),
    "LayerActivation": Row("LayerActivation", {}, "8"),
    "LayerGradientXActivation": Row("LayerGradientXActivation", {}, "8"),
    "LayerGradCam": Row("LayerGradCam", {}, "8"),
    "LayerIntegratedGradients": Row("LayerIntegratedGradients", STEPS, "1, 8", joint=True),
    "LayerDeepLift": Row("LayerDeepLift", BASE, "1, 2, 3, 8"),
    "LayerDeepLiftShap": Row("LayerDeepLiftShap", SEVERAL, "2, 3, 4"),
    "LayerGradientShap": Row("LayerGradientShap", SEVERAL, "4"),
    "LayerConductance": Row("LayerConductance", STEPS, "4"),
    "InternalInfluence": Row("InternalInfluence", STEPS, "4"),
    "LayerFeatureAblation": Row("LayerFeatureAblation", CHANNELS, "4"),
    "LayerFeaturePermutation": Row("LayerFeaturePermutation", CHANNELS, "4, 7"),
    "LayerLRP": Row("LayerLRP", {}, "4, 5"),
    "NeuronGradient": Row("NeuronGradient", NEURON, "9"),
    "NeuronIntegratedGradients": Row("NeuronIntegratedGradients", {**NEURON, **STEPS}, "9"),
    "NeuronGradientShap": Row("NeuronGradientShap", {**NEURON, **SEVERAL}, "9"),
    "NeuronDeepLift": Row("NeuronDeepLift", {**NEURON, **BASE}, "2, 9"),
    "NeuronDeepLiftShap": Row("NeuronDeepLiftShap", {**NEURON, **SEVERAL}, "2, 9"),
    "NeuronGuidedBackprop": Row("NeuronGuidedBackprop", NEURON, "2, 9"),
    "NeuronDeconvolution": Row("NeuronDeconvolution", NEURON, "2, 9"),
    "NeuronConductance": Row("NeuronConductance", {**NEURON, **STEPS}, "4, 9"),
    "NeuronFeatureAblation": Row("NeuronFeatureAblation", {**NEURON, **BASE, **MASK}, "4, 9"),
}

# The docs say why.
EXCLUDED = {"LimeBase", "LLMAttribution", "LLMGradientAttribution", "RemoteLLMAttribution"}


def maps_of(row: Row, subject: Subject) -> list[Tensor]:
    """The maps of each image, from however many layers and calls."""
    layers: list[Any] = [subject.layers] if row.joint else subject.layers
    found: list[Tensor] = []
    for layer in layers if row.of == "layer" else layers[:1]:
        torch.manual_seed(0)
        np.random.seed(0)
        result = row.attribute(subject, layer)
        while isinstance(result, list | tuple) and len(result) == 1:
            (result,) = result
        found += result if isinstance(result, list | tuple) else [result]
    found = [maps[0] if isinstance(maps, tuple) else maps for maps in found]
    if row.of == "layer" and isinstance(subject.inputs, tuple) and len(found) == 1:
        found = list(split_layer_maps(found[0]))
    return found


def outcome(row: Row, tested: Subject, expected: dict[str, Subject]) -> str:
    """How the method fares: the word for the table, or one that must never stand there."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            maps = maps_of(row, tested)
        except (ValueError, TypeError, RuntimeError, AttributeError):
            return "raises"
        warned = any(warning.filename == __file__ for warning in caught)
        of = "relevance" if "LRP" in row.method else row.of
        reference = maps_of(row, expected[of])
    assert all(want.any() for want in reference)
    right = len(maps) == len(reference) and all(
        got.shape == want.shape
        and torch.allclose(got, want, rtol=1e-3, atol=1e-4 * float(want.abs().max()))
        for got, want in zip(maps, reference, strict=True)
    )
    if right:
        return "warns though right" if warned else "right"
    return "warns" if warned else "silently wrong"


def line(name: str) -> str:
    """The row of the table."""
    cells = [outcome(ROWS[name], *subjects(*column)) for column in COLUMNS.values()]
    return f"| {' | '.join([f'`{name}`', *cells, ROWS[name].notes])} |"


def write() -> None:
    """Put the table into the docs in place of the old one."""
    before, _, rest = DOCS.read_text(encoding="utf-8").partition("<!-- table -->\n")
    _, _, after = rest.partition("<!-- end of table -->\n")
    head = f"| {' | '.join(['method', *COLUMNS, 'notes'])} |\n|{' --- |' * (len(COLUMNS) + 2)}\n"
    table = head + "".join(f"{line(name)}\n" for name in ROWS)
    DOCS.write_text(
        f"{before}<!-- table -->\n{table}<!-- end of table -->\n{after}", encoding="utf-8"
    )


if __name__ == "__main__":
    write()
