"""Whose run is it? A bundle's signature by an SSH key, made and held by `ssh-keygen -Y` of OpenSSH (8.2 or later).

Hashes say that a bundle holds together; whoever makes everything anew can make them too. A signature says who stands
for it. It lies beside the bundle, in a file of its name with .sig behind.
"""

import re
import subprocess
import tempfile
from pathlib import Path

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.files import write_text

#: What a signature is for, so that one of another purpose is none here.
NAMESPACE = "mstclipiqa"

#: How a line of a public key begins; one of allowed signers begins with whom it allows.
KEY = re.compile(r"(ssh-|ecdsa-|sk-)\S+ ")


def signature_of(bundle: Path) -> Path:
    """Where the signature of a bundle lies."""
    return bundle.with_name(f"{bundle.name}.sig")


def sign(bundle: Path, key: Path) -> Path:
    """Sign a bundle with a private SSH key, or with a public one whose key an agent holds; the signature's file.

    Raises InputError where OpenSSH is missing, and where it cannot sign with the key.
    """
    done = _ssh_keygen(bundle, "-Y", "sign", "-f", str(key.absolute()), "-n", NAMESPACE)
    if done.returncode:
        raise InputError(f"{key}: cannot sign with it ({_reason(done)}); give a private SSH key, made by ssh-keygen")
    write_text(signature_of(bundle), done.stdout)
    return signature_of(bundle)


def check_signature(bundle: Path, keys: Path) -> str:
    """Who signed a bundle, of those in the file `keys`: a public SSH key, or allowed signers as in ssh-keygen(1).

    Raises InputError where OpenSSH or a file is missing, and where the bundle is signed by none of them.
    """
    signature = signature_of(bundle)
    if not signature.is_file():
        raise InputError(f"{signature}: no such signature; get it from where the bundle is from")
    try:
        lines = [line for line in keys.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]
    except (OSError, UnicodeDecodeError) as error:
        reason = type(error).__name__
        raise InputError(f"{keys}: cannot be read ({reason}); give a public SSH key, or allowed signers") from None
    with tempfile.TemporaryDirectory() as folder:
        allowed = Path(folder, "allowed_signers")
        named = [f"{keys.name.replace(' ', '_')} {line}" if KEY.match(line) else line for line in lines]
        write_text(allowed, "".join(f"{line}\n" for line in named))
        of = ("-f", str(allowed), "-s", str(signature.absolute()))
        found = _ssh_keygen(bundle, "-Y", "find-principals", *of)
        done = found
        for who in found.stdout.splitlines() if found.returncode == 0 else ():
            done = _ssh_keygen(bundle, "-Y", "verify", *of, "-I", who, "-n", NAMESPACE)
            if done.returncode == 0:
                return " ".join(done.stdout.split()).removeprefix(f'Good "{NAMESPACE}" signature for ')
    raise InputError(f"{signature}: not by a key of {keys}, or of another bundle ({_reason(done)}); ask who sent it")


def _ssh_keygen(bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ssh-keygen with the bundle on its standard input. Raises InputError where it, or the bundle, is missing."""
    try:
        with bundle.open("rb") as content:
            return subprocess.run(
                ["ssh-keygen", *arguments], stdin=content, capture_output=True, text=True, check=False
            )
    except FileNotFoundError as error:
        if error.filename == str(bundle):
            raise InputError(f"{bundle}: no such file; name a bundle") from None
        raise InputError("ssh-keygen is not installed, which makes and holds signatures; install OpenSSH") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split())[:200] or f"exit status {done.returncode}"
