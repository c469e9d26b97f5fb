"""La lecture d'un rapport : par les noms de son en-tête, quels que soient l'ordre, le séparateur et l'encodage."""

import io
from datetime import UTC, datetime

import pytest

from kiosque.rapports import Genre, LigneDeRapport, RapportRefuse
from kiosque.sips.rapports.colonnes import NOMS_PAR_DEFAUT, avec_noms
from kiosque.sips.rapports.lecture import RapportSips

LIGNES = (
    "TITLE;TRANSACTIONS;20261125;TAB20_V1",
    "HEADER;transactionReference;transactionDateTime;amount;currencyCode;responseCode;libellé",
    'TRANSACTION;ASAP1;2026-11-24T10:12:13+01:00;1050;978;00;"café ; crème"',
    "TRANSACTION;ASAP2;20261124;2000;978;05;",
    "END",
)


def lire(contenu: bytes) -> list[LigneDeRapport]:
    return list(RapportSips(io.BytesIO(contenu), NOMS_PAR_DEFAUT))


def texte(*lignes: str) -> bytes:
    return ("\n".join(lignes) + "\n").encode()


def test_une_ligne_est_lue_en_centimes_et_en_instants() -> None:
    [une, autre] = lire(texte(*LIGNES))
    assert (une.genre, une.transaction, une.montant, une.code) == (Genre.TRANSACTIONS, "ASAP1", 10_50, "00")
    assert une.survenu_le == datetime(2026, 11, 24, 9, 12, 13, tzinfo=UTC)
    assert autre.survenu_le == datetime(2026, 11, 23, 23, 0, tzinfo=UTC), "une date seule est le minuit de Paris"
    assert (une.numero, une.pris, autre.numero, autre.pris) == (3, 10_50, 4, 0)


@pytest.mark.parametrize("encodage", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separateur", [";", "\t"])
@pytest.mark.parametrize("fin_de_ligne", ["\n", "\r\n"])
def test_le_separateur_et_l_encodage_sont_reconnus(encodage: str, separateur: str, fin_de_ligne: str) -> None:
    lignes = [ligne.replace(";", separateur) for ligne in LIGNES]
    assert lire(fin_de_ligne.join(lignes).encode(encodage)) == lire(texte(*LIGNES))


def test_l_ordre_des_colonnes_et_leur_casse_n_importent_pas() -> None:
    melange = texte(
        LIGNES[0],
        "HEADER;RESPONSE_CODE;AMOUNT;inconnue;TRANSACTION_DATE_TIME;transactionreference;CURRENCY_CODE",
        "TRANSACTION;00;1050;5017670000000000;2026-11-24T10:12:13+01:00;ASAP1;978",
        "TRANSACTION;05;2000;x;20261124;ASAP2;EUR",
        "FIN DU RAPPORT",
    )
    assert lire(melange) == lire(texte(*LIGNES))


@pytest.mark.parametrize(
    ("titre", "colonnes", "genre"),
    [
        ("JT", "transactionReference;transactionDateTime;amount;responseCode", Genre.TRANSACTIONS),
        ("JOURNAL", "transactionReference;operationName;operationDateTime;operationAmount", Genre.OPERATIONS),
        ("JRB", "transactionReference;remittanceDate;operationAmount", Genre.RAPPROCHEMENTS),
        ("RECONCILIATION_TRANSACTIONS", "transactionReference;remittanceDate;operationAmount", Genre.RAPPROCHEMENTS),
        ("Impayes", "transactionReference;chargebackDate;chargebackAmount", Genre.IMPAYES),
    ],
)
def test_le_genre_se_lit_du_titre_sinon_des_colonnes(titre: str, colonnes: str, genre: Genre) -> None:
    contenu = texte(f"TITLE;{titre};2026-11-25", f"HEADER;{colonnes}", "END")
    assert RapportSips(io.BytesIO(contenu), NOMS_PAR_DEFAUT).entete.genre is genre


def test_les_noms_des_colonnes_se_reglent() -> None:
    noms = avec_noms({"transactions": {"montant": ["MONTANT_TTC"]}})
    contenu = texte(*LIGNES).replace(b"amount", b"montantTTC")
    [une, _] = RapportSips(io.BytesIO(contenu), noms)
    assert une.montant == 10_50
    with pytest.raises(ValueError, match="inconnu"):
        avec_noms({"inconnu": {}, "transactions": {"inconnu": []}})


@pytest.mark.parametrize(
    ("contenu", "phrase"),
    [
        (b"", "le fichier est vide"),
        (texte("FILE;request;office;v19"), "ligne 1 : TITLE est attendu au début"),
        (texte("TITLE;RIEN;20261125", "HEADER;a;b", "END"), "ligne 1 : ni le titre ni les colonnes"),
        (texte("TITLE;TRANSACTIONS;sans date", *LIGNES[1:]), "ligne 1 : le titre ne porte pas de date"),
        (texte(LIGNES[0], *LIGNES[2:]), "ligne 2 : HEADER est attendu au début"),
        (texte(*LIGNES).replace(b"amount", b"total"), "ligne 2, colonne amount ou originAmount"),
        (texte(*LIGNES).replace(b"currencyCode", b"AMOUNT"), "ligne 2, colonne amount : la colonne est donnée deux"),
        (texte(*LIGNES[:-1]), "ligne 4 : le fichier est coupé : la dernière ligne, END, manque"),
        (texte(*LIGNES[:3], "TRANSACTION;ASAP2;2026", "END"), "ligne 4 : 3 cases au lieu de 7"),
        (texte(*LIGNES, "TRANSACTION"), "ligne 6 : du texte suit la ligne de fin"),
        (texte(*LIGNES).replace(b"2000", b"20,00"), "ligne 4, colonne amount : des centimes entiers"),
        (texte(*LIGNES).replace(b"2000", b"-2000"), "ligne 4, colonne amount : des centimes entiers"),
        (texte(*LIGNES).replace(b";20261124;", b";24/11/2026;"), "ligne 4, colonne transactionDateTime : une date"),
        (texte(*LIGNES).replace(b";20261124;", b";00261124;"), "ligne 4, colonne transactionDateTime : l'année"),
        (texte(*LIGNES).replace(b"2000;978", b"2000;840"), "ligne 4, colonne currencyCode : l'euro"),
        (texte(*LIGNES).replace(b"ASAP2", b"A SAP"), "ligne 4, colonne transactionReference"),
        (texte(*LIGNES).replace(b"05;", b";"), "ligne 4, colonne responseCode : la case est vide"),
        (texte(*LIGNES).replace(b'me"', b"me"), "ligne 3 : guillemets mal placés, ou jamais refermés"),
        (b"\xff\xfe" + "TITLE".encode("utf-16-le"), "UTF-16"),
        (texte(*LIGNES).replace(b"ASAP2", b"AS\0P2"), "ligne 4 : un octet nul"),
        (texte(*LIGNES).replace(b"ASAP2", b"A" * 70_000), "ligne 4 : la ligne dépasse 65536 octets"),
    ],
)
def test_un_rapport_mal_forme_est_refuse_en_nommant_la_ligne_ou_la_colonne(contenu: bytes, phrase: str) -> None:
    with pytest.raises(RapportRefuse) as refus:
        lire(contenu)
    assert phrase in str(refus.value)


def test_un_impaye_se_lit_avec_ou_sans_signe() -> None:
    montants = [
        lire(
            texte(
                "TITLE;JRI;20261125", "HEADER;transactionReference;chargebackDate;amount", f"C;T1;20261124;{m}", "END"
            )
        )
        for m in ("1050", "-1050")
    ]
    assert [ligne.rendu for [ligne] in montants] == [10_50, 10_50]
