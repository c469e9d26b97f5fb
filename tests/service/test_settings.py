import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsError

from api.socle.emetteur import Emetteur
from domain.fautes import INATTENDUE
from domain.monnaie import Centimes
from domain.politique import Politique
from engine.recorder import ORDER_HELD_MAX_S
from service.settings import (
    HIDDEN,
    SettingRow,
    Settings,
    development_jwt_secret,
    settings_table,
    unknown_variables,
)
from service.settings.faults import setting_faults
from service.web import session_secret, sign_in

SECRET_LONG = "un secret de plus de trente-deux octets"


@pytest.fixture(autouse=True)
def _dossier_vide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Aucun `.env` d'ailleurs."""
    monkeypatch.chdir(tmp_path)


def lignes(settings: Settings) -> dict[str, SettingRow]:
    return {ligne.variable: ligne for ligne in settings_table(settings)}


def test_sans_rien_les_serveurs_sont_embarques_et_l_ecoute_est_locale() -> None:
    settings = Settings()
    assert settings.database_url is None
    assert settings.kafka_bootstrap is None
    assert settings.api_host == "127.0.0.1"
    assert settings.body_limit_bytes == 65536
    assert settings.topic_notifications == "creances.kiosque.notifications"


def test_la_politique_par_defaut_est_celle_du_domaine() -> None:
    assert Settings().politique == Politique()


def test_l_ordre_d_ecriture_est_rendu_en_dix_secondes_ou_dans_un_delai_choisi_entre_ses_bornes() -> None:
    assert Settings().order_held_max.total_seconds() == ORDER_HELD_MAX_S == 10
    for hors_bornes in (timedelta(), timedelta(milliseconds=999), timedelta(seconds=61), timedelta(seconds=-5)):
        with pytest.raises(ValidationError):
            Settings(order_held_max=hors_bornes)


def test_chaque_regle_de_la_politique_est_un_reglage(monkeypatch: pytest.MonkeyPatch) -> None:
    donnees = {
        "MINIMUM_PAR_PAIEMENT": "1000",
        "MAXIMUM_PAR_PAIEMENT": "6000",
        "SOLDE_MINIMUM": "3000",
        "SOLDE_MAXIMUM": "30000",
        "REFERENCES_MAX": "7",
        "OUVERTURE": "10 min",
        "INTERROGER_APRES": "PT21M",
        "EXPIRER_APRES": "2400",
        "DELAI_AFFICHAGE": "12 h",
        "DATE_MINIMUM": "2010-01-01",
        "AVANCE_MAXIMUM": "3 j",
    }
    for nom, valeur in donnees.items():
        monkeypatch.setenv(f"CREANCES_POLITIQUE_{nom}", valeur)
    assert Settings().politique == Politique(
        minimum_par_paiement=Centimes(10_00),
        maximum_par_paiement=Centimes(60_00),
        solde_minimum=Centimes(30_00),
        solde_maximum=Centimes(300_00),
        references_max=7,
        ouverture=timedelta(minutes=10),
        interroger_apres=timedelta(minutes=21),
        expirer_apres=timedelta(minutes=40),
        delai_affichage=timedelta(hours=12),
        date_minimum=date(2010, 1, 1),
        avance_maximum=timedelta(days=3),
    )
    assert len(donnees) == len(Politique.model_fields)


def test_chaque_reglage_est_decrit() -> None:
    assert [ligne.variable for ligne in settings_table(Settings()) if not ligne.description] == []


def test_un_secret_vient_d_un_fichier_sans_sa_fin_de_ligne(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cle").write_text("s3cret \n")
    monkeypatch.setenv("CREANCES_KIOSQUE_SECRET_KEY_FILE", str(tmp_path / "cle"))
    assert Settings().kiosque_secret_key.get_secret_value() == "s3cret "


def test_les_commercants_des_caisses_viennent_d_un_fichier_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.json").write_text('{"381": {"merchant_id": "211000021310001", "secret_key": "k", "key_version": 3}}')
    monkeypatch.setenv("CREANCES_KIOSQUE_MERCHANTS_FILE", str(tmp_path / "m.json"))
    settings = Settings()
    assert (settings.merchant("381").merchant_id, settings.merchant("381").key_version) == ("211000021310001", 3)
    assert settings.merchant("011").merchant_id == "002001000000001"


def test_le_fichier_env_peut_nommer_un_fichier_et_l_environnement_l_emporte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("postgresql://creances:du-fichier@db/creances\n")
    (tmp_path / ".env").write_text(f"CREANCES_DATABASE_URL_FILE={tmp_path / 'url'}\nCREANCES_BATCH_SIZE=7\n")
    assert Settings().database_url == "postgresql://creances:du-fichier@db/creances"
    assert Settings().batch_size == 7
    monkeypatch.setenv("CREANCES_DATABASE_URL", "postgresql://creances@ailleurs/creances")
    assert Settings().database_url == "postgresql://creances@ailleurs/creances"


def test_un_secret_donne_deux_fois_est_refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cle").write_text("a")
    monkeypatch.setenv("CREANCES_KIOSQUE_SECRET_KEY", "b")
    monkeypatch.setenv("CREANCES_KIOSQUE_SECRET_KEY_FILE", str(tmp_path / "cle"))
    with pytest.raises((ValueError, SettingsError), match="n'en gardez qu'un"):
        Settings()


def test_un_fichier_absent_nomme_la_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREANCES_JWT_SECRET_FILE", "/n/existe/pas")
    with pytest.raises((ValueError, SettingsError), match="CREANCES_JWT_SECRET_FILE"):
        Settings()


def test_tous_les_fichiers_illisibles_sont_dits_a_la_fois(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.json").write_text("{")
    monkeypatch.setenv("CREANCES_JWT_SECRET_FILE", "/n/existe/pas")
    monkeypatch.setenv("CREANCES_SESSION_SECRET_FILE", str(tmp_path))
    monkeypatch.setenv("CREANCES_KIOSQUE_MERCHANTS_FILE", str(tmp_path / "m.json"))
    with pytest.raises(SettingsError) as refus:
        Settings()
    assert sorted(ligne.split(" : ")[0] for ligne in str(refus.value).splitlines()) == [
        "CREANCES_JWT_SECRET_FILE", "CREANCES_KIOSQUE_MERCHANTS_FILE", "CREANCES_SESSION_SECRET_FILE",
    ]  # fmt: skip


def test_la_marque_qu_un_editeur_met_devant_un_fichier_n_est_pas_du_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cle").write_text("s3cret\r\n", "utf-8-sig")
    (tmp_path / "m.json").write_text('{"381": {"merchant_id": "211000021310001", "secret_key": "k"}}', "utf-8-sig")
    monkeypatch.setenv("CREANCES_KIOSQUE_SECRET_KEY_FILE", str(tmp_path / "cle"))
    monkeypatch.setenv("CREANCES_KIOSQUE_MERCHANTS_FILE", str(tmp_path / "m.json"))
    assert Settings().kiosque_secret_key.get_secret_value() == "s3cret"
    assert list(Settings().kiosque_merchants) == ["381"]


def test_une_variable_vide_compte_pour_absente(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREANCES_BATCH_SIZE", "")
    assert Settings().batch_size == 500


@pytest.mark.parametrize(
    ("variable", "valeur"),
    [
        ("BATCH_SIZE", "0"),
        ("DATABASE_URL", "mysql://db/creances"),
        ("JWT_SECRET", "trop court"),
        ("KAFKA_BOOTSTRAP", "kafka"),
        ("KAFKA_METADATA_MAX_AGE", "1 min"),
        ("KIOSQUE_MERCHANT_ID", "12"),
        ("KIOSQUE_PREVIOUS_SECRET_KEY", "sans version"),
        ("KIOSQUE_SEAL_ALGORITHM", "MD5"),
        ("KIOSQUE_URL", "ftp://kiosque"),
        ("POLITIQUE_EXPIRER_APRES", "1 min"),
        ("POLITIQUE_MINIMUM_PAR_PAIEMENT", "6000"),
        ("POLL_TIMEOUT", "0 s"),
        ("SHARD_DIGIT", "10"),
    ],
)
def test_une_valeur_hors_des_bornes_est_refusee_sans_etre_montree(
    variable: str, valeur: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CREANCES_{variable}", valeur)
    with pytest.raises(ValidationError) as refus:
        Settings()
    assert f"input_value={valeur!r}" not in str(refus.value)


def test_la_table_cache_les_secrets_et_les_mots_de_passe_des_adresses() -> None:
    settings = Settings(
        database_url="postgresql://creances:m0t-de-p%40sse@db:5432/creances?sslmode=require",
        owner_database_url="postgresql://db/creances?user=postgres&password=m0t-de-p",
        jwt_secret=SECRET_LONG,  # type: ignore[arg-type]
        kiosque_secret_key="m0t-de-passe",  # type: ignore[arg-type]
    )
    table = lignes(settings)
    assert table["CREANCES_DATABASE_URL"].value == "postgresql://creances:***@db:5432/creances?sslmode=require"
    assert table["CREANCES_OWNER_DATABASE_URL"].value == "postgresql://db/creances?user=postgres&password=***"
    assert table["CREANCES_JWT_SECRET"].value == HIDDEN
    assert table["CREANCES_KIOSQUE_SECRET_KEY"].value == HIDDEN
    assert not table["CREANCES_JWT_SECRET"].is_default
    assert table["CREANCES_BATCH_SIZE"] == SettingRow(
        "CREANCES_BATCH_SIZE", "500", is_default=True, description="Messages traités ensemble, au plus."
    )
    assert "m0t-de-p" not in str(table)
    assert SECRET_LONG not in repr(settings)
    assert "m0t-de-p" not in repr(settings)


def test_le_secret_de_developpement_est_cree_une_fois_et_n_est_lisible_que_de_son_proprietaire(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "donnees")
    secret = development_jwt_secret(settings)
    assert len(secret.encode()) >= 32
    assert development_jwt_secret(settings) == secret
    assert [f.name for f in (tmp_path / "donnees").iterdir()] == ["jwt.secret"]
    assert (tmp_path / "donnees" / "jwt.secret").stat().st_mode & 0o777 == 0o600


def test_pas_de_jeton_de_developpement_quand_un_emetteur_oidc_est_configure() -> None:
    with pytest.raises(ValueError, match="OIDC"):
        development_jwt_secret(Settings(oidc_issuer="https://connexion.exemple.fr/", jwt_secret=SECRET_LONG))  # type: ignore[arg-type]


def test_une_variable_mal_orthographiee_est_signalee() -> None:
    donne = {"CREANCES_DATABSE_URL": "", "CREANCES_API_PORT": "", "CREANCES_JWT_SECRET_FILE": "", "PATH": ""}
    assert unknown_variables(donne) == ["CREANCES_DATABSE_URL"]


def test_les_clients_kafka_recoivent_leurs_acces() -> None:
    settings = Settings(kafka_bootstrap="a:9092,b:9092", kafka_security_protocol="SASL_SSL", kafka_sasl_username="u")
    assert settings.kafka_connection() == {
        "bootstrap_servers": ["a:9092", "b:9092"],
        "security_protocol": "SASL_SSL",
        "metadata_max_age_ms": 5000,
        "sasl_plain_username": "u",
    }
    with pytest.raises(ValueError, match="KAFKA_BOOTSTRAP"):
        Settings().kafka_connection()


@pytest.mark.parametrize(
    "donnees",
    [
        {"OIDC_CLIENT_ID": "c"},
        {"OIDC_ISSUER": "https://qui.test", "OIDC_CLIENT_SECRET": "s"},
        {"SESSION_SECRET": "trop court"},
        {"SESSION_IDLE_MAX": "0"},
    ],
    ids=str,
)
def test_des_reglages_de_connexion_qui_ne_tiennent_pas_sont_refuses(
    donnees: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for nom, valeur in donnees.items():
        monkeypatch.setenv(f"CREANCES_{nom}", valeur)
    with pytest.raises(ValidationError):
        Settings()


def test_la_connexion_aux_pages_vient_des_reglages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("secret du client\n")
    monkeypatch.setenv("CREANCES_OIDC_ISSUER", "https://qui.test/")
    monkeypatch.setenv("CREANCES_OIDC_CLIENT_ID", "pages")
    monkeypatch.setenv("CREANCES_OIDC_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("CREANCES_PUBLIC_URL", "https://creances.test")
    monkeypatch.setenv("CREANCES_SESSION_SECRET", SECRET_LONG)
    settings = Settings()
    client = sign_in(settings, Emetteur("https://qui.test"))
    assert client is not None
    assert (client.identifiant, client.secret) == ("pages", "secret du client")
    assert client.url_retour == "https://creances.test/connexion/retour"
    assert "secret du client" not in repr(client)
    assert session_secret(settings) == SECRET_LONG
    assert sign_in(Settings(oidc_client_id=None, oidc_client_secret=None), Emetteur("https://qui.test")) is None


def test_sans_secret_de_session_chaque_processus_a_le_sien() -> None:
    assert session_secret(Settings()) != session_secret(Settings())


@pytest.mark.parametrize("nom", [*Settings.model_fields])
def test_chaque_faute_d_un_reglage_est_une_phrase_en_francais(nom: str) -> None:
    for valeur in ("2 minutes", "", "-1", "9" * 40, "[1]", '{"38": 1, "381": {"merchant_id": 1, "inconnu": 2}}', "1e"):
        try:
            Settings.model_validate({nom: valeur})
        except ValidationError as cause:
            for _, phrase in setting_faults(cause):
                assert not re.search("Input|should|valid|unable|error", phrase), phrase
                assert phrase != INATTENDUE


@pytest.mark.parametrize(
    ("nom", "valeur", "dite"),
    [
        ("mode", "prod", "CREANCES_MODE : doit être 'demonstration' ou 'production'"),
        (
            "terminal_idle",
            "2 minutes",
            "CREANCES_TERMINAL_IDLE : doit être une durée : 500 ms, 10 s, 15 min, 24 h ou 2 j",
        ),
        ("poll_timeout", "1 min", "CREANCES_POLL_TIMEOUT : doit être d'au plus 10 s"),
        ("kiosque_key_expires_on", "01/11/2026", "CREANCES_KIOSQUE_KEY_EXPIRES_ON : date illisible (AAAA-MM-JJ)"),
        ("kiosque_merchants", "{\n1", "CREANCES_KIOSQUE_MERCHANTS : ce n'est pas du JSON (ligne 2, colonne 1)"),
        (
            "public_url",
            "https://moi:zq7@h.fr",
            "CREANCES_PUBLIC_URL : ne doit pas porter de compte ni de mot de passe (ce qui précède @)",
        ),
        (
            "kafka_sasl_mechanism",
            "OAUTHBEARER",
            "Réglages : CREANCES_KAFKA_SASL_MECHANISM=OAUTHBEARER et CREANCES_KAFKA_SASL_TOKEN_PATH vont ensemble",
        ),
    ],
)
def test_une_faute_dit_ce_qui_est_attendu(nom: str, valeur: str, dite: str) -> None:
    with pytest.raises(ValidationError) as cause:
        Settings.model_validate({nom: valeur})
    assert [" : ".join(faute) for faute in setting_faults(cause.value)] == [dite]


@pytest.mark.parametrize("reglage", ["kiosque_merchants", "caisse_instructions"])
@pytest.mark.parametrize("caisse", ["38", "0381", "CPAM 381", "٣٨١"])
def test_une_caisse_qui_n_en_est_pas_une_est_refusee(reglage: str, caisse: str) -> None:
    """Personne ne la trouverait : ses paiements iraient au commerçant commun."""
    chacun = {"kiosque_merchants": {"merchant_id": "211000012340001", "secret_key": "k"}, "caisse_instructions": {}}
    with pytest.raises(ValidationError, match="trois chiffres"):
        Settings.model_validate({reglage: {caisse: chacun[reglage]}})


@pytest.mark.parametrize("reste", [{}, {"previous_key_version": 1}])
@pytest.mark.parametrize("reglage", ["kiosque_merchants", "kiosque_retired_merchants"])
def test_la_cle_precedente_d_un_commercant_va_avec_sa_version(reglage: str, reste: dict[str, int]) -> None:
    un = {"merchant_id": "211000012340001", "secret_key": "k2", "previous_secret_key": "k1"} | reste
    with pytest.raises(ValidationError, match="previous_key_version"):
        Settings.model_validate({reglage: {"381": un} if reglage == "kiosque_merchants" else [un]})
