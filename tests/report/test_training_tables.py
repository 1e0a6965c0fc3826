from mstclipiqa.report.results_folder import read_results
from mstclipiqa.report.training_tables import parameters, recipes, timings


def test_recipes_say_which_values_their_source_does_not_state(make_results):
    shown = recipes(read_results(make_results())).shown.set_index("Setting")
    assert str(shown.loc["epochs", "Main text"]) == "20 source silent: the released code's value"
    assert str(shown.loc["lr", "Main text"]) == "5e-06 Section 4.1"
    assert str(shown.loc["epochs", "Released code"]) == "20 train.py"


def test_parameters_are_those_of_the_trained_models(make_results):
    shown = parameters(read_results(make_results())).shown
    assert list(shown["Main text"]) == ["722,561", "2,299,010"]


def test_extraction_speed(make_results):
    assert list(timings(read_results(make_results())).shown["Per second"]) == ["4.8"]
