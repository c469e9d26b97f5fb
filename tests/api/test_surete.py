"""Le journal de la sûreté, ce que l'émetteur finit, et ce qui n'est pas un jeton d'accès."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jwt
import psycopg
import pytest

from api.socle.client_oidc import ClientOIDC
from api.socle.emetteur import Emetteur
from api.socle.identite import FIN_DE_SESSION, Identite, JetonInvalide, RoleUtilisateur, VerificateurOIDC
from api.socle.limites import Limites
from engine.security_log import network_of
from tests.api.conftest import SECRET as SECRET_LONG
from tests.api.conftest import Service, jeton, notification, porteur
from tests.api.emetteur import AUTRE_CLE, CLE, CLIENT, RETOUR, SECRET, EmetteurDEssai, emetteur_d_essai
from tests.api.test_connexion import connecte, jeton_de, se_connecter
from tests.outils import commande


@pytest.fixture
def emetteur() -> Iterator[EmetteurDEssai]:
    with emetteur_d_essai() as servi:
        servi.personne = {"role": "assure", "assure": "a-1", "sid": "s-42"}
        yield servi


@pytest.fixture
def reglages_api(emetteur: EmetteurDEssai) -> dict[str, Any]:
    client = ClientOIDC(Emetteur(emetteur.url), CLIENT, SECRET, RETOUR, "http://service.test/deconnecte")
    return {
        "connexion": client,
        "secret_de_session": SECRET_LONG,
        "limites": Limites(connexions_par_minute=40, refus_par_minute=100_000),
    }


def consignes(service: Service) -> list[tuple[str, str, str, int]]:
    with psycopg.connect(service.url_base) as conn:
        return conn.execute("SELECT genre, acteur, detail, fois FROM journal.securite ORDER BY rang").fetchall()


def jeton_de_fin(emetteur: EmetteurDEssai, cle: Any = CLE, genre: str = "logout+jwt", **plus: Any) -> str:
    contenu = {
        "iss": emetteur.url,
        "aud": CLIENT,
        "iat": datetime.now(UTC),
        "exp": datetime.now(UTC) + timedelta(minutes=2),
        "jti": "j-1",
        "events": {FIN_DE_SESSION: {}},
        "sid": "s-42",
    } | plus
    presents = {nom: valeur for nom, valeur in contenu.items() if valeur is not None}
    return jwt.encode(presents, cle, algorithm="RS256", headers={"kid": "k1", "typ": genre})


class TestFinParLEmetteur:
    @pytest.mark.parametrize("plus", [{}, {"sub": "s-1"}, {"sid": None, "sub": "s-1"}])
    def test_la_session_finit_ici_quand_elle_finit_la_bas(
        self, service: Service, emetteur: EmetteurDEssai, plus: dict[str, Any]
    ) -> None:
        se_connecter(service)
        assert connecte(service)
        fin = service.client.post("/connexion/fin", data={"logout_token": jeton_de_fin(emetteur, **plus)})
        assert fin.status_code == 200
        assert fin.headers["cache-control"] == "no-store"
        assert not connecte(service)

    @pytest.mark.parametrize(
        "plus",
        [
            {"cle": AUTRE_CLE},
            {"aud": "un autre"},
            {"iss": "http://ailleurs.test"},
            {"nonce": "n"},
            {"events": {}},
            {"events": None},
            {"jti": None},
            {"sid": None},
            {"sid": 3},
            {"genre": "at+jwt"},
            {"typ": "Refresh"},
            {"iat": 10**400},
            {"exp": datetime(2020, 1, 1, tzinfo=UTC)},
        ],
    )
    def test_un_autre_jeton_ne_finit_rien(
        self, service: Service, emetteur: EmetteurDEssai, plus: dict[str, Any]
    ) -> None:
        se_connecter(service)
        fin = service.client.post("/connexion/fin", data={"logout_token": jeton_de_fin(emetteur, **plus)})
        assert fin.status_code == 400
        assert connecte(service)

    @pytest.mark.parametrize("plus", [{}, {"sid": None, "sub": "s-1"}])
    def test_un_jeton_de_fin_rejoue_ne_finit_pas_la_session_ouverte_depuis(
        self, service: Service, emetteur: EmetteurDEssai, plus: dict[str, Any]
    ) -> None:
        d_avant = jeton_de_fin(emetteur, iat=datetime.now(UTC) - timedelta(minutes=1), **plus)
        se_connecter(service)
        assert service.client.post("/connexion/fin", data={"logout_token": d_avant}).status_code == 200
        assert connecte(service)

    def test_seules_les_demandes_refusees_comptent(self, service: Service, emetteur: EmetteurDEssai) -> None:
        # L'émetteur finit beaucoup de sessions d'une adresse, et ne redemande pas : aucune n'est laissée ouverte.
        def demander(**plus: Any) -> int:
            return service.client.post(
                "/connexion/fin", data={"logout_token": jeton_de_fin(emetteur, **plus)}
            ).status_code

        par_minute = service.dependances_api.limites.connexions_par_minute
        assert {demander(sid=f"s-{n}") for n in range(par_minute + 10)} == {200}
        assert [demander(cle=AUTRE_CLE) for _ in range(par_minute + 10)][-5:] == [429] * 5
        assert demander() == 200

    def test_la_session_d_un_autre_dure(self, service: Service, emetteur: EmetteurDEssai) -> None:
        se_connecter(service)
        fin = service.client.post("/connexion/fin", data={"logout_token": jeton_de_fin(emetteur, sid="s-43")})
        assert fin.status_code == 200
        assert connecte(service)


class TestJournalDeLaSurete:
    def test_il_dit_les_connexions_les_fins_et_les_refus(self, service: Service) -> None:
        se_connecter(service)
        page = service.client.get("/messagerie")
        service.client.post("/deconnexion", data={"jeton": jeton_de(page)})
        for _ in range(5):
            service.client.get("/api/v1/creances/x", headers={"Authorization": "Bearer x.y.z"})
        partenaire = {"Authorization": f"Bearer {jeton(RoleUtilisateur.PARTENAIRE)}"}
        service.client.get("/api/v1/creances/x", headers=partenaire)
        service.client.post("/kiosque/notification", data=notification("T1", 1) | {"Seal": "0"})
        dits = [(genre, acteur, detail) for genre, acteur, detail, _ in consignes(service)]
        assert dits == [
            ("connexion", "a-1", "connexion aux pages"),
            ("deconnexion", "a-1", "déconnexion"),
            ("refus", "inconnu", "jeton d'accès refusé"),
            ("refus", "partenaire", "appel réservé au rôle assure, fait sous le rôle partenaire"),
            ("refus", "inconnu", "formulaire de la banque refusé : sceau_invalide"),
        ]

    def test_un_agent_y_est_nomme_et_la_page_qui_n_est_pas_a_lui(
        self, service: Service, emetteur: EmetteurDEssai
    ) -> None:
        emetteur.personne = {"role": "support", "sub": "claire"}
        se_connecter(service)
        service.client.get("/payer")
        assert [(genre, acteur, detail) for genre, acteur, detail, _ in consignes(service)] == [
            ("connexion", "claire", "connexion aux pages"),
            ("refus", "claire", "page réservée au rôle assure, demandée sous le rôle support"),
        ]

    def test_un_flot_de_refus_n_est_pas_un_flot_de_lignes(self, service: Service) -> None:
        for _ in range(300):
            service.client.get("/api/v1/creances/x", headers={"Authorization": "Bearer x.y.z"})
        assert len(consignes(service)) == 1

    def test_une_epoque_s_y_dit_et_rien_ne_s_y_efface(self, service: Service) -> None:
        with psycopg.connect(service.url_base, autocommit=True) as conn:
            conn.execute("INSERT INTO journal.epoques (nom, raison) VALUES ('20300101T000000Z', 'une restauration')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute("DELETE FROM journal.securite")
        [(genre, _, detail, _)] = consignes(service)
        assert (genre, detail) == ("epoque", "époque ouverte : une restauration")

    def test_il_s_exporte(self, service: Service) -> None:
        with psycopg.connect(service.url_base, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO journal.securite (genre, acteur, objet, detail)"
                " VALUES ('administration', '=1+1', 's', 'é\x9b')"
            )
        for option, attendu in (("--json", '"acteur": "=1+1"'), ("--csv", "'=1+1"), ("--kind=acces", "Rang")):
            fini = commande("security-log", option, database_url=service.url_base)
            assert fini.returncode == 0, fini.stderr
            assert attendu in fini.stdout
            assert "\x9b" not in fini.stdout
        ligne = json.loads(commande("security-log", "--json", database_url=service.url_base).stdout)
        assert ligne["genre"] == "administration"

    def test_sa_table_ne_coupe_rien_de_ce_qui_est_arrive(self, service: Service) -> None:
        detail = "réglages donnés : " + ", ".join(f"CREANCES_UN_REGLAGE_{n}" for n in range(9)) + " [fin]"
        with psycopg.connect(service.url_base, autocommit=True) as conn:
            conn.execute(
                "INSERT INTO journal.securite (genre, acteur, objet, detail)"
                " VALUES ('reglages', 'creances', 'a1745b86bbe1b386', %s)",
                [detail],
            )
        table = commande("security-log", database_url=service.url_base).stdout
        cellules = [ligne.split("│")[4].strip() for ligne in table.splitlines() if ligne.startswith("│")]
        assert "".join(cellules).replace(" ", "").endswith(detail.replace(" ", ""))
        assert len(cellules) < 20


@pytest.mark.parametrize(
    ("adresse", "reseau"), [("192.0.2.77", "192.0.2.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"), ("x", None)]
)
def test_une_adresse_n_est_gardee_qu_au_reseau_pres(adresse: str, reseau: str | None) -> None:
    assert network_of(adresse) == reseau


class TestJetonDAcces:
    def verifier(self, emetteur: EmetteurDEssai, client: str | None, entete: dict[str, str], **plus: Any) -> Identite:
        contenu = {
            "iss": emetteur.url,
            "aud": "creances",
            "exp": datetime.now(UTC) + timedelta(minutes=5),
            "role": "assure",
            "assure": "a-1",
        } | plus
        signe = jwt.encode(contenu, CLE, algorithm="RS256", headers={"kid": "k1"} | entete)
        return anyio.run(VerificateurOIDC(Emetteur(emetteur.url), "creances", client=client).verifier, signe)

    @pytest.mark.parametrize("genre", ["Refresh", "Offline", "Logout", "DPoP", "Serialized-ID", "id", 1, ["Bearer"]])
    def test_un_jeton_d_un_autre_type_n_ouvre_aucun_appel(self, emetteur: EmetteurDEssai, genre: Any) -> None:
        for entete in ({}, {"typ": "at+jwt"}):
            with pytest.raises(JetonInvalide):
                self.verifier(emetteur, None, entete, typ=genre)

    @pytest.mark.parametrize("genre", ["logout+jwt", "dpop+jwt", "secevent+jwt", "refresh+jwt", "rt+jwt"])
    def test_ni_celui_dont_l_en_tete_le_dit(self, emetteur: EmetteurDEssai, genre: str) -> None:
        with pytest.raises(JetonInvalide):
            self.verifier(emetteur, None, {"typ": genre})

    def test_celui_qui_dit_etre_d_acces_ouvre(self, emetteur: EmetteurDEssai) -> None:
        for entete, plus in (
            ({"typ": "JWT"}, {"typ": "Bearer"}),
            ({"typ": "at+JWT"}, {}),
            ({}, {"token_use": "access"}),
        ):
            assert self.verifier(emetteur, None, entete, **plus).assure == "a-1"
        with pytest.raises(JetonInvalide):
            self.verifier(emetteur, None, {}, token_use="id")

    @pytest.mark.parametrize("plus", [{"nonce": "n"}, {"at_hash": "h"}, {"typ": "ID"}, {"events": {}}])
    def test_un_jeton_d_identite_n_ouvre_aucun_appel(self, emetteur: EmetteurDEssai, plus: dict[str, Any]) -> None:
        with pytest.raises(JetonInvalide):
            self.verifier(emetteur, None, {}, **plus)

    def test_si_les_audiences_coincident_un_jeton_doit_dire_qu_il_est_d_acces(self, emetteur: EmetteurDEssai) -> None:
        with pytest.raises(JetonInvalide):
            self.verifier(emetteur, "creances", {})
        attendue = Identite(RoleUtilisateur.ASSURE, "a-1")
        assert self.verifier(emetteur, "creances", {"typ": "at+jwt"}) == attendue
        assert self.verifier(emetteur, "creances", {}, scope="payer") == attendue
        assert self.verifier(emetteur, "autre", {}) == attendue


@pytest.mark.parametrize(
    "corps",
    [
        '{"references":[],"references":["3811701200010075F"],"montant_centimes":2000,"canal":"web"}',
        '{"references":["3811701200010075F"],"montant_centimes":1,"canal":"web","montant_centimes":2000}',
    ],
)
def test_une_cle_repetee_est_refusee(service: Service, corps: str) -> None:
    service.avis("3811701200010075F")
    entetes = porteur() | {"Idempotency-Key": "k", "Content-Type": "application/json"}
    reponse = service.client.post("/api/v1/paiements", content=corps, headers=entetes)
    assert (reponse.status_code, reponse.json()["code"]) == (400, "json_invalide")
