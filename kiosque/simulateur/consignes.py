"""Les consignes en vigueur : par transaction, ou pour les prochaines qui se concluront."""

from collections import OrderedDict, deque
from itertools import repeat

from kiosque.simulateur.etat import TRANSACTIONS_MAX
from kiosque.simulateur.reglages import PROCHAINES_MAX, Consigne, DemandeDeConsigne

SANS_RIEN = Consigne()


class Consignes:
    """Une consigne prise par une transaction lui reste attachée : ses copies et ses interrogations la suivent."""

    def __init__(self) -> None:
        """Part sans consigne."""
        self._par_transaction: OrderedDict[str, Consigne] = OrderedDict()
        self._prochaines: deque[Consigne] = deque(maxlen=PROCHAINES_MAX)

    def noter(self, demande: DemandeDeConsigne) -> None:
        """Retient la consigne ; pour les prochaines, elle remplace celles qui attendaient (0 les efface)."""
        if demande.transaction is not None:
            self._attacher(demande.transaction, demande.consigne)
            return
        self._prochaines.clear()
        self._prochaines.extend(repeat(demande.consigne, demande.prochaines))

    def prendre(self, transaction: str) -> Consigne:
        """La consigne de la transaction qui se conclut : la sienne, sinon la première en attente."""
        if transaction not in self._par_transaction and self._prochaines:
            self._attacher(transaction, self._prochaines.popleft())
        return self.de(transaction)

    def de(self, transaction: str) -> Consigne:
        """La consigne déjà attachée à la transaction, sans en prendre de nouvelle."""
        return self._par_transaction.get(transaction, SANS_RIEN)

    def operation_muette(self, transaction: str) -> bool:
        """Dit si la réponse de cette opération se perd ; une fois."""
        consigne = self.de(transaction)
        if consigne.operation_muette:
            self._attacher(transaction, consigne.model_copy(update={"operation_muette": False}))
        return consigne.operation_muette

    @property
    def prochaines(self) -> list[Consigne]:
        """Celles qui attendent, dans l'ordre."""
        return list(self._prochaines)

    def _attacher(self, transaction: str, consigne: Consigne) -> None:
        self._par_transaction[transaction] = consigne
        self._par_transaction.move_to_end(transaction)
        while len(self._par_transaction) > TRANSACTIONS_MAX:
            self._par_transaction.popitem(last=False)
