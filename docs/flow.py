"""Writes the README's section 'One payment' from what the commands really print: `make flow`."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
CREANCES: Final = [sys.executable, "-c", "from service.cli import main; main()"]
BEGIN: Final = "<!-- Written by docs/flow.py (make flow); a test compares it with what the commands print. -->\n"
END: Final = "<!-- flow ends -->\n"
SERVED: Final = "est servie sur"
PATIENCE_SECONDS: Final = 120.0

AVIS: Final = """\
reference;assure;caisse;nature;montant_initial_centimes;solde_pf_fr_centimes;date_emission;mode
3812613200000001F;a-7c1e;381;PF/FR;8709;8709;2026-05-12;papier
3812613200000002G;a-7c1e;381;PF/FR;50,00;8709;2026-05-12;papier
"""


def section(said: str, folder: Path) -> str:
    """The section: the demonstration's own words for the payment, then the commands beside it."""
    paid = re.search(r"Histoire de (\d{16}[A-Z])", said)
    if paid is None:
        raise ValueError(f"the demonstration did not come to its end:\n{said}")
    payment = said[said.index("2. L'assuré") : said.index("4. Il veut payer")].rstrip()
    file = folder / "avis.csv"
    file.write_text(AVIS, "utf-8")
    blocks = [
        ("The demonstration pays; the bank says it twice.", f"$ creances demo\n…\n{payment}\n…"),
        (
            "In another terminal: a file of a caisse comes in. One line is wrong and is named, the other goes through.",
            f"$ cat avis.csv\n{AVIS}" + _run(folder, "import-avis avis.csv"),
        ),
        ("The balance of the créance that was paid, and how it came about.", ""),
    ]
    asked = (f"balance {paid[1]}", f"history {paid[1]} --motif essai", "lag", "notifications", "audit")
    blocks[-1] = (blocks[-1][0], "\n".join(_run(folder, arguments) for arguments in asked))
    return "\n".join(f"{title}\n\n```console\n{text.rstrip()}\n```\n" for title, text in blocks)


def words(text: str) -> list[set[str]]:
    """What does not depend on the run: the words of each block, without figures, references and names of machines."""
    return [
        set(re.findall(r"(?<![\w-])[^\W\d_]{3,}(?![\w:-])", block))
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    ]


def _run(folder: Path, arguments: str) -> str:
    done = subprocess.run(
        [*CREANCES, *arguments.replace("avis.csv", str(folder / "avis.csv")).split(), "--data-dir", str(folder)],
        capture_output=True, text=True, cwd=ROOT, check=False, env=os.environ | {"COLUMNS": "118"},
    )  # fmt: skip
    host = socket.gethostname()
    printed = (done.stdout + done.stderr).replace(f"{host}:", f"{'machine'[: len(host)].ljust(len(host), 'e')}:")
    lines = (line.rstrip() for line in printed.splitlines() if not line.startswith("{"))
    return "\n".join([f"$ creances {arguments}", *lines, ""])


def _demonstration(folder: Path) -> Iterator[str]:
    """Start it, give what it said once it serves, and stop it."""
    said = folder / "said.txt"
    with said.open("w") as output:
        demo = subprocess.Popen(
            [*CREANCES, "demo", "--port", "0", "--avis", "30", "--data-dir", str(folder)],
            stdout=output, stderr=subprocess.DEVNULL, cwd=ROOT, env=os.environ | {"COLUMNS": "118"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while SERVED not in said.read_text("utf-8"):
            if demo.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(said.read_text("utf-8"))
            time.sleep(0.2)
        yield said.read_text("utf-8")
    finally:
        demo.send_signal(signal.SIGINT)
        demo.wait()


def main() -> None:
    """Put the section into the README."""
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    with tempfile.TemporaryDirectory() as folder:
        for said in _demonstration(Path(folder)):
            readme.write_text(f"{before}{BEGIN}\n{section(said, Path(folder))}\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
