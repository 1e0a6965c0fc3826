import pandas as pd
import pytest
from results_beside import write_attention
from scipy.stats import entropy

from mstclipiqa.report.attention import attention, found_of_attention, summarise_attention
from mstclipiqa.report.results_folder import read_results


def test_evenness_is_the_entropy_as_a_share_of_the_greatest():
    weights = {"a": [0.7, 0.2, 0.1], "b": [0.25] * 4}
    table = pd.DataFrame(
        [(image, k, "t", weight) for image, own in weights.items() for k, weight in enumerate(own)],
        columns=["image", "position", "token", "weight"],
    )
    found = summarise_attention(table)
    assert found["evenness"] == pytest.approx((entropy(weights["a"], base=3) + 1) / 2)
    assert found == pytest.approx(
        {**found, "start": (0.7 + 0.25) / 2, "end": (0.1 + 0.25) / 2, "even": (1 / 3 + 1 / 4) / 2}
    )


def test_the_table_says_how_even_each_run_attends(make_results):
    root = make_results()
    assert attention(read_results(root)) is None and found_of_attention(read_results(root)) == ""
    write_attention(root)
    table = attention(read_results(root))
    assert list(table.shown["Target"]) == ["AGIQA-3K, quality"]
    row = table.full.iloc[0]
    assert 0 < row["evenness"] < 0.99 and (row["start"], row["even"]) == (pytest.approx(0.1), 0.25)
    sentence = found_of_attention(read_results(root))
    assert f"evenness {row['evenness']:.3f} of 1, α = 0.0500." in sentence and "shrinks" not in sentence


def test_a_sentence_says_that_and_why_no_token_is_told_apart(make_results):
    root = make_results()
    write_attention(root, even=True, norms={"initial": 20.0, "trained": 0.0})
    results = read_results(root)
    results.manifest["recipes"]["released_code"]["values"]["weight_decay"] = 0.001
    sentence = found_of_attention(results)
    assert "all tokens weigh the same, α = 0.0500." in sentence
    assert "and Adam’s weight decay of 0.001 is left. So its runs do not tell what a prompt is worth" in sentence
    results.manifest["recipes"]["released_code"]["values"]["weight_decay"] = 0
    assert "shrinks" not in found_of_attention(results)
