"""Un serveur qui égrène sa réponse ne retient personne : qui l'appelle le quitte au bout d'un temps dit en tout.

Une borne par lecture n'en est pas une : un octet par seconde la respecte, et la réponse ne finit jamais.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from api.socle import annonce, client_oidc
from api.socle.annonce import Annonce, EmetteurInjoignable, lire_json
from api.socle.client_oidc import ClientOIDC
from api.socle.courriel import CourrielImpossible, Message
from api.socle.emetteur import Emetteur
from kiosque import echeance
from kiosque.echeance import avant, client_borne
from preuve.witness_client import Caller
from preuve.witness_protocol import Request, Unusable
from service import mail, timestamping
from service.settings import Settings
from service.timestamping import NoTimestamp
from tests.outils import attendre
from tests.serveurs import goutte_a_goutte

EN_TETES: Final = b"HTTP/1.1 200 OK\r\nX-Attente: "
CORPS: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\nContent-Type: application/json\r\n\r\n"
ACCUEIL: Final = b"220 "
BORNE_S: Final = 0.5
TROP_S: Final = 30.0
"""Le serveur en mettrait deux cents ; une machine occupée n'en met pas trente."""


def lire_les_cles(port: int) -> None:
    with pytest.raises(EmetteurInjoignable):
        lire_json(f"http://127.0.0.1:{port}/cles")


def echanger_un_code(port: int) -> None:
    emetteur = Emetteur(f"http://127.0.0.1:{port}")
    emetteur._annonce = Annonce(emetteur.url, "", f"{emetteur.url}/a", f"{emetteur.url}/j", None, False)  # noqa: FBT003
    with pytest.raises(EmetteurInjoignable):
        ClientOIDC(emetteur, "c", None, "https://s/r", "https://s/f").identifier("code", "v" * 43, "n", None)


def horodater(port: int) -> None:
    with pytest.raises(NoTimestamp):
        timestamping.stamp(f"http://127.0.0.1:{port}", [], b"x")


def envoyer_un_recu(port: int) -> None:
    reglages: dict[str, Any] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_tls": "none",
        "smtp_sender": "recus@caisse.fr",
    }
    with pytest.raises(CourrielImpossible):
        mail.SmtpCourriel(Settings(_env_file=None, **reglages)).envoyer("a@b.fr", Message("o", "t", "n.pdf", b""))


@pytest.fixture(autouse=True)
def _bornes_courtes(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, nom in (
        (annonce, "DELAI_D_EMETTEUR_S"),
        (client_oidc, "DELAI_D_EMETTEUR_S"),
        (timestamping, "TIMEOUT_S"),
        (mail, "EXCHANGE_SECONDS"),
    ):
        monkeypatch.setattr(module, nom, BORNE_S)


@pytest.mark.parametrize(
    ("appeler", "debut"),
    [
        (lire_les_cles, EN_TETES),
        (lire_les_cles, CORPS),
        (echanger_un_code, EN_TETES),
        (echanger_un_code, CORPS),
        (horodater, EN_TETES),
        (horodater, CORPS),
        (envoyer_un_recu, ACCUEIL),
    ],
)
def test_qui_appelle_un_serveur_qui_egrene_sa_reponse_le_quitte(appeler: Callable[[int], None], debut: bytes) -> None:
    with goutte_a_goutte(debut) as port:
        commence = time.monotonic()
        appeler(port)
        assert time.monotonic() - commence < TROP_S


def test_un_temoin_qui_egrene_est_demande_de_nouveau() -> None:
    with goutte_a_goutte(EN_TETES) as port:
        demande = Request(0, (), "rien\n\n— a b\n")
        appel = Caller(f"http://127.0.0.1:{port}", within_s=BORNE_S, opened=partial(client_borne, environnement=False))
        for _ in range(2):
            assert isinstance(appel(demande), Unusable)
            attendre(lambda: appel._under_way is not None and not appel._under_way.is_alive(), quoi="la demande finie")


def test_un_bloc_dans_un_autre_n_en_reporte_pas_l_echeance() -> None:
    with avant(BORNE_S):
        with avant(TROP_S):
            assert 0 < (echeance._reste(None) or 0) <= BORNE_S
        with avant(BORNE_S / 2):
            assert 0 < (echeance._reste(None) or 0) <= BORNE_S / 2
        assert 0 < (echeance._reste(TROP_S) or 0) <= BORNE_S
