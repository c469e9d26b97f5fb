"""Writes the bill of materials (CycloneDX 1.6), the licences, and asks for known faults: `make sbom`.

What is installed in production (`requirements/production.txt`), with the hashes that are pinned; nothing else is read.
The question about known faults needs the network: without it, this says so and the rest is still written.
"""

import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
PINNED: Final = ROOT / "requirements" / "production.txt"
FOLDER: Final = ROOT / "build" / "sbom"
ADVISORIES: Final = "https://api.osv.dev/v1/querybatch"
"""Where known faults of released packages are published; one question for all."""

_LINE: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: *; *([^\\]+?))? *\\?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class Package(NamedTuple):
    """A pinned package, and what it says of its licence."""

    name: str
    version: str
    hashes: list[str]
    licence: str
    installed: bool


def packages(text: str) -> list[Package]:
    """The packages that a requirement file pins."""
    found: list[Package] = []
    for line in text.splitlines():
        if match := _LINE.match(line.strip()):
            licence, installed = _licence(match[1])
            found.append(Package(match[1], match[2], [], licence, installed))
        elif found:
            found[-1].hashes.extend(_HASH.findall(line))
    return found


def bill(found: list[Package]) -> dict[str, Any]:
    """The bill of materials; the same packages give the same bytes."""
    serial = hashlib.sha256(repr([(p.name, p.version) for p in found]).encode()).hexdigest()
    identifier = f"{serial[:8]}-{serial[8:12]}-4{serial[13:16]}-a{serial[17:20]}-{serial[20:32]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identifier}",
        "version": 1,
        "metadata": {
            "component": {"type": "application", "name": "creances", "licenses": [{"license": {"id": "EUPL-1.2"}}]}
        },
        "components": [
            {
                "type": "library",
                "bom-ref": f"pkg:pypi/{p.name}@{p.version}",
                "purl": f"pkg:pypi/{p.name}@{p.version}",
                "name": p.name,
                "version": p.version,
                "licenses": [{"license": {"name": p.licence}}],
                # Of every file that may be installed: which one was, the platform decides.
                "properties": [{"name": "pip:sha256", "value": digest} for digest in p.hashes],
            }
            for p in found
        ],
    }


def known_faults(found: list[Package]) -> dict[str, list[str]] | None:
    """The published faults of these versions, by package; None if nobody could be asked."""
    question = {"queries": [{"package": {"name": p.name, "ecosystem": "PyPI"}, "version": p.version} for p in found]}
    request = urllib.request.Request(ADVISORIES, json.dumps(question).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310  a constant https address
            results = json.load(answer)["results"]
    except (OSError, ValueError, KeyError, urllib.error.URLError):
        return None
    told = zip(found, results, strict=True)
    return {p.name: [fault["id"] for fault in result["vulns"]] for p, result in told if result.get("vulns")}


def _licence(name: str) -> tuple[str, bool]:
    try:
        told = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return "non installé ici", False
    classifiers = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    expressions, short = told.get_all("License-Expression") or [], (told.get_all("License") or [""])[0].splitlines()
    return (*expressions, ", ".join(classifiers), *short, "inconnue")[0] or (*short, "inconnue")[0], True


def main() -> int:
    """Write the files; return 1 if a fault is known, 3 if nobody could be asked."""
    found = packages(PINNED.read_text("utf-8"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "creances.cdx.json").write_text(json.dumps(bill(found), indent=1, ensure_ascii=False) + "\n", "utf-8")
    (FOLDER / "licences.tsv").write_text("".join(f"{p.name}\t{p.version}\t{p.licence}\n" for p in found), "utf-8")
    print(f"{len(found)} paquets : {FOLDER.relative_to(ROOT)}/creances.cdx.json, licences.tsv")  # noqa: T201
    faults = known_faults(found)
    if faults is None:
        print(f"Failles connues : personne n'a pu être interrogé ({ADVISORIES}).", file=sys.stderr)  # noqa: T201
        return 3
    for name, ids in faults.items():
        print(f"{name} : {', '.join(ids)}")  # noqa: T201
    print(f"Failles connues : {len(faults)} paquet(s).")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
