"""Écrit les parties de `docs/argent.md` que le code décide : `python docs/argent.py`.

Chaque état, chaque fait de l'argent, chaque sort et chaque écart y a sa ligne ; un test compare la page au code : un
fait nouveau sans ligne, ou une page qui n'est plus à jour, se voit.
Plus de 300 lignes : des tables, qui se lisent ensemble.
"""

from collections.abc import Iterable, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Final, NamedTuple

from domain.creance import FAITS_DE_CREANCE
from domain.ecart import GenreEcart
from domain.faits import Fait
from domain.geste import Source
from domain.paiement import FAITS_DE_PAIEMENT
from domain.sort import ANOMALIES, Sort

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


class Etat(NamedTuple):
    """Où l'argent peut être : comment un message y laisse, ce que le support en voit, et qui l'en fait sortir."""

    sens: str
    sorts: Sequence[Sort]
    """Les sorts du message qui l'y a mis."""
    anomalies: Sequence[Source]
    """Les sources d'anomalie qui le montrent, une fois là."""
    qui: str


DEHORS: Final = "[*]"

ETATS: Final = {
    "Du": Etat("dû, personne ne le paie", (), (), "l'assuré, ou la caisse (chèque, virement, retenue, annulation)"),
    "Reserve": Etat(
        "réservé, la personne est au kiosque", (Sort.EN_ATTENTE,), (), "la banque ; `relance` quand elle se tait"
    ),
    "Ignore": Etat(
        "pris à la banque, et rien ici ne le dit encore (sa réponse est en route, ou perdue)",
        (),
        (Source.ECART,),
        "`relance`, qui interroge la banque, aussi le lendemain d'un refus ; sinon le rapport de la banque",
    ),
    "Garde": Etat(
        "dit par un message qui ne peut pas s'appliquer encore (flux illisible, chèque venu avant son avis)",
        (Sort.EN_SOUFFRANCE,),
        (Source.ATTENTE,),
        "le service, seul, quand ce qui manquait arrive ; sinon deux agents du support",
    ),
    "Refuse": Etat(
        "dit par un message qui n'est pas cru (sceau faux, illisible), gardé aux rebuts",
        (Sort.REJETEE,),
        (Source.REBUT, Source.SORT),
        "le support, qui le rejoue une fois la cause levée",
    ),
    "Impute": Etat(
        "pris et imputé sur la créance",
        (Sort.APPLIQUEE, Sort.DOUBLON, Sort.CONTRADICTOIRE),
        (Source.SORT,),
        "la vue `delai_affichage`, en 24 h, l'horloge alerte au-delà ; une réponse contradictoire, le support",
    ),
    "Affiche": Etat("imputé et visible sur le compte", (), (), "personne : c'est fini"),
    "NonImpute": Etat(
        "pris, rattaché à aucune créance (autre montant, autre autorisation, autre marchand, paiement inconnu)",
        (Sort.MONTANT_INCOHERENT, Sort.NON_RAPPROCHEE),
        (Source.ARGENT,),
        "deux agents du support, qui le rattachent ou le rendent",
    ),
    "Trop": Etat("payé de trop sur la créance", (), (Source.TROP_PERCU,), "deux agents, qui le remboursent"),
    "ARendre": Etat(
        "demandé en retour à la banque, qui n'a pas encore répondu",
        (),
        (Source.ARGENT, Source.TROP_PERCU),
        "la banque ; la demande lui est reposée, sans jamais se faire deux fois",
    ),
    "Conteste": Etat(
        "imputé ici, et repris là-bas par le porteur, ou rendu par la banque",
        (),
        (Source.ECART, Source.PAIEMENT),
        "deux agents, qui contre-passent le paiement : la dette revient",
    ),
    "Rendu": Etat("rendu à la personne, ou repris par sa banque", (), (), "personne : c'est fini"),
}

SANS_FAIT: Final = (
    Passage("Reserve", "Ignore", "la banque accepte"),
    Passage("Du", "Ignore", "la banque accepte, le paiement fini"),
    Passage(DEHORS, "Ignore", "la banque accepte, sous un nom inconnu"),
    Passage("Ignore", "Garde", "en_souffrance"),
    Passage("Ignore", "Refuse", "rejetee"),
    Passage("Refuse", "Ignore", "rejoué"),
    Passage(DEHORS, "Garde", "en_souffrance, un chèque avant son avis"),
    Passage("Affiche", "Conteste", "écart impaye ou remboursement"),
    Passage("Impute", "Conteste", "écart impaye ou remboursement"),
)
"""Ce qui change sans qu'un fait de l'argent soit enregistré : la banque agit, ou un message attend."""

_TROP_D_UN_AVIS: Final = "avis baissé ou annulé, payé deux fois"

ETAPES: Final[dict[str, Etape]] = {
    "AvisEmis": Etape([Passage(DEHORS, "Du")], "la dette naît", "la caisse"),
    "PaiementOuvert": Etape(
        [Passage("Du", "Reserve")], "le montant, son partage et son marchand sont fixés", "l'assuré"
    ),
    "PaiementInitié": Etape([Passage("Du", "Reserve")], "la part est retenue sur sa créance", "l'assuré"),
    "PaiementConclu": Etape(
        [Passage("Ignore", "Impute", "accepté"), Passage("Reserve", "Du", "échoué ou expiré")],
        "le paiement a une fin ; une acceptation peut encore suivre un échec",
        "la banque ; `relance` quand elle se tait",
    ),
    "AcceptationPrécisée": Etape([], "l'autorisation d'une acceptation venue sans elle est connue", "la banque"),
    "PaiementAccepté": Etape(
        [Passage("Ignore", "Impute"), Passage("Garde", "Impute", "une fois lisible")],
        "la part éteint la dette, quel que soit l'état de la créance",
        "la banque",
    ),
    "PaiementÉchoué": Etape([Passage("Reserve", "Du")], "la réservation est levée", "la banque ; `relance`"),
    "PaiementAffiché": Etape([Passage("Impute", "Affiche")], "le délai de 24 h s'arrête", "la vue `delai_affichage`"),
    "EncaissementNonImputé": Etape(
        [Passage("Ignore", "NonImpute"), Passage("Garde", "NonImpute", "une fois lisible")],
        "l'argent est pris, aucune créance ne bouge",
        "la banque",
    ),
    "EncaissementImputé": Etape(
        [Passage("NonImpute", "Impute", "rattaché")], "l'argent pris trouve ses créances", "deux agents du support"
    ),
    "EncaissementRattaché": Etape(
        [Passage("NonImpute", "Impute", "rattaché")], "la part éteint la dette", "deux agents du support"
    ),
    "EncaissementRendu": Etape(
        [
            Passage("NonImpute", "Rendu", "virement, ou repris par la banque"),
            Passage("ARendre", "Rendu", "sur la carte"),
        ],
        "l'argent quitte le service sans avoir payé de dette",
        "deux agents du support",
    ),
    "PaiementRéglé": Etape([], "le paiement en vérification a sa fin pour l'assuré", "le domaine, l'argent réglé"),
    "RemboursementDemandé": Etape(
        [Passage("NonImpute", "ARendre"), Passage("Trop", "ARendre")],
        "la banque doit rendre ; rien n'a encore bougé",
        "deux agents du support",
    ),
    "RemboursementEnvoyé": Etape([], "la demande part vers la banque ; rien n'a peut-être bougé", "le service"),
    "RemboursementFait": Etape(
        [Passage("ARendre", "Rendu")], "la banque a rendu sur la carte ce qu'un autre fait retire", "la banque"
    ),
    "RemboursementRefusé": Etape(
        [Passage("ARendre", "NonImpute"), Passage("ARendre", "Trop")],
        "la banque ne rendra pas par la carte ; rien n'a bougé",
        "la banque, ou deux agents qui y renoncent",
    ),
    "EncaissementReçu": Etape(
        [Passage("Du", DEHORS, "chèque, virement, retenue"), Passage("Garde", DEHORS, "l'avis est venu")],
        "la dette s'éteint par un autre moyen",
        "la caisse",
    ),
    "AvisRectifié": Etape(
        [Passage(DEHORS, "Du", "relevé"), Passage("Du", DEHORS, "baissé")], "la dette change de montant", "la caisse"
    ),
    "AvisAnnulé": Etape(
        [Passage("Du", DEHORS, "avis annulé")], "plus rien n'est dû ; ce qui fut payé est de trop", "la caisse"
    ),
    "TropPerçuConstaté": Etape(
        [
            Passage("Impute", "Trop", _TROP_D_UN_AVIS),
            Passage("Affiche", "Trop", _TROP_D_UN_AVIS),
            Passage("Trop", "Impute", "avis relevé"),
        ],
        "la créance porte plus que son montant ; le fait en dit le total",
        "le domaine",
    ),
    "TropPerçuRemboursé": Etape(
        [Passage("Trop", "Rendu", "virement"), Passage("ARendre", "Rendu", "sur la carte")],
        "l'argent est rendu",
        "deux agents de la caisse",
    ),
    "PaiementContrepassé": Etape(
        [Passage("Conteste", "Du"), Passage("Impute", "Du", "signalé"), Passage("Affiche", "Du", "signalé")],
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
    lignes += [f"    {nom} : {etat.sens}" for nom, etat in ETATS.items()]
    lignes += [f"    {de} --> {vers} : {precision}" for de, vers, precision in SANS_FAIT]
    for fait in _faits():
        for de, vers, precision in ETAPES[fait.__name__].passages:
            lignes.append(f"    {de} --> {vers} : {fait.__name__}" + (f" ({precision})" if precision else ""))
    return "\n".join([*lignes, "```", ""])


def etats() -> str:
    """Le tableau des états : les faits qui y mènent sont ceux des passages."""
    lignes = [
        "| état | ce que c'est | le fait qui y mène | sort du message | anomalie | qui l'en fait sortir |",
        "|---|---|---|---|---|---|",
    ]
    for nom, etat in ETATS.items():
        cases = (
            f"`{nom}`",
            etat.sens,
            _codes(fait.__name__ for fait in _faits() if nom in {p.vers for p in ETAPES[fait.__name__].passages}),
            _codes(sort.value for sort in etat.sorts),
            _codes(source.value for source in etat.anomalies),
            etat.qui,
        )
        lignes.append(f"| {' | '.join(cases)} |")
    return "\n".join([*lignes, ""])


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
    for nom, ecrire in {"dessin": dessin, "etats": etats, "faits": faits, "sorts": sorts, "ecarts": ecarts}.items():
        debut, fin = DEBUT.format(nom), FIN.format(nom)
        if debut not in texte or fin not in texte:
            raise ValueError(f"la partie {nom} n'a plus sa place dans la page")
        avant, _, reste = texte.partition(debut)
        _, _, apres = reste.partition(fin)
        texte = f"{avant}{debut}\n{ecrire()}\n{fin}{apres}"
    return texte


def _faits() -> tuple[type[Fait], ...]:
    return (*FAITS_DE_PAIEMENT, *FAITS_DE_CREANCE)


def _codes(noms: Iterable[str]) -> str:
    return ", ".join(f"`{nom}`" for nom in noms) or "–"


def _phrase(fait: type[Fait]) -> str:
    return cleandoc(fait.__doc__ or "").partition("\n")[0].rstrip(".")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
