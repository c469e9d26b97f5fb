"""L'histoire telle que le support la lit : complète, liée dans les deux sens, et telle que connue à tout instant."""

import time
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.socle.identite import RoleUtilisateur
from api.support.consultation import GenreDeConsultation, Objet, consulter
from domain.avis import Canal, Moyen
from domain.creance import Créance
from domain.monnaie import Centimes
from domain.references import ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.recorder import collect
from guichet.acces import lire_motif
from projections.lectures.instant import Instant, InstantFutur, InstantIllisible, lire_instant
from projections.lectures.suite import Demande
from tests.api.conftest import jeton
from tests.outils import en_moins_de, exemples
from tests.support.banc import AUTRE, LECTEUR, MOTIF, REF, Service, acces, agent, paiement, recevoir

CREANCE = f"/api/v1/support/creances/{REF}/historique"
MAINTENANT = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)


def lire(service: Service, adresse: str, **parametres: Any) -> httpx.Response:
    return service.client.get(adresse, headers=agent(), params={"motif": MOTIF} | parametres)


def test_chaque_fait_dit_le_message_qui_l_a_cause_et_chaque_message_ses_faits(paye: tuple[Service, str]) -> None:
    service, transaction = paye
    dit = lire(service, CREANCE).json()
    accepte = dit["evenements"][2]
    assert (accepte["type"], accepte["restant_du_centimes"], accepte["correlation"]) == (
        "PaiementAccepté", 67_09, "c" * 32,
    )  # fmt: skip
    assert accepte["phrase"].startswith("La banque a accepté le paiement le ")
    premiere, copie = [recue for recue in dit["notifications"] if recue["objet"] == transaction]
    assert (premiere["sort"], copie["sort"]) == ("appliquee", "doublon")
    assert (premiere["origine"], premiere["correlation"]) == (accepte["cause"], "c" * 32)
    assert (premiere["autorisation"], premiere["carte_masquee"], premiere["code"]) == (
        "761208", "4970##########01", "00",
    )  # fmt: skip
    assert f"creance-{REF}:3" in premiere["evenements"]
    assert f"paiement-{transaction}:2" in premiere["evenements"]
    assert copie["evenements"] == []


def test_l_appel_qui_a_ouvert_le_paiement_se_retrouve_dans_son_histoire(service: Service) -> None:
    service.avis(REF)
    ouvert = service.payer(REF)
    numero = ouvert.headers["X-Correlation-Id"]
    service.catch_up()
    dit = lire(service, f"/api/v1/support/paiements/{ouvert.json()['transaction']}/historique").json()
    assert [(fait["type"], fait["correlation"]) for fait in dit["evenements"]] == [
        ("PaiementOuvert", numero), ("PaiementInitié", numero),
    ]  # fmt: skip
    assert "jeton_retour" not in str(dit)


def test_un_paiement_que_nous_n_avons_jamais_ouvert_a_aussi_son_histoire(service: Service) -> None:
    recevoir(service, "ORPHELINE1", 31_00)
    dit = lire(service, "/api/v1/support/paiements/ORPHELINE1/historique").json()
    assert [fait["type"] for fait in dit["evenements"]] == ["EncaissementNonImputé"]
    assert dit["notifications"][0]["sort"] == "non_rapprochee"


def test_l_histoire_d_un_assure_reunit_ses_creances_et_ses_paiements(service: Service) -> None:
    service.avis(REF)
    service.avis(AUTRE, 50_00)
    transaction = paiement(service, REF, AUTRE, montant=30_00)
    recevoir(service, transaction, 30_00)
    dit = lire(service, "/api/v1/support/assures/a-1/historique").json()
    assert dit["evenements"][-1]["restant_du_total_centimes"] == 87_09 + 50_00 - 30_00
    assert {fait["flux"] for fait in dit["evenements"]} == {
        f"creance-{REF}", f"creance-{AUTRE}", f"paiement-{transaction}",
    }  # fmt: skip


def test_chaque_lecture_est_ecrite_avec_son_motif_aussi_celle_qui_ne_trouve_rien(paye: tuple[Service, str]) -> None:
    service, _ = paye
    assert lire(service, CREANCE).status_code == 200
    assert lire(service, f"/api/v1/support/creances/{AUTRE}/historique").status_code == 404
    assert acces(service) == [
        ("claire", "api", "historique", f"creance-{REF}", ["a-1"], MOTIF),
        ("claire", "api", "historique", f"creance-{AUTRE}", [], MOTIF),
    ]


@pytest.mark.parametrize("motif", [None, "", "  ", "x", "a" * 201, "appel\x1b[31m", "NIR 255081416802538"])
def test_sans_un_motif_qui_dise_quelque_chose_rien_n_est_lu(paye: tuple[Service, str], motif: str | None) -> None:
    service, _ = paye
    reponse = service.client.get(CREANCE, headers=agent(), params={} if motif is None else {"motif": motif})
    assert (reponse.status_code, reponse.json()["code"][:6]) == (422, "motif_")
    assert acces(service) == []


@pytest.mark.parametrize("role", [role for role in RoleUtilisateur if role is not RoleUtilisateur.SUPPORT])
def test_seul_le_support_lit_les_histoires(service: Service, role: RoleUtilisateur) -> None:
    assure = "a-1" if role is RoleUtilisateur.ASSURE else None
    refusee = service.client.get(
        CREANCE, headers={"Authorization": f"Bearer {jeton(role, assure)}"}, params={"motif": MOTIF}
    )
    assert refusee.status_code == 403


@pytest.mark.parametrize(
    ("parametres", "statut", "code"),
    [
        ({"as_of": "2026"}, 422, "instant_illisible"),
        ({"as_of": "2026-13-01"}, 422, "instant_illisible"),
        ({"as_of": "<script>"}, 422, "instant_illisible"),
        ({"as_of": "2025-10-26T02:30"}, 422, "instant_illisible"),  # Deux fois ce jour-là.
        ({"as_of": "2025-03-30T02:30"}, 422, "instant_illisible"),  # Jamais ce jour-là.
        ({"as_of": "2020-01-01"}, 409, "rien_encore"),
        ({"as_of": "2999-01-01"}, 422, "instant_futur"),
        ({"version": "99"}, 422, "version_inconnue"),
        ({"version": "0"}, 422, "version_inconnue"),
        ({"version": "-1"}, 422, "version_inconnue"),
    ],
)
def test_un_instant_ou_une_version_qui_n_existe_pas_est_refuse_clairement(
    paye: tuple[Service, str], parametres: dict[str, str], statut: int, code: str
) -> None:
    reponse = lire(paye[0], CREANCE, **parametres)
    assert (reponse.status_code, reponse.json()["code"]) == (statut, code), reponse.text


@pytest.mark.parametrize(
    ("saisie", "attendu"),
    [
        ("2026-06-01", datetime(2026, 6, 1, 21, 59, 59, 999999, UTC)),
        ("01/06/2026", datetime(2026, 6, 1, 21, 59, 59, 999999, UTC)),
        ("hier", datetime(2026, 11, 25, 22, 59, 59, 999999, UTC)),
        ("2026-11-26", MAINTENANT),
        ("2026-10-25", datetime(2026, 10, 25, 22, 59, 59, 999999, UTC)),  # 25 heures.
        ("2026-06-01T10:00", datetime(2026, 6, 1, 8, tzinfo=UTC)),
        ("1/6/2026 10h30", datetime(2026, 6, 1, 8, 30, tzinfo=UTC)),
        ("2026-10-25T02:30+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-06-01T10:00:00.5Z", datetime(2026, 6, 1, 10, 0, 0, 500_000, UTC)),
        ("2026-06-01T10:00:00+02:00", datetime(2026, 6, 1, 8, tzinfo=UTC)),
        ("2026-06-01T10:00:00 02:00", datetime(2026, 6, 1, 8, tzinfo=UTC)),
    ],
)
def test_un_jour_vaut_jusqu_a_sa_fin_a_paris(saisie: str, attendu: datetime) -> None:
    assert lire_instant(saisie, MAINTENANT).au == attendu


def test_le_jour_seul_dit_qu_il_vaut_jusqu_a_sa_fin() -> None:
    assert lire_instant("2026-06-01", MAINTENANT).phrase == (
        "Telle que connue à la fin du 01/06/2026 (minuit, à l'heure de Paris)."
    )


@given(st.text(max_size=40))
def test_aucune_saisie_d_instant_ne_fait_autre_chose_que_se_lire_ou_se_refuser(saisie: str) -> None:
    with suppress(InstantIllisible, InstantFutur):
        assert lire_instant(saisie, MAINTENANT).au <= MAINTENANT


# --- Tel que connu à une version : rejoué à la main -------------------------------------------------------------------

GESTES = ("initier", "accepter", "echouer", "encaisser", "rectifier", "annuler")
gestes = st.lists(st.tuples(st.sampled_from(GESTES), st.integers(1, 40)), max_size=12)


def jouer(creance: Créance, geste: str, montant: int, rang: int) -> None:
    transaction, maintenant = ReferenceTransaction(f"T{montant % 4}"), datetime.now(UTC)
    match geste:
        case "initier" if montant <= creance.disponible and transaction not in creance.en_cours:
            fin = maintenant + timedelta(minutes=15)
            creance.initier_paiement(transaction, Centimes(montant), Canal.WEB, fin, maintenant=maintenant)
        case "accepter":
            creance.accepter_paiement(transaction, Centimes(montant), maintenant, maintenant=maintenant)
        case "echouer":
            creance.constater_echec(transaction, "refus", maintenant=maintenant)
        case "encaisser":
            creance.encaisser(f"m{rang}", Centimes(montant), Moyen.CHEQUE, date(2026, 6, 1), maintenant=maintenant)
        case "rectifier" if not creance.annulee:
            creance.rectifier(f"m{rang}", Centimes(montant), "erreur", maintenant=maintenant)
        case "annuler" if not creance.annulee:
            creance.annuler(f"m{rang}", "erreur", maintenant=maintenant)
        case _:
            pass


def a_la_main(faits: list[dict[str, Any]]) -> tuple[int, int]:
    """Le restant dû et l'en-cours que disent ces faits, par leurs seuls champs stockés."""
    solde, reserves = 0, dict[str, int]()
    for fait in faits:
        champs = fait["donnees"]
        match fait["type"]:
            case "AvisEmis":
                solde = champs["montant_initial"]
            case "PaiementInitié":
                reserves[champs["transaction"]] = champs["part"]
            case "PaiementAccepté":
                reserves.pop(champs["transaction"], None)
                solde -= champs["part"]
            case "PaiementÉchoué":
                del reserves[champs["transaction"]]
            case "EncaissementReçu":
                solde -= champs["montant"]
            case "AvisRectifié":
                solde += champs["montant_initial"] - champs["montant_precedent"]
            case "AvisAnnulé":
                solde -= champs["montant_precedent"]
            case _:
                pass
    return max(solde, 0), sum(reserves.values())


_numeros = iter(range(10_000, 100_000))


@settings(
    max_examples=exemples(12, 80),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(joues=gestes)
def test_a_chaque_version_et_a_chaque_instant_l_histoire_est_celle_rejouee_a_la_main(
    service: Service, joues: list[tuple[str, int]]
) -> None:
    reference = service.avis(f"38117012{next(_numeros):08d}F", 60)
    guichet = service.guichet
    with guichet.base.transaction() as conn:
        creance = guichet.charger_creances(conn, [ReferenceCreance(reference)])[ReferenceCreance(reference)]
    for rang, (geste, montant) in enumerate(joues):
        jouer(creance, geste, montant, rang)
        with guichet.base.transaction() as conn:
            guichet.recorder.record(conn, Batch(entries=collect([creance], "test")))

    def lus(demande: Demande) -> list[dict[str, Any]]:
        moyens, objet = (guichet.base, guichet.recorder), Objet(GenreDeConsultation.CREANCE, reference)
        dossier = consulter(moyens, LECTEUR, objet, lire_motif(MOTIF), lambda: demande).dossier
        dit: list[dict[str, Any]] = dossier.en_json()["evenements"]
        return dit

    tout = lus(Demande())
    for version, fait in enumerate(tout, start=1):
        assert (fait["restant_du_centimes"], fait["en_cours_centimes"]) == a_la_main(tout[:version])
        assert lus(Demande(version=version)) == tout[:version]
        connus = [autre for autre in tout if autre["enregistre_le"] <= fait["enregistre_le"]]
        assert lus(Demande(Instant(datetime.fromisoformat(fait["enregistre_le"]), ""))) == connus


def test_l_histoire_de_mille_evenements_est_lue_en_moins_de_200_ms(service: Service) -> None:
    service.avis(REF, 90_000_00, solde=100_00)
    guichet = service.guichet
    with guichet.base.transaction() as conn:
        creance = guichet.charger_creances(conn, [ReferenceCreance(REF)])[ReferenceCreance(REF)]
    maintenant = datetime.now(UTC)
    for rang in range(333):
        transaction = ReferenceTransaction(f"T{rang}")
        fin = maintenant + timedelta(minutes=15)
        creance.initier_paiement(transaction, Centimes(16_00), Canal.WEB, fin, maintenant=maintenant)
        creance.accepter_paiement(transaction, Centimes(16_00), maintenant, maintenant=maintenant)
        creance.afficher_paiement(transaction, maintenant=maintenant)
    with guichet.base.transaction() as conn:
        guichet.recorder.record(conn, Batch(entries=collect([creance], "test")))

    def une_lecture() -> float:
        """Le temps de calcul : le service est dans ce processus, et les voisins n'y comptent pas."""
        debut = time.process_time()
        assert len(lire(service, CREANCE).json()["evenements"]) == 1_000
        return time.process_time() - debut

    en_moins_de(0.2, une_lecture, essais=10)


def test_ce_qui_a_change_entre_deux_versions_est_dit(paye: tuple[Service, str]) -> None:
    dit = lire(paye[0], CREANCE, depuis_version=1, version=3).json()["changements"]
    assert dit["montants"]["restant_du_centimes"] == {"avant": 87_09, "apres": 67_09, "ecart": -20_00}
    assert [fait["type"] for fait in dit["evenements"]] == ["PaiementInitié", "PaiementAccepté"]
