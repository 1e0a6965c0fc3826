"""Text that stays text in LaTeX, and compiles without further packages or fonts."""

import functools
import re
import unicodedata

from pylatexenc.latexencode import UnicodeToLatexEncoder

from mstclipiqa.base.text import printable

#: Any letter as a macro, so that every TeX engine takes it; one without a macro as its number.
TO_LATEX = UnicodeToLatexEncoder(unknown_char_policy="unihex", unknown_char_warning=False)

#: The macros that LaTeX itself has in its first font encoding, in text and in mathematics. Those of other letters, such
#: as Cyrillic ones and angled quotes, need packages that a reader's document may not load.
IN_TEXT = (
    "AE H L O OE ae c i l o oe r ss u v textasciiacute textasciibreve textasciicaron textasciicircum "
    "textasciidieresis textasciimacron textasciitilde textasteriskcentered textbackslash textbrokenbar textbullet "
    "textcelsius textcent textcopyright textcurrency textdagger textdaggerdbl textdegree textdiv textdownarrow "
    "textellipsis textemdash textendash texteuro textexclamdown textflorin textfractionsolidus textleftarrow textlnot "
    "textmu textnumero textonehalf textonequarter textonesuperior textordfeminine textordmasculine textparagraph "
    "textperiodcentered textperthousand textquestiondown textquotedblleft textquotedblright textquoteleft "
    "textquoteright textreferencemark textregistered textrightarrow textsection textsterling textthreequarters "
    "textthreesuperior texttimes texttrademark texttwosuperior textuparrow textyen"
)
IN_MATHEMATICS = (
    "Delta Gamma Lambda Leftarrow Leftrightarrow Omega Phi Pi Psi Rightarrow Sigma Theta Xi aleph alpha angle approx "
    "asymp beta bigcap bigcup bullet cap cdot cdots chi circ cong coprod cup delta diamond ell epsilon equiv eta "
    "exists forall gamma geq gg hbar in infty int iota kappa lambda langle lceil leftrightarrow leq lfloor ll mapsto "
    "mathbf mathit mid mp mu nabla neq ni not notin nu oint omega ominus oplus oslash otimes parallel partial perp "
    "phi pi pm prec preceq prod propto psi rangle rceil rfloor rho sigma sim simeq sqrt star subset subseteq succ "
    "succeq sum supset supseteq tau theta times top upsilon varepsilon varphi varpi varrho varsigma vartheta vdots "
    "vee wedge xi zeta"
)


def latex_text(value: object) -> str:
    """Text that stays text in LaTeX, on one line. A letter that LaTeX itself does not have stands as its number."""
    text = unicodedata.normalize("NFC", printable(" ".join(str(value).split())))
    text = "".join(map(_latex_letter, text))
    # At the beginning of a row these two would be read as arguments of the line break before.
    return "{}" + text if text.startswith(("[", "*")) else text


@functools.cache
def _latex_letter(letter: str) -> str:
    found = TO_LATEX.unicode_to_latex(letter)
    if letter.isascii():
        return found
    before, mathematics, _ = found.partition(r"\ensuremath{")
    known = f"ensuremath {IN_MATHEMATICS}" if mathematics and not before else IN_TEXT
    if not found.isascii() or not set(re.findall(r"\\([A-Za-z]+)", found)) <= set(known.split()):
        return rf"\ensuremath{{\langle}}\texttt{{U+{ord(letter):04X}}}\ensuremath{{\rangle}}"
    return found
