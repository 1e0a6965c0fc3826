"""A benchmark's prompts in another language: a CSV file with a row for each prompt."""

from collections.abc import Iterable
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.data.label_files import read_sheet


def read_translations(path: Path, prompts: Iterable[str]) -> dict[str, str]:
    """The translation of each of the distinct `prompts`, from the columns prompt and translation.

    Raises InputError where the file cannot be read, has a prompt twice, or one that is none of these, or lacks one.
    """
    sheet = read_sheet(path, ["prompt", "translation"]).apply(lambda column: column.str.strip())
    wanted = list(dict.fromkeys(prompts))
    twice = sheet.loc[sheet["prompt"].duplicated(), "prompt"]
    if len(twice):
        raise InputError(f"{path}: prompt {twice.iloc[0][:80]!r} stands twice; keep one row")
    strange = sheet.loc[~sheet["prompt"].isin(wanted), "prompt"]
    if len(strange):
        raise InputError(
            f"{path}: {strange.iloc[0][:80]!r} is none of the benchmark's prompts ({len(strange)} such); give them as "
            "the label file has them"
        )
    found = dict(zip(sheet["prompt"], sheet["translation"], strict=True))
    missing = [prompt for prompt in wanted if prompt not in found]
    if missing:
        raise InputError(
            f"{path}: no translation of {missing[0][:80]!r} ({len(missing)} of {len(wanted)} prompts lack one); add it"
        )
    return {prompt: found[prompt] for prompt in wanted}
