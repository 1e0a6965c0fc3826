"""What the verbs say."""

import click

from mstclipiqa.base.text import printable


def echo(text: object, err: bool = False) -> None:
    """Print lines of text, on the standard error if so asked. What a terminal would act on is shown, not obeyed."""
    click.echo("\n".join(map(printable, str(text).split("\n"))), err=err)
