"""La production refuse les réglages de démonstration, tous à la fois ; aucun mot de passe ne s'écrit nulle part."""

import contextlib
import json
import subprocess
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from annotated_types import Le
from hypothesis import given
from hypothesis import settings as essais
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

import service.cli  # noqa: F401  registers the commands
from domain.delai import PARIS
from service.cli.application import app
from service.logs import mask_forbidden
from service.production import find_gaps
from service.production_doubts import LONG, find_doubts
from service.settings import Settings
from tests.outils import commande, exemples

COMPLETE: dict[str, Any] = {
    "mode": "production",
    "database_url": "postgresql://c:s@db/creances?sslmode=verify-full",
    "kafka_bootstrap": "kafka:9093",
    "topic_replicas": 3,
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_mechanism": "SCRAM-SHA-512",
    "kafka_sasl_username": "creances",
    "kafka_sasl_password": "Vq3xLw9ZrT",
    "kiosque_merchant_id": "211000012340001",
    "kiosque_secret_key": "une clé du commerçant",
    "kiosque_key_expires_on": "2999-12-31",
    "kiosque_url": "https://paiement.exemple.fr/paypage",
    "kiosque_networks": "192.0.2.0/24",
    "public_url": "https://creances.exemple.fr",
    "oidc_issuer": "https://connexion.exemple.fr",
    "oidc_client_id": "pages",
    "session_secret": sha256(b"sessions").hexdigest(),
    "pseudonym_secret": sha256(b"pseudonymes").hexdigest(),
    "preuve_origin": "creances.exemple.fr/journal",
    "preuve_key": sha256(b"sceau").hexdigest(),
    "preuve_salt": sha256(b"sels").hexdigest(),
}


COMMERCANT = {"merchant_id": "211000012340002", "secret_key": "la clé d'une caisse", "key_expires_on": "2999-12-31"}
A_MOITIE = {"previous_secret_key": COMMERCANT["secret_key"], "previous_key_version": 2}

CLE_FINIE = {"previous_secret_key": "la clé de l'an dernier", "previous_key_until": "2020-01-01"}


def de_production() -> dict[str, Any]:
    return dict(COMPLETE)


def lancer(dossier: Path, *arguments: str, **reglages: object) -> subprocess.CompletedProcess[str]:
    with contextlib.chdir(dossier):  # Où il n'y a pas de `.env`.
        return commande(*arguments, **reglages)


def manques(dossier: Path, **reglages: object) -> set[str]:
    fini = lancer(dossier, "check", "--json", **reglages)
    trouves = {manque["setting"].removeprefix("CREANCES_").lower() for manque in json.loads(fini.stdout)}
    assert fini.returncode == (1 if trouves else 0), fini.stderr
    return trouves


def test_rien_ne_manque_a_une_production_complete(tmp_path: Path) -> None:
    assert manques(tmp_path, **COMPLETE) == set()


def test_la_production_refuse_de_demarrer_et_dit_tout_ce_qui_manque(tmp_path: Path) -> None:
    reglages = {"mode": "production", "database_url": "postgresql://c:s@127.0.0.1:1/x"}
    attendus = {
        "kiosque_merchant_id", "kiosque_secret_key", "public_url", "kiosque_url", "database_url", "kafka_bootstrap",
        "kafka_security_protocol", "oidc_issuer", "session_secret", "pseudonym_secret",
    }  # fmt: skip
    du_sceau = {"preuve_origin", "preuve_key", "preuve_salt"}
    doutes = {"kiosque_networks", "kiosque_key_expires_on", "topic_replicas"}  # Ils n'empêchent rien.
    assert manques(tmp_path, **reglages) == attendus | du_sceau | doutes
    for roles, en_plus in (("api", set()), ("up", du_sceau)):
        fini = lancer(tmp_path, roles, **reglages)
        assert fini.returncode == 2
        dits = {ligne.split(" : ")[0] for ligne in fini.stderr.splitlines() if ligne.startswith("CREANCES_")}
        assert dits == {f"CREANCES_{nom.upper()}" for nom in attendus | en_plus}


@pytest.mark.parametrize("adresse", ["https://h/x?y=1", "https://h#f", "https://h?"])
def test_une_adresse_publique_avec_requete_ou_fragment_est_refusee(adresse: str) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, public_url=adresse)


@pytest.mark.parametrize(
    ("reglages", "manque"),
    [
        ({"kiosque_merchant_id": "002001000000003"}, "kiosque_merchant_id"),
        ({"kiosque_secret_key": "002001000000002_KEY1"}, "kiosque_secret_key"),
        ({"kiosque_merchant_id": "211000021310001"}, "kiosque_merchant_id"),
        ({"kiosque_secret_key": "S9i8qClCnb2CZU3y3Vn0toIOgz3z_aBi79akR30vM9o"}, "kiosque_secret_key"),
        ({"kiosque_secret_key": "  "}, "kiosque_secret_key"),
        ({"kiosque_secret_key": "K1"}, "kiosque_secret_key"),
        ({"kiosque_url": "https://paiement-webinit-simu.exemple.fr/paymentInit"}, "kiosque_url"),
        ({"kiosque_office_url": "https://office-server.test.exemple.fr/rs"}, "kiosque_office_url"),
        ({"kafka_sasl_password": " "}, "kafka_sasl_password"),
        ({"preuve_origin": "essai.invalid/creances"}, "preuve_origin"),
        ({"database_url": "postgresql:///creances?service=prod"}, "database_url"),
        ({"ops_port": 8000}, "ops_port"),
        ({"trusted_proxies": "10.0.0.1, *"}, "trusted_proxies"),
        ({"trusted_proxies": "::/0"}, "trusted_proxies"),
        ({"trusted_proxies": "0.0.0.0/1, 128.0.0.0/1"}, "trusted_proxies"),
        ({"trusted_proxies": "mandataire.exemple.fr"}, "trusted_proxies"),
        ({"trusted_proxies": "10.0.0.1/8"}, "trusted_proxies"),
        ({"trusted_proxies": "::ffff:0:0/96"}, "trusted_proxies"),
        ({"trusted_proxies": "::ffff:0.0.0.0/96"}, "trusted_proxies"),
        ({"trusted_proxies": "::ffff:0:0/97, ::ffff:128.0.0.0/97"}, "trusted_proxies"),
        ({"trusted_proxies": "::/16"}, "trusted_proxies"),
        ({"trusted_proxies": "::/96"}, "trusted_proxies"),
        ({"trusted_proxies": "64:ff9b::/96"}, "trusted_proxies"),
        ({"trusted_proxies": "2002::/16"}, "trusted_proxies"),
        ({"trusted_proxies": ", ".join(f"{n}.0.0.0/8" for n in range(256))}, "trusted_proxies"),
        ({"trusted_proxies": "10.0.0.0/8, ::ffff:11.0.0.0/104"}, "trusted_proxies"),
        ({"kiosque_networks": "0.0.0.0/0"}, "kiosque_networks"),
        ({"kiosque_networks": "::ffff:0:0/96"}, "kiosque_networks"),
        ({"session_secret": "x" * 32}, "session_secret"),
        ({"session_secret": "abcdefgh" * 4}, "session_secret"),
        ({"pseudonym_secret": COMPLETE["session_secret"]}, "pseudonym_secret"),
        ({"session_previous_secret": COMPLETE["preuve_salt"]}, "preuve_salt"),
        ({"preuve_key": COMPLETE["session_secret"]}, "preuve_key"),
        ({"kafka_sasl_password": "Changeme1"}, "kafka_sasl_password"),
        ({"kafka_sasl_password": COMPLETE["kiosque_secret_key"]}, "kiosque_secret_key"),
        ({"database_url": "postgresql://c:postgres@db/x?sslmode=require"}, "database_url"),
        ({"database_url": "postgresql://c:Vq3xLw9ZrT@db/x?sslmode=require"}, "database_url"),
        ({"smtp_host": "mail.exemple.fr", "smtp_sender": "a@exemple.fr", "smtp_tls": "none"}, "smtp_tls"),
        ({"pseudonym_secret": None}, "pseudonym_secret"),
        ({"order_held_max": "11 s"}, "order_held_max"),
        ({"notification_url": "https://creances.exemple.fr/kiosque/notification"}, "notification_url"),
        ({"oidc_issuer": "https://connexion.exemple.fr/.well-known/openid-configuration"}, "oidc_issuer"),
        ({"kiosque_secret_key": "une clé du commerçant "}, "kiosque_secret_key"),
        ({"session_secret": "\t" + COMPLETE["session_secret"]}, "session_secret"),
        ({"kiosque_merchants": {"381": COMMERCANT | {"secret_key": "aaaaaaaaaaaa"}}}, "kiosque_merchants"),
        ({"kiosque_retired_merchants": [COMMERCANT | {"secret_key": "azazazazazaz"}]}, "kiosque_retired_merchants"),
        ({"kiosque_merchants": {"381": COMMERCANT | A_MOITIE}}, "kiosque_merchants"),
        (
            {f"kiosque_{nom}": valeur for nom, valeur in A_MOITIE.items()}
            | {"kiosque_previous_secret_key": COMPLETE["kiosque_secret_key"]},
            "kiosque_previous_secret_key",
        ),
        ({"preuve_public_key": COMPLETE["preuve_key"]}, "preuve_public_key"),
        ({"preuve_public_key": sha256(b"une autre").hexdigest()}, "preuve_public_key"),
    ],
)
def test_ce_qui_ouvre_une_porte_d_une_production_complete_est_nomme(reglages: dict[str, Any], manque: str) -> None:
    trouves = {gap.setting for gap in find_gaps(Settings(_env_file=None, **(COMPLETE | reglages)), environment={})}
    assert trouves == {f"CREANCES_{manque.upper()}"}


@pytest.mark.parametrize("ailleurs", [{"PGHOST": "10.0.0.1"}, {"PGHOSTADDR": "10.0.0.1"}, {"PGSERVICE": "prod"}])
def test_une_base_que_l_environnement_nomme_n_est_pas_sur_cette_machine(ailleurs: dict[str, str]) -> None:
    de_production: dict[str, Any] = COMPLETE | {"database_url": "postgresql:///creances"}
    reglages = Settings(_env_file=None, **de_production)
    assert find_gaps(reglages, environment={}) == []
    assert [gap.setting for gap in find_gaps(reglages, environment=ailleurs)] == ["CREANCES_DATABASE_URL"]
    assert find_gaps(reglages, environment=ailleurs | {"PGSSLMODE": "require"}) == []


@pytest.mark.parametrize(
    ("donnees", "attendu", "dit"),
    [
        ({"CREANCES_SESION_SECRET": "x"}, "CREANCES_SESION_SECRET", "CREANCES_SESSION_SECRET ?"),
        ({"creances_databse_url": "x"}, "creances_databse_url", "CREANCES_DATABASE_URL ?"),
        ({"CREANCES_KAFKA_SASL_PASWORD_FILE": "x"}, "CREANCES_KAFKA_SASL_PASWORD_FILE", "PASSWORD_FILE ?"),
        ({"CREANCE_SESSION_SECRET": "x"}, "CREANCE_SESSION_SECRET", "CREANCES_SESSION_SECRET ?"),
        ({"CREANCES_TOUT_AUTRE_CHOSE_ENCORE": "x"}, "CREANCES_TOUT_AUTRE_CHOSE_ENCORE", "aucun réglage."),
    ],
)
def test_une_variable_mal_ecrite_est_dite_avec_la_plus_proche(donnees: dict[str, str], attendu: str, dit: str) -> None:
    ((nom, cause),) = find_doubts(Settings(_env_file=None, **de_production()), donnees)
    assert nom == attendu
    assert dit in cause


@pytest.mark.parametrize(
    ("reglages", "attendu"),
    [
        ({"log_level": "DEBUG"}, "LOG_LEVEL"),
        ({"kafka_security_protocol": "SSL"}, "KAFKA_SSL_CERTFILE"),
        ({"kiosque_networks": None}, "KIOSQUE_NETWORKS"),
        ({"database_url": "postgresql://c:s@db/creances?sslmode=require"}, "DATABASE_URL"),
        ({"owner_database_url": "postgresql://o:s@db/creances?sslmode=require"}, "OWNER_DATABASE_URL"),
        ({"topic_replicas": 1}, "TOPIC_REPLICAS"),
        ({"oidc_client_id": None}, "OIDC_CLIENT_ID"),
        ({"kiosque_key_expires_on": None}, "KIOSQUE_KEY_EXPIRES_ON"),
        ({"kiosque_key_expires_on": f"{datetime.now(PARIS) + timedelta(days=9):%Y-%m-%d}"}, "KIOSQUE_KEY_EXPIRES_ON"),
        (
            {"kiosque_merchants": {"381": COMMERCANT | A_MOITIE | CLE_FINIE}},
            "KIOSQUE_MERCHANTS",
        ),
        ({"session_idle_max": "1 h", "session_max_age": "30 min"}, "SESSION_IDLE_MAX"),
        *(({nom: plus_long * 2}, nom.upper()) for nom, plus_long in LONG.items() if not nom.startswith("politique_")),
        ({"politique_expirer_apres": "30 j"}, "POLITIQUE_EXPIRER_APRES"),
    ],
)
def test_ce_qui_est_douteux_est_nomme_et_n_empeche_rien(reglages: dict[str, Any], attendu: str) -> None:
    lus = Settings(_env_file=None, **(de_production() | reglages))
    assert f"CREANCES_{attendu}" in {nom for nom, _ in find_doubts(lus, {})}
    assert find_gaps(lus, environment={}) == []


def test_rien_n_est_douteux_par_defaut_et_chaque_attente_a_sa_borne() -> None:
    assert list(find_doubts(Settings(_env_file=None, **de_production()), {"PATH": "/bin", "DATABASE_URL": "x"})) == []
    attentes = {
        nom
        for nom, champ in Settings.model_fields.items()
        if isinstance(champ.default, timedelta) and not any(isinstance(borne, Le) for borne in champ.metadata)
    }
    gardees = {nom for nom in attentes if nom.startswith("retention_")} | {
        "politique_delai_affichage", "politique_avance_maximum", "approbation_delai",
    }  # fmt: skip
    assert attentes - gardees - {"order_held_max"} == set(LONG)


def test_check_dit_ce_qui_est_douteux(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CREANCES_LOG_LEVELL=INFO\n")
    fini = lancer(tmp_path, "check", "--json", **COMPLETE, log_level="DEBUG")
    assert fini.returncode == 1
    dits = {dit["setting"]: dit["blocks"] for dit in json.loads(fini.stdout)}
    assert dits == {"CREANCES_LOG_LEVELL": False, "CREANCES_LOG_LEVEL": False}


def test_check_separe_ce_qui_empeche_de_ce_qui_est_douteux(tmp_path: Path) -> None:
    fini = lancer(tmp_path, "check", **COMPLETE | {"public_url": "http://h.fr", "topic_replicas": 1})
    [empeche, url, douteux, copies] = fini.stderr.splitlines()
    assert (empeche, douteux) == ("La production ne démarre pas :", "Douteux, sans empêcher de démarrer :")
    assert url.startswith("CREANCES_PUBLIC_URL : ")
    assert copies.startswith("CREANCES_TOPIC_REPLICAS : ")


def test_check_dit_que_le_reste_se_dira_quand_un_reglage_ne_se_lit_pas(tmp_path: Path) -> None:
    fini = lancer(tmp_path, "check", mode="prod")
    assert fini.returncode == 2
    assert fini.stderr.splitlines()[-1] == "Le reste se dira quand ces réglages se liront."


@pytest.mark.parametrize("duree", ["9" * 30 + " j", "99999999999999 h"])
def test_une_duree_sans_fin_est_refusee_par_une_phrase(duree: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"http_body_timeout": duree})


def test_un_mandataire_et_un_courriel_de_confiance_ne_manquent_de_rien() -> None:
    surs = {
        "trusted_proxies": "10.0.0.0/8,192.0.2.1,::ffff:192.0.2.2,2001:db8::/32",
        "smtp_host": "127.0.0.1",
        "smtp_sender": "a@b.fr",
    }
    reglages: dict[str, Any] = COMPLETE | surs | {"smtp_tls": "none"}
    assert find_gaps(Settings(_env_file=None, **reglages), environment={}) == []


@pytest.mark.parametrize("dans_un_fichier", [True, False])
def test_deux_commercants_pour_une_caisse_sont_refuses(tmp_path: Path, *, dans_un_fichier: bool) -> None:
    un = '"381": {"merchant_id": "211000012340001", "secret_key": "s3cr3t"}'
    (tmp_path / "m.json").write_text(f"{{{un}, {un}}}")
    donne = tmp_path / "m.json" if dans_un_fichier else f"{{{un}, {un}}}"
    fini = lancer(tmp_path, "settings", **{"kiosque_merchants" + "_file" * dans_un_fichier: donne})
    assert (fini.returncode, fini.stdout) == (2, "")
    assert "deux fois" in fini.stderr
    assert "s3cr3t" not in fini.stderr


@pytest.mark.parametrize("contenu", [None, "pas du JSON"])
def test_un_fichier_de_reglages_absent_ou_faux_est_une_phrase(tmp_path: Path, contenu: str | None) -> None:
    if contenu is not None:
        (tmp_path / "m.json").write_text(contenu)
    fini = lancer(tmp_path, "settings", kiosque_merchants_file=tmp_path / "m.json")
    assert (fini.returncode, fini.stdout) == (2, "")
    assert "CREANCES_KIOSQUE_MERCHANTS_FILE" in fini.stderr
    assert "Traceback" not in fini.stderr


@essais(max_examples=exemples(10, 60), deadline=None)
@given(st.text("%@/:?#[]&= a", max_size=6), st.booleans(), st.sampled_from([("settings",), ("lag",), ("migrate",)]))
def test_un_mot_de_passe_ne_s_ecrit_nulle_part(
    signes: str,
    encode: bool,  # noqa: FBT001  given by Hypothesis
    mots: tuple[str, ...],
) -> None:
    passe = f"zq7{signes}xk9"
    url = f"postgresql://c:{quote(passe, safe='') if encode else passe}@127.0.0.1:1/x"
    fini = CliRunner().invoke(app, list(mots), env={"CREANCES_DATABASE_URL": url, "CREANCES_MODE": "demonstration"})
    assert "zq7" not in fini.output
    assert "xk9" not in fini.output
    assert "zq7" not in str(fini.exception)


@pytest.mark.parametrize(
    "parametre", ["api-key", "apikey", "token", "access_token", "x-sig", "authorization", "passwd"]
)
def test_la_cle_qu_une_adresse_porte_ne_se_montre_ni_ne_s_inscrit(parametre: str) -> None:
    adresse = f"https://traces.exemple.fr/v1/traces?{parametre}=zq7xk9&projet=creances"
    fini = CliRunner().invoke(app, ["settings", "--json"], env={"CREANCES_OTLP_ENDPOINT": adresse})
    assert "projet=creances" in fini.output
    assert "zq7xk9" not in fini.output
    (dit,) = mask_forbidden(None, "", {"cause": f"Max retries exceeded with url: {adresse}"}).values()
    assert "zq7xk9" not in str(dit)
    assert "projet=creances" in str(dit)
