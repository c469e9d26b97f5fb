"""By whom a proof must be signed: the log of one origin, under the keys that it has ever had, and witnesses."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from preuve.notes import KeyType, NoteRefused, Verifier


@dataclass(frozen=True)
class Trusted:
    """Whom we recognise; a proof of another origin finds no key here, so that nobody's checkpoint passes for ours."""

    origin: str
    publics: Sequence[bytes]
    """The public keys by which the log has ever signed, today's first."""
    witnesses: Sequence[Verifier] = ()
    """Those who cosign its states."""

    def vkeys(self, proof: bytes) -> list[str]:
        """The keys to verify this proof with; none if it does not say that it is of our log, or cannot be read."""
        try:
            name = str(json.loads(proof)["point"]).partition("\n")[0]
            if not name.startswith(f"{self.origin}/") or "+" in name:  # No key bears such a name.
                return []
            own = [str(Verifier(name, KeyType.NOTE, public)) for public in self.publics]
        except (ValueError, KeyError, TypeError, RecursionError, NoteRefused):
            return []
        return [*own, *map(str, self.witnesses)]
