"""Écrit les parties de `docs/argent.md` que le code décide : `python docs/argent.py`.

Chaque fait de l'argent, chaque sort et chaque écart y a sa ligne ; un test compare la page au code, si bien qu'un fait
nouveau sans ligne, ou une page qui n'est plus à jour, se voit.
"""

from collections.abc import Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Final, NamedTuple

from domain.creance import FAITS_DE_CREANCE
from domain.faits import Fait
from domain.paiement import FAITS_DE_PAIEMENT
from domain.sort import ANOMALIES, Sort
from guichet.rapprochement.ecarts import GenreEcart

PAGE: Final = Path(__file__).with_name("argent.md")
DEBUT: Final = "<!-- {} : écrit par docs/argent.py -->\n"
FIN: Final = "<!-- fin : {} -->"


class Passage(NamedTuple):
    """D'un état de l'argent à un autre ; `[*]` est le dehors."""

    de: str
    vers: str
    precision: str = ""


class Etape(NamedTuple):
    """Ce qu'un fait fait à l'argent, et qui y mène."""

    passages: Sequence[Passage]
    effet: str
    qui: str


DEHORS: Final = "[*]"

ETATS: Final = {
    "Du": "dû, personne ne le paie",
    "Reserve": "réservé, la personne est au kiosque",
    "Impute": "pris et imputé sur la créance",
    "Affiche": "imputé et visible sur le compte",
    "NonImpute": "pris, rattaché à aucune créance",
    "Trop": "trop-perçu",
}

ETAPES: Final[dict[str, Etape]] = {
    "AvisEmis": Etape([Passage(DEHORS, "Du")], "la dette naît", "la caisse"),
    "PaiementOuvert": Etape(
        [Passage("Du", "Reserve")], "le montant, son partage et son marchand sont fixés", "l'assuré"
    ),
    "PaiementInitié": Etape([Passage("Du", "Reserve")], "la part est retenue sur sa créance", "l'assuré"),
    "PaiementConclu": Etape(
        [Passage("Reserve", "Impute", "accepté"), Passage("Reserve", "Du", "échoué ou expiré")],
        "le paiement a une fin ; une acceptation peut encore suivre un échec",
        "la banque ; `relance` quand elle se tait",
    ),
    "AcceptationPrécisée": Etape([], "l'autorisation d'une acceptation venue sans elle est connue", "la banque"),
    "PaiementAccepté": Etape(
        [Passage("Reserve", "Impute"), Passage("Du", "Impute", "en retard")],
        "la part éteint la dette, quel que soit l'état de la créance",
        "la banque",
    ),
    "PaiementÉchoué": Etape([Passage("Reserve", "Du")], "la réservation est levée", "la banque ; `relance`"),
    "PaiementAffiché": Etape([Passage("Impute", "Affiche")], "le délai de 24 h s'arrête", "la vue `delai_affichage`"),
    "EncaissementNonImputé": Etape(
        [Passage("Reserve", "NonImpute", "autre montant"), Passage(DEHORS, "NonImpute", "paiement inconnu")],
        "l'argent est pris, aucune créance ne bouge",
        "le support, à deux personnes",
    ),
    "EncaissementImputé": Etape(
        [Passage("NonImpute", "Impute", "rattaché")], "l'argent pris trouve ses créances", "deux agents du support"
    ),
    "EncaissementRattaché": Etape(
        [Passage("Du", "Impute", "rattaché")], "la part éteint la dette", "deux agents du support"
    ),
    "EncaissementRendu": Etape(
        [Passage("NonImpute", DEHORS, "rendu, ou repris par la banque")],
        "l'argent quitte le service sans avoir payé de dette",
        "deux agents du support",
    ),
    "PaiementRéglé": Etape([], "le paiement en vérification a sa fin pour l'assuré", "le domaine, l'argent réglé"),
    "RemboursementDemandé": Etape([], "la banque doit rendre ; rien n'a encore bougé", "deux agents du support"),
    "RemboursementFait": Etape([], "la banque a rendu sur la carte ce qu'un autre fait retire", "la banque"),
    "RemboursementRefusé": Etape([], "la banque ne rendra pas par la carte ; rien n'a bougé", "la banque"),
    "EncaissementReçu": Etape(
        [Passage("Du", DEHORS, "chèque, virement, retenue")], "la dette s'éteint par un autre moyen", "la caisse"
    ),
    "AvisRectifié": Etape([Passage("Impute", "Trop", "avis baissé")], "la dette change de montant", "la caisse"),
    "AvisAnnulé": Etape(
        [Passage("Du", DEHORS, "avis annulé"), Passage("Impute", "Trop", "avis annulé")],
        "plus rien n'est dû ; ce qui fut payé est de trop",
        "la caisse",
    ),
    "TropPerçuConstaté": Etape(
        [Passage("Impute", "Trop")], "la créance porte plus que son montant ; le fait en dit le total", "le domaine"
    ),
    "TropPerçuRemboursé": Etape([Passage("Trop", DEHORS, "rendu")], "l'argent est rendu", "deux agents de la caisse"),
    "PaiementContrepassé": Etape(
        [Passage("Impute", "Du", "impayé ou annulé")],
        "l'argent est repris, la dette revient",
        "deux agents ; un impayé la propose",
    ),
}
"""Par nom de fait : tous ceux d'une créance et d'un paiement, et ce que chacun fait à l'argent."""

SORTS: Final[dict[str, tuple[str, str]]] = {
    "appliquee": ("bouge comme la réponse le dit", "personne : c'est fini"),
    "doublon": ("ne bouge pas, il a déjà bougé", "personne : c'est fini"),
    "contradictoire": ("reste tel que le premier fait l'a mis", "le support, avec les deux contenus"),
    "en_attente": ("reste réservé", "`relance`, qui interroge la banque"),
    "non_rapprochee": ("est pris, non imputé (si la banque l'a accepté)", "le support, qui le rattache ou le rend"),
    "montant_incoherent": ("est pris, non imputé", "le support, qui le rattache ou le rend"),
    "en_souffrance": (
        "est gardé avec son message",
        "le service, seul, quand ce qui manquait arrive ; sinon deux agents du support",
    ),
    "rejetee": ("n'est pas cru", "le support, qui rejoue le message une fois la cause levée"),
}

ECARTS: Final[dict[GenreEcart, str]] = {
    GenreEcart.MANQUE_ICI: "le service interroge la banque ; la réponse prend le chemin ordinaire",
    GenreEcart.MANQUE_LA_BAS: "le rapport suivant ; s'il n'en parle pas, le support appelle la banque",
    GenreEcart.AUTRE_MONTANT: "le support, avec les deux montants",
    GenreEcart.AUTRE_ETAT: "le service interroge la banque si elle a l'argent ; sinon le support",
    GenreEcart.IMPAYE: "deux agents contre-passent le paiement",
    GenreEcart.REMBOURSEMENT: "deux agents contre-passent le paiement que la banque a rendu",
}


def dessin() -> str:
    """Le diagramme, en mermaid : un trait par passage, nommé par son fait."""
    lignes = ["```mermaid", "stateDiagram-v2"]
    lignes += [f"    {nom} : {sens}" for nom, sens in ETATS.items()]
    for fait in _faits():
        for de, vers, precision in ETAPES[fait.__name__].passages:
            lignes.append(f"    {de} --> {vers} : {fait.__name__}" + (f" ({precision})" if precision else ""))
    return "\n".join([*lignes, "```", ""])


def faits() -> str:
    """Le tableau des faits."""
    lignes = ["| fait | ce qu'il dit | ce qu'il fait à l'argent | qui y mène |", "|---|---|---|---|"]
    for fait in _faits():
        etape = ETAPES[fait.__name__]
        lignes.append(f"| `{fait.__name__}` | {_phrase(fait)} | {etape.effet} | {etape.qui} |")
    return "\n".join([*lignes, ""])


def sorts() -> str:
    """Le tableau des sorts."""
    lignes = ["| sort | anomalie | l'argent | qui le fait avancer |", "|---|---|---|---|"]
    for sort in Sort:
        argent, qui = SORTS[sort.value]
        lignes.append(f"| `{sort.value}` | {'oui' if sort in ANOMALIES else 'non'} | {argent} | {qui} |")
    return "\n".join([*lignes, ""])


def ecarts() -> str:
    """Le tableau des écarts."""
    lignes = ["| écart | qui le fait avancer |", "|---|---|"]
    lignes += [f"| `{genre.value}` | {ECARTS[genre]} |" for genre in GenreEcart]
    return "\n".join([*lignes, ""])


def page(texte: str) -> str:
    """La page, ses parties écrites de nouveau ; lève ValueError si l'une n'a plus sa place."""
    for nom, ecrire in {"dessin": dessin, "faits": faits, "sorts": sorts, "ecarts": ecarts}.items():
        debut, fin = DEBUT.format(nom), FIN.format(nom)
        if debut not in texte or fin not in texte:
            raise ValueError(f"la partie {nom} n'a plus sa place dans la page")
        avant, _, reste = texte.partition(debut)
        _, _, apres = reste.partition(fin)
        texte = f"{avant}{debut}\n{ecrire()}\n{fin}{apres}"
    return texte


def _faits() -> tuple[type[Fait], ...]:
    return (*FAITS_DE_PAIEMENT, *FAITS_DE_CREANCE)


def _phrase(fait: type[Fait]) -> str:
    return cleandoc(fait.__doc__ or "").partition("\n")[0].rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
