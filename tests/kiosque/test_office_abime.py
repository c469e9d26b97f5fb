"""Ce qu'Office répond de travers, sur une vraie connexion : rien n'en est conclu, rien ne lève, rien ne retient."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from datetime import time as heure
from socket import create_server

import pytest

from domain.reponse import Issue
from kiosque.interface import Etat, Inconnue, Trouvee
from kiosque.operation import Faite, Indeterminee, NonOfferte, Operation, OperationRefusee
from kiosque.sips.codes import SENS
from kiosque.sips.office.sceau import ecrire_json, sceller_json
from kiosque.sips.paypage import Sips
from kiosque.sips.reglages import ReglagesSips
from kiosque.sips.sceau import Marchand
from tests.kiosque.banc import Montre, banc
from tests.kiosque.envois import Memoire
from tests.relais import Relais

MARCHAND = "002001000000001"
CLE = b"002001000000001_KEY1"
DELAI_S = 10.0
"""Plus qu'une machine occupée ne met à répondre."""
DELAI_COURT_S = 0.6
JAMAIS = (heure(0), heure(0))
TROUVEE: dict[str, str] = {
    "getTransDataResponseCode": "00",
    "responseCode": "00",
    "transactionStatus": "TO_CAPTURE",
    "transactionReference": "T1",
    "merchantId": MARCHAND,
    "originAmount": "2000",
    "currentAmount": "2000",
    "currencyCode": "978",
    "authorisationId": "761208",
}
Ecrire = Callable[[bytes], None]
Reponse = Callable[[Ecrire, bytes], None]
"""Reçoit de quoi écrire au client, et la question ; la connexion se ferme ensuite."""


def scellee(champs: Mapping[str, object]) -> bytes:
    propres = {nom: valeur for nom, valeur in champs.items() if isinstance(valeur, str)}
    return ecrire_json({**propres, "seal": sceller_json(propres, CLE)})


def http(corps: bytes, statut: str = "200 OK", *entetes: str) -> bytes:
    lignes = [f"HTTP/1.1 {statut}", "Connection: close", f"Content-Length: {len(corps)}", *entetes]
    return "\r\n".join(lignes).encode() + b"\r\n\r\n" + corps


@contextmanager
def banque(repondre: Reponse) -> Iterator[str]:
    """Une banque qui répond cela à chaque question."""
    with create_server(("127.0.0.1", 0)) as prise:

        def servir(cliente: socket.socket) -> None:
            with suppress(OSError), cliente:
                cliente.settimeout(60)
                question = cliente.recv(65_536)
                while b"}" not in question:
                    question += cliente.recv(65_536)
                repondre(cliente.sendall, question)

        def accueillir() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=servir, args=(prise.accept()[0],), daemon=True).start()

        threading.Thread(target=accueillir, daemon=True).start()
        yield f"http://127.0.0.1:{prise.getsockname()[1]}"


@contextmanager
def kiosque(
    url: str, delai_s: float = DELAI_S, horloge: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> Iterator[Sips]:
    marchand = Marchand.model_validate({"id": MARCHAND, "cles": {1: CLE.decode()}, "version_courante": 1})
    reglages = ReglagesSips(url=url, office=url, marchands={"": marchand}, delai_s=delai_s, heures_closes=JAMAIS)
    with Sips(reglages, horloge=horloge) as ouvert:
        yield ouvert


def demander(repondre: Reponse, delai_s: float = DELAI_S) -> Etat:
    with banque(repondre) as url, kiosque(url, delai_s) as k:
        return k.interroger("T1", MARCHAND)


def tout_d_un_coup(octets: bytes) -> Reponse:
    return lambda ecrire, _question: ecrire(octets)


def egrener(octets: bytes, avant: int = 0) -> Reponse:
    """Les premiers d'un coup, puis un octet à la fois, bien en deçà de ce que chaque lecture peut attendre."""

    def repondre(ecrire: Ecrire, _question: bytes) -> None:
        ecrire(octets[:avant])
        for octet in octets[avant : avant + 200]:
            ecrire(bytes([octet]))
            time.sleep(0.05)

    return repondre


BONNE = http(scellee(TROUVEE))
TETE = BONNE.index(b"\r\n\r\n") + 4


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(BONNE, id="telle quelle"),
        pytest.param(http(scellee(TROUVEE), "200 OK", "Content-Type: text/html"), id="dite du HTML"),
        pytest.param(http(gzip.compress(scellee(TROUVEE)), "200 OK", "Content-Encoding: gzip"), id="comprimée"),
        pytest.param(http(scellee(TROUVEE) + b"\r\n "), id="des blancs après"),
        pytest.param(http(scellee(TROUVEE | {"inconnu": "éà", "profil": "x"})), id="des champs nouveaux"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + BONNE, id="après un 100"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
            % (len(scellee(TROUVEE)), scellee(TROUVEE)),
            id="par morceaux",
        ),
    ],
)
def test_ce_qui_ne_change_pas_le_sens_est_lu(octets: bytes) -> None:
    etat = demander(tout_d_un_coup(octets))
    assert isinstance(etat, Trouvee)
    assert (etat.reponse.issue, etat.reponse.montant) == (Issue.ACCEPTEE, 20_00)


INCONNUE = {"getTransDataResponseCode": "25", "merchantId": MARCHAND}


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="rien"),
        pytest.param(BONNE[:40], id="coupée dans l'en-tête"),
        pytest.param(BONNE[:-20], id="coupée dans le corps"),
        pytest.param(b"\x00\xff" * 50, id="du bruit"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="un autre protocole"),
        pytest.param(http(b"<html>Maintenance</html>", "200 OK", "Content-Type: text/html"), id="une page"),
        pytest.param(http(scellee(INCONNUE), "500 Internal Server Error"), id="500 et un bon corps"),
        pytest.param(http(scellee(TROUVEE), "503 Service Unavailable"), id="503 et un bon corps"),
        pytest.param(http(scellee(INCONNUE), "404 Not Found"), id="404 et un bon corps"),
        pytest.param(http(scellee(TROUVEE), "201 Created"), id="201"),
        pytest.param(http(b"", "204 No Content"), id="204"),
        pytest.param(http(b"", "302 Found", "Location: /ailleurs"), id="302"),
        pytest.param(http(scellee(TROUVEE), "307 Temporary Redirect", "Location: http://127.0.0.1:1/"), id="307"),
        pytest.param(http(scellee(TROUVEE) * 2), id="deux objets"),
        pytest.param(http(b"[" + scellee(TROUVEE) + b"]"), id="une liste"),
        pytest.param(http(scellee(TROUVEE).decode().encode("utf-16")), id="UTF-16"),
        pytest.param(http(scellee(TROUVEE)[:-1]), id="JSON coupé"),
        pytest.param(http(scellee(TROUVEE).replace(b"{", b'{"seal":"x",', 1)), id="sceau répété"),
        pytest.param(http(b'{"a":"\\ud800",' + scellee(TROUVEE)[1:]), id="demi-caractère"),
        pytest.param(http(b'{"a":' * 5_000), id="profond"),
        pytest.param(http(b" " * 40_000 + scellee(TROUVEE)), id="trop longue"),
        pytest.param(http(gzip.compress(b" " * 10**7), "200 OK", "Content-Encoding: gzip"), id="bombe"),
        pytest.param(http(b"pas du gzip", "200 OK", "Content-Encoding: gzip"), id="mal comprimée"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", id="longueur négative"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n{}", id="en-tête énorme"),
        *(
            pytest.param(http(scellee({**TROUVEE, **champs})), id=repr(champs))
            for champs in (
                {"transactionReference": "T2"},
                {"transactionReference": None},
                {"merchantId": "002001000000009"},
                {"merchantId": None},
                {"keyVersion": "9"},
                {"currencyCode": "840"},
                {"originAmount": "20.00"},
                {"originAmount": "-2000"},
                {"originAmount": "9" * 13},
                {"transactionStatus": None},
                {"transactionStatus": " "},
            )
        ),
        pytest.param(http(ecrire_json(TROUVEE)), id="sans sceau"),
        pytest.param(http(ecrire_json({**TROUVEE, "seal": "null"})), id="sceau null"),
        pytest.param(http(scellee(TROUVEE).replace(b'"2000"', b'"9000"')), id="montant changé sous le sceau"),
        pytest.param(http(scellee(TROUVEE).replace(b'"seal":"', b'"seal":"A')), id="sceau allongé"),
    ],
)
def test_le_reste_ne_conclut_rien(octets: bytes) -> None:
    assert isinstance(demander(tout_d_un_coup(octets)), Indeterminee)


@pytest.mark.parametrize("code", sorted(set(SENS) | {"03", "11", "57", "91", "98", "ZZ"}))
def test_chaque_code_d_appel_ne_dit_que_ce_qu_il_dit(code: str) -> None:
    champs = {"getTransDataResponseCode": code, "merchantId": MARCHAND}
    etat = demander(tout_d_un_coup(http(scellee(champs))))
    assert etat == Inconnue() if code == "25" else isinstance(etat, Indeterminee), code


@pytest.mark.parametrize(
    ("champs", "inconnue"),
    [
        ({"responseCode": "25"}, True),
        ({"getTransDataResponseCode": "00", "responseCode": "25"}, True),
        ({"getTransDataResponseCode": "25", "responseCode": "25"}, True),
        ({"getTransDataResponseCode": "null", "responseCode": "25", "transactionStatus": "null"}, True),
        ({"getTransDataResponseCode": "90", "responseCode": "25"}, False),
        ({"getTransDataResponseCode": "34", "responseCode": "25"}, False),
        ({"getTransDataResponseCode": "00", "responseCode": "05"}, False),
    ],
    ids=repr,
)
def test_inconnue_se_dit_par_l_un_ou_l_autre_code(champs: dict[str, str], *, inconnue: bool) -> None:
    etat = demander(tout_d_un_coup(http(scellee({**champs, "merchantId": MARCHAND}))))
    assert isinstance(etat, Inconnue if inconnue else Indeterminee)


@pytest.mark.parametrize(
    "repondre",
    [
        pytest.param(lambda _ecrire, _question: time.sleep(10), id="se tait"),
        pytest.param(egrener(BONNE), id="égrène ses en-têtes"),
        pytest.param(egrener(BONNE, TETE), id="égrène son corps"),
        pytest.param(egrener(b"HTTP/1.1 100 Continue\r\n\r\n" * 20), id="demande de patienter"),
        pytest.param(
            egrener(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 99, 45), id="morceaux"
        ),
    ],
)  # fmt: skip
def test_une_banque_lente_ne_retient_personne_plus_que_le_delai(repondre: Reponse) -> None:
    debut = time.monotonic()
    assert isinstance(demander(repondre, DELAI_COURT_S), Indeterminee)
    assert time.monotonic() - debut < DELAI_COURT_S + 6, "bien moins que les dix secondes qu'elle y mettrait"


# --- Les opérations --------------------------------------------------------------------------------------------------


class Caisse:
    """Une banque qui tient un compte : elle fait ou non l'opération, et y répond ce que le test veut."""

    def __init__(self, reponses: list[tuple[bool, bytes | None]], **toujours: str) -> None:
        """`reponses` : de chaque opération, si elle est faite et ce qui en est dit (None : rien, l'on raccroche)."""
        self.garde, self.envois, self.reponses, self.toujours = 20_00, 0, reponses, toujours

    def __call__(self, ecrire: Ecrire, question: bytes) -> None:
        if b"getTransactionData" in question.partition(b"\r\n")[0]:
            etat = {"transactionStatus": "CAPTURED", "currentAmount": str(self.garde)}
            ecrire(http(scellee(TROUVEE | etat | self.toujours)))
            return
        faite, dite = self.reponses[min(self.envois, len(self.reponses) - 1)]
        self.envois += 1
        if faite:
            self.garde -= int(json.loads(question[question.index(b"{") :])["operationAmount"])
        if dite is not None:
            ecrire(dite)


def dit(code: str, **champs: str) -> bytes:
    return http(scellee({"responseCode": code, "merchantId": MARCHAND, **champs}))


def rembourser(caisse: Caisse, montant: int = 5_00, *, peut_etre: bool = False) -> Operation:
    with banque(caisse) as url, kiosque(url) as k:
        return k.rembourser("T1", MARCHAND, montant, reste_avant=20_00, envois=Memoire(peut_etre=peut_etre))


SANS_REPONSE = [
    pytest.param(None, id="raccroche"),
    pytest.param(http(b"<html>"), id="une page"),
    pytest.param(http(b"", "502 Bad Gateway"), id="502"),
    pytest.param(http(ecrire_json({"responseCode": "00", "merchantId": MARCHAND})), id="sans sceau"),
    pytest.param(dit("00", keyVersion="9"), id="d'une autre clé"),
    pytest.param(dit("00", transactionReference="T2"), id="d'une autre transaction"),
    pytest.param(dit("00", newStatus="CREDITED")[:-9], id="coupée"),
    *(pytest.param(dit(code), id=code) for code in ("60", "62", "90", "91", "94", "97", "98", "99", "")),
]


@pytest.mark.parametrize("dite", SANS_REPONSE)
def test_faite_et_mal_dite_l_operation_n_est_pas_renvoyee(dite: bytes | None) -> None:
    caisse = Caisse([(True, dite)])
    assert rembourser(caisse) == Faite(15_00)
    assert (caisse.envois, caisse.garde) == (1, 15_00)


@pytest.mark.parametrize("dite", SANS_REPONSE)
@pytest.mark.parametrize("ensuite", ["00", "51", "57"])
def test_ni_faite_ni_dite_elle_attend_puis_repart_et_l_on_croit_ce_qui_en_est_dit(
    dite: bytes | None, ensuite: str
) -> None:
    montre = Montre(datetime.now(UTC))
    caisse = Caisse([(False, dite), (ensuite == "00", dit(ensuite))])
    envois = Memoire(horloge=montre)
    with banque(caisse) as url, kiosque(url, horloge=montre) as k:
        for _ in range(6):
            rendue = k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)
            assert isinstance(rendue, Indeterminee), "elle peut ne l'écrire que plus tard : ni renvoi, ni refus"
            montre.avancer(minutes=60)
        rendue = k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)
    assert isinstance(rendue, Faite if ensuite == "00" else OperationRefusee)
    assert (caisse.envois, caisse.garde) == (2, 15_00 if ensuite == "00" else 20_00)


def test_24_a_un_second_envoi_peut_parler_du_premier_et_n_est_pas_un_refus() -> None:
    """Le premier était fait : « rien n'a bougé » ferait rendre l'argent une seconde fois, par virement."""
    montre = Montre(datetime.now(UTC))
    caisse = Caisse([(True, None), (False, dit("24"))], currentAmount="2000", originAmount="3000")
    envois = Memoire(horloge=montre)
    with banque(caisse) as url, kiosque(url, horloge=montre) as k:
        for _ in range(3):
            rendue = k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)
            assert isinstance(rendue, Indeterminee)
            montre.avancer(minutes=7 * 60)
        assert (caisse.envois, caisse.garde) == (3, 15_00)
        caisse.toujours = {}
        assert k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois) == Faite(15_00)


@pytest.mark.parametrize("toujours", [{"transactionStatus": "TO_CAPTURE"}, {"transactionStatus": "REFUSED"}], ids=repr)
def test_sans_reponse_un_autre_etat_n_est_pas_un_refus(toujours: dict[str, str]) -> None:
    caisse = Caisse([(False, None)])
    with banque(caisse) as url, kiosque(url) as k:
        envois = Memoire()
        k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)
        caisse.toujours = toujours
        rendue = k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)
    assert isinstance(rendue, Indeterminee), "aucune annulation ne suit un remboursement dont rien n'est su"
    assert caisse.envois == 1


def test_une_banque_qui_ne_se_laisse_plus_interroger_ne_fait_rien_conclure() -> None:
    caisse = Caisse([(True, None)], getTransDataResponseCode="40", currentAmount="2000")
    with banque(caisse) as url, kiosque(url) as k:
        envois = Memoire(peut_etre=True, sans_reponse_depuis=datetime(2026, 1, 1, tzinfo=UTC))
        assert isinstance(k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois), Indeterminee)
    assert caisse.envois == 0


def test_une_note_vieille_quand_son_envoi_partirait_ne_part_pas() -> None:
    """Un processus gelé entre la note et l'envoi : un autre a pu prendre le tour depuis."""
    montre = Montre(datetime.now(UTC))

    class Gele(Memoire):
        def noter(self) -> bool:
            note = super().noter()
            montre.avancer(minutes=7 * 60)
            return note

    caisse = Caisse([(True, dit("00"))])
    with banque(caisse) as url, kiosque(url, horloge=montre) as k:
        envois = Gele(horloge=montre)
        assert isinstance(k.rembourser("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois), Indeterminee)
    assert (caisse.envois, envois.notes) == (0, 1)


@pytest.mark.parametrize(
    "code", sorted({*SENS, "03", "11", "57", "ZZ"} - {"00", "40", "60", "62", "90", "94", "97", "99"})
)
def test_un_refus_n_est_cru_qu_apres_avoir_regarde(code: str) -> None:
    faite = Caisse([(True, dit(code))])
    assert rembourser(faite) == Faite(15_00), "24 et tout autre code se disent aussi d'une opération déjà faite"
    caisse = Caisse([(False, dit(code))])
    operation = rembourser(caisse)
    if code in {"25", "34"}:
        assert isinstance(operation, Indeterminee), "inconnue n'est pas une absence, et un sceau se répare"
    else:
        assert isinstance(operation, OperationRefusee)
        assert operation.code == code
    assert (faite.envois, caisse.envois) == (1, 1)


@pytest.mark.parametrize(
    ("code", "dit"),
    [
        ("57", "impayé"),
        ("34", "le sceau ou la version de clé"),
        ("03", "contrat du marchand"),
        ("ZZ", "code ZZ inconnu"),
    ],
)
def test_le_sens_d_un_code_est_celui_qu_il_a_chez_office(code: str, dit: str) -> None:
    operation = rembourser(Caisse([(False, http(scellee({"responseCode": code, "merchantId": MARCHAND})))]))
    assert isinstance(operation, OperationRefusee | Indeterminee)
    assert dit in operation.cause
    champs = {"getTransDataResponseCode": code, "merchantId": MARCHAND}
    etat = demander(tout_d_un_coup(http(scellee(champs))))
    assert isinstance(etat, Indeterminee)
    assert dit in etat.cause


def test_un_contrat_qui_ne_permet_pas_l_operation_le_dit() -> None:
    caisse = Caisse([(False, dit("40"))])
    assert isinstance(rembourser(caisse), NonOfferte)
    assert caisse.envois == 1


@pytest.mark.parametrize(
    "toujours",
    [
        {"currentAmount": "2000", "transactionStatus": "TO_CREDIT"},
        {"currentAmount": "2000", "transactionStatus": "CREDITED"},
        {"currentAmount": "2000", "lastOperationName": "CREDIT"},
        {"currentAmount": "2000", "lastOperationName": "REFUND"},
    ],
    ids=repr,
)
def test_une_banque_qui_rend_sans_baisser_ce_qu_elle_garde_ne_fait_rien_rendre_deux_fois(
    toujours: dict[str, str],
) -> None:
    caisse = Caisse([(True, None)], **toujours)
    assert isinstance(rembourser(caisse, peut_etre=True), Indeterminee)
    assert caisse.envois == 0, "un processus mort a pu l'envoyer"


def test_une_operation_faite_depuis_l_envoi_et_que_le_montant_ignore_demande_une_personne() -> None:
    instant = datetime.now(UTC).isoformat(timespec="seconds")

    class Paresseuse(Caisse):
        def __call__(self, ecrire: Ecrire, question: bytes) -> None:
            if self.envois:
                self.toujours |= {"lastOperationName": "CREDIT", "lastOperationDateTime": instant}
            super().__call__(ecrire, question)

    caisse = Paresseuse([(True, None)], currentAmount="2000", originAmount="3000")
    assert isinstance(rembourser(caisse), Indeterminee)
    assert caisse.envois == 1


def test_le_simulateur_coupe_au_milieu_d_une_operation_ne_la_fait_qu_une_fois() -> None:
    with banc() as b, Relais() as relais:
        b.payer("T1")
        port = int(b.url.rpartition(":")[2])
        relais.vers = (socket.AF_INET, ("127.0.0.1", port))
        b.regler(transaction="T1", operation_muette=True)
        with kiosque(f"http://127.0.0.1:{relais.port}", 3.0) as k:
            envois = Memoire()

            def annuler() -> Operation:
                return k.annuler("T1", MARCHAND, 5_00, reste_avant=20_00, envois=envois)

            relais.faire_taire()
            assert isinstance(annuler(), Indeterminee), "rien n'est parti"
            relais.raccrocher()
            relais.retablir()
            assert annuler() == Faite(15_00), "faite, et sa réponse perdue"
            relais.couper()
            assert isinstance(annuler(), Indeterminee)
            relais.retablir()
            assert annuler() == Faite(15_00), "redemandée par un autre : déjà faite"
        [session] = [s for s in [b.etat("T1")] if s is not None]
        assert session.montant == 20_00
