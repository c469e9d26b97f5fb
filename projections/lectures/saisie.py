"""Ce que le support a tapé dans le seul champ de recherche, et tout ce que cela peut vouloir dire.

Plus de 300 lignes : une forme reconnue après l'autre, de la plus précise à la plus libre.
"""

import re
from contextlib import suppress
from datetime import date, timedelta
from typing import Final, NamedTuple, TypeAlias

from pydantic import TypeAdapter, ValidationError

from domain.geste import lire_id
from domain.monnaie import CENTIMES_MAX, euros
from domain.nir import contient_un_nir
from domain.references import PREFIXE_TRANSACTION, TRANSACTION, PseudonymeRecu, ReferenceCreance, lire_reference_tapee
from domain.refus import Refus

SAISIE_MAX: Final = 200

_BLANC: Final = "\\s\u00a0\u202f"
_MONTANT: Final = re.compile(
    rf"(?<![\w,./-])(?P<e>[0-9]{{1,3}}(?:[{_BLANC}][0-9]{{3}})+|[0-9]{{1,10}})"
    rf"(?:(?:[{_BLANC}]?€|[,.])(?P<c>[0-9]{{1,2}})(?![0-9]))?(?P<s>[{_BLANC}]*(?:€|euros?\b|eur\b))?(?![\w/-])",
    re.IGNORECASE,
)
_CARTE: Final = re.compile(
    r"(?P<mot>(?:carte|cb)?\s*fini(?:ssant|e|t)?\s+par|carte|cb)?\s*(?P<debut>[0-9 ]{0,9}?)\s*"
    r"(?P<masque>[*#•·xX.…-](?:[*#•·xX.… -]{0,20}[*#•·xX.…-])?)?\s*(?P<fin>[0-9]{2,6})"
)
_ORIGINE: Final = re.compile(
    r"kafka:(?P<topic>[A-Za-z0-9._-]{1,249})/(?P<partition>[0-9]{1,6})@(?P<decalage>[0-9]{1,18})"
)
_CORRELATION: Final = re.compile(r"[0-9a-f]{32}")
_NOTRE_TRANSACTION: Final = re.compile(rf"{PREFIXE_TRANSACTION}[0-9]{{12}}")
_AUTORISATION: Final = re.compile(r"[A-Za-z0-9]{2,12}")
_MESSAGE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_PSEUDONYME: Final[TypeAdapter[str]] = TypeAdapter(PseudonymeRecu)

_RELATIFS: Final = {"hier": 1, "avant-hier": 2, "aujourd'hui": 0, "aujourd’hui": 0, "ce matin": 0}
_SEMAINE: Final = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
_MOIS: Final = {
    nom: rang
    for rang, noms in enumerate(
        (
            ("janvier",),
            ("février", "fevrier"),
            ("mars",),
            ("avril",),
            ("mai",),
            ("juin",),
            ("juillet",),
            ("août", "aout"),
            ("septembre",),
            ("octobre",),
            ("novembre",),
            ("décembre", "decembre"),
        ),
        start=1,
    )
    for nom in noms
}
# Lus en minuscules, sans `IGNORECASE` : pour lui, `ſ` serait un s et `ı` un i, que les tables ci-dessus n'ont pas.
_RELATIF: Final = re.compile(rf"\b(?:{'|'.join((*_RELATIFS, *_SEMAINE))})\b")
_ISO: Final = re.compile(r"\b(?P<a>[0-9]{4})-(?P<m>[0-9]{2})-(?P<j>[0-9]{2})\b")
_BARRES: Final = re.compile(r"\b(?P<j>[0-9]{1,2})/(?P<m>[0-9]{1,2})(?:/(?P<a>[0-9]{4}|[0-9]{2}))?\b")
_LETTRES: Final = re.compile(rf"\b(?P<j>[0-9]{{1,2}})(?:er)?\s+(?P<mois>{'|'.join(_MOIS)})(?:\s+(?P<a>[0-9]{{4}}))?\b")
_CREUX: Final = re.compile(
    r"\b(?:le|du|de|la|en|un|d'|paiement|payé|paye|montant|dernier|à|vers|matin|soir|après-midi)\b|[,;.]", re.IGNORECASE
)


class RechercheIllisible(Refus):
    """Ce qui est tapé ne peut rien désigner."""

    code = "recherche_illisible"
    phrase_de_base = (
        "Cherchez une référence, une transaction, un pseudonyme, un montant et un jour (« 20 € hier »), un numéro"
        " d'autorisation, une carte masquée (« 4970…01 ») ou l'identifiant d'un message ou d'une anomalie."
    )


class NirCherche(Refus):
    """Un numéro de sécurité sociale ne doit pas être tapé ici."""

    code = "nir_cherche"
    phrase_de_base = (
        "Un numéro de sécurité sociale ne se cherche pas ici : nous ne connaissons que des pseudonymes. Demandez la"
        " référence du courrier, ou le montant et le jour."
    )


class ParReference(NamedTuple):
    """Une créance."""

    reference: ReferenceCreance

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"la référence {self.reference}"


class ParTransaction(NamedTuple):
    """Un paiement."""

    transaction: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"la transaction {self.transaction}"


class ParAssure(NamedTuple):
    """Un assuré."""

    assure: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"l'assuré {self.assure}"


class ParMontant(NamedTuple):
    """De l'argent, au besoin un jour de Paris."""

    montant: int
    jour: date | None

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"{euros(self.montant)}{f' le {self.jour:%d/%m/%Y}' if self.jour else ''}"


class ParAutorisation(NamedTuple):
    """Une acceptation de la banque."""

    numero: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"l'autorisation {self.numero}"


class ParCarte(NamedTuple):
    """Une carte masquée : ses premiers chiffres, s'ils sont dits, et ses derniers."""

    debut: str
    fin: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"la carte {self.debut}…{self.fin}"


class ParMessage(NamedTuple):
    """Un message d'une caisse, par son identifiant."""

    message_id: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"le message {self.message_id}"


class ParOrigine(NamedTuple):
    """Un message, par sa place dans Kafka : la cause que portent les faits."""

    topic: str
    partition: int
    decalage: int

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"le message kafka:{self.topic}/{self.partition}@{self.decalage}"


class ParCorrelation(NamedTuple):
    """Un appel HTTP."""

    numero: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"l'appel {self.numero}"


class ParAnomalie(NamedTuple):
    """Une anomalie, par son nom."""

    ident: str

    def __str__(self) -> str:
        """En toutes lettres."""
        return f"l'anomalie {self.ident}"


Critere: TypeAlias = (
    ParReference
    | ParTransaction
    | ParAssure
    | ParMontant
    | ParAutorisation
    | ParCarte
    | ParMessage
    | ParOrigine
    | ParCorrelation
    | ParAnomalie
)
"""Tout ce qu'une saisie peut vouloir dire : la somme fermée sur laquelle chaque `match` finit par `assert_never`."""


def lire_recherche(saisie: str, aujourd_hui: date) -> list[Critere]:
    """Tout ce que cette saisie peut vouloir dire, le plus sûr d'abord ; lève RechercheIllisible ou NirCherche."""
    texte = " ".join(saisie.split())
    if contient_un_nir(texte):
        raise NirCherche
    if not texte or len(texte) > SAISIE_MAX or not texte.replace("\u00a0", " ").isprintable():
        raise RechercheIllisible
    reference = lire_reference_tapee(texte)
    if isinstance(reference, str):
        return [ParReference(reference)]
    if (nomme := _par_son_nom(texte)) is not None:
        return [nomme]
    if (carte := _carte(texte)) is not None:
        return [carte]
    trouves = [] if " " in texte else _en_un_mot(texte)
    montant = _montant(texte, aujourd_hui)
    if montant is not None:
        trouves.insert(0, montant)
    if not trouves:
        raise RechercheIllisible
    return trouves


def _par_son_nom(texte: str) -> Critere | None:
    """Ce qui ne peut être que le nom d'une chose, à sa forme."""
    # Dictée, elle vient en minuscules et par groupes ; bien écrite, elle peut aussi nommer autre chose.
    transaction = texte.replace(" ", "").upper()
    if transaction != texte and _NOTRE_TRANSACTION.fullmatch(transaction):
        return ParTransaction(transaction)
    if origine := _ORIGINE.fullmatch(texte):
        return ParOrigine(origine["topic"], int(origine["partition"]), int(origine["decalage"]))
    if lire_id(texte) is not None:
        return ParAnomalie(texte)
    return ParCorrelation(texte) if _CORRELATION.fullmatch(texte) else None


def _en_un_mot(texte: str) -> list[Critere]:
    trouves: list[Critere] = []
    if TRANSACTION.fullmatch(texte):
        trouves.append(ParTransaction(texte))
    with suppress(ValidationError):
        trouves.append(ParAssure(_PSEUDONYME.validate_python(texte)))
    if _AUTORISATION.fullmatch(texte) and texte.strip("0"):
        trouves.append(ParAutorisation(texte))
    if _MESSAGE_ID.fullmatch(texte):
        trouves.append(ParMessage(texte))
    return trouves


def _carte(texte: str) -> ParCarte | None:
    lue = _CARTE.fullmatch(texte)
    if lue is None or not (lue["masque"] or lue["mot"]) or (lue["masque"] in {".", "-"} and not lue["mot"]):
        return None
    return ParCarte(lue["debut"].replace(" ", ""), lue["fin"])


def _montant(texte: str, aujourd_hui: date) -> ParMontant | None:
    """Un montant et, s'il est dit, un jour ; None si autre chose est dit aussi."""
    jour, reste = _jour(texte, aujourd_hui)
    for lu in _MONTANT.finditer(reste):
        # Un nombre seul n'est un montant que si un jour, un signe ou des centimes le disent.
        if not (lu["s"] or lu["c"] or jour or "€" in lu[0]):
            continue
        if _CREUX.sub(" ", reste[: lu.start()] + " " + reste[lu.end() :]).strip():
            continue
        centimes = int(re.sub(rf"[{_BLANC}]", "", lu["e"])) * 100 + int((lu["c"] or "0").ljust(2, "0"))
        return ParMontant(centimes, jour) if 0 < centimes <= CENTIMES_MAX else None
    return None


def _jour(texte: str, aujourd_hui: date) -> tuple[date | None, str]:
    """Le jour que dit ce texte, jamais à venir, et le texte sans lui, en minuscules."""
    texte = texte.lower()
    if lu := _RELATIF.search(texte):
        return _relatif(lu[0], aujourd_hui), texte[: lu.start()] + " " + texte[lu.end() :]
    for motif in (_ISO, _LETTRES, _BARRES):
        lu = motif.search(texte)
        if lu is None:
            continue
        champs = lu.groupdict()
        mois = int(champs["m"]) if "m" in champs else _MOIS[champs["mois"]]
        jour = _date(champs["a"], mois, int(champs["j"]), aujourd_hui)
        if jour is not None:
            return jour, texte[: lu.start()] + " " + texte[lu.end() :]
    return None, texte


def _relatif(mot: str, aujourd_hui: date) -> date:
    if mot in _RELATIFS:
        return aujourd_hui - timedelta(days=_RELATIFS[mot])
    return aujourd_hui - timedelta(days=(aujourd_hui.weekday() - _SEMAINE.index(mot) - 1) % 7 + 1)


def _date(annee: str | None, mois: int, jour: int, aujourd_hui: date) -> date | None:
    """Cette date ; sans année, la dernière fois qu'elle est passée. None si elle n'existe pas ou est à venir."""
    try:
        if annee is not None:
            dite = date(int(annee) + (2000 if len(annee) == len("26") else 0), mois, jour)
            return dite if dite <= aujourd_hui else None
        cette_annee = date(aujourd_hui.year, mois, jour)
        return cette_annee if cette_annee <= aujourd_hui else date(aujourd_hui.year - 1, mois, jour)
    except ValueError:
        return None
