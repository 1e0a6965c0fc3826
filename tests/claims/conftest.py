import pytest
from config_files import CLAIMS, PAPER_TABLES, PRIOR_RESULTS, RECIPES

from mstclipiqa.claims.paper import load_claims, read_paper
from mstclipiqa.model.recipes import load_recipe


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_claims(CLAIMS, PAPER_TABLES, PRIOR_RESULTS)}


@pytest.fixture(scope="module")
def document():
    return read_paper(CLAIMS, PAPER_TABLES, PRIOR_RESULTS).document


@pytest.fixture(scope="module")
def recipe():
    return load_recipe(RECIPES / "released_code.yaml")
