"""Le fil des événements : ceux du journal, ceux des caisses du partenaire, dans l'ordre, et rien d'autre."""

import json
import threading
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import jsonschema
import jwt
import psycopg
import pytest
from cloudevents.core.bindings import http as structure
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from api.partenaires import fil
from api.partenaires.fil import ATTENTE_MAX_S
from api.socle.identite import EMETTEUR_DE_DEVELOPPEMENT
from domain.avis import Avis, Canal, Mode
from domain.creance import Créance
from domain.imputation import Imputation
from domain.monnaie import Centimes
from domain.paiement import Acceptation, Fin, Paiement
from domain.politique import Politique
from domain.references import CodeCaisse, Pseudonyme, ReferenceCreance, ReferenceTransaction
from engine.batch import Batch
from engine.recorder import collect
from publication import schemas
from publication.curseur import RETENUS_MAX
from publication.epoques import ouvrir_epoque
from publication.lectures import lectures
from service.kafka import create_topics
from tests.api.conftest import AUDIENCE, SECRET, Service, porteur
from tests.outils import attendre, en_moins_de
from tests.partenaires.conftest import Appel
from tests.publication import banc

A_NOUS = [f"38117012000{numero:05d}F" for numero in range(5)]
AUX_AUTRES = [f"63117012000{numero:05d}F" for numero in range(5)]


@pytest.fixture
def rempli(service: Service) -> Service:
    """Cinq avis de la 381 et cinq de la 631, mêlés, et un paiement affiché à chacune."""
    agregats: list[Any] = []
    for notre, autre in zip(A_NOUS, AUX_AUTRES, strict=True):
        agregats += [ouvrir(notre), ouvrir(autre)]
    for rang, creance in enumerate(agregats[:2]):
        agregats.append(payer(creance, f"PCLCB26172000000{rang}"))
    inscrire(service, *agregats)
    service.catch_up()
    return service


def ouvrir(reference: str) -> Créance:
    caisse, montant = CodeCaisse(reference[:3]), Centimes(87_09)
    avis = Avis(
        ReferenceCreance(reference),
        Pseudonyme("a-1"),
        caisse,
        "PF/FR",
        montant,
        montant,
        date(2026, 5, 12),
        Mode.PAPIER,
    )
    return Créance.ouvrir(avis, Politique(), maintenant=banc.T0)


def payer(creance: Créance, transaction: str) -> Paiement:
    nom, part = ReferenceTransaction(transaction), Centimes(20_00)
    paiement = Paiement.ouvrir(
        nom,
        assure=Pseudonyme("a-1"),
        caisse=creance.avis.caisse,
        canal=Canal.WEB,
        marchand="002001000000001",
        montant=part,
        imputations=(Imputation(reference=creance.avis.reference, part=part),),
        expire_le=banc.T0,
        maintenant=banc.T0,
    )
    creance.initier_paiement(nom, part, Canal.WEB, banc.T0, maintenant=banc.T0)
    paiement.conclure(Fin.ACCEPTE, "accepté par la banque", accepte_le=banc.T0, maintenant=banc.T0)
    creance.accepter_paiement(nom, part, banc.T0, maintenant=banc.T0)
    return paiement


def inscrire(service: Service, *agregats: Any) -> None:
    with service.guichet.base.transaction() as conn:
        service.guichet.recorder.record(conn, Batch(entries=collect(agregats, "test")))


def tout(appel: Appel, **parametres: Any) -> list[dict[str, Any]]:
    """Tous les événements, page après page, jusqu'à la marque de fin."""
    evenements: list[dict[str, Any]] = []
    while True:
        page = appel(**parametres).json()
        evenements += page["evenements"]
        parametres = {nom: valeur for nom, valeur in parametres.items() if nom != "depuis"} | {"apres": page["suite"]}
        if any(marque["type"] == "FinDeRenvoi" for marque in page["marques"]):
            return evenements


def ids(evenements: list[dict[str, Any]]) -> list[str]:
    return [un["id"] for un in evenements]


def du_journal(service: Service, prefixe: str) -> list[str]:
    """Ce que le journal a de cette caisse, dans l'ordre : ses créances, et leurs paiements."""
    with psycopg.connect(service.url_base) as conn:
        lignes = conn.execute(
            "SELECT e.flux || ':' || e.version FROM journal.evenements e LEFT JOIN vues.paiements p"
            " ON e.flux = 'paiement-' || p.transaction"
            " WHERE e.flux LIKE %s OR p.caisse = %s ORDER BY e.position",
            (f"creance-{prefixe}%", prefixe),
        )
        return [un for (un,) in lignes]


@pytest.mark.parametrize("limite", [1, 3, 500])
def test_un_partenaire_recoit_tout_ce_qui_est_de_ses_caisses_dans_l_ordre_et_rien_d_autre(
    rempli: Service, appel: Appel, limite: int
) -> None:
    recus = tout(appel, limite=limite)
    assert ids(recus) == du_journal(rempli, "381")
    assert len(recus) == 10
    assert "631" not in {un["data"].get("caisse") for un in recus}
    suite = [un["sequence"] for un in recus]
    assert suite == sorted(suite)
    autres = tout(appel, de="cpam-631", caisses=("631",))
    assert ids(autres) == du_journal(rempli, "631")
    ensemble = tout(appel, de="les-deux", caisses=("381", "631"))
    assert sorted(ids(ensemble)) == sorted(ids(recus) + ids(autres))
    assert ids(tout(appel, de="les-deux", caisses=("381", "631"), caisse="631")) == ids(autres)


@pytest.mark.usefixtures("rempli")
def test_chaque_evenement_est_un_cloudevent_que_sa_bibliotheque_lit_et_que_son_schema_accepte(appel: Appel) -> None:
    publies = schemas.schemas()
    for recu in tout(appel):
        message = structure.HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(recu).encode())
        lu = structure.from_http(message, JSONFormat(), CloudEvent)
        assert isinstance(lu, CloudEvent)
        assert lu.get_id() == recu["id"]
        assert lu.get_extension("sequence") == recu["sequence"]
        jsonschema.validate(recu["data"], publies[f"{recu['type']}.json"])


def test_le_fil_dit_le_meme_contenu_que_kafka(rempli: Service, appel: Appel, kafka: str, prefixe: str) -> None:
    settings = banc.reglages(rempli.url_base, kafka, prefixe)
    create_topics(settings)
    banc.publier(settings)
    de_kafka = {r.en_tetes["ce_id"].decode(): r for r in banc.relire(settings)}
    for recu in tout(appel):
        autre = de_kafka[recu["id"]]
        assert json.loads(autre.valeur) == recu["data"]
        for nom in ("source", "type", "subject", "time", "sequence", "dataschema", "partitionkey"):
            assert autre.en_tetes[f"ce_{nom}"].decode() == recu[nom]


@pytest.mark.usefixtures("rempli")
def test_sans_les_vues_le_fil_dit_la_meme_chose(appel: Appel, base: Any) -> None:
    """Une vue en retard ou vidée ne fait ni manquer un événement, ni en montrer un qui est à d'autres."""
    avant = ids(tout(appel))
    with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
        conn.execute("TRUNCATE vues.restant_du, vues.paiements, vues.soldes_publies")
    assert ids(tout(appel)) == avant


def test_une_page_vide_n_est_pas_la_fin(rempli: Service, appel: Appel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("publication.fil.FENETRE", 1)
    pages, curseur = [], None
    while True:
        page = appel(**({"apres": curseur} if curseur else {})).json()
        pages.append(page)
        curseur = page["suite"]
        if page["marques"]:
            break
    assert any(not page["evenements"] for page in pages[:-1])
    assert ids([un for page in pages for un in page["evenements"]]) == du_journal(rempli, "381")


# --- Rejouer pour soi seul -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("rempli")
def test_on_rejoue_depuis_un_curseur_une_reference_ou_un_instant(appel: Appel, base: Any) -> None:
    complet = tout(appel)
    milieu = appel(limite=4).json()["suite"]
    assert ids(tout(appel, apres=milieu)) == ids(complet)[4:]
    assert ids(tout(appel, apres=milieu)) == ids(complet)[4:], "un curseur ne périme pas"
    d_une = ids(tout(appel, reference=A_NOUS[0]))
    assert d_une == [un for un in ids(complet) if A_NOUS[0] in un or un.startswith("paiement-")]
    with psycopg.connect(base.url) as conn:
        (quand,) = conn.execute(
            "SELECT enregistre_le FROM journal.evenements WHERE position = %s", (int(complet[-1]["sequence"]),)
        ).fetchone() or (None,)
    assert quand is not None
    assert ids(tout(appel, depuis=quand.isoformat())) == ids(complet)[-1:]
    hier = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    assert ids(tout(appel, depuis=hier)) == ids(complet)
    assert tout(appel, depuis=datetime.now(UTC).isoformat()) == []


def test_une_nouvelle_epoque_se_dit_une_fois_et_tout_repart_du_debut(rempli: Service, appel: Appel) -> None:
    ancien = appel(limite=4).json()
    with psycopg.connect(rempli.url_base, autocommit=True) as conn:
        nouvelle = ouvrir_epoque(conn, "sauvegarde restaurée")
    page = appel(apres=ancien["suite"]).json()
    assert page["marques"][0] == {
        "type": "NouvelleEpoque",
        "epoque": nouvelle,
        "epoque_precedente": ancien["epoque"],
    }
    assert ids(page["evenements"]) == du_journal(rempli, "381")
    assert {un["source"].rpartition("/")[2] for un in page["evenements"]} == {nouvelle}
    assert [marque["type"] for marque in appel(apres=page["suite"]).json()["marques"]] == ["FinDeRenvoi"]


# --- Ce qui est refusé -----------------------------------------------------------------------------------------------


REFUSES: list[tuple[dict[str, Any], int, str]] = [
    ({"apres": "n'importe quoi"}, 422, "curseur_illisible"),
    ({"apres": "20260101T000000Z.-1"}, 422, "curseur_illisible"),
    ({"apres": f"20260101T000000Z.{2**63}"}, 422, "curseur_illisible"),
    ({"apres": f"20260101T000000Z.1~{2**63}"}, 422, "curseur_illisible"),
    ({"apres": "20260101T000000Z.1~"}, 422, "curseur_illisible"),
    ({"apres": "20260101T000000Z.1" + "~1" * 21}, 422, "curseur_illisible"),
    ({"apres": "20990101T000000Z.1"}, 409, "curseur_inconnu"),
    ({"depuis": "avant-hier"}, 422, "depart_illisible"),
    ({"depuis": "2026-06-01T10:00:00"}, 422, "depart_illisible"),
    ({"depuis": "2099-01-01"}, 422, "instant_futur"),
    ({"apres": "20260101T000000Z.1", "depuis": "2026-01-01"}, 422, "departs_multiples"),
    ({"caisse": "631"}, 403, "caisse_etrangere"),
    ({"caisse": ["381", "631"]}, 403, "caisse_etrangere"),
    ({"reference": AUX_AUTRES[0]}, 404, "creance_inconnue"),
    ({"reference": "3819999999999999F"}, 404, "creance_inconnue"),
    ({"reference": "rien"}, 404, "creance_inconnue"),
    ({"limite": 0}, 422, "donnees_invalides"),
    ({"limite": 2001}, 422, "donnees_invalides"),
    ({"attente": 9}, 422, "donnees_invalides"),
]


@pytest.mark.usefixtures("rempli")
def test_un_curseur_une_caisse_ou_une_borne_impossible_sont_refuses(appel: Appel) -> None:
    for parametres, statut, code in REFUSES:
        refus = appel(**parametres)
        assert (refus.status_code, refus.json()["code"]) == (statut, code), parametres
        assert refus.json()["detail"], parametres


@pytest.mark.usefixtures("rempli")
def test_un_curseur_au_dela_du_dernier_evenement_est_refuse(appel: Appel) -> None:
    epoque, _, position = appel().json()["suite"].partition(".")
    assert appel(apres=f"{epoque}.{int(position) + 1}").json()["code"] == "curseur_hors_bornes"


def test_seul_un_partenaire_nomme_avec_ses_caisses_lit_le_fil(rempli: Service, appel: Appel) -> None:
    assert rempli.client.get("/api/v1/evenements").status_code == 401
    assert appel(caisses=()).status_code == 403
    assert rempli.client.get("/api/v1/evenements", headers=porteur()).status_code == 403


CAISSES_IMPOSSIBLES: list[Any] = ["381", ["38"], [381], {"381": 1}, ["381", "x"]]


def test_un_jeton_dont_les_caisses_n_en_sont_pas_n_ouvre_rien(service: Service) -> None:
    for caisses in CAISSES_IMPOSSIBLES:
        contenu = {
            "iss": EMETTEUR_DE_DEVELOPPEMENT,
            "aud": AUDIENCE,
            "sub": "x",
            "exp": service.heure() + timedelta(hours=1),
            "role": "partenaire",
            "caisses": caisses,
        }
        jeton = jwt.encode(contenu, SECRET, algorithm="HS256")
        refus = service.client.get("/api/v1/evenements", headers={"Authorization": f"Bearer {jeton}"})
        assert refus.status_code == 401, caisses


def planter(base: Any, flux: str, version: int, *, topic: str = "creance.PaiementEchoue") -> None:
    """Écrit un événement qui ne se lit pas."""
    with psycopg.connect(base.url_proprietaire) as conn:
        conn.execute(
            "INSERT INTO journal.evenements (flux, version, topic, etat, cause)"
            " VALUES (%s, %s, %s, 'pas du JSON', 'planté')",
            (flux, version, topic),
        )


def reparer(base: Any, flux: str, version: int, topic: str, etat: bytes) -> None:
    with psycopg.connect(base.url_proprietaire) as conn:
        conn.execute("ALTER TABLE journal.evenements DISABLE TRIGGER ajout_seul")
        conn.execute(
            "UPDATE journal.evenements SET topic = %s, etat = %s WHERE flux = %s AND version = %s",
            (topic, etat, flux, version),
        )
        conn.execute("ALTER TABLE journal.evenements ENABLE ALWAYS TRIGGER ajout_seul")


def abimer(base: Any, flux: str, version: int, *, topic: str | None = None) -> tuple[str, bytes]:
    """Rend illisible un événement écrit ; rend ce qu'il était."""
    with psycopg.connect(base.url_proprietaire) as conn:
        ligne = conn.execute(
            "SELECT topic, etat FROM journal.evenements WHERE flux = %s AND version = %s", (flux, version)
        ).fetchone()
    assert ligne is not None
    reparer(base, flux, version, topic or ligne[0], b"pas du JSON")
    return ligne


@pytest.mark.parametrize("limite", [1, 3, 500])
@pytest.mark.parametrize("topic", [None, "creance.GenreDeDemain"])
def test_un_evenement_illisible_ne_retient_que_son_flux_qui_vient_une_fois_repare(
    rempli: Service, appel: Appel, base: Any, topic: str | None, limite: int
) -> None:
    complet = ids(tout(appel))
    sien = f"creance-{A_NOUS[0]}"
    etait = abimer(base, sien, 2, topic=topic)
    pages = [appel(limite=limite).json()]
    while not pages[-1]["marques"]:
        pages.append(appel(limite=limite, apres=pages[-1]["suite"]).json())
    rendus = [un for page in pages for un in ids(page["evenements"])]
    attendus = [un for un in complet if not un.startswith(sien) or un == f"{sien}:1"]
    assert rendus == attendus, "tout le reste, dans l'ordre"
    [retenu] = pages[-1]["retenus"]
    assert retenu["evenement"] == f"{sien}:2"

    inscrire(rempli, ouvrir(f"3811701200{limite:04d}99F"))
    suite = appel(apres=pages[-1]["suite"]).json()
    assert [un["subject"] for un in suite["evenements"]] == [f"3811701200{limite:04d}99F"]
    appel(apres=suite["suite"])
    assert appel("/lecture").json()["curseur"] == suite["suite"]

    reparer(base, sien, 2, *etait)
    repris: list[str] = []
    while suite["retenus"]:
        suite = appel(apres=suite["suite"], limite=limite).json()
        repris += ids(suite["evenements"])
    assert repris == [un for un in complet if un.startswith(sien) and un != f"{sien}:1"]
    assert ids(tout(appel, apres=suite["suite"])) == []


def test_un_premier_evenement_illisible_ne_dit_a_personne_de_qui_il_est(
    rempli: Service, appel: Appel, base: Any
) -> None:
    planter(base, "creance-6311701200099999F", 1, topic="creance.AvisEmis")
    inscrire(rempli, ouvrir("3811701200099999F"))
    page = appel().json()
    assert page["evenements"][-1]["subject"] == "3811701200099999F"
    assert [un["evenement"] for un in page["retenus"]] == [None]
    assert "6311701200099999F" not in json.dumps(page)
    suite = appel(apres=page["suite"]).json()
    assert (suite["evenements"], len(suite["retenus"])) == ([], 1)


@pytest.mark.usefixtures("rempli")
def test_trop_de_flux_illisibles_arretent_le_fil_devant_eux(appel: Appel, base: Any) -> None:
    complet = ids(tout(appel))
    for numero in range(RETENUS_MAX + 1):
        planter(base, f"creance-38117012009{numero:05d}F", 1, topic="creance.AvisEmis")
    page = appel().json()
    assert (ids(page["evenements"]), len(page["retenus"]), page["marques"]) == (complet, RETENUS_MAX, [])
    refus = appel(apres=page["suite"])
    assert (refus.status_code, refus.json()["code"]) == (503, "evenement_illisible")


@pytest.mark.usefixtures("rempli")
def test_une_creance_illisible_demandee_seule_le_dit(appel: Appel, base: Any) -> None:
    abimer(base, f"creance-{A_NOUS[0]}", 2)
    page = appel(reference=A_NOUS[0]).json()
    assert ids(page["evenements"])[0] == f"creance-{A_NOUS[0]}:1"
    refus = appel(reference=A_NOUS[0], apres=page["suite"])
    assert (refus.status_code, refus.json()["code"]) == (503, "evenement_illisible")
    assert appel(reference=A_NOUS[1]).status_code == 200


# --- Comment il est servi --------------------------------------------------------------------------------------------


def test_une_page_se_relit_par_son_etiquette_et_se_compresse(rempli: Service, appel: Appel) -> None:
    page = appel(en_tetes={"Accept-Encoding": "identity"})
    assert "content-encoding" not in page.headers
    compressee = appel(en_tetes={"Accept-Encoding": "br, gzip;q=0.5"})
    assert compressee.headers["content-encoding"] == "gzip"
    assert compressee.json() == page.json()
    assert compressee.headers["etag"] == page.headers["etag"]
    assert int(compressee.headers["content-length"]) < len(page.content) / 2
    for refuse in ("gzip;q=0", "gzip;q=0, *", "*, gzip; q=0.0"):
        assert "content-encoding" not in appel(en_tetes={"Accept-Encoding": refuse}).headers, refuse
    relue = appel(en_tetes={"If-None-Match": page.headers["etag"]})
    assert (relue.status_code, relue.content) == (304, b"")
    # Comparée sans sa faiblesse, parmi d'autres ou toutes : RFC 9110, 13.1.2.
    for connues in (page.headers["etag"].removeprefix("W/"), f'"x", {page.headers["etag"]}', "*"):
        assert appel(en_tetes={"If-None-Match": connues}).status_code == 304, connues
    inscrire(rempli, ouvrir("3811701200088888F"))
    assert appel(en_tetes={"If-None-Match": page.headers["etag"]}).status_code == 200


def test_une_attente_finit_des_qu_un_evenement_arrive_ou_a_sa_borne(rempli: Service, appel: Appel) -> None:
    suite = appel().json()["suite"]

    def vide() -> float:
        debut = time.monotonic()
        page = appel(apres=suite, attente=1).json()
        assert (page["evenements"], page["suite"]) == ([], suite)
        duree_s = time.monotonic() - debut
        assert duree_s > 0.9
        return duree_s

    en_moins_de(5, vide)
    references = iter(f"381170120007777{n}F" for n in range(9))

    def arrive() -> float:
        nonlocal suite
        recus: list[Any] = []
        attente = threading.Thread(target=lambda: recus.append(appel(apres=suite, attente=ATTENTE_MAX_S).json()))
        reference, debut = next(references), time.monotonic()
        attente.start()
        inscrire(rempli, ouvrir(reference))
        attente.join()
        duree_s = time.monotonic() - debut
        assert [un["subject"] for un in recus[0]["evenements"]] == [reference]
        suite = recus[0]["suite"]
        return duree_s

    en_moins_de(ATTENTE_MAX_S - 1, arrive)


def test_un_partenaire_n_attend_qu_en_peu_de_connexions_et_les_autres_attendent_encore(
    rempli: Service, appel: Appel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chaque attente tient une connexion, que la banque ne trouverait plus libre."""
    monkeypatch.setattr(fil, "ATTENTES_MAX", 2)
    suite = appel().json()["suite"]
    statuts: list[int] = []
    fils = [
        threading.Thread(target=lambda: statuts.append(appel(apres=suite, attente=ATTENTE_MAX_S).status_code))
        for _ in range(6)
    ]
    for une in fils:
        une.start()
    attendre(lambda: 429 in statuts, quoi="une attente de trop, refusée")
    assert appel(apres=suite, de="cpam-autre", attente=1).status_code == 200
    assert appel(apres=suite).status_code == 200  # Lire n'est pas attendre.
    inscrire(rempli, ouvrir("3811701200066666F"))
    for une in fils:
        une.join()
    assert set(statuts) == {200, 429}
    assert appel(apres=suite, attente=1).status_code == 200


def test_ou_en_est_un_partenaire_est_vu_de_lui_et_de_nous(rempli: Service, appel: Appel) -> None:
    assert appel("/lecture").json()["curseur"] is None
    premiere = appel(limite=4).json()
    appel(apres=premiere["suite"])
    sienne = appel("/lecture").json()
    assert (sienne["curseur"], sienne["retard_evenements"]) == (premiere["suite"], 6)
    assert sienne["premier_en_attente_le"] is not None
    fin = appel(apres=premiere["suite"]).json()["suite"]
    appel(apres=fin)
    assert appel("/lecture").json()["retard_evenements"] == 0
    appel(apres=premiere["suite"], reference=A_NOUS[0])
    assert appel("/lecture").json()["curseur"] == fin, "un rejeu d'une créance n'est pas où l'on en est"
    with rempli.guichet.base.transaction() as conn:
        notres = lectures(conn, rempli.guichet.recorder.mapper)
    assert [(une.partenaire, une.caisses, une.retard_evenements) for une in notres] == [("cpam-381", ["381"], 0)]


def test_l_argent_d_un_paiement_inconnu_n_est_d_aucune_caisse(service: Service, appel: Appel) -> None:
    argent = Acceptation("002001000000001", Centimes(20_00), "761208", banc.T0, depart_presume=False)
    inconnu = Paiement.encaisser_inconnu(ReferenceTransaction("INCONNUE1"), argent, maintenant=banc.T0)
    inscrire(service, inconnu, ouvrir(A_NOUS[0]))
    assert [un["subject"] for un in tout(appel)] == [A_NOUS[0]]
