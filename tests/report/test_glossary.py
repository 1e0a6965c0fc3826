import pytest

from mstclipiqa.report.glossary import Terms


def test_terms_are_those_of_the_glossary_and_only_the_used_are_kept():
    terms = Terms()
    assert terms("main selection") == "The selection that a protocol's reported number comes from."
    assert terms("fine") == terms("coarse")
    assert "MST-CLIPIQA*" in terms.meanings
    assert list(terms.used) == ["main selection", "fine", "coarse"]
    with pytest.raises(KeyError):
        terms("word")
