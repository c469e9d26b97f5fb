"""Une clôture en PDF/A-3 : ce qu'une personne lit, et, joints, les octets scellés, le CSV et le jeton."""

import json
from datetime import UTC
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import typst

from domain.caisses import nom_de_caisse
from domain.monnaie import euros
from projections.arretes.contenu import Axe, Periode, Tableau
from projections.arretes.lecture import Cloture
from projections.arretes.tableau import en_csv, sceau
from projections.comptes.totaux import INTITULES, MOUVEMENTS

_NORME: Final = "a-3b"
"""L'archivage de longue durée, avec des fichiers joints : typst refuse de composer ce qui n'y satisfait pas."""

_UN_A_LA_FOIS: Final = Lock()

TITRES: Final = {
    Periode.JOUR: "Du jour",
    Periode.MOIS: "Du mois",
    Periode.ANNEE: "De l'année",
    Periode.PERPETUEL: "Depuis le début",
}

A_COTE: Final = ("restant_du", "trop_percu", "en_cours", "non_rattache", "preleve_par_la_banque", "rendu")
"""Ce qui se lit à côté de l'addition."""

DU_MARCHAND: Final = (
    "ouverture", "preleve_par_la_banque", "cloture",
    "accepte", "rattache", "non_rattache", "rendu", "contrepasse", "rembourse",
)  # fmt: skip
"""L'addition d'un marchand, puis ce dont elle est faite."""

SCEAUX: Final = {
    "numero": "Numéro",
    "epoque": "Époque du journal",
    "journal_depuis": "Journal, après la position",
    "journal_jusqu_a": "Journal, jusqu'à la position",
    "evenements": "Événements du jour",
    "journal_sha256": "SHA-256 des événements du jour",
    "precedent_sha256": "SHA-256 de l'arrêté précédent",
    "arrete_sha256": "SHA-256 de cet arrêté",
    "arrete_le": "Arrêté le",
    "point_de_controle": "Point signé du journal (origine, lignes, racine)",
    "hors_du_point": "Lignes comptées qu'il ne couvre pas",
    "horodate_le": "Horodaté le (RFC 3161)",
    "autorite": "Autorité d'horodatage",
}

VERIFICATION: Final = (
    "Les fichiers joints à ce document le vérifient sans nous : sha256sum arrete.json donne le SHA-256 de cet arrêté,"
    " qui contient celui du précédent ; openssl ts -verify -in jeton.tsr -data arrete.json -CAfile racines.pem"
    " vérifie l'heure. En forme de l'article 286-I-3° bis du code général des impôts, sans prétention à sa"
    " certification."
)


def intitule(nom: str, axe: Axe) -> str:
    """Le nom d'un total, derrière son signe dans l'addition."""
    signe = MOUVEMENTS.get(nom, 0) if axe.des_creances else int(nom == "preleve_par_la_banque")
    return {1: "+ ", -1: "\N{MINUS SIGN} "}.get(signe, "") + INTITULES[nom]


def en_pdf(cloture: Cloture) -> bytes:
    """Le PDF : toujours les mêmes octets pour une même version de typst. Bloquant, quelques dizaines de ms."""
    arrete, jeton = cloture.arrete, cloture.jeton
    jour = arrete.totaux[Periode.JOUR]
    valeurs = {
        "titre": f"Arrêté journalier du {arrete.jour:%d/%m/%Y}",
        "numero": arrete.numero,
        "phrase": (
            f"{arrete.evenements} événements, de la position {arrete.depuis} (exclue) à la position {arrete.jusqu_a}"
            " du journal. Ce qui est enregistré après elle est d'un jour d'après. Montants recalculés par une"
            " instruction SQL indépendante : égaux."
        ),
        "tableaux": [
            _par_periode("Ensemble, l'addition", ("ouverture", *MOUVEMENTS, "cloture"), arrete.totaux),
            _par_periode("Ensemble, à côté", A_COTE, arrete.totaux),
            *(
                _par_periode(f"Caisse {_caisse(cle)}", ("ouverture", *MOUVEMENTS, "cloture", *A_COTE), arrete.totaux,
                             Axe.CAISSE, cle)
                for cle in sorted(jour.get(Axe.CAISSE, {}))
            ),
            *(
                _par_periode(f"Marchand {cle} (ce que la banque a pris)", DU_MARCHAND, arrete.totaux, Axe.MARCHAND, cle)
                for cle in sorted(jour.get(Axe.MARCHAND, {}))
            ),
        ],
        "banque": [
            [
                dit.marchand or "sans marchand",
                euros(dit.pris) if dit.couvert else "pas encore dit",
                euros(dit.rendu),
                euros(dit.pris_ici),
                "" if dit.difference is None else euros(dit.difference),
                f"{dit.ecarts_ouverts} ({euros(dit.montant_des_ecarts)})",
            ]
            for dit in arrete.banque
        ],
        "sceau": [[SCEAUX[nom], valeur] for nom, valeur in sceau(cloture)],
        "verification": VERIFICATION,
        "contenu": cloture.octets.decode("ascii"),
        "csv": en_csv(cloture),
        "jeton": None if jeton is None else list(jeton.reponse),
    }  # fmt: skip
    with _UN_A_LA_FOIS:
        octets = _compositeur().compile(
            _gabarit(),
            format="pdf",
            sys_inputs={"valeurs": json.dumps(valeurs)},
            pdf_standards=_NORME,
            timestamp=cloture.arretee_le.astimezone(UTC).replace(microsecond=0),
        )
    if not isinstance(octets, bytes):
        raise TypeError("typst n'a pas rendu un document")
    return octets


def _par_periode(
    titre: str, noms: tuple[str, ...], totaux: dict[Periode, Tableau], axe: Axe = Axe.ENSEMBLE, cle: str = ""
) -> dict[str, Any]:
    """Un tableau : une ligne par total, une colonne par période."""
    return {
        "titre": titre,
        "entetes": ["", *TITRES.values()],
        "lignes": [
            [
                intitule(nom, axe),
                *(euros(getattr(totaux[periode][axe][cle], nom)) for periode in TITRES),
            ]
            for nom in noms
        ],
    }


def _caisse(cle: str) -> str:
    return "inconnue" if cle == "inconnue" else f"{cle}, {nom_de_caisse(cle)}"


@cache
def _gabarit() -> bytes:
    return (Path(__file__).parent / "arrete.typ").read_bytes()


@cache
def _compositeur() -> typst.Compiler:
    """Un seul compositeur, sur les polices que typst apporte : le rendu ne dépend pas de la machine."""
    return typst.Compiler(font_paths=typst.Fonts(include_system_fonts=False), ignore_system_fonts=True)
