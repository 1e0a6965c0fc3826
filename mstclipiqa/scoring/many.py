"""Scores of any number of images: a table per part of them, see `encoders.streaming`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import digest, read_description, write_table
from mstclipiqa.base.records import Record
from mstclipiqa.base.text import find_fault
from mstclipiqa.encoders.clip import hash_weights
from mstclipiqa.encoders.streaming import Counts, Prepared, read_record, stream
from mstclipiqa.scoring.scorer import Scorer


def score_many(
    scorer: Scorer,
    paths: Sequence[Path | str],
    folder: Path,
    prompt: str | None = None,
    part_size: int = 5000,
    batch_size: int = 32,
    shard: tuple[int, int] = (1, 1),
) -> Counts:
    """Score every record of `paths` into Parquet files in `folder`, with the columns of `Scorer.score`.

    `prompt` is that of the records that have none of their own. Raises InputError as `streaming.stream` does.
    """
    if prompt and (fault := find_fault(prompt)):
        raise InputError(f"--prompt {fault}; give the text that the images were generated from")
    return stream(_Scores(scorer, folder, (prompt or "").strip()), paths, part_size, batch_size, shard, "score")


class _Scores:
    """The work: what is prepared of a record is its pixels and its prompt; the rows of a batch are a table."""

    ending = ".parquet"

    def __init__(self, scorer: Scorer, folder: Path, prompt: str):
        self.scorer, self.folder, self.prompt = scorer, folder, prompt
        self.texts: set[str] = set()
        heads = {target: digest([head.card, hash_weights(head.model)]) for target, head in scorer.heads.items()}
        self.folders: Mapping[Path, dict] = {folder: {"heads": heads, "prompt": prompt}}

    def prepare(self, record: Record) -> Any:
        text = ""
        if self.scorer.reads_prompt:
            text = record.read_prompt() or self.prompt
            if not text:
                raise InputError(f"{record.name}: no prompt, which a head here reads; give the text it was made from")
        return self.scorer.prepare(read_record(record)), text

    def finish(self, batch: list[Prepared]) -> pd.DataFrame:
        decoded = [found if isinstance(found, InputError) else found[0] for _, found in batch]
        texts = ["" if isinstance(found, InputError) else found[1] for _, found in batch]
        self.texts |= {text for text in texts if text}
        return self.scorer.tabulate([record.name for record, _ in batch], decoded, texts)

    def write(self, name: str, batches: list[pd.DataFrame], digest: str) -> int:
        table = pd.concat(batches, ignore_index=True)
        table["error"] = table["error"].astype("string")  # text in every part, also where no record failed
        failed = int(table["error"].notna().sum())
        self.scorer.count_truncated(self.texts)
        self.texts.clear()
        write_table(self.folder / f"{name}{self.ending}", table, {"digest": digest, "failed": failed})
        return failed

    def read_description(self, path: Path) -> dict:
        return read_description(path)
