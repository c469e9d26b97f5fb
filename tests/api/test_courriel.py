"""Le reçu par courriel : à l'adresse donnée, qui n'est gardée ni dans la base ni dans un journal."""

import smtplib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from api.socle import debits
from api.socle.courriel import BoiteDeDemonstration, CourrielImpossible, Message, est_une_adresse
from api.socle.debits import Debit
from service.mail import TIMEOUT_SECONDS, SmtpCourriel
from service.settings import Settings
from tests.api.conftest import Service
from tests.api.navigation import NAVIGATEUR, REF, champ, chercher, devenir, payer, transaction_de
from tests.courtiers import port_libre
from tests.outils import attendre
from tests.serveurs import ecoute

ADRESSE = "camille.durand@exemple.fr"


@pytest.fixture
def boite() -> BoiteDeDemonstration:
    return BoiteDeDemonstration()


@pytest.fixture
def reglages_api(boite: BoiteDeDemonstration) -> dict[str, Any]:
    return {"demo": True, "courriel": boite}


def accepte(service: Service) -> str:
    service.avis(REF)
    devenir(service)
    transaction = transaction_de(payer(service, chercher(service)))
    service.repondre(transaction, 20_00)
    return transaction


def envoyer(service: Service, transaction: str, adresse: str) -> Any:
    page = service.client.get(f"/paiements/{transaction}/courriel")
    donnees = {"jeton": champ(page, "jeton"), "adresse": adresse}
    return service.client.post(f"/paiements/{transaction}/courriel", data=donnees)


def test_le_recu_part_en_pdf_et_l_adresse_n_est_gardee_nulle_part(
    service: Service, boite: BoiteDeDemonstration, capsys: pytest.CaptureFixture[str]
) -> None:
    transaction = accepte(service)
    page = envoyer(service, transaction, f" {ADRESSE} ")
    assert (page.status_code, f"Le reçu est parti vers {ADRESSE}" in page.text) == (200, True)
    [recu] = boite.recus
    assert (recu.adresse, recu.message.nom_de_piece) == (ADRESSE, f"recu-{transaction}.pdf")
    assert recu.message.piece.startswith(b"%PDF")
    assert ADRESSE not in toute_la_base(service)
    assert ADRESSE not in "".join(capsys.readouterr())
    assert "Reçu de votre paiement" in service.client.get("/demonstration/boite", headers=NAVIGATEUR).text


@pytest.mark.parametrize("adresse", ["", "camille", "a@b", "a@b.fr\r\nBcc: x@y.fr", "é@exemple.fr", "a@" + "b" * 300])
def test_une_adresse_illisible_se_dit_et_ne_part_pas(
    service: Service, boite: BoiteDeDemonstration, adresse: str
) -> None:
    page = envoyer(service, accepte(service), adresse)
    assert (page.status_code, "Saisissez une adresse de courriel" in page.text) == (422, True)
    assert not boite.recus
    assert not est_une_adresse(adresse)


def test_on_n_envoie_ni_le_recu_d_un_autre_ni_sans_fin(service: Service, boite: BoiteDeDemonstration) -> None:
    transaction = accepte(service)
    statuts = [envoyer(service, transaction, ADRESSE).status_code for _ in range(6)]
    assert statuts == [200] * 5 + [429]
    service.client.cookies.clear()
    devenir(service, "a-2")
    assert service.client.get(f"/paiements/{transaction}/courriel").status_code == 404
    assert len(boite.recus) == 5


class TestSansCourriel:
    @pytest.fixture
    def reglages_api(self) -> dict[str, Any]:
        return {"demo": True}

    def test_la_page_ne_l_offre_pas(self, service: Service) -> None:
        transaction = accepte(service)
        assert "courriel" not in service.client.get(f"/paiements/{transaction}").text
        assert service.client.get(f"/paiements/{transaction}/courriel").status_code == 404


class Serveur(socketserver.StreamRequestHandler):
    """Un serveur SMTP d'essai : il prend tout, sauf les adresses de refuse.fr."""

    pris: list[str]

    def handle(self) -> None:
        self.wfile.write(b"220 essai\r\n")
        corps = False
        for octets in self.rfile:
            ligne = octets.decode().rstrip("\r\n")
            type(self).pris.append(ligne)
            if corps:
                corps = ligne != "."
                if not corps:
                    self.wfile.write(b"250 pris\r\n")
                continue
            corps = ligne.upper() == "DATA"
            reponse = b"354 suite\r\n" if corps else b"250 ok\r\n"
            if "refuse.fr" in ligne:
                reponse = f"550 {ligne}\r\n".encode()
            self.wfile.write(b"221 fin\r\n" if ligne.upper() == "QUIT" else reponse)


@pytest.fixture
def serveur() -> Iterator[tuple[int, list[str]]]:
    Serveur.pris = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Serveur) as smtp, ecoute(smtp):
        yield smtp.server_address[1], Serveur.pris


def smtp(port: int) -> SmtpCourriel:
    reglages = {"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "smtp_sender": "recus@caisse.fr"}
    return SmtpCourriel(Settings(_env_file=None, **reglages))  # type: ignore[arg-type]


MESSAGE = Message("Reçu de votre paiement", "Bonjour,\nvoici.", "recu-T1.pdf", b"%PDF-1.7 essai")


def test_le_message_est_remis_au_serveur(serveur: tuple[int, list[str]]) -> None:
    port, pris = serveur
    smtp(port).envoyer(ADRESSE, MESSAGE)
    assert f"rcpt TO:<{ADRESSE}>" in pris
    assert any(ligne.startswith("Content-Type: application/pdf") for ligne in pris)


def test_un_refus_du_serveur_ne_dit_pas_l_adresse(serveur: tuple[int, list[str]]) -> None:
    with pytest.raises(CourrielImpossible) as refus:
        smtp(serveur[0]).envoyer("camille@refuse.fr", MESSAGE)
    assert str(refus.value) == smtplib.SMTPRecipientsRefused.__name__
    assert refus.value.__suppress_context__


def test_un_serveur_absent_se_dit() -> None:
    with pytest.raises(CourrielImpossible, match="ConnectionRefusedError"):
        smtp(port_libre()).envoyer(ADRESSE, MESSAGE)


def toute_la_base(service: Service) -> str:
    """Tout ce que la base garde, en texte."""
    with service.guichet.base.transaction() as conn:
        tables = conn.execute(
            "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
            " WHERE schemaname IN ('journal', 'vues', 'acces', 'publication')"
        ).fetchall()
        lues = [
            conn.execute(f"SELECT string_agg(t::text, ' ') FROM {table} t").fetchone()  # noqa: S608
            for (table,) in tables
        ]
        etats = conn.execute("SELECT string_agg(encode(etat, 'escape'), ' ') FROM journal.evenements").fetchall()
    return str(lues) + str(etats)


@pytest.mark.parametrize("boite", [smtp(port_libre())])
def test_une_panne_du_courriel_n_accuse_pas_l_adresse(service: Service) -> None:
    transaction = accepte(service)
    page = envoyer(service, transaction, ADRESSE)
    assert page.status_code == 503
    assert 'role="alert"' in page.text
    assert "le service de courriel ne répond pas" in page.text
    assert "aria-invalid" not in page.text
    assert 'href="#adresse"' not in page.text
    assert f'href="/paiements/{transaction}/recu.pdf"' in page.text
    assert f'value="{ADRESSE}"' in page.text


class TestServeurMuet:
    """Un serveur de courriel qui prend la connexion, et ne dit rien."""

    @pytest.fixture
    def muet(self) -> Iterator[tuple[int, list[socket.socket]]]:
        """Son port, et ce qu'il a pris."""
        tenues: list[socket.socket] = []

        class Muet(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                tenues.append(self.request)
                self.request.recv(1)

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Muet) as muet, ecoute(muet):
            yield muet.server_address[1], tenues
            for tenue in tenues:
                with suppress(OSError):
                    tenue.shutdown(socket.SHUT_RDWR)

    @pytest.fixture
    def reglages_api(self, muet: tuple[int, list[socket.socket]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        monkeypatch.setattr(debits, "COURRIELS", Debit(1_000, 1_000))  # Beaucoup de personnes à la fois.
        return {"demo": True, "courriel": smtp(muet[0])}

    def test_il_ne_tient_pas_les_fils_des_paiements(
        self, service: Service, muet: tuple[int, list[socket.socket]]
    ) -> None:
        transaction, prises = accepte(service), muet[1]
        statuts: list[int] = []
        page = service.client.get(f"/paiements/{transaction}/courriel")
        donnees = {"jeton": champ(page, "jeton"), "adresse": ADRESSE}

        def envoyer() -> None:
            statuts.append(service.client.post(f"/paiements/{transaction}/courriel", data=donnees).status_code)

        envois = [threading.Thread(target=envoyer) for _ in range(60)]
        for envoi in envois:
            envoi.start()
        attendre(lambda: len(prises) >= 40 or len(statuts) >= 20, quoi="tous les fils pris, ou des refus")
        service.avis("3811701200099999F")
        debut = time.monotonic()
        assert service.payer("3811701200099999F").status_code == 201
        assert time.monotonic() - debut < 0.6 * TIMEOUT_SECONDS  # Bien avant que le premier envoi ne renonce.
        assert len(prises) <= 20
        for prise in prises:
            with suppress(OSError):
                prise.shutdown(socket.SHUT_RDWR)
        for envoi in envois:
            envoi.join()
        assert set(statuts) == {503}
