"""Un événement qui a changé se publie dans ses deux versions : un seul message, que chaque lecteur lit à sa façon."""

import json
from datetime import date, timedelta
from typing import Any

import jsonschema
import pytest

from domain.creance import Créance
from domain.faits import Fait
from publication import schemas
from publication.cloudevent import composer, type_publie
from publication.contenu import faits_publies
from publication.versions import ANCIENNES, versions
from tests.engine.test_mapper import CORPUS, stocke
from tests.mapper import MAPPER
from tests.outils import RACINE
from tests.publication.test_contenu import SOURCE, exemple

CHANGES = sorted(ANCIENNES, key=lambda classe: classe.__name__)
DEPRECIES_AU_PLUS_TOT = timedelta(days=365)
ANNONCES = {Créance.EncaissementReçu: date(2026, 11, 26)}
"""Le jour où chaque fin a été annoncée au journal des changements."""


@pytest.mark.parametrize("classe", CHANGES, ids=lambda classe: classe.TOPIC)
def test_le_message_satisfait_l_ancien_schema_et_le_nouveau(classe: Any) -> None:
    message = composer(exemple(classe), SOURCE)
    en_tetes, donnees = dict(message.en_tetes), json.loads(message.valeur)
    ancienne, courante = versions(classe)
    assert en_tetes["ce_type"].decode() == type_publie(classe, ancienne)
    assert en_tetes["ce_successeur"].decode() == type_publie(classe, courante)
    publies = schemas.schemas()
    for version in (ancienne, courante):
        jsonschema.validate(donnees, publies[f"{type_publie(classe, version)}.json"])
    for cle, suivante in ANCIENNES[classe].cles.items():
        assert donnees[cle] == donnees[suivante]
        assert cle not in publies[f"{type_publie(classe, courante)}.json"]["properties"]


@pytest.mark.parametrize("classe", CHANGES, ids=lambda classe: classe.TOPIC)
def test_la_fin_de_l_ancienne_version_est_dite_un_an_avant_partout(classe: Any) -> None:
    ancienne = ANCIENNES[classe]
    assert ancienne.fin >= ANNONCES[classe] + DEPRECIES_AU_PLUS_TOT
    publies = schemas.schemas()
    assert publies[f"{type_publie(classe, ancienne.version)}.json"]["deprecated"] is True
    assert "deprecated" not in publies[f"{type_publie(classe, versions(classe)[-1])}.json"]
    for page in ("docs/asyncapi.yaml", "docs/consumers.md"):
        texte = (RACINE / page).read_text("utf-8")
        assert ancienne.fin.isoformat() in texte, page
        assert type_publie(classe, versions(classe)[-1]).rpartition(".creances.")[2] in texte, page


@pytest.mark.parametrize("classe", faits_publies(), ids=lambda classe: classe.TOPIC)
def test_un_evenement_qui_n_a_pas_change_n_annonce_aucun_successeur(classe: type[Fait]) -> None:
    en_tetes = dict(composer(exemple(classe), SOURCE).en_tetes)
    assert ("ce_successeur" in en_tetes) is (classe in ANCIENNES)


@pytest.mark.parametrize("classe", CHANGES, ids=lambda classe: classe.TOPIC)
def test_ce_qui_a_ete_stocke_sous_chaque_version_se_publie_pareil(classe: Any) -> None:
    exemples = [fichier for fichier in CORPUS if stocke(fichier).topic == classe.TOPIC]
    assert len(exemples) >= classe.class_version
    lus = [MAPPER.to_domain_event(stocke(fichier)) for fichier in exemples]
    assert {lu.model_dump_json() for lu in lus} == {lus[0].model_dump_json()}
