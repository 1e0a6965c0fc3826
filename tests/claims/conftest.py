import pytest
from config_files import CLAIMS, PAPER_TABLES, RECIPES

from mstclipiqa.claims.paper import load_claims, read_paper
from mstclipiqa.model.recipes import load_recipe


@pytest.fixture(scope="module")
def claims():
    return {claim.id: claim for claim in load_claims(CLAIMS, PAPER_TABLES)}


@pytest.fixture(scope="module")
def document():
    return read_paper(CLAIMS, PAPER_TABLES).document


@pytest.fixture(scope="module")
def recipe():
    return load_recipe(RECIPES / "released_code.yaml")
