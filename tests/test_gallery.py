"""Which pairs a report shows, and that it shows what was measured; the figures over them."""

import numpy as np
import pytest
import torch

from captum_fv.data.pairs import to_tensor
from captum_fv.report.figures import REPLACED, plot_maps, plot_replacement, plot_sample_pairs
from captum_fv.report.gallery import KINDS, choose_pairs, show_pairs
from captum_fv.report.pictures import CONSTANT
from captum_fv.report.run_page import run_page_html
from tests.support.synthetic_run import GENUINE, SUBSET, measured_run, synthetic_run

RESULTS, METHODS, PAIRS_OF, SIAMESE = measured_run()
NET = RESULTS.models["net"]


@pytest.fixture(scope="module")
def shown():
    return show_pairs(NET, METHODS["net"], PAIRS_OF, choose_pairs(NET, each=3), seed=7)


def test_kinds_are_what_they_say():
    model = synthetic_run().models["net"]
    chosen = choose_pairs(model, each=5)
    match = model.patched_scores >= model.threshold
    assert list(chosen) == ["false-matches", "false-non-matches", "disagreements"]
    for number in chosen["false-matches"]:
        assert match[number]
        assert not GENUINE[number]
    for number in chosen["false-non-matches"]:
        assert not match[number]
        assert GENUINE[number]
    assert max(map(len, chosen.values())) == 5
    assert set().union(*chosen.values()) <= set(SUBSET.tolist())


def test_errors_are_spread_over_the_set():
    model = synthetic_run(methods={"fast": 0.5}).models["net"]
    errors = np.flatnonzero((model.patched_scores >= model.threshold) & ~GENUINE)
    chosen = choose_pairs(model, each=3)
    assert chosen["false-matches"][0] == errors[0]
    assert chosen["false-matches"][-1] == errors[-1]
    assert "disagreements" not in chosen  # one method has nobody to disagree with
    assert choose_pairs(model, each=1000)["false-matches"] == errors.tolist()


def test_methods_disagree_where_their_areas_differ_most():
    chosen = choose_pairs(NET, each=3)["disagreements"]
    areas = [NET.methods[name].dpr.pair_auc for name in ("fast", "xface2", "xface3")]
    spread = np.max(areas, axis=0) - np.min(areas, axis=0)
    assert sorted(spread[chosen]) == sorted(np.sort(spread)[-3:])


def test_what_is_shown_is_what_was_measured(shown):
    assert {kind for pair in shown for kind in pair.kinds} == set(KINDS)
    for pair in shown:
        assert pair.verdict.startswith("false" if pair.kinds[0] != "disagreements" else "")
        for name, explained in pair.methods.items():
            for step in (0, 2, 10, 20):
                image = to_tensor([pair.replaced(name, step)])
                with torch.no_grad():
                    score = SIAMESE(image, to_tensor([pair.img_b])).item()
                assert score == pytest.approx(explained.scores[step], abs=5e-3)  # uint8 photos
            assert explained.picture.shape == pair.img_b.shape
        np.testing.assert_array_equal(pair.replaced("rnd", 20), pair.original_a)


def test_outcome_is_the_first_right_step(shown):
    for pair in shown:
        for explained in pair.methods.values():
            right = [step for step in range(21) if not explained.wrong[step]]
            if not explained.wrong[0]:
                assert explained.outcome == "no error"
            elif right:
                assert explained.outcome == f"right at {5 * right[0]} %"
            else:
                assert explained.outcome == "never right"


def test_figure_3_shows_each_pair_in_a_column(shown):
    figure = plot_sample_pairs(shown[:4])
    images = [axis.images[0].get_array() for axis in figure.axes]
    assert len(images) == 12
    np.testing.assert_array_equal(images[1], shown[1].original_a)
    np.testing.assert_array_equal(images[5], shown[1].patched_a)
    np.testing.assert_array_equal(images[9], shown[1].img_b)
    assert f"{shown[1].clean_score:.2f} → " in figure.axes[1].get_title()


def test_figure_4_has_a_column_for_each_method(shown):
    figure = plot_maps(shown[:2])
    titles = [axis.get_title() for axis in figure.axes[:7]]
    assert titles == ["B", "A patched", "fast", "rnd", "oracle", "xface2", "xface3"]
    np.testing.assert_array_equal(
        figure.axes[7 + 3].images[0].get_array(), shown[1].methods["rnd"].picture
    )


class Flat:
    """Says nothing of any pair."""

    def attribute(self, img_a, img_b):
        return torch.full_like(img_a, 0.1), torch.full_like(img_b, 0.1)


def test_a_constant_map_is_called_so_on_cards_and_figures(shown):
    kinds = {"false-matches": [shown[0].number, shown[1].number]}
    pairs = show_pairs(NET, METHODS["net"] | {"rnd": Flat()}, PAIRS_OF, kinds, seed=7)
    page, usual = (run_page_html(RESULTS, [], {"net": some}, {}) for some in (pairs, shown))
    assert page.count(f">rnd</a> <em>{CONSTANT}</em>") == page.count(CONSTANT) == len(pairs)
    assert CONSTANT not in usual
    labels = [axis.get_xlabel() for axis in plot_maps(pairs).axes[:14]]
    assert [column % 7 for column, label in enumerate(labels) if label == CONSTANT] == [3, 3]


def test_figure_7_puts_back_what_the_maps_say(shown):
    figure = plot_replacement(shown[:2])
    columns = 2 * len(REPLACED)
    assert [axis.get_title() for axis in figure.axes[:4]] == ["0 %", "10 %", "25 %", "50 %"]
    axis = figure.axes[columns * 1 + 4 + 2]  # second method, second pair, 25 %
    np.testing.assert_array_equal(axis.images[0].get_array(), shown[1].replaced("rnd", 5))
    explained = shown[1].methods["rnd"]
    expected = f"{explained.scores[5]:.2f} {'error' if explained.wrong[5] else 'right'}"
    assert axis.get_xlabel() == expected
    assert [axis.get_ylabel() for axis in figure.axes[::columns]] == list(shown[0].methods)
