"""Des rapports abîmés de toutes les façons connues : un refus qui nomme la ligne ou la colonne, ou la bonne valeur."""

import io

import pytest

from kiosque.rapports import LigneDeRapport, RapportRefuse
from kiosque.sips.rapports.colonnes import NOMS_PAR_DEFAUT
from kiosque.sips.rapports.lecture import RapportSips

TITRE = "TITLE;TRANSACTIONS;20261125;TAB20_V1"
COLONNES = "HEADER;merchantId;transactionReference;transactionDateTime;amount;currencyCode;responseCode;authorisationId"


def ligne(
    transaction: str = "T1",
    *,
    le: str = "2026-11-24T10:12:13+01:00",
    montant: str = "2000",
    devise: str = "978",
    code: str = "00",
    autorisation: str = "761208",
    marchand: str = "002001000000001",
) -> str:
    return f"TRANSACTION;{marchand};{transaction};{le};{montant};{devise};{code};{autorisation}"


def texte(*lignes: str, fin: str = "\n") -> bytes:
    return (fin.join(lignes) + fin).encode()


def rapport(*lignes: str) -> bytes:
    return texte(TITRE, COLONNES, *lignes, "END")


def lire(contenu: bytes) -> list[LigneDeRapport]:
    return list(RapportSips(io.BytesIO(contenu), NOMS_PAR_DEFAUT))


BON = rapport(ligne())
MARQUE = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "contenu",
    [
        pytest.param(MARQUE * 2 + BON, id="deux marques d'ordre"),
        pytest.param(BON.replace(b";", b","), id="virgules"),
        pytest.param(BON.replace(b";", b"|"), id="barres"),
        pytest.param(BON[:-1], id="sans la dernière fin de ligne"),
        pytest.param(BON.replace(b"\n", b"\r\r\n"), id="retours doubles"),
        pytest.param(BON.replace(b"\n", b"\r\n", 2), id="fins de ligne mêlées"),
        pytest.param(texte(TITRE, COLONNES, "", "   ", ";;;;;;;", ligne(), "", "END"), id="lignes blanches"),
        pytest.param(BON + b";;;;\n \n", id="lignes blanches après la fin"),
        pytest.param(BON.replace(b"END", b"END;1"), id="un compte juste"),
        pytest.param(BON.replace(b"END", b'"END";;;'), id="fin entre guillemets"),
        pytest.param(BON.replace(b"END", b"fin"), id="fin en minuscules"),
        pytest.param(rapport(ligne() + ";;"), id="cases vides de trop"),
        pytest.param(texte(TITRE, COLONNES + ";;", ligne() + ";;", "END"), id="colonnes vides de trop"),
        pytest.param(texte(TITRE, COLONNES + ";x;x", ligne() + ";1;2", "END"), id="colonne inutile répétée"),
        pytest.param(texte(TITRE.lower(), COLONNES.lower(), ligne(), "END"), id="en-tête en minuscules"),
        pytest.param(texte(TITRE, COLONNES.upper(), ligne(), "END"), id="en-tête en capitales"),
        pytest.param(rapport(ligne(devise="eur")), id="euro en lettres"),
        pytest.param(rapport(ligne(montant="0002000")), id="zéros de tête"),
        pytest.param(rapport(ligne(le="2026-11-24 10:12:13")), id="instant à l'ancienne"),
        pytest.param(rapport(ligne(le="20261124101213")), id="instant compact"),
        *(
            pytest.param(rapport(ligne(devise=absente)), id=f"devise {absente!r}")
            for absente in ("", "null", "NULL", "Null ")
        ),
    ],
)
def test_ce_qui_ne_change_pas_le_sens_est_lu(contenu: bytes) -> None:
    [lue] = lire(contenu)
    [attendue] = lire(BON)
    assert lue._replace(numero=0) == attendue._replace(numero=0)


@pytest.mark.parametrize(
    ("contenu", "phrase"),
    [
        pytest.param(texte(TITRE, COLONNES, ligne(), "END", fin="\r"), "ligne 1 : les lignes finissent", id="Mac"),
        pytest.param(
            texte(TITRE, COLONNES, *(ligne(f"T{n}") for n in range(1_000)), "END", fin="\r"),
            "ligne 1 : les lignes finissent",
            id="un grand Mac",
        ),
        pytest.param(
            (TITRE + "\r" + COLONNES + "\n" + ligne() + "\nEND\n").encode(), "ligne 1 : les lignes", id="CR au titre"
        ),
        pytest.param(rapport(ligne() + "\r" + ligne("T2")), "ligne 3 : les lignes finissent", id="CR au milieu"),
        pytest.param(BON.decode().encode("utf-16"), "ligne 1 : le fichier est en UTF-16", id="UTF-16"),
        pytest.param(BON.decode().encode("utf-16-le"), "ligne 1 : un octet nul", id="UTF-16 sans marque"),
        pytest.param(BON.decode().encode("utf-32"), "ligne 1 : le fichier est en UTF-16", id="UTF-32"),
        pytest.param(b"PK\x03\x04" + bytes(range(256)), "ligne 1", id="une archive"),
        pytest.param(b"PK\x03\x04\x14\0", "ligne 1 : un classeur ou une archive, pas un rapport en texte", id="xlsx"),
        pytest.param(b"\x1f\x8b\x08abc", "ligne 1 : un classeur ou une archive, pas un rapport en texte", id="gzip"),
        pytest.param(b"<!DOCTYPE html>\n<html>", "ligne 1 : TITLE est attendu au début", id="une page"),
        pytest.param(b"sep=;\n" + BON, "ligne 1 : TITLE est attendu au début", id="sep="),
        pytest.param(b"\n" + BON, "ligne 1 : TITLE est attendu au début", id="ligne vide d'abord"),
        pytest.param(texte("TITLE", COLONNES, "END"), "ligne 1", id="titre nu"),
        pytest.param(texte(TITRE), "ligne 1 : le fichier est coupé : il finit après son titre", id="titre seul"),
        pytest.param(texte(TITRE, COLONNES), "ligne 2 : le fichier est coupé", id="sans ligne ni fin"),
        pytest.param(texte(TITRE, TITRE, COLONNES, "END"), "ligne 2 : HEADER est attendu", id="deux titres"),
        pytest.param(rapport(COLONNES, ligne()), "ligne 3 : une seconde ligne HEADER", id="deux en-têtes"),
        pytest.param(rapport(ligne()) + rapport(ligne("T2")), "ligne 5 : du texte suit", id="bout à bout"),
        pytest.param(rapport(ligne()).replace(b"END\n", rapport()), "ligne 4 : une seconde ligne TITLE", id="greffé"),
        pytest.param(rapport("END;x", ligne()), "ligne 4 : du texte suit", id="fin au milieu"),
        pytest.param(BON.replace(b"END", b"END;2"), "ligne 4 : la ligne de fin annonce 2 lignes", id="compte faux"),
        pytest.param(BON.replace(b"END", b"FIN;0"), "ligne 4 : la ligne de fin annonce 0 lignes", id="compte nul"),
        pytest.param(BON[:-2], "ligne 4 : 1 case au lieu de 8", id="fin coupée"),
        pytest.param(BON[:-30], "ligne 3 : 4 cases au lieu de 8", id="ligne coupée"),
        pytest.param(BON[: len(BON) // 2], "ligne 2", id="la moitié"),
        pytest.param(rapport(ligne() + ";x"), "ligne 3 : 9 cases au lieu de 8", id="case de trop"),
        pytest.param(texte(TITRE.replace("20261125", "20261399"), COLONNES, "END"), "ligne 1 : le titre", id="jour 99"),
        pytest.param(texte('TITLE;"TRANSACTIONS;20261125', COLONNES, "END"), "ligne 1 : le titre", id="titre ouvert"),
        pytest.param(texte(TITRE, COLONNES + ';"x', "END"), "ligne 2 : guillemets", id="en-tête ouvert"),
        pytest.param(rapport(ligne(autorisation='"7'), ligne("T2")), "ligne 3 : guillemets", id="case ouverte"),
        pytest.param(
            rapport(ligne(autorisation='"7'), *(ligne(f"T{n}") for n in range(3_000))),
            "ligne 3 : guillemets",
            id="case ouverte loin de la fin",
        ),
        pytest.param(
            rapport(ligne(autorisation='"7\n6"')), "ligne 3, colonne authorisationId : un texte", id="deux lignes"
        ),
        pytest.param(rapport(ligne(autorisation="7\0")), "ligne 3 : un octet nul", id="octet nul"),
        *(
            pytest.param(rapport(ligne(montant=m)), "ligne 3, colonne amount : des centimes entiers", id=f"montant {m}")
            for m in ("-2000", "+2000", "20.00", "20,00", "2 000", "2\N{NARROW NO-BREAK SPACE}000", "2E3", "0x10",
                      "٢٠٠٠", "²", "9" * 13, "1_000", "20 €")
        ),
        *(
            pytest.param(rapport(ligne(le=d)), "ligne 3, colonne transactionDateTime : une date ISO", id=f"date {d}")
            for d in ("26-11-24", "24/11/2026", "46350", "46350,5", "20261399", "2026-02-30", "20261124256100", "hier",
                      "2026-11-24T10:12:13+99:99", "２０２６-11-24", "-20261124")
        ),
        pytest.param(rapport(ligne(le="2062-11-24")), "ligne 3, colonne transactionDateTime : la date est", id="2062"),
        pytest.param(rapport(ligne(le="0026-11-24")), "ligne 3, colonne transactionDateTime : l'année", id="an 26"),
        *(
            pytest.param(rapport(ligne(le=d)), "ligne 3, colonne transactionDateTime : la date est", id=f"vieux {d}")
            for d in ("20061124", "2002-06-11T23:00:00", "2023-11-24")
        ),
        *(
            pytest.param(vide, phrase, id=f"{vide!r}")
            for vide, phrase in (
                (b"", "le fichier est vide"), (MARQUE, "le fichier est vide"),
                (MARQUE + b"\r\n", "le fichier est vide"), (b"\n  \n;;\n", "le fichier n'a que des lignes vides"),
            )
        ),
        pytest.param(rapport(ligne(code="0")), "ligne 3, colonne responseCode : un code de deux signes", id="code 0"),
        pytest.param(
            rapport(ligne(autorisation='"=""761208"""')), "ligne 3, colonne authorisationId", id="formule de tableur"
        ),
        pytest.param(rapport(ligne(devise="840")), "ligne 3, colonne currencyCode : l'euro", id="dollar"),
        pytest.param(rapport(ligne(marchand="2,001E+12")), "ligne 3, colonne merchantId : 15 chiffres", id="Excel"),
        pytest.param(rapport(ligne("")), "ligne 3, colonne transactionReference : la case est vide", id="sans nom"),
        pytest.param(rapport(ligne("é")), "ligne 3, colonne transactionReference", id="nom accentué"),
        pytest.param(rapport(ligne("x" * 36)), "ligne 3, colonne transactionReference", id="nom trop long"),
    ],
)  # fmt: skip
def test_le_reste_est_refuse_en_nommant_ou(contenu: bytes, phrase: str) -> None:
    with pytest.raises(RapportRefuse) as refus:
        lire(contenu)
    assert str(refus.value).startswith(phrase)


@pytest.mark.parametrize("absente", ["", "null", "NULL", "Null", " null "])
def test_une_case_absente_l_est_quelle_que_soit_son_ecriture(absente: str) -> None:
    [lue] = lire(rapport(ligne(autorisation=absente, marchand=absente)))
    assert (lue.autorisation, lue.marchand) == (None, None)


@pytest.mark.parametrize("pas", range(1, 40))
def test_coupe_n_importe_ou_un_rapport_est_refuse_jamais_lu_a_moitie(pas: int) -> None:
    contenu = rapport(ligne(), ligne("T2", autorisation='"a;b"'))
    reste = contenu[: len(contenu) * pas // 40 - 1]
    with pytest.raises(RapportRefuse):
        lire(reste)


def test_une_heure_dite_deux_fois_a_paris_est_lue_au_plus_tard() -> None:
    """Au plus tôt, un paiement de la seconde semblerait pris avant d'avoir été ouvert : l'argent d'un autre."""
    automne = [lue.survenu_le.isoformat() for lue in lire(rapport(ligne(le="2026-10-25 02:30:00")))]
    printemps = [lue.survenu_le.isoformat() for lue in lire(rapport(ligne(le="20260329023000")))]
    assert automne + printemps == ["2026-10-25T01:30:00+00:00", "2026-03-29T01:30:00+00:00"]


def test_des_frais_rendus_se_deduisent_et_le_signe_d_un_impaye_ne_compte_pas() -> None:
    frais = "TITLE;RECONCILIATIONS;20261125\nHEADER;transactionReference;remittanceDate;operationAmount;feeAmount\n"
    [lue] = lire(f"{frais}R;T1;20261124;2000;-8\nEND\n".encode())
    assert (lue.pris, lue.frais) == (20_00, -8)
    impaye = "TITLE;CHARGEBACKS;20261125\nHEADER;transactionReference;chargebackDate;chargebackAmount\n"
    assert [lue.rendu for lue in lire(f"{impaye}C;T1;20261124;-2000\nEND\n".encode())] == [20_00]
