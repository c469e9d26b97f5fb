"""Les arrêtés écrits, refaits : leurs octets, leur chaîne, et chaque montant depuis le journal, par PostgreSQL seul."""

from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NamedTuple

from psycopg import Connection
from rfc3161_client import decode_timestamp_response

from projections.arretes.banque import dits_de_la_banque
from projections.arretes.contenu import Arrete, ArreteIllisible, Periode, cumuler, lire
from projections.arretes.journal import Tranche, debut_du, empreinte_du_jour
from projections.arretes.recalcul import differences, recalculer
from projections.audit.rapport import Rapport

_LIRE: Final = """
SELECT numero, jour, depuis, jusqu_a, contenu, empreinte, precedent,
       enregistre_le > clock_timestamp() OR enregistre_le < (SELECT max(enregistre_le) FROM journal.evenements e
           WHERE e.position <= a.jusqu_a) OR enregistre_le < lag(enregistre_le) OVER (ORDER BY numero),
       (SELECT max(e.enregistre_le) FROM journal.evenements e WHERE e.position > a.depuis AND e.position <= a.jusqu_a),
       jusqu_a > (SELECT coalesce(max(position), 0) FROM journal.evenements)
FROM journal.arretes a ORDER BY numero
"""

_JETONS: Final = """
SELECT j.jour, j.empreinte, j.empreinte = a.empreinte, j.jeton, j.horodate_le,
       j.autorite ~ '^https?://' AND j.enregistre_le >= a.enregistre_le AND j.enregistre_le <= clock_timestamp()
           AND abs(extract(epoch FROM j.enregistre_le - j.horodate_le)) < 3600
FROM journal.jetons_d_arrete j LEFT JOIN journal.arretes a USING (jour)
"""


class _Ligne(NamedTuple):
    numero: int
    jour: date
    depuis: int
    jusqu_a: int
    contenu: bytes
    empreinte: bytes
    precedent: bytes
    autre_heure: bool | None
    dernier_le: Any
    au_dela: bool


def controler(conn: Connection[Any], rapport: Rapport) -> None:
    """Refait chaque clôture, et nomme ce qui n'est plus comme elle a été scellée."""
    lignes = [_Ligne(*ligne) for ligne in conn.execute(_LIRE)]
    _jetons(conn, rapport)
    arretes = [_octets(rapport, ligne) for ligne in lignes]
    suivies = _chaine(rapport, lignes)
    if not suivies:
        return
    refaits = recalculer(conn, [0, *(ligne.jusqu_a for ligne in lignes)])
    veille: Arrete | None = None
    for ligne, arrete, refait in zip(lignes, arretes, refaits, strict=True):
        if arrete is not None:
            for phrase in differences(arrete.totaux[Periode.JOUR], refait):
                rapport.ecart(f"arrêté du {ligne.jour} : {phrase}")
            if (ligne.numero == 1 or veille is not None) and cumuler(
                veille, arrete.jour, arrete.totaux[Periode.JOUR]
            ) != arrete.totaux:
                rapport.ecart(f"arrêté du {ligne.jour} : le mois, l'année ou le tout ne s'additionnent pas")
            _journal(conn, rapport, ligne, arrete)
        veille = arrete


def _octets(rapport: Rapport, ligne: _Ligne) -> Arrete | None:
    """Ce que la clôture dit, si elle se lit et que ses colonnes le disent aussi."""
    octets = bytes(ligne.contenu)
    if sha256(octets).digest() != bytes(ligne.empreinte):
        rapport.ecart(f"arrêté du {ligne.jour} : son contenu n'a plus l'empreinte qui a été scellée")
    try:
        arrete = lire(octets)
    except ArreteIllisible as cause:
        rapport.ecart(f"arrêté du {ligne.jour} : ne se lit pas ({cause})")
        return None
    dites = (arrete.numero, arrete.jour, arrete.depuis, arrete.jusqu_a, bytes.fromhex(arrete.precedent))
    if dites != (ligne.numero, ligne.jour, ligne.depuis, ligne.jusqu_a, bytes(ligne.precedent)):
        rapport.ecart(f"arrêté du {ligne.jour} : ses colonnes ne disent pas ce que dit son contenu")
    return arrete


def _chaine(rapport: Rapport, lignes: Sequence[_Ligne]) -> bool:
    """Chacune suit la précédente ; rend Faux si rien ne peut alors être recalculé."""
    if not lignes:
        return False
    premiere, suite = lignes[0], True
    if (premiere.numero, premiere.depuis, bytes(premiere.precedent)) != (1, 0, bytes(32)):
        rapport.ecart(f"arrêté du {premiere.jour} : n'est pas le premier, et rien ne le précède")
        suite = premiere.depuis == 0
    for avant, apres in pairwise(lignes):
        attendu = (avant.numero + 1, avant.jour + timedelta(days=1), avant.jusqu_a, bytes(avant.empreinte))
        if (apres.numero, apres.jour, apres.depuis, bytes(apres.precedent)) != attendu:
            rapport.ecart(f"arrêté du {apres.jour} : ne suit pas celui du {avant.jour}")
        suite = suite and apres.depuis == avant.jusqu_a
    for ligne in lignes:
        if ligne.au_dela or (
            ligne.dernier_le is not None and ligne.dernier_le >= debut_du(ligne.jour + timedelta(days=1))
        ):
            rapport.ecart(f"arrêté du {ligne.jour} : s'étend au-delà de ce jour")
        if ligne.autre_heure:
            rapport.ecart(f"arrêté du {ligne.jour} : n'a pas pu être écrit à l'heure qu'il dit")
    return suite


def _journal(conn: Connection[Any], rapport: Rapport, ligne: _Ligne, arrete: Arrete) -> None:
    """Les événements et les rapports de la banque sont encore ceux que la clôture a scellés."""
    if empreinte_du_jour(conn, arrete.depuis, arrete.jusqu_a) != (arrete.evenements, arrete.journal):
        rapport.ecart(f"arrêté du {ligne.jour} : le journal de ce jour n'est plus celui qui a été scellé")
    oublies = {"ecarts_ouverts": 0, "montant_des_ecarts": 0}  # Ils s'ouvrent et se ferment : ceux d'alors ont passé.
    dits = {dit.marchand: dit.model_copy(update=oublies) for dit in arrete.banque}
    tranche = Tranche(arrete.jour, arrete.depuis, arrete.jusqu_a)
    refaits = {
        dit.marchand: dit.model_copy(update=oublies) for dit in dits_de_la_banque(conn, tranche, arrete.rapports)
    }
    for marchand in sorted(dits.keys() | refaits.keys()):
        dit, refait = dits.get(marchand), refaits.get(marchand)
        vide = refait is not None and not (refait.couvert or refait.transactions or refait.pris_ici or refait.rendu)
        if dit != refait and not (dit is None and vide) and not (refait is None and dit is not None and not dit.pris):
            rapport.ecart(f"arrêté du {ligne.jour} : la banque n'en dit plus ce qui a été scellé ({marchand or '?'})")


def _jetons(conn: Connection[Any], rapport: Rapport) -> None:
    """Chaque jeton parle de sa clôture ; sa signature se vérifie sous les racines de l'autorité : docs/arrete.md."""
    for jour, empreinte, la_sienne, jeton, horodate_le, credible in conn.execute(_JETONS):
        try:
            dit = decode_timestamp_response(bytes(jeton)).tst_info
            juste = dit.message_imprint.message == bytes(empreinte) and dit.gen_time == horodate_le
        except ValueError:
            juste = False
        if not (la_sienne and juste and credible):
            rapport.ecart(f"arrêté du {jour} : son horodatage n'est pas le sien")
