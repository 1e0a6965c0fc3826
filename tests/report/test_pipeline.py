from dataclasses import replace

from mstclipiqa.report.pipeline import pipeline
from mstclipiqa.report.results_folder import read_results


def test_the_drawing_has_this_suites_encoders_and_counts(make_results, monkeypatch):
    results = read_results(make_results(probe=True))
    told = []
    monkeypatch.setattr("mstclipiqa.report.pipeline._box", lambda ax, *rest: told.append(" ".join(map(str, rest[4:6]))))
    figure = pipeline(results)
    text = "; ".join(told)
    assert "CLIP ViT-B/32, OpenAI weights; 512 dimensions" in text and "224 × 224 pixels" in text
    assert "MST-CLIPIQA; 722,561 parameters" in text and "MST-CLIPIQA*; 2,299,010 parameters" in text
    mean = next(iter(results.probes.values())).metadata["gates"]["trained"]["mean"]
    assert f"mean g {mean:.2f}" in text
    assert "fine: CLIP ViT-B/16, OpenAI weights" in figure.alt


def test_without_runs_and_probe_the_numbers_are_left_out(make_results):
    results = read_results(make_results(present={}))
    assert pipeline(results).svg
    lone = replace(
        results, manifest=results.manifest | {"encoders": {"coarse": results.manifest["encoders"]["coarse"]}}
    )
    assert pipeline(lone) is None
