"""Chaque alerte sonne quand il le faut et se tait sinon ; chacune arrive à qui doit la recevoir."""

import json
import shutil
import socketserver
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from tests.courtiers import port_libre
from tests.deploiement.machine import Machine
from tests.deploiement.promtool import ALERTES, PROMETHEUS, avec_alertmanager, avec_promtool, sonnent
from tests.outils import RACINE, attendre
from tests.serveurs import ecoute

ALERTMANAGER: Final = RACINE / "deploy/alertmanager/alertmanager.yml"
ROUTES: Final = ["amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}"]

UP: Final = {'up{job="creances"}': "1x3000"}
DISQUE: Final = '{fstype="ext4",mountpoint="/",instance="m"}'
REQUETES: Final = "creances_http_requetes_total"
PLEIN_EN: Final = "10000000000-70000000x90"
"""Dix gigaoctets, soixante-dix mégaoctets de moins chaque minute : plein en deux heures et demie."""

# Par alerte : ce qui la fait sonner, et quand ; puis ce qui ressemble et ne doit pas la faire sonner.
CAS: Final[dict[str, tuple[str, dict[str, str], dict[str, str]]]] = {
    "ApiAbsente": ("5m", {'up{job="creances"}': "0x10"}, UP),
    "RolesIllisibles": ("5m", {'creances_roles_lisibles{serveur="kafka"}': "0x10"}, {"creances_roles_lisibles": "1x9"}),
    "RoleInactif": ("5m", {'creances_role_actif{role="a"}': "0x10"}, {'creances_role_actif{role="a"}': "1x9"}),
    "RoleEnPanne": (
        "9m",
        {'creances_role_en_panne{role="a"}': "1x10"},
        {'creances_role_en_panne{role="a"}': "1x3 0x9"},
    ),
    "RoleInstable": (
        "16m",
        {"creances_role_interruptions_total": "0+1x20"},
        {"creances_role_interruptions_total": "9x20"},
    ),
    "JournalEnRetard": ("1m", {"creances_journal_en_retard": "1x5"}, {"creances_journal_en_retard": "0x5"}),
    "JournalRefuse": (
        "1m",
        {'creances_temoin_refus{temoin="t"}': "1x5"},
        {'creances_temoin_refus{temoin="t"}': "0x5", "creances_temoin_retard_secondes": "9000x5"},
    ),
    "PointsSansTemoin": (
        "25m",
        {"creances_points_sans_accord_secondes": "0+60x40"},
        {"creances_points_sans_accord_secondes": "0+60x17 0x20"},
    ),
    "PartitionsArretees": ("1m", {"creances_partitions_arretees": "1x5"}, {"creances_partitions_arretees": "0x5"}),
    "MessagesPerdus": ("6m", {"creances_messages_perdus_total": "0x4 7x9"}, {"creances_messages_perdus_total": "7x20"}),
    "TopicRecree": ("6m", {"creances_topic_recree_total": "0x4 1x9"}, {"creances_topic_recree_total": "1x20"}),
    "HorlogesEnDesaccord": (
        "3m",
        {"creances_horloge_ecart_secondes": "-11x9"},
        {"creances_horloge_ecart_secondes": "9x9"},
    ),
    "Retard": (
        "9m",
        {'creances_retard_secondes{role="a"}': "61x9"},
        {'creances_retard_secondes{role="a"}': "61x3 0x9"},
    ),
    "RetardGrave": (
        "9m",
        {'creances_retard_secondes{role="a"}': "901x9"},
        {'creances_retard_secondes{role="a"}': "899x9"},
    ),
    "PaiementsSansReponse": (
        "9m",
        {"creances_paiements_sans_reponse_secondes": "3601x9"},
        {"creances_paiements_sans_reponse_secondes": "3599x9"},
    ),
    "EvenementsEcartes": ("1m", {"creances_evenements_ecartes": "1x5"}, {"creances_evenements_ecartes": "0x5"}),
    "AffichageEnRetard": (
        "9m",
        {"creances_affichage_attente_secondes": "3601x9"},
        {"creances_affichage_attente_secondes": "3599x9"},
    ),
    "AffichageTresEnRetard": (
        "9m",
        {"creances_affichage_attente_secondes": "43201x9"},
        {"creances_affichage_attente_secondes": "43199x9"},
    ),
    "AffichageAuBord": (
        "1m",
        {"creances_affichage_attente_secondes": "72001x9"},
        {"creances_affichage_attente_secondes": "71999x9"},
    ),
    "DelaiAffichageDepasse": (
        "1m",
        {"creances_affichage_attente_secondes": "86401x9", "creances_affichage_delai_secondes": "86400x9"},
        {"creances_affichage_attente_secondes": "86399x9", "creances_affichage_delai_secondes": "86400x9"},
    ),
    "AnomaliesDeNotification": (
        "9m",
        {'creances_sorts{topic="t",sort="rejetee"}': "3x5 4x9"},
        {'creances_sorts{topic="t",sort="doublon"}': "3x5 9x9"},
    ),
    "FormulairesRefuses": (
        "9m",
        {'creances_formulaires_refuses_total{code="sceau"}': "0+3x9"},
        {'creances_formulaires_refuses_total{code="sceau"}': "0 1x20"},
    ),
    "RapportAttendu": ("20m", {"creances_rapport_attendu": "1x20"}, {"creances_rapport_attendu": "1x9 0x20"}),
    "RapportToujoursAttendu": (
        "1090m",
        {"creances_rapport_attendu": "1x120"},
        {"creances_rapport_attendu": "1x90 0x30"},
    ),
    "EcartsDeRapport": (
        "70m",
        {'creances_ecarts_ouverts{genre="g"}': "1x80"},
        {'creances_ecarts_ouverts{genre="g"}': "0x80"},
    ),
    "JourneeNonArretee": ("20m", {"creances_arretes_en_retard": "1x20"}, {"creances_arretes_en_retard": "0x20"}),
    "ArreteSansHorodatage": (
        "400m",
        {"creances_arretes_sans_jeton": "1x90"},
        {"creances_arretes_sans_jeton": "1x30 0x60"},
    ),
    "ErreursHttp": (
        "15m",
        {f'{REQUETES}{{statut="500"}}': "0+2x20", f'{REQUETES}{{statut="200"}}': "0+90x20"},
        {f'{REQUETES}{{statut="404"}}': "0+9x20", f'{REQUETES}{{statut="200"}}': "0+90x20"},
    ),
    "LenteurHttp": (
        "20m",
        {
            'creances_http_duree_secondes_bucket{route="r",le="1"}': "0+90x30",
            'creances_http_duree_secondes_bucket{route="r",le="5"}': "0+100x30",
            'creances_http_duree_secondes_bucket{route="r",le="+Inf"}': "0+100x30",
        },
        {
            'creances_http_duree_secondes_bucket{route="r",le="1"}': "0+100x30",
            'creances_http_duree_secondes_bucket{route="r",le="+Inf"}': "0+100x30",
        },
    ),
    "MessagesEnSouffrance": (
        "9m",
        {"creances_messages_en_souffrance_secondes": "86401x9"},
        {"creances_messages_en_souffrance_secondes": "86399x9"},
    ),
    "ArgentSansCreance": (
        "9m",
        {"creances_argent_sans_creance_secondes": "86401x9"},
        {"creances_argent_sans_creance_secondes": "86399x9"},
    ),
    "ArgentOublie": (
        "9m",
        {'creances_argent_sans_creance_centimes{age="plus"}': "1x9"},
        {'creances_argent_sans_creance_centimes{age="moins_d_une_semaine"}': "1x9"},
    ),
    "BailPerdu": ("1m", {"creances_bail_perdu_secondes": "10x9"}, {"creances_bail_perdu_secondes": "901x9"}),
    "VueDifferente": ("1m", {"creances_parite_differences": "1x9"}, {"creances_parite_differences": "0x9"}),
    "PariteEnRetard": ("15m", {"creances_parite_age_secondes": "3601x20"}, {"creances_parite_age_secondes": "9x20"}),
    "ReleveArrete": ("9m", {"creances_releve_age_secondes": "601x9"}, {"creances_releve_age_secondes": "60x9"}),
    "ReconstructionFigee": (
        "9m",
        {"creances_reconstruction_battement_secondes": "601x9"},
        {"creances_reconstruction_battement_secondes": "3x9"},
    ),
    "ReconstructionRefusee": (
        "9m",
        {'creances_reconstructions_total{issue="refusee"}': "0x4 1x9"},
        {'creances_reconstructions_total{issue="basculee"}': "0x4 1x9"},
    ),
    "DepassementProche": (
        "9m",
        {"creances_affichage_prochain_depassement_secondes": "14399x9"},
        {"creances_affichage_prochain_depassement_secondes": "14401x9"},
    ),
    "Veille": ("1m", UP, {}),
    "AlertesNonRemises": (
        "15m",
        {"alertmanager_notifications_failed_total": "0+1x20"},
        {
            "alertmanager_notifications_failed_total": "4x20",
            "prometheus_notifications_alertmanagers_discovered": "1x20",
        },
    ),
    "SurveillanceAveugle": ("15m", {'up{job="machine"}': "0x20"}, {'up{job="machine"}': "1x20"}),
    "DisquePresquePlein": (
        "9m",
        {f"node_filesystem_avail_bytes{DISQUE}": "9x9", f"node_filesystem_size_bytes{DISQUE}": "100x9"},
        {f"node_filesystem_avail_bytes{DISQUE}": "11x9", f"node_filesystem_size_bytes{DISQUE}": "100x9"},
    ),
    "DisqueBientotPlein": (
        "80m",
        {f"node_filesystem_avail_bytes{DISQUE}": PLEIN_EN},
        {f"node_filesystem_avail_bytes{DISQUE}": "10000000000-10x90"},
    ),
    "WalGonfle": ("15m", {"pg_wal_size_bytes": "18000000000x20"}, {"pg_wal_size_bytes": "8000000000x20"}),
    "JournalGrossitVite": (
        "1450m",
        {'pg_database_size_bytes{datname="creances"}': "0+600000x100 60000000+60000000x50"},
        {'pg_database_size_bytes{datname="creances"}': "0+60000000x150"},
    ),
    "ArchivageEnPanne": (
        "9m",
        {"pg_stat_archiver_failed_count": "0+1x9"},
        {"pg_stat_archiver_failed_count": "3x9", "pg_stat_archiver_last_archive_age": "60x9"},
    ),
    "PostgresqlAbsent": ("3m", {"pg_up": "0x9"}, {"pg_up": "1x9"}),
    "ConnexionsPresqueEpuisees": (
        "9m",
        {
            'pg_stat_activity_count{state="idle"}': "90x9",
            'pg_stat_activity_count{state="active"}': "90x9",
            "pg_settings_max_connections": "200x9",
        },
        {'pg_stat_activity_count{state="idle"}': "90x9", "pg_settings_max_connections": "200x9"},
    ),
    "HorlogeFausse": ("5m", {"node_time_seconds": "10+60x9"}, {"node_time_seconds": "1+60x9"}),
    "HorlogeSansReference": ("40m", {"node_timex_sync_status": "0x50"}, {"node_timex_sync_status": "1x50"}),
}


LENTES: Final = {"RapportToujoursAttendu", "JournalGrossitVite", "ArreteSansHorodatage"}
"""Celles qui se jugent sur des heures : un relevé toutes les dix minutes y suffit."""


def test_chaque_alerte_a_son_essai() -> None:
    assert set(CAS) == set(ALERTES)


@avec_promtool
def test_chaque_alerte_sonne_quand_il_le_faut_et_se_tait_sinon(tmp_path: Path) -> None:
    entendues: set[str] = set()
    for lentes, pas in ((False, "1m"), (True, "10m")):
        choisis = {nom: cas for nom, cas in CAS.items() if (nom in LENTES) is lentes}
        bruyants = {nom: (quand, series) for nom, (quand, series, _) in choisis.items()}
        silencieux = {f"{nom} se tait": (quand, series) for nom, (quand, _, series) in choisis.items() if series}
        entendues |= sonnent(bruyants | silencieux, tmp_path, pas=pas)
    assert entendues == set(CAS)


@avec_promtool
def test_la_configuration_de_prometheus_se_lit() -> None:
    fini = subprocess.run(
        ["promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert fini.returncode == 0, fini.stdout + fini.stderr


# --- Qui les reçoit --------------------------------------------------------------------------------------------------


@avec_alertmanager
@pytest.mark.parametrize("nom", ALERTES)
def test_chaque_alerte_a_un_destinataire(nom: str) -> None:
    attendu = {"critique": "astreinte", "attention": "equipe", "veille": "veille"}[ALERTES[nom]["labels"]["severity"]]
    etiquettes = [f"{cle}={valeur}" for cle, valeur in (ALERTES[nom]["labels"] | {"alertname": nom}).items()]
    fini = subprocess.run(
        [*ROUTES, f"--verify.receivers={attendu}", *etiquettes],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert fini.returncode == 0, fini.stdout + fini.stderr


def test_sans_outil_on_sait_encore_qui_recoit_quoi() -> None:
    lu = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))
    voies = {route["matchers"][0]: route for route in lu["route"]["routes"]}
    assert voies['severity="critique"']["receiver"] == "astreinte"
    assert "active_time_intervals" not in voies['severity="critique"'], "à toute heure"
    assert voies['severity="attention"']["receiver"] == "equipe"
    assert voies['alertname="Veille"']["repeat_interval"] == "1m"
    assert {r["receiver"] for r in [lu["route"], *voies.values()]} <= {r["name"] for r in lu["receivers"]}


class _Boites:
    """Ce que reçoivent l'astreinte et la veille, par HTTP, et l'équipe, par courriel."""

    def __init__(self) -> None:
        self.recus: dict[str, list[str]] = {"/astreinte": [], "/veille": [], "courriel": []}


@contextmanager
def boites() -> Iterator[tuple[_Boites, int, int]]:
    """De vrais récepteurs sur la boucle locale : les ports HTTP et SMTP."""
    tenues = _Boites()

    class Http(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            corps = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            tenues.recus[self.path] += [f"{a['labels']['alertname']} {a['status']}" for a in corps["alerts"]]
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Rien à dire."""

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 ici\r\n")
            message: list[str] | None = None
            for ligne in self.rfile:
                texte = ligne.decode(errors="replace").rstrip("\r\n")
                if message is not None and texte != ".":
                    message.append(texte)
                    continue
                if texte == ".":
                    tenues.recus["courriel"].append("\n".join(message or ()))
                    message = None
                elif texte == "DATA":
                    message = []
                self.wfile.write(b"354 va\r\n" if message is not None else b"250 bien\r\n")

    with (
        HTTPServer(("127.0.0.1", 0), Http) as http,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as smtp,
        ecoute(http),
        ecoute(smtp),
    ):
        yield tenues, http.server_address[1], smtp.server_address[1]


def reglee(http: int, smtp: int) -> str:
    """Notre configuration, ses trois adresses posées comme la fiche le demande, et ses attentes ramenées à rien."""
    texte = ALERTMANAGER.read_text("utf-8")
    for ancien, nouveau in (
        ("http://astreinte.exemple.invalid/alertmanager", f"http://127.0.0.1:{http}/astreinte"),
        ("http://veille.exemple.invalid/creances", f"http://127.0.0.1:{http}/veille"),
        ("relais-courriel:25", f"127.0.0.1:{smtp}"),
        ("smtp_require_tls: true", "smtp_require_tls: false"),
        ("group_wait: 30s", "group_wait: 0s"),
        ("group_wait: 10s", "group_wait: 0s"),
        ("group_interval: 1m", "group_interval: 1s"),
        ("repeat_interval: 1m", "repeat_interval: 1s"),
        ("['monday:friday']", "['sunday:saturday']"),
        ("start_time: '08:00', end_time: '19:00'", "start_time: '00:00', end_time: '24:00'"),
    ):
        assert ancien in texte
        texte = texte.replace(ancien, nouveau)
    return texte


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[tuple[str, _Boites]]:
    """Un vrai Alertmanager sur notre configuration, et ce que reçoivent ses destinataires."""
    configuration, port = tmp_path / "alertmanager.yml", port_libre()
    with boites() as (tenues, http, smtp), (tmp_path / "sortie").open("wb") as sortie:
        configuration.write_text(reglee(http, smtp))
        lance = subprocess.Popen(
            [
                str(shutil.which("prometheus-alertmanager")),
                f"--config.file={configuration}",
                f"--storage.path={tmp_path / 'donnees'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--cluster.listen-address=",
            ],
            stdout=sortie,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            attendre(lambda: _pret(url), secondes=30, quoi="Alertmanager")
            yield url, tenues
        finally:
            lance.terminate()
            lance.wait(90)


def _pret(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@avec_alertmanager
def test_une_alerte_arrive_a_qui_doit_la_recevoir_et_l_homme_mort_bat(alertmanager: tuple[str, _Boites]) -> None:
    url, tenues = alertmanager
    postees = [
        {"labels": {"alertname": nom} | ALERTES[nom]["labels"], "annotations": ALERTES[nom]["annotations"]}
        for nom in ("RoleInactif", "Retard", "Veille")
    ]
    httpx.post(f"{url}/api/v2/alerts", json=postees, trust_env=False).raise_for_status()
    attendre(lambda: tenues.recus["/astreinte"] == ["RoleInactif firing"], secondes=20, quoi="l'astreinte")
    attendre(lambda: len(tenues.recus["/veille"]) >= 2, secondes=20, quoi="la veille bat encore")
    attendre(lambda: tenues.recus["courriel"], secondes=20, quoi="le courriel de l'équipe")
    assert set(tenues.recus["/veille"]) == {"Veille firing"}
    assert "Retard" in tenues.recus["courriel"][0]
    assert "RoleInactif" not in "".join(tenues.recus["courriel"])


@avec_alertmanager
@avec_promtool
def test_la_fiche_de_la_surveillance_se_joue(alertmanager: tuple[str, _Boites], tmp_path: Path) -> None:
    url, tenues = alertmanager
    machine = Machine(tmp_path)
    (tmp_path / "deploy").symlink_to(RACINE / "deploy")
    machine.jouer("alertes.md", "verifier")
    machine.jouer("alertes.md", "essayer", ALERTMANAGER=url)
    attendre(lambda: tenues.recus["/astreinte"] == ["EssaiDeRemise firing"], secondes=20, quoi="l'astreinte")
    assert "EssaiDeRemise" in machine.jouer("alertes.md", "regarder", ALERTMANAGER=url)
    machine.jouer("alertes.md", "taire", ALERTMANAGER=url)
    postee = [{"labels": {"alertname": "PostgresqlAbsent", "severity": "critique"}}]
    httpx.post(f"{url}/api/v2/alerts", json=postee, trust_env=False).raise_for_status()
    tues = f"{url}/api/v2/alerts?silenced=true&active=false"
    attendre(lambda: len(httpx.get(tues, trust_env=False).json()) == 1, secondes=10, quoi="l'alerte annoncée")
    assert tenues.recus["/astreinte"] == ["EssaiDeRemise firing"]


@avec_alertmanager
def test_le_plus_grave_fait_taire_le_moins_grave(alertmanager: tuple[str, _Boites]) -> None:
    url, tenues = alertmanager
    grave, *moins_graves = [
        {"labels": {"alertname": nom, "role": role} | ALERTES[nom]["labels"]}
        for nom, role in (("RetardGrave", "paiements"), ("Retard", "paiements"), ("Retard", "restant_du"))
    ]
    httpx.post(f"{url}/api/v2/alerts", json=[grave], trust_env=False).raise_for_status()
    attendre(lambda: tenues.recus["/astreinte"] == ["RetardGrave firing"], secondes=20, quoi="l'astreinte")
    httpx.post(f"{url}/api/v2/alerts", json=moins_graves, trust_env=False).raise_for_status()
    attendre(lambda: tenues.recus["courriel"], secondes=20, quoi="le courriel de l'équipe")
    assert "restant_du" in tenues.recus["courriel"][0]
    assert "paiements" not in tenues.recus["courriel"][0]
