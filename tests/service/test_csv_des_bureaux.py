"""Les CSV que les bureaux font : chaque façon d'écrire est lue pour ce qu'elle est, ou refusée par sa ligne."""

import io
import json

import pytest

from service.imports.lines import Lines
from service.imports.messages import Checked, Refused, jsonl
from service.imports.table import table

COLONNES = "reference;assure;caisse;nature;montant_initial_centimes;solde_pf_fr_centimes;date_emission;mode"
MARQUE = b"\xef\xbb\xbf"
FINE = "\N{NARROW NO-BREAK SPACE}"


def ligne(
    reference: str = "3811701200000001F",
    *,
    assure: str = "a-1",
    caisse: str = "381",
    montant: str = "8709",
    jour: str = "2026-05-12",
    mode: str = "papier",
) -> str:
    return f"{reference};{assure};{caisse};PF/FR;{montant};8709;{jour};{mode}"


def texte(*lignes: str, fin: str = "\n") -> bytes:
    return (fin.join(lignes) + fin).encode(errors="surrogateescape")


def lire(contenu: bytes) -> list[Checked | Refused]:
    return list(table(Lines(io.BytesIO(contenu))))


BON = texte(COLONNES, ligne())


@pytest.mark.parametrize(
    "contenu",
    [
        *(
            pytest.param(texte(sep, COLONNES, ligne(), fin=fin), id=f"{sep!r} {fin!r}")
            for sep in ("sep=;", "SEP=;", "sep=;;;;;", '"sep=;"', '"sep=;";;', "sep=; ", " Sep = ; ")
            for fin in ("\n", "\r\n")
        ),
        pytest.param(b"sep=\t\n" + BON.replace(b";", b"\t"), id="sep= et tabulations"),
        pytest.param(b"sep=,\n" + BON.replace(b";", b","), id="sep= et virgules"),
        pytest.param(BON.replace(b";", b"\t"), id="tabulations"),
        pytest.param(MARQUE * 2 + BON, id="deux marques d'ordre"),
        pytest.param(MARQUE + b"sep=;\n" + BON, id="marque puis sep="),
        pytest.param(b"sep=;\n" + MARQUE + BON, id="sep= puis marque"),
        pytest.param(texte(COLONNES, ligne(), fin="\r\r\n"), id="retours doubles"),
        pytest.param((COLONNES + "\r\n" + ligne() + "\n").encode(), id="fins de ligne mêlées"),
        pytest.param(texte(COLONNES.upper(), ligne()), id="capitales"),
        pytest.param(texte(COLONNES.replace(";", " ; "), ligne()), id="blancs à l'en-tête"),
        pytest.param(texte(";".join(f'"{nom}"' for nom in COLONNES.split(";")), ligne()), id="guillemets"),
        pytest.param(texte(COLONNES + ";;", ligne() + ";;;"), id="colonnes vides de trop"),
        pytest.param(texte(COLONNES, ";;;;;;;", ligne(), ";;;;;;;"), id="lignes de cases vides"),
        pytest.param(texte(COLONNES, ligne(montant="008709")), id="zéros de tête"),
    ],
)  # fmt: skip
def test_ce_qui_ne_change_pas_le_sens_est_lu(contenu: bytes) -> None:
    [lue] = lire(contenu)
    assert isinstance(lue, Checked), lue
    assert json.loads(lue.value) == {
        "reference": "3811701200000001F",
        "assure": "a-1",
        "caisse": "381",
        "nature": "PF/FR",
        "montant_initial_centimes": 8709,
        "solde_pf_fr_centimes": 8709,
        "date_emission": "2026-05-12",
        "mode": "papier",
    }


@pytest.mark.parametrize(
    ("contenu", "cause"),
    [
        pytest.param(texte(COLONNES, ligne(), fin="\r"), "les lignes finissent par un retour chariot", id="Mac"),
        pytest.param(BON.decode().encode("utf-16"), "UTF-16", id="UTF-16"),
        pytest.param(BON.decode().encode("utf-16-le"), "UTF-16", id="UTF-16 sans marque"),
        pytest.param(BON.decode().encode("utf-32"), "UTF-16", id="UTF-32"),
        pytest.param(BON.replace(b"assure", b"as\0sure"), "octets nuls", id="octet nul à l'en-tête"),
        pytest.param(b"sep=,\n" + BON, "ne se séparent pas par « , »", id="sep= qui ment"),
        pytest.param(b"sep=\t\n" + BON, "ne se séparent pas par une tabulation", id="sep= et tabulation qui mentent"),
        pytest.param(b"sep=|\n" + BON.replace(b";", b"|"), "« sep=| » (séparateurs connus", id="sep= et barres"),
        pytest.param(BON.replace(b";", b"|"), "ne se séparent pas par « , »", id="barres"),
        pytest.param(BON.replace(b";", b":"), "ne se séparent pas par « , »", id="deux-points"),
        pytest.param(BON.replace(b"reference", "référence".encode()), "colonne 1 inconnue", id="accent"),
        pytest.param(texte(COLONNES + ";mode", ligne() + ";papier"), "colonne « mode » donnée deux fois", id="deux"),
        pytest.param(texte(COLONNES + ";x", ligne() + ";y"), "colonne 9 inconnue", id="colonne inconnue"),
        pytest.param(texte(COLONNES.replace(";mode", "")), "colonne absente : mode", id="colonne absente"),
        pytest.param(texte(ligne()), "l'en-tête manque", id="sans en-tête"),
        pytest.param(b"<html>;\n<body>\n", "l'en-tête manque", id="une page"),
        pytest.param(b"PK\x03\x04\x14\x00\xff", "un classeur ou une archive, pas du CSV", id="classeur"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1", "un classeur ou une archive, pas du CSV", id="vieux .xls"),
        pytest.param(b"\x1f\x8b\x08\x00abc", "un classeur ou une archive, pas du CSV", id="gzip"),
        pytest.param(b"%PDF-1.4\n", "un classeur ou une archive, pas du CSV", id="PDF"),
        pytest.param(texte(COLONNES.replace(";mode", ";;mode")), "colonne 8 sans nom (connues : ", id="sans nom"),
    ],
)  # fmt: skip
def test_un_fichier_qui_n_en_est_pas_un_est_refuse_a_son_en_tete(contenu: bytes, cause: str) -> None:
    [refus] = lire(contenu)
    assert isinstance(refus, Refused)
    assert refus.whole_file
    assert cause in refus.cause


@pytest.mark.parametrize(
    ("mauvaise", "cause"),
    [
        *(
            pytest.param(ligne(jour=jour), "date_emission : date illisible", id=f"jour {jour}")
            for jour in ("26-01-01", "12/05/2026", "46154", "46154,5", "2026-05-12 00:00:00", "2026-05-12T00:00:00",
                         "2026-02-30", "２０２６-05-12", " 2026-05-12")
        ),
        pytest.param(ligne(jour="2062-05-12"), "date_emission : date hors de raison (2062-05-12)", id="2062"),
        pytest.param(ligne(jour="0026-05-12"), "date_emission : date hors de raison (0026-05-12)", id="an 26"),
        pytest.param(ligne(jour="1900-01-01"), "date_emission : date hors de raison", id="1900"),
        pytest.param(ligne(jour=""), "date_emission : champ absent", id="sans jour"),
        *(
            pytest.param(ligne(montant=m), "montant_initial_centimes : un nombre entier", id=f"montant {m}")
            for m in (f"8{FINE}709", "8\N{NO-BREAK SPACE}709", "8 709", "87,09", "87.09", "87,09 €", "-8709", "+8709",
                      "8,71E+03", "٨٧٠٩", "true", "null", "9" * 20)
        ),
        pytest.param(ligne(montant="9" * 13), "montant_initial_centimes : le montant dépasse", id="montant énorme"),
        pytest.param(ligne(montant="0"), "montant_initial_centimes : le montant doit être positif", id="montant nul"),
        pytest.param(ligne(montant=""), "montant_initial_centimes : champ absent", id="sans montant"),
        *(
            pytest.param(
                ligne(r),
                "reference : la forme n'est pas celle attendue (16 chiffres et 1 lettre capitale, sans espace)",
                id=f"référence {r}",
            )
            for r in ("3811701200000001f", "381 17012 00000001 F", "3,81E+15", "'3811701200000001F")
        ),
        pytest.param(
            ligne(caisse="11"),
            "caisse : la forme n'est pas celle attendue (3 chiffres, zéro de tête compris)",
            id="zéro de tête perdu",
        ),
        pytest.param(ligne(mode="Papier"), "mode : valeur inconnue (dematerialise ou papier)", id="mode"),
        pytest.param(ligne(assure="a\0"), "assure : la forme", id="octet nul"),
        pytest.param(ligne(assure="=1+1"), "assure : la forme", id="formule"),
        pytest.param(ligne(assure="2550814168025"), "assure : un numéro de sécurité sociale", id="NIR sans clé"),
        pytest.param(ligne() + ";x", "9 colonnes, l'en-tête en a 8", id="colonne de trop"),
        pytest.param(ligne().rpartition(";")[0], "7 colonnes, l'en-tête en a 8", id="colonne de moins"),
        pytest.param('"' + ligne(), "guillemets mal placés", id="guillemet ouvert"),
        pytest.param(ligne(assure="x" * 70_000), "message de 70056 octets, 65536 au plus", id="trop longue"),
        pytest.param(
            ligne(assure="\udce9"), "octets qui ne sont pas de l'UTF-8, à la place 18 : enregistrez", id="cp1252"
        ),
        pytest.param("\0" * 100, "1 colonne, l'en-tête en a 8", id="octets nuls"),
    ],
)  # fmt: skip
def test_une_mauvaise_ligne_est_nommee_et_les_autres_passent(mauvaise: str, cause: str) -> None:
    avant, refus, apres = lire(texte(COLONNES, ligne("3811701200000001A"), mauvaise, ligne("3811701200000001B")))
    assert (isinstance(avant, Checked), isinstance(apres, Checked)) == (True, True)
    assert isinstance(refus, Refused)
    assert (refus.line, refus.cause.startswith(cause)) == (3, True), refus


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ('"motif":"x","mot\\u0069f":"y"', "motif : champ présent deux fois"),
        ('"motif":"\\ud800"', "message : ce n'est pas du JSON"),
        ('"motif":"x","Motif":"y"', "Motif : champ inconnu"),
        ('"motif":"x","a":' + "[" * 30_000, "message : ce n'est pas du JSON"),
    ],
)
def test_un_message_json_abime_est_nomme(message: str, cause: str) -> None:
    debut = '{"type":"avis_annule","reference":"3811701200000001F","message_id":"m",'
    [refus] = list(jsonl(Lines(io.BytesIO(f"{debut}{message}}}\n".encode()))))
    assert isinstance(refus, Refused)
    assert (refus.line, refus.cause) == (1, cause)
