"""The table of Captum's methods in the docs is what running them gives, and its code runs."""

import re
from contextlib import nullcontext

import captum.attr as captum
import pytest
from captum.attr._utils.lrp_rules import IdentityRule
from torch import nn

from tests.support.captum_matrix import COLUMNS, DOCS, EXCLUDED, ROWS, line, maps_of, outcome
from tests.support.captum_subjects import subjects

TEXT = DOCS.read_text(encoding="utf-8")
TABLE = TEXT.partition("<!-- table -->\n")[2].partition("<!-- end of table -->")[0].splitlines()


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ROWS)
def test_the_table_says_what_happens(name):
    pytest.importorskip(ROWS[name].needs, reason="Lime and KernelShap need scikit-learn")
    assert line(name) in TABLE


@pytest.mark.parametrize("row", TABLE[2:], ids=list(ROWS))
def test_nothing_is_wrong_without_a_word_and_nothing_right_is_warned_of(row):
    cells = row.split(" | ")[1 : 1 + len(COLUMNS)]
    assert len(cells) == len(COLUMNS)
    assert set(cells) <= {"right", "warns", "raises"}
    # Whatever fails on a pair, or for PReLU, has a call that is right; LRP has no use for one.
    assert "LRP" in row or "right" in cells[-2:]


def unguarded(backbone, *, pair):
    return nullcontext(True)


MIXED_UP = {  # what a pair would give if nothing were checked
    "GuidedGradCam": "silently wrong",
    "NoiseTunnel(LayerGradCam)": "silently wrong",
    "LayerGradientShap": "silently wrong",
    "LayerFeatureAblation": "silently wrong",
    "LayerFeaturePermutation": "silently wrong",
    "NeuronFeatureAblation": "silently wrong",
    "LayerDeepLiftShap": "raises",
    "LayerConductance": "raises",
    "InternalInfluence": "raises",
    "LayerLRP": "raises",
    "NeuronConductance": "raises",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MIXED_UP)
def test_methods_that_mix_up_the_images_show_the_view(name, monkeypatch):
    pair, expected = subjects("ReLU", viewed=False)
    with pytest.raises(ValueError, match=r"PartnerView\(siamese\), layer\).attribute\(img_a"):
        maps_of(ROWS[name], pair)
    monkeypatch.setattr("captum_fv.siamese.model.guard", unguarded)
    assert outcome(ROWS[name], pair, expected) == MIXED_UP[name]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["DeepLift", "GuidedBackprop", "NeuronDeconvolution"])
def test_prelu_would_be_wrong_without_a_word(name, monkeypatch):
    monkeypatch.setattr("captum_fv.siamese.model.guard", unguarded)
    assert outcome(ROWS[name], *subjects("PReLU", viewed=False)) == "silently wrong"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("viewed", [False, True], ids=["pair", "view"])
def test_relevance_passes_prelu_by_the_rule_in_the_notes(viewed):
    tested, expected = subjects("PReLU", viewed)
    for module in tested.model.modules():
        if isinstance(module, nn.PReLU):
            module.rule = IdentityRule()
    assert outcome(ROWS["LRP"], tested, expected) == "right"


def test_every_method_of_captum_is_in_the_table_or_left_out_by_name():
    bases = {"Attribution", "GradientAttribution", "PerturbationAttribution"}
    bases |= {"LayerAttribution", "NeuronAttribution", "NoiseTunnel"}
    methods = {
        name
        for name in captum.__all__
        if isinstance(getattr(captum, name), type)
        and issubclass(getattr(captum, name), captum.Attribution)
    }
    assert {row.method for row in ROWS.values()} == methods - bases - EXCLUDED
    assert any(row.tunnel for row in ROWS.values())
    for name in EXCLUDED:
        assert f"`{name}`" in TEXT


@pytest.mark.filterwarnings("ignore:.*:UserWarning:captum")
def test_the_code_in_the_docs_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 8
    names = {}
    for block in blocks:
        exec(block, names)
    img_a, img_b = names["img_a"], names["img_b"]
    for one in ("map_a", "map_b", "cam_a", "cam_b"):
        assert names[one].abs().sum() > 0
    assert (names["siamese"](names["changed_a"], img_b) < names["siamese"](img_a, img_b)).all()
    assert capsys.readouterr().out.startswith("another decision after")
    assert names["cam_b"].shape[-2:] == img_b.shape[-2:]
