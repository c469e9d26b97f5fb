"""Rien de personnel, rien de secret ne sort : une démonstration entière, puis tout ce qu'elle a écrit est fouillé."""

import base64
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import kafka
import psycopg
import pytest

from kiosque.sips.sceau import Algorithme, sceller
from tests.outils import CREANCES, RACINE, attendre

pytestmark = [pytest.mark.serveur, pytest.mark.lent]  # Ses commandes démarrent les leurs.

COURRIEL: Final = "jeanne.martin-essai@example.org"
CARTE: Final = "4970100000000055"
EXPIRATION: Final = "209912"
ADRESSE_IP: Final = "198.51.100.77"
JETON_DE_CARTE: Final = "g9f8e7d6c5b4a39281706"
NIR: Final = "255081416802538"
NOM: Final = "MARTINESSAI"
MOT_DE_PASSE: Final = "Mot-De-Passe-Essai-77"

SEMEES: Final = (COURRIEL, CARTE, EXPIRATION, ADRESSE_IP, JETON_DE_CARTE, NIR, NOM, MOT_DE_PASSE)

PERSONNEL: Final = (
    f"maskedPan={CARTE}|panExpiryDate={EXPIRATION}|customerEmail={COURRIEL}|customerIpAddress={ADRESSE_IP}"
    f"|tokenPan={JETON_DE_CARTE}|customerContact={NOM}|holderNir={NIR}"
)


@dataclass
class Demo:
    """Une démonstration qui a vu passer tout ce qu'elle doit taire."""

    dossier: Path
    pile: dict[str, Any]
    dites: dict[str, str]
    """Ce qu'elle a écrit, dit, répondu : par endroit."""


def ecritures(valeur: str) -> set[str]:
    """Les formes sous lesquelles une valeur se reconnaît encore."""
    octets = valeur.encode()
    decales = {base64.b64encode(b"x" * n + octets)[4 if n else 0 : -4].decode() for n in range(3)}
    return {valeur, quote(valeur, safe=""), sha256(octets).hexdigest(), octets.hex()} | {
        d for d in decales if len(d) > 7
    }


def trouvees(valeurs: tuple[str, ...], texte: str) -> set[str]:
    return {valeur for valeur in valeurs if any(_y_est(forme, texte) for forme in ecritures(valeur))}


def _y_est(forme: str, texte: str) -> bool:
    """Six chiffres se rencontrent par hasard dans une mesure ou une empreinte : seuls, ils comptent."""
    if len(forme) > 7:
        return forme in texte
    return re.search(rf"(?<![\w.]){re.escape(forme)}(?![\w.])", texte) is not None


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    dossier = tmp_path_factory.mktemp("fuites")
    sortie = dossier / "sortie.txt"
    environnement = {
        "CREANCES_LOG_LEVEL": "DEBUG",
        "PATH": "/usr/bin:/bin",
        "CREANCES_PSEUDONYM_SECRET": MOT_DE_PASSE * 2,
    }
    with sortie.open("w") as flux:
        lancee = subprocess.Popen(
            [*CREANCES, "demo", "--port", "0", "--avis", "10", "--data-dir", str(dossier)],
            stdout=flux, stderr=subprocess.STDOUT, cwd=RACINE, env=environnement,
        )  # fmt: skip
    try:
        attendre(lambda: "est servie sur" in sortie.read_text() or lancee.poll() is not None, secondes=80)
        pile = json.loads((dossier / "stack.json").read_text())
        demo = Demo(dossier, pile, {})
        _tout_essayer(demo)
        demo.dites["topics"] = _topics(pile)
        demo.dites["base"] = _base(pile["owner_database_url"])
        for commande in (["settings"], ["lag"], ["audit"], ["notifications"], ["history", "999X"], ["balance", NIR]):
            finie = subprocess.run(
                [*CREANCES, *commande, "--data-dir", str(dossier)],
                capture_output=True, text=True, cwd=RACINE, timeout=240, check=False, env=environnement,
            )  # fmt: skip
            demo.dites[f"creances {commande[0]}"] = (
                (finie.stdout + finie.stderr).replace(NIR, "")
                if commande[0] == "balance"
                else finie.stdout + finie.stderr
            )
        demo.dites["journal"] = sortie.read_text()
        yield demo
    finally:
        lancee.send_signal(signal.SIGINT)
        lancee.wait(timeout=90)


def _tout_essayer(demo: Demo) -> None:
    """La banque envoie trop, des appelants se trompent : tout ce qui répond est gardé, les URL aussi."""
    pile = demo.pile
    with httpx.Client(base_url=pile["api_url"], trust_env=False, timeout=60) as client:
        for numero, (cle, encodage) in enumerate(
            [(pile["secret_key"], ""), ("une mauvaise clé", ""), (pile["secret_key"], "base64"), ("mauvaise", "base64")]
        ):
            data = (
                f"amount=2000|currencyCode=978|merchantId={pile['merchant_id']}|keyVersion={pile['key_version']}"
                f"|transactionReference=FUITE{numero}|responseCode=00|{PERSONNEL}"
            )
            if encodage:
                data = base64.b64encode(data.encode()).decode()
            champs = {
                "Data": data,
                "Seal": sceller(data.encode(), cle.encode(), Algorithme.SHA_256),
                "Encode": encodage,
            }
            for chemin in ("/kiosque/notification", "/kiosque/retour"):
                _garder(demo, client.post(chemin, data=champs))
        illisible = urlencode({"Data": PERSONNEL}) + "&" + urlencode({"Data": PERSONNEL})
        en_tete = {"Content-Type": "application/x-www-form-urlencoded"}
        _garder(demo, client.post("/kiosque/notification", content=illisible, headers=en_tete))
        porteur = {"Authorization": f"Bearer {MOT_DE_PASSE}.{MOT_DE_PASSE}.x"}
        for chemin in (
            "/api/v1/creances/x",
            "/api/v1/paiements/T1",
            "/api/v1/exploitation/retard",
            "/metrics",
            "/readyz",
        ):
            _garder(demo, client.get(chemin, headers=porteur))
        _garder(demo, client.post("/api/v1/paiements", json={"references": [NIR], "nom": NOM}, headers=porteur))
        _garder(demo, client.post("/api/v1/paiements", content=f'{{"mdp": "{MOT_DE_PASSE}"', headers=porteur))
        for chemin in ("/", "/connexion", "/payer", "/docs"):
            _garder(demo, client.get(chemin, headers={"Cookie": f"session={MOT_DE_PASSE}", "User-Agent": NOM}))
        attendre(
            lambda: "FUITE2" in str(_sorts(pile["owner_database_url"])), secondes=30, quoi="les notifications prises"
        )


def _garder(demo: Demo, reponse: httpx.Response) -> None:
    nom = f"{reponse.request.method} {reponse.request.url.path}"
    location = reponse.headers.get("location", "")
    demo.dites[nom] = demo.dites.get(nom, "") + f"{reponse.status_code} {reponse.headers} {location} {reponse.text}"
    assert reponse.status_code < 500, nom


def _sorts(url: str) -> list[Any]:
    with psycopg.connect(url) as conn:
        return conn.execute("SELECT objet FROM journal.sorts").fetchall()


def _topics(pile: dict[str, Any]) -> str:
    lecteur = kafka.KafkaConsumer(
        bootstrap_servers=pile["kafka_bootstrap"].split(","), auto_offset_reset="earliest", consumer_timeout_ms=4000
    )
    lecteur.subscribe(pattern=r"^creances\..*")
    lus = [f"{m.topic} {m.key!r} {m.value!r} {m.headers!r}" for m in lecteur]
    lecteur.close()
    assert {ligne.split()[0] for ligne in lus} >= {
        "creances.kiosque.notifications",
        "creances.kiosque.notifications.rebuts",
    }
    return "\n".join(lus)


def _base(url: str) -> str:
    """Chaque ligne de chaque table, les octets en clair."""
    with psycopg.connect(url) as conn:
        tables = conn.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('journal', 'vues', 'acces', 'public') AND c.relkind = 'r'"
        ).fetchall()
        conn.execute("SET bytea_output = 'escape'")
        return "\n".join(
            f"{schema}.{table} {ligne}"
            for schema, table in tables
            for (ligne,) in conn.execute(f'SELECT t::text FROM "{schema}"."{table}" t')  # noqa: S608
        )


def test_aucune_valeur_semee_ne_se_retrouve_nulle_part(demo: Demo) -> None:
    assert {endroit: vues for endroit, dit in demo.dites.items() if (vues := trouvees(SEMEES, dit))} == {}


def test_la_fouille_trouve_ce_qu_elle_cherche() -> None:
    for valeur in set(SEMEES) - {EXPIRATION}:  # Six chiffres en base64 ne se reconnaissent plus.
        for dit in (valeur, quote(valeur), base64.b64encode(f"ab|{valeur}|cd".encode()).decode()):
            assert trouvees((valeur,), dit) == {valeur}, dit


def test_six_chiffres_pris_dans_un_autre_nombre_ne_sont_pas_une_date_d_expiration() -> None:
    par_hasard = "process_cpu_seconds 4.209912e-05 2026-11-27T10:00:00.209912+00:00 a3f209912bc 1.209912"
    assert trouvees((EXPIRATION,), par_hasard) == set()
    for dit in ("panExpiryDate=209912|x", '{"panExpiryDate": "209912"}', "(209912,)", "expire 209912", "209912"):
        assert trouvees((EXPIRATION,), dit) == {EXPIRATION}, dit


def test_aucun_secret_ne_sort(demo: Demo) -> None:
    secrets = (demo.pile["secret_key"], (demo.dossier / "jwt.secret").read_text().strip())
    assert {endroit: vues for endroit, dit in demo.dites.items() if (vues := trouvees(secrets, dit))} == {}


def test_aucun_pseudonyme_n_est_dit_hors_de_ce_qui_doit_le_porter(demo: Demo) -> None:
    assures = set(re.findall(r'"assure": ?"([^"]+)"', demo.dites["topics"]))
    assert assures, "les avis en portent"
    publies = "\n".join(ligne for ligne in demo.dites["topics"].splitlines() if not ligne.startswith("creances.avis "))
    assures = {assure for assure in assures if not assure.startswith("cas-")}  # Aussi des numéros de message.
    muets = {"topics publiés": publies} | {e: d for e, d in demo.dites.items() if e not in {"topics", "base"}}
    # La page de la démonstration, où l'on choisit qui l'on est, et ce qu'elle invite à faire, les nomment exprès.
    muets = {e: d for e, d in muets.items() if e not in {"GET /", "GET /connexion", "journal"}}
    assert {endroit: a for endroit, dit in muets.items() for a in assures if a in dit} == {}
