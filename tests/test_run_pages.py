"""Pages of the pairs that a run's gallery shows."""

import pytest

import captum_fv as fv
from captum_fv.data import patch_pairs
from captum_fv.explain import write_run_pages
from captum_fv.report.gallery import choose_pairs


@pytest.mark.extended
def test_a_run_has_pages_of_its_pairs_which_its_report_links_to(tmp_path):
    siamese, pairs = fv.SiameseCosine(fv.load_backbone("demo")), patch_pairs(fv.generated_pairs(12))
    models = {"<b>demo</b>": siamese}
    settings = fv.BenchmarkSettings(stratified=False, latency_pairs=0)
    results = fv.run_benchmark(models, pairs, ["xssab", "rnd", "oracle"], tmp_path, settings)
    pages = write_run_pages(results, pairs, models, tmp_path, count=2)

    (of_model,) = pages.values()
    shown = {k for kind in choose_pairs(results.models["<b>demo</b>"]).values() for k in kind}
    assert len(of_model) == 2
    assert of_model.keys() <= shown
    report = fv.write_report(tmp_path, pairs=pairs, models=models, pair_pages=pages).read_text()
    for number, page in of_model.items():
        assert f'href="./{page}"' in report
        text = (tmp_path / page).read_text()
        assert f"pair {number}, A with patches" in text
        assert "xssab" in text
        assert "<b>demo" not in text
    assert write_run_pages(results, pairs, models, tmp_path, count=0) == {"<b>demo</b>": {}}
