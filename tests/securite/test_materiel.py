"""L'inventaire de ce qui est installé en production : entier, épinglé, sous des licences connues."""

from docs.sbom import PINNED, bill, packages

TROUVES = packages(PINNED.read_text("utf-8"))


def test_l_inventaire_a_chaque_paquet_avec_son_empreinte_et_sa_licence() -> None:
    lignes = [ligne for ligne in PINNED.read_text("utf-8").splitlines() if "==" in ligne]
    assert len(TROUVES) == len(lignes) > 20
    for paquet in TROUVES:
        assert paquet.hashes, paquet.name
        assert paquet.licence != "inconnue", paquet.name


def test_aucune_licence_n_oblige_plus_que_la_notre() -> None:
    assert not [p for p in TROUVES if "AGPL" in p.licence or "Affero" in p.licence]


def test_l_inventaire_est_le_meme_a_chaque_fois_et_sans_heure() -> None:
    document = bill(TROUVES)
    assert document == bill(packages(PINNED.read_text("utf-8")))
    assert document["bomFormat"] == "CycloneDX"
    assert len({c["bom-ref"] for c in document["components"]}) == len(TROUVES)
