"""A suite without an experiment has no table and no figure of it."""

from mstclipiqa.report import by_generator, intervals, learning_rates, page, protocol_audit, rivals
from mstclipiqa.report.results_folder import read_results


def test_a_suite_without_controls_has_none_of_it(make_results):
    results = read_results(make_results())
    made = page.make_tables(results)
    assert not {"baselines", "heads_against_ridge", "prompts", "learning_rates", "transfer"} & set(made)
    assert rivals.baselines(results) is learning_rates.learning_curves(results) is None


def test_without_statistics_there_is_the_audit_alone(make_results):
    results = read_results(make_results())
    assert protocol_audit.protocol_audit(results) is not None and not results.statistics
    found = intervals.intervals(results), intervals.paired_tests(results), by_generator.by_generator(results)
    assert found == (None, None, None)


def test_without_runs_there_is_nothing(make_results):
    results = read_results(make_results(present={}))
    made = page.make_tables(results)
    assert not {"intervals", "paired_tests", "protocol_audit", "by_generator"} & set(made)
