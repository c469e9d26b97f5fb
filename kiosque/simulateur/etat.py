"""Ce que le simulateur retient, en mémoire et borné : les sessions de paiement et leurs conclusions."""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kiosque.sips.codes import ACCEPTE, EN_COURS, NE_CONCLUENT_RIEN, SESSION_EXPIREE

TRANSACTIONS_MAX = 20_000
"""Transactions retenues ; au-delà la plus ancienne est oubliée, et une interrogation la dit inconnue."""

Horloge = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Demande:
    """Une demande de paiement lue et vérifiée.

    `montant` : centimes. `rappels` : les champs que Sips renvoie tels quels.
    """

    transaction: str
    montant: int
    url_retour: str
    url_notification: str | None
    rappels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """L'issue d'une session : le code, l'instant, et de la carte le seul numéro masqué."""

    code: str
    le: datetime
    autorisation: str | None = None
    carte_masquee: str | None = None
    marque: str | None = None


@dataclass(slots=True)
class Session:
    """Une page de paiement ouverte ; `jeton` est le secret que porte son formulaire."""

    demande: Demande
    ouverte_le: datetime
    jeton: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    conclusion: Conclusion | None = None
    authentification: "Authentification | None" = None
    operations: list["Operation"] = field(default_factory=list)
    prises: int = 1
    """Combien de fois l'argent a été pris, chacune sous son autorisation."""

    @property
    def reste(self) -> int:
        """Ce que la banque garde du paiement, en centimes."""
        return self.demande.montant * self.prises - sum(operation.montant for operation in self.operations)


@dataclass(frozen=True, slots=True)
class Operation:
    """Une annulation (`CANCEL`) ou un remboursement (`CREDIT`) fait ; montant en centimes."""

    nom: str
    montant: int
    le: datetime


@dataclass(slots=True)
class Authentification:
    """La carte saisie qui attend l'accord de sa banque ; de son numéro, rien que le masqué."""

    code: str
    carte_masquee: str
    marque: str
    essais: int = 0


class Registre:
    """Les sessions, par transaction et par jeton."""

    def __init__(self, horloge: Horloge, session_s: float, transactions_max: int = TRANSACTIONS_MAX) -> None:
        """Part vide ; `horloge` donne l'instant, avec fuseau."""
        self._horloge = horloge
        self._duree = timedelta(seconds=session_s)
        self._max = transactions_max
        self._par_transaction: OrderedDict[str, Session] = OrderedDict()
        self._par_jeton: dict[str, Session] = {}

    def __len__(self) -> int:
        """Le nombre de transactions retenues."""
        return len(self._par_transaction)

    def ouvrir(self, demande: Demande) -> Session:
        """Ouvre la session d'une transaction nouvelle, et oublie la plus ancienne s'il y en a trop."""
        session = Session(demande, self._horloge())
        self._par_transaction[demande.transaction] = session
        self._par_jeton[session.jeton] = session
        while len(self._par_transaction) > self._max:
            _, oubliee = self._par_transaction.popitem(last=False)
            del self._par_jeton[oubliee.jeton]
        return session

    def par_transaction(self, transaction: str) -> Session | None:
        """La session de cette transaction, si elle est connue."""
        return self._par_transaction.get(transaction)

    def par_jeton(self, jeton: str) -> Session | None:
        """La session qui porte ce jeton, si elle est connue."""
        return self._par_jeton.get(jeton)

    def expiree(self, session: Session) -> bool:
        """Dit si la session est restée ouverte trop longtemps sans conclusion."""
        return session.conclusion is None and self._horloge() - session.ouverte_le >= self._duree

    def reste_s(self, session: Session) -> int:
        """Les secondes qui restent à la session, une au moins."""
        reste = session.ouverte_le + self._duree - self._horloge()
        return max(int(reste.total_seconds()) + 1, 1)

    def presenter(self, session: Session, carte: str, code: str) -> None:
        """Retient la carte saisie, masquée : `code` est ce que sa banque répondra une fois la personne reconnue."""
        session.authentification = Authentification(code, masquer(carte), marque_de(carte))

    def conclure(self, session: Session, code: str) -> Conclusion:
        """Conclut la session, avec la carte présentée s'il y en a une."""
        carte = session.authentification
        session.conclusion = Conclusion(
            code=code,
            le=self._horloge(),
            autorisation=_autorisation() if code == ACCEPTE else None,
            carte_masquee=carte.carte_masquee if carte else None,
            marque=carte.marque if carte else None,
        )
        return session.conclusion

    def etat(self, session: Session, code_force: str | None = None) -> Conclusion:
        """La conclusion telle qu'une interrogation la voit : 60 tant que la page est ouverte, 97 une fois expirée.

        `code_force` dénoue une conclusion restée en attente, comme le ferait la banque de la personne.
        """
        if self.expiree(session):
            self.conclure(session, SESSION_EXPIREE)
        conclusion = session.conclusion
        if conclusion is None:
            return Conclusion(code=EN_COURS, le=session.ouverte_le)
        if code_force is not None and conclusion.code in NE_CONCLUENT_RIEN and code_force != conclusion.code:
            conclusion = replace(
                conclusion,
                code=code_force,
                le=self._horloge(),
                autorisation=_autorisation() if code_force == ACCEPTE else None,
            )
            session.conclusion = conclusion
        return conclusion

    def recentes(self, nombre: int) -> list[Session]:
        """Les dernières sessions ouvertes, la plus récente d'abord."""
        sessions = list(self._par_transaction.values())
        return sessions[-nombre:][::-1]


def masquer(carte: str) -> str:
    """Le numéro masqué comme Sips l'écrit : quatre premiers et deux derniers chiffres."""
    return f"{carte[:4]}{'#' * (len(carte) - 6)}{carte[-2:]}"


def marque_de(carte: str) -> str:
    """La marque que le premier chiffre laisse deviner."""
    return {"4": "VISA", "5": "MASTERCARD"}.get(carte[0], "CB")


def _autorisation() -> str:
    return f"{secrets.randbelow(1_000_000):06d}"
