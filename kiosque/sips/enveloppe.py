"""Le formulaire scellé : `Data`, `Seal` et ce qui les accompagne. Sert aux deux bouts, le nôtre et le simulateur."""

import base64
from collections.abc import Container, Mapping
from typing import Final
from urllib.parse import parse_qsl

from kiosque.interface import FormulaireIllisible
from kiosque.sips.donnees import Encodage, decoder, ecrire, encoder, lire_paires, premieres, valeur_de
from kiosque.sips.sceau import Algorithme, Marchand, Trousseau, sceller

CHAMPS: Final = frozenset({"Data", "Seal", "InterfaceVersion", "Encode", "SealAlgorithm"})
"""Ce dont nous nous servons d'un formulaire de la banque."""

DATA_BRUT: Final = "DataBase64"
"""Les octets de `Data`, en base64, quand ils ne sont pas de l'UTF-8 : du JSON ne saurait les porter."""

CHAMPS_MAX: Final = 200


def fermer(
    valeurs: Mapping[str, str],
    marchand: Marchand,
    algorithme: Algorithme,
    *,
    version_interface: str,
    encodage: Encodage = "",
) -> dict[str, str]:
    """Les champs à poster, scellés sous la clé courante du marchand ; un accent impose base64.

    `merchantId` et `keyVersion` sont ajoutés ici : ils disent sous quel secret le sceau est fait.
    """
    texte = ecrire({**valeurs, "merchantId": marchand.id, "keyVersion": str(marchand.version_courante)})
    effectif: Encodage = encodage if encodage or texte.isascii() else "base64"
    data = encoder(texte, effectif)
    return {
        "Data": data,
        "Seal": sceller(data.encode("ascii"), marchand.secret_courant, algorithme),
        "InterfaceVersion": version_interface,
        "Encode": effectif,
        "SealAlgorithm": algorithme.value,
    }


def ouvrir(champs: Mapping[str, object], trousseau: Trousseau, utilises: Container[str]) -> dict[str, str]:
    """Les valeurs de `Data`, une fois le sceau vérifié ; lève `FormulaireIrrecevable`, et rien d'autre.

    Avant le sceau, `Data` n'est lu que pour y trouver le marchand et la version de clé qu'il nomme ; après lui, seuls
    les champs `utilises` comptent, et chacun n'y vient qu'une fois.
    """
    data = octets_de(champs)
    sceau, encodage = champs.get("Seal"), champs.get("Encode") or ""
    if not isinstance(sceau, str):
        raise FormulaireIllisible("le champ Seal manque")
    if not isinstance(encodage, str):
        raise FormulaireIllisible("encodage inconnu")
    texte = decoder(data, encodage)
    nommees = premieres(texte)
    trousseau.verifier(data, sceau, valeur_de(nommees, "merchantId"), valeur_de(nommees, "keyVersion"))
    return lire_paires(texte, utilises)


def octets_de(champs: Mapping[str, object]) -> bytes:
    """`Data` tel que la banque l'a envoyé, octet pour octet : c'est sur lui que porte le sceau."""
    data, brut = champs.get("Data"), champs.get(DATA_BRUT)
    if not isinstance(data, str) or not data:
        raise FormulaireIllisible("le champ Data manque")
    if brut is None:
        return data.encode("utf-8", "replace")
    try:
        return base64.b64decode(brut if isinstance(brut, str) else "", validate=True)
    except ValueError:
        raise FormulaireIllisible(f"le champ {DATA_BRUT} n'est pas en base64") from None


def recueillir(corps: bytes) -> dict[str, str]:
    """Les champs d'un formulaire posté, tels que reçus ; lève `FormulaireIllisible`.

    Un champ de la banque n'y vient qu'une fois ; les autres ne sont ni lus ni gardés.
    Un `Data` qui n'est pas de l'UTF-8 est gardé aussi en octets.
    """
    try:
        # En latin-1, chaque octet devient un caractère : rien n'est perdu de ce que le sceau couvre.
        paires = parse_qsl(
            corps.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=CHAMPS_MAX
        )
    except ValueError:
        raise FormulaireIllisible(f"le formulaire a plus de {CHAMPS_MAX} champs") from None
    champs: dict[str, str] = {}
    for nom, valeur in paires:
        if nom not in CHAMPS:
            continue
        if nom in champs:
            raise FormulaireIllisible(f"le champ {nom} est répété")
        octets = valeur.encode("latin-1")
        champs[nom] = octets.decode("utf-8", "replace")
        if nom == "Data" and champs[nom].encode() != octets:
            champs[DATA_BRUT] = base64.b64encode(octets).decode("ascii")
    return champs
