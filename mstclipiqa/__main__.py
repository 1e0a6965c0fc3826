"""`python -m mstclipiqa`: the command line, also where only the dependencies are installed."""

from mstclipiqa.cli.main import main

main()
