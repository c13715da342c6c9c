"""Scoring functions and backbones that write on their input: the caller's tensors stay."""

import pytest
import torch
from torch import nn

from captum_fv.attr import (
    CentrePrior,
    CorrelationRiseAttribution,
    FeatureGuidedGradient,
    IntegratedArgumentGradient,
    OcclusionPairAttribution,
    PairInteraction,
    SensitivityControl,
    SimilarityArgumentGradient,
)
from captum_fv.metrics import decision_patch_replacement
from captum_fv.siamese import SiameseCosine
from captum_fv.siamese.scoring import ask_scores
from tests.support.nets import random_pair, small_siamese

BACKBONE = small_siamese().backbone


def pure(img_a, img_b):
    return nn.functional.cosine_similarity(BACKBONE(img_a * 2 - 1), BACKBONE(img_b * 2 - 1))


def in_place(img_a, img_b):
    return nn.functional.cosine_similarity(
        BACKBONE(img_a.mul_(2).sub_(1)), BACKBONE(img_b.mul_(2).sub_(1))
    )


class InPlace(nn.Module):
    def forward(self, images):
        return BACKBONE(images.mul_(2).sub_(1))


class Embedder:
    """A model of somebody's own, which is no SiameseCosine."""

    def __init__(self, writes):
        self.writes = writes

    def __call__(self, img_a, img_b):
        return nn.functional.cosine_similarity(*self.embed(img_a, img_b))

    def embed(self, img_a, img_b):
        return self.embed_images(img_a), self.embed_images(img_b)

    def embed_images(self, images):
        images = images.mul_(2).sub_(1) if self.writes else images * 2 - 1
        return nn.functional.normalize(BACKBONE(images))


class PairEmbedder(Embedder):
    """One that embeds pairs alone."""

    def __init__(self, writes):
        super().__init__(writes)
        self._embed, self.embed_images = self.embed_images, None

    def embed(self, img_a, img_b):
        return self._embed(img_a), self._embed(img_b)


EMBEDDING = {
    "xface": lambda model: OcclusionPairAttribution(model, patch_sizes=(5,), fill=0.0),
    "corrrise": lambda model: CorrelationRiseAttribution(model, num_masks=12, fill=0.0),
    "xssab": lambda model: SimilarityArgumentGradient(model, 0.1),
    "iag": lambda model: IntegratedArgumentGradient(model, 0.1),
    "fggb": lambda model: FeatureGuidedGradient(model, 0.1),
    "interaction": lambda model: PairInteraction(model, (2, 2), masks=16),
}


@pytest.mark.parametrize("name", EMBEDDING)
@pytest.mark.parametrize("kind", [Embedder, PairEmbedder])
def test_an_embedder_of_ones_own_that_writes_changes_nothing(name, kind):
    pair = random_pair(2)
    before = [image.clone() for image in pair]
    torch.manual_seed(0)
    found = EMBEDDING[name](kind(writes=True)).attribute(*pair)
    assert all(map(torch.equal, pair, before))
    torch.manual_seed(0)
    torch.testing.assert_close(found, EMBEDDING[name](Embedder(writes=False)).attribute(*pair))


SCORERS = {"function": in_place, "backbone": SiameseCosine(InPlace().eval())}
ASKING = {
    "scores": lambda score, pair: ask_scores(score, *pair),
    "sensitivity": lambda score, pair: SensitivityControl(score, 0.1).attribute(*pair),
    "prior": lambda score, pair: CentrePrior(score, 0.1).attribute(*pair),
    "xface": lambda score, pair: OcclusionPairAttribution(
        score, variant=2, patch_sizes=(5,), fill=0.0
    ).attribute(*pair),
    "dpr": lambda score, pair: torch.from_numpy(
        decision_patch_replacement(
            score, pair, pair[0].flip(0), pair[0] - pair[1], 0.1, [True, False]
        ).scores
    ),
}


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("name", ASKING)
def test_what_writes_on_its_input_changes_nothing(name, scorer):
    pair = random_pair(2)
    before = [image.clone() for image in pair]
    answer = ASKING[name](SCORERS[scorer], pair)
    assert all(map(torch.equal, pair, before))
    expected = ASKING[name](pure, pair)
    torch.testing.assert_close(answer, expected)
