"""Text of others: what a terminal, a table or a file would act on is shown, not obeyed."""

import re

#: What moves a terminal's cursor, colours it, turns the direction of text, or has no bytes in UTF-8.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


#: Characters that a name, a prompt or a path may have. CLIP reads 77 tokens; the longest prompt of the benchmarks has
#: 1,184 characters. The time of its tokenizer grows with the square of a word's length: 0.3 s for one of this many.
MOST_CHARACTERS = 4000

#: What no name, prompt or path may hold: control characters, but for tabs and line ends in prompts, and surrogates, as
#: which Python reads bytes that are not UTF-8.
UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
LINE_ENDS = re.compile("[\t\n\r\u2028\u2029]")


def find_fault(text: str, one_line: bool = False) -> str | None:
    """Why a text is not taken, to stand behind it in a message; None where it is. `one_line` forbids tabs and line
    ends too, as in a name."""
    if len(text) > MOST_CHARACTERS:
        return f"has {len(text):,} characters, more than {MOST_CHARACTERS:,}"
    if found := UNFIT.search(text):
        return "is not UTF-8" if found[0] >= "\ud800" else "holds a control character"
    return "holds a tab or a line end" if one_line and LINE_ENDS.search(text) else None


def printable(text: str) -> str:
    """The text on one line, as any terminal shows it and any file holds it: what else is in it stands as its escape.

    It is for what others wrote: names of files, cards, replies of servers.
    """
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def inert(text: str) -> str:
    """Text for a cell of a CSV file, which a spreadsheet would run as a formula if it began with one of these."""
    try:
        float(text)
    except ValueError:
        return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return text
