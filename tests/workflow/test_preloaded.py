"""The Python that the workflow's tests have in place of their own: a job under it is what it is without it."""

import subprocess

from checkout import Checkout, edit


def test_a_job_runs_the_code_of_its_folder_and_ends_as_it_does(checkout: Checkout):
    edit(checkout.folder / "mstclipiqa" / "__main__.py", "main()", 'print("edited", flush=True)\nmain()')
    for arguments, status in (("--version", 0), ("verify nowhere", 2)):
        forked, own = (
            subprocess.run(
                ["bash", "-c", f"set -euo pipefail; python -m mstclipiqa {arguments} 2>&1 | cat"],
                cwd=checkout.folder, env=environment, capture_output=True, text=True, check=False,
            )
            for environment in (checkout.environment, checkout.killable)
        )  # fmt: skip
        assert forked.stdout.startswith("edited\n") and forked.stdout == own.stdout
        assert forked.returncode == own.returncode == status
