"""A Python that has loaded the libraries: it runs each job of a workflow in a fork of itself.

To start Python and to load torch and open_clip takes more time than most jobs of the tests compute. A fork loads the
package itself, from where the job's PYTHONPATH says. A job is no child of the run that calls it: who kills the run
leaves the job alone.

    python -SE tests/preloaded.py SOCKET -m mstclipiqa ...    what bash calls in place of `python`
    python tests/preloaded.py NUMBER                          what answers, on a socket that it inherits
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
#: Modules of the package that load all libraries between them.
HEAVY = ["analyses.probe", "claims.verdicts", "provenance.manifest", "report.page", "training.job"]


@contextlib.contextmanager
def preloaded() -> Iterator[dict[str, str]]:
    """Start it; it loads the libraries at the first call. Gives what a bash needs in its environment to call it."""
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        address, functions = Path(folder) / "socket", Path(folder) / "functions.sh"
        functions.write_text(f"python() {{ '{sys.executable}' -SE '{__file__}' '{address}' \"$@\"; }}\n")
        listener.bind(str(address))
        listener.listen()
        number, environment = listener.fileno(), os.environ | {"PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, __file__, str(number)]
        # It ends when its input does, also where this process is killed.
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[number], env=environment):
            yield {"BASH_ENV": str(functions)}


def serve(listener: socket.socket) -> int:
    """Fork for each call until the input ends. In a fork, the exit status of its job."""
    import select

    loaded = False
    while 0 not in select.select([listener, 0], [], [])[0]:
        connection, _ = listener.accept()
        if not loaded:
            load()
            loaded = True
        if not os.fork():
            return run(connection)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    return 0


def load() -> None:
    """Load the libraries, and forget the package."""
    import gc
    import importlib

    for name in HEAVY:
        importlib.import_module(f"mstclipiqa.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "mstclipiqa"]:
        del sys.modules[name]
    gc.collect()
    gc.freeze()  # a fork whose collector looks at an object copies its page


def run(connection: socket.socket) -> int:
    """Take the caller's streams, folder and environment, run the module that it names, and tell it how that ended."""
    import runpy

    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    call = json.loads(connection.makefile().readline())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    sys.path[:2] = [call["folder"], *os.environ["PYTHONPATH"].split(os.pathsep)]  # of tests/ and of the repository
    _, module, *arguments = call["arguments"]
    sys.argv = [module, *arguments]
    code: object = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code
    finally:
        status = code if isinstance(code, int) else int(bool(code))
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
        connection.sendall(str(status).encode())
    return status


def call(address: str, arguments: list[str]) -> int:
    """Have `-m MODULE ...` run with this process's streams, folder and environment. Its exit status."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b" "], [0, 1, 2])
        said = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        connection.sendall(json.dumps(said).encode() + b"\n")
        return int(connection.makefile().read() or 1)


if __name__ == "__main__":
    sys.exit(call(sys.argv[1], sys.argv[2:]) if sys.argv[2:] else serve(socket.socket(fileno=int(sys.argv[1]))))
