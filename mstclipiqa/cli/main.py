"""`mstclipiqa VERB`: the command itself. Help lists its verbs by what a person wants.

The verbs import what they run when they run it, so that help and checks answer at once.
"""

import errno
import os

import click

from mstclipiqa.base.errors import MstclipiqaError
from mstclipiqa.base.text import printable
from mstclipiqa.base.version import __version__
from mstclipiqa.cli import checks, encoding, entries, extending, packs, reading, running, scores, training, verdicts

#: What the system refuses for want of room or rights, wherever that happens.
REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

#: A verb's first sentence is never cut: no sentence has so many characters.
SENTENCE = 500

#: The verbs by what a person wants, in the order of the help.
SECTIONS: dict[str, tuple[click.Command, ...]] = {
    "Check": (checks.doctor, checks.verify, checks.diff, checks.check, checks.bless),
    "Run": (running.plan, running.acquire, packs.pack, running.bundle),
    "Score": (scores.score, scores.train_head, encoding.encode_images),
    "Compare other methods": (entries.enter, entries.enter_models, entries.board, scores.run_metric),
    "Extend": (reading.import_split, extending.draw, extending.pretrain),
    "Steps of the workflow": (
        *(reading.samples, reading.split, packs.unpack),
        *(encoding.extract, encoding.encode_texts, encoding.measure),
        *(training.train, training.train_adapted, training.baselines, training.curves, training.transfer),
        *(training.probe, training.dissect, training.attend, training.efficiency, entries.admit),
        *(verdicts.evaluate, verdicts.compare, verdicts.claims, verdicts.manifest, verdicts.report),
    ),
}


class Verbs(click.Group):
    """Shows this project's errors as one line, with exit status 1 and no traceback; lists verbs by section."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except MstclipiqaError as error:
            raise click.ClickException(printable(str(error))) from None
        except click.ClickException as error:
            vars(error).update(message=printable(error.message))  # click declares it final
            raise
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            place = printable(str(error.filename or "the disk"))
            raise click.ClickException(f"{place}: {error.strerror}; make room or give rights, and run again") from None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.name or "", verb.get_short_help_str(SENTENCE)) for verb in verbs])


@click.group(cls=Verbs, context_settings={"show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Reproducibility benchmark harness for MST-CLIPIQA: each verb is a step of the workflow, or helps with it."""
    # For numpy, which no verb has loaded yet, and for worker processes: its matrices are small here, and threads would
    # wait for one another most of the time. torch has threads of its own.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


for verbs in SECTIONS.values():
    for verb in verbs:
        main.add_command(verb)
