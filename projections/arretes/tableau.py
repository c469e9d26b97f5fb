"""Une clôture en CSV : une ligne par total, en centimes, puis ce qui la scelle."""

import csv
import io
from base64 import b64encode

from projections.arretes.lecture import Cloture
from projections.comptes.totaux import CHAMPS


def en_csv(cloture: Cloture) -> str:
    """Le tableau entier ; champs séparés par « ; », comme les autres CSV du service."""
    arrete = cloture.arrete
    texte = io.StringIO()
    ecrivain = csv.writer(texte, delimiter=";", lineterminator="\r\n")
    ecrivain.writerow(["jour", "periode", "axe", "cle", *(f"{champ}_centimes" for champ in CHAMPS)])
    for periode, axe, cle, totaux in arrete.lignes():
        ecrivain.writerow([arrete.jour, periode, axe, cle, *(getattr(totaux, champ) for champ in CHAMPS)])
    ecrivain.writerow([])
    ecrivain.writerow(
        ["jour", "marchand", "couvert", "transactions", "pris_banque_centimes", "rendu_banque_centimes",
         "pris_ici_centimes", "difference_centimes", "ecarts_ouverts", "montant_des_ecarts_centimes"]
    )  # fmt: skip
    for dit in arrete.banque:
        difference = "" if dit.difference is None else dit.difference
        ecrivain.writerow(
            [arrete.jour, dit.marchand, "oui" if dit.couvert else "non", dit.transactions, dit.pris, dit.rendu,
             dit.pris_ici, difference, dit.ecarts_ouverts, dit.montant_des_ecarts]
        )  # fmt: skip
    ecrivain.writerow([])
    ecrivain.writerow(["sceau", "valeur"])
    ecrivain.writerows(sceau(cloture))
    if cloture.jeton is not None:
        ecrivain.writerow(["jeton_rfc3161_base64", b64encode(cloture.jeton.reponse).decode()])
    return texte.getvalue()


def sceau(cloture: Cloture) -> list[tuple[str, str]]:
    """Ce qui scelle cette clôture : nom, valeur."""
    arrete, point = cloture.arrete, cloture.arrete.point_de_controle
    lignes = [
        ("numero", str(arrete.numero)),
        ("epoque", arrete.epoque),
        ("journal_depuis", str(arrete.depuis)),
        ("journal_jusqu_a", str(arrete.jusqu_a)),
        ("evenements", str(arrete.evenements)),
        ("journal_sha256", arrete.journal),
        ("precedent_sha256", arrete.precedent),
        ("arrete_sha256", cloture.empreinte),
        ("arrete_le", cloture.arretee_le.isoformat()),
    ]
    if point is not None:
        lignes.append(("point_de_controle", f"{point.origine} {point.taille} {point.racine}"))
        lignes.append(("hors_du_point", str(point.hors_du_point)))
    if cloture.jeton is not None:
        lignes.append(("horodate_le", cloture.jeton.horodate_le.isoformat()))
        lignes.append(("autorite", cloture.jeton.autorite))
    return lignes
