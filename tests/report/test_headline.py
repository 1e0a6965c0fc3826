import json
import re

from mstclipiqa.report import headline
from mstclipiqa.report.results_folder import read_results


def test_a_drawn_suite_has_cards_of_the_papers_numbers_and_of_counts(read_judged):
    cards = {card.title: card for card in headline.cards(read_judged(synthetic=("agiqa-3k",)))}
    gains = cards["Gains over LIQE"]
    assert gains.verdict == "contradicted"
    assert dict(gains.found)["Printed numbers"] == "contradicted, 8 of 8"
    assert dict(gains.found)["Runs here"].startswith("untestable (drawn stand-in")
    assert "the paper's own tables say +3.11 over LIQE" in gains.evidence  # furthest from what is printed: 2.35
    counted = cards["About 0.8 M parameters"]
    assert dict(counted.found) == {"Counted here": "not reproduced, 2 of 2"}
    assert "2,299,010 counted" in counted.evidence


def test_the_gravest_verdict_is_the_cards(read_judged):
    def decide(document):
        for row in document["claims"]:
            if row["id"].startswith("two-scales-better") and row["counts"]:
                row["verdict"] = "consistent" if row["kind"] == "arithmetic" else "reproduced"
            if row["id"].startswith("gain-two-scales") and row["counts"]:
                row["verdict"] = "consistent" if row["kind"] == "arithmetic" else "inconclusive"

    card = next(card for card in headline.cards(read_judged(decide)) if card.title.startswith("Two scales"))
    assert card.verdict == "inconclusive"
    assert dict(card.found)["Runs here"].startswith("inconclusive, 2 of ")


def test_findings_are_those_of_claims_labels_and_prior_results(read_judged):
    results = read_judged()
    gains, counted, leaked, rival = headline.findings(results)
    assert gains.startswith("All 10 gains") and "1.11 and 1.50; 0.89 and 1.29" in gains
    assert counted.startswith("0.72 M and 2.30 M parameters")
    assert leaked.endswith("under lab-seed1: AGIQA-3K 100 %.")  # 12 of 12 in the folder of the tests
    assert rival.endswith("the stated gains over it are 0.0089–0.0111.")
    rows = json.loads((results.root / "claims.json").read_text())["claims"]
    (row,) = [row for row in rows if row["id"] == "more-than-a-split/MST-CLIPIQA/agiqa-3k/quality/srcc"]
    spread = re.search(r"the SD of LIQE is (\S+),", row["reason"])[1]
    assert f"{spread} on AGIQA-3K" in rival


def test_drawn_labels_say_nothing_of_leakage(read_judged):
    assert not any(
        "prompt was also in training" in line for line in headline.findings(read_judged(synthetic=("agiqa-3k",)))
    )


def test_without_claims_there_is_no_card(make_results):
    results = read_results(make_results())
    assert headline.cards(results) == headline.findings(results) == []


def test_the_first_screen_answers_what_was_claimed_and_found_on_which_data_and_how_sure(read_judged):
    answers = dict(headline.answers(read_judged()))
    assert list(answers) == ["Claimed", "Found", "Data", "How sure"]
    assert answers["Claimed"].startswith("Two frozen CLIP encoders")
    rows = json.loads((read_judged().root / "claims.json").read_text())["claims"]
    printed = [row["verdict"] for row in rows if row["counts"] and row["kind"] == "arithmetic"]
    assert f"{printed.count('contradicted')} contradicted" in answers["Found"]
    assert f"Of the paper’s {sum(row['counts'] for row in rows)} claims" in answers["Found"]
    assert "AGIQA-3K (60 images), rated by people" in answers["Data"]
    drawn = dict(headline.answers(read_judged(synthetic=("agiqa-3k",))))
    assert "drawn images and simulated raters" in drawn["Data"]
    assert "no image of a benchmark was used" in drawn["How sure"]


def test_without_claims_the_data_are_told(make_results):
    assert [asked for asked, _ in headline.answers(read_results(make_results()))] == ["Data"]


def test_what_rests_on_counts_alone_is_said_to_be_counted():
    assert headline.source_of("arithmetic", []) == "Printed numbers"
    assert headline.source_of("parameters", []) == "Counted here"
    assert headline.source_of("mechanism", ["efficiency.parquet"]) == "Counted here"
    assert headline.source_of("mechanism", ["efficiency.parquet", "metrics.parquet"]) == "Runs here"
    assert headline.source_of("mechanism", ["agiqa-3k/runs/quality/converged/mst-clipiqa.parquet"]) == "Runs here"
