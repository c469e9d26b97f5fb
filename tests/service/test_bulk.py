"""Lire un fichier de la caisse : chaque mauvaise ligne est nommée, et elle seule."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any

import pytest
from rich.console import Console

from engine.messages import OCTETS_MAX
from service.imports.lines import Lines
from service.imports.messages import Checked, Refused, jsonl
from service.imports.run import BAD_LINES, OK, Job, run_import
from service.imports.table import COLUMNS, table
from service.settings import Settings
from tests.consumers.banc import avis

EN_TETE = "reference;assure;caisse;nature;montant_initial_centimes;solde_pf_fr_centimes;date_emission;mode"
LIGNE = "38117012{0:08d}F;a-1;381;PF/FR;8709;8709;2026-05-12;papier"
EN_TETE_RECTIF = "type,reference,message_id,montant_initial_centimes,motif"


def lues(
    octets: bytes, lecteur: Callable[[Lines], Iterator[Checked | Refused]]
) -> tuple[list[Checked], dict[int, str]]:
    """Les bons messages, et la cause de chaque ligne refusée."""
    bons, refusees = [], {}
    for issue in lecteur(Lines(io.BytesIO(octets))):
        if isinstance(issue, Refused):
            assert issue.line not in refusees
            refusees[issue.line] = issue.cause
        else:
            bons.append(issue)
    return bons, refusees


def en_jsonl(*messages: Any) -> bytes:
    return b"".join((m if isinstance(m, bytes) else json.dumps(m).encode()) + b"\n" for m in messages)


def en_csv(*lignes: str, tete: str = EN_TETE) -> bytes:
    return "\n".join([tete, *lignes, ""]).encode()


def numeros(bons: Iterable[Checked]) -> list[int]:
    return [bon.line for bon in bons]


# --- JSON, une ligne un message --------------------------------------------------------------------------------------


def test_les_quatre_messages_du_contrat_passent_tels_quels() -> None:
    reference = "3811701200010075F"
    messages = [
        avis(1),
        {k: v for k, v in avis(2).items() if k != "type"},
        {
            "type": "avis_rectifie",
            "reference": reference,
            "message_id": "m-1",
            "montant_initial_centimes": 0,
            "motif": "é",
        },
        {"type": "avis_annule", "reference": reference, "message_id": "m-2", "motif": ""},
        {
            "type": "encaissement_recu",
            "reference": reference,
            "message_id": "m-3",
            "montant_centimes": 1200,
            "moyen": "cheque",
            "date": "2026-06-01",
        },
    ]
    bons, refusees = lues(en_jsonl(*messages), jsonl)
    assert refusees == {}
    assert [json.loads(bon.value) for bon in bons] == messages
    assert [bon.key.decode() for bon in bons] == [message["reference"] for message in messages]


@pytest.mark.parametrize(
    ("ligne", "cause"),
    [
        (b"ceci n'est pas du JSON", "message : ce n'est pas du JSON"),
        (b'{"reference":', "message : ce n'est pas du JSON"),
        (b"[]", "message : un objet JSON est attendu"),
        (json.dumps(avis(2)).encode().replace(b"papier", b"papi\xe9r"), "octets qui ne sont pas de l'UTF-8"),
        (
            json.dumps(avis(2) | {"montant_initial_centimes": 87.5}).encode(),
            "montant_initial_centimes : un nombre entier de centimes",
        ),
        (
            json.dumps(avis(2) | {"montant_initial_centimes": "8709"}).encode(),
            "montant_initial_centimes : un nombre entier de centimes",
        ),
        (json.dumps(avis(2, montant=-1)).encode(), "montant_initial_centimes : le montant ne peut pas être négatif"),
        (json.dumps(avis(2, montant=10**30)).encode(), "montant_initial_centimes : le montant dépasse le maximum"),
        (json.dumps(avis(2, assure="255081416802538")).encode(), "assure : un numéro de sécurité sociale ne peut ni"),
        (json.dumps(avis(2, date_emission="12/05/2026")).encode(), "date_emission : date illisible (AAAA-MM-JJ)"),
        (json.dumps(avis(2, date_emission="1747008000")).encode(), "date_emission : date illisible (AAAA-MM-JJ)"),
        (json.dumps(avis(2, date_emission=1747008000)).encode(), "date_emission : date illisible (AAAA-MM-JJ)"),
        (json.dumps(avis(2, reference="123")).encode(), "reference : la forme n'est pas celle attendue"),
        (json.dumps(avis(2, type="autre")).encode(), "message : type de message inconnu"),
        (json.dumps(avis(2) | {"a\x1b[31m\n" + "b" * 900: 1}).encode(), "a�[31m�bbb"),
        (b'{"a":' * 50_000, f"message de 250000 octets, {OCTETS_MAX} au plus"),
    ],
)
def test_une_mauvaise_ligne_est_nommee_et_les_autres_passent(ligne: bytes, cause: str) -> None:
    bons, refusees = lues(en_jsonl(avis(1), ligne, avis(3)), jsonl)
    assert numeros(bons) == [1, 3]
    assert list(refusees) == [2]
    assert refusees[2].startswith(cause)
    assert len(refusees[2]) <= 500


@pytest.mark.parametrize(
    ("fin", "bom"), [(b"\n", b""), (b"\r\n", b"\xef\xbb\xbf")], ids=["LF", "CRLF et marque d'ordre"]
)
def test_fins_de_ligne_marque_d_ordre_et_lignes_vides_ne_comptent_pas(fin: bytes, bom: bytes) -> None:
    lignes = [
        json.dumps(avis(1)).encode(),
        b"",
        b"  \t",
        json.dumps(avis(2)).encode(),
        b"{",
        json.dumps(avis(3)).encode(),
    ]
    bons, refusees = lues(bom + fin.join(lignes), jsonl)
    assert numeros(bons) == [1, 4, 6]
    assert list(refusees) == [5]
    assert all(bon.value.startswith(b'{"type"') and bon.value.endswith(b"}") for bon in bons)


@pytest.mark.parametrize("fin", [b"\n", b"\r\n"])
@pytest.mark.parametrize("ecart", [-1, 0, 1, 2, 3])
def test_la_limite_de_taille_est_celle_du_consommateur_a_l_octet_pres(fin: bytes, ecart: int) -> None:
    nu = json.dumps(avis(1)).encode()
    ligne = nu + b" " * (OCTETS_MAX + ecart - len(nu))
    bons, refusees = lues(ligne + fin + json.dumps(avis(2)).encode(), jsonl)
    assert numeros(bons) == ([1, 2] if ecart <= 0 else [2])
    assert list(refusees.values()) == ([] if ecart <= 0 else [f"message de {len(ligne)} octets, {OCTETS_MAX} au plus"])


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separateur", [";", ","])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_le_tableur_francais_comme_le_csv_ordinaire(separateur: str, bom: str) -> None:
    texte = bom + en_csv(LIGNE.format(1), LIGNE.format(2), ";;;;;;;").decode().replace(";", separateur)
    bons, refusees = lues(texte.replace("\n", "\r\n").encode(), table)
    assert refusees == {}
    assert [json.loads(bon.value) | {"type": "avis_emis"} for bon in bons] == [avis(1), avis(2)]
    assert numeros(bons) == [2, 3]


@pytest.mark.parametrize(
    ("champ", "saisie", "cause"),
    [
        ("8709;8709", "87,09;8709", "montant_initial_centimes : un nombre entier de centimes est attendu"),
        ("8709;8709", "-5;8709", "montant_initial_centimes : un nombre entier de centimes est attendu"),
        ("8709;8709", "8 709;8709", "montant_initial_centimes : un nombre entier de centimes est attendu"),
        ("8709;8709", "٣;8709", "montant_initial_centimes : un nombre entier de centimes est attendu"),
        ("8709;8709", "0;8709", "montant_initial_centimes : le montant doit être positif"),
        ("8709;8709", ";8709", "montant_initial_centimes : champ absent"),
        (";381;", ";11;", "caisse : la forme n'est pas celle attendue (3 chiffres, zéro de tête compris)"),
        ("2026-05-12", "12/05/2026", "date_emission : date illisible (AAAA-MM-JJ)"),
        (";papier", "", "7 colonnes, l'en-tête en a 8"),
        (";papier", ";papier;de trop", "9 colonnes, l'en-tête en a 8"),
    ],
)
def test_une_case_fautive_est_dite_avec_les_mots_du_consommateur(champ: str, saisie: str, cause: str) -> None:
    mauvaise = LIGNE.format(2).replace(champ, saisie, 1)
    bons, refusees = lues(en_csv(LIGNE.format(1), mauvaise, LIGNE.format(3)), table)
    assert (numeros(bons), refusees) == ([2, 4], {3: cause})


@pytest.mark.parametrize(
    ("tete", "cause"),
    [
        (LIGNE.format(1), "l'en-tête manque"),
        ('"guillemet', "guillemets mal placés"),
        ("reference\xff", "octets qui ne sont pas de l'UTF-8"),
        (EN_TETE + ";montant", "colonne 9 inconnue : « montant »"),
        (EN_TETE + ";;caisse", "colonne 9 sans nom"),
        (EN_TETE + "\r" + LIGNE.format(2), "les lignes finissent par un retour chariot seul"),
        (EN_TETE + ";caisse", "colonne « caisse » donnée deux fois"),
        (EN_TETE.removesuffix(";mode"), "colonne absente : mode"),
        ("type;motif", "colonne absente : reference"),
    ],
)
def test_un_en_tete_inutilisable_est_dit_et_rien_n_est_lu(tete: str, cause: str) -> None:
    bons, refusees = lues(f"\n{tete}\n{LIGNE.format(1)}\n".encode("latin-1"), table)
    assert bons == []
    assert list(refusees) == [2]
    assert refusees[2].startswith(cause)


def test_avec_la_colonne_type_les_quatre_messages_tiennent_dans_un_csv() -> None:
    tete = ",".join(COLUMNS)
    lignes = {
        "avis_emis": "3811701200010075F,a-1,381,PF/FR,8709,8709,2026-05-12,papier,,,,,",
        "": "3811701200010076F,a-1,381,PF/FR,8709,8709,2026-05-12,papier,,,,,",
        "avis_rectifie": "3811701200010075F,,,,5000,,,,m-1,erreur,,,",
        "avis_annule": "3811701200010075F,,,,,,,,m-2,doublon,,,",
        "encaissement_recu": "3811701200010075F,,,,,,,,m-3,,1200,cheque,2026-06-01",
    }
    assert tete == (
        "reference,type,assure,caisse,nature,montant_initial_centimes,solde_pf_fr_centimes,date_emission,mode,"
        "message_id,motif,montant_centimes,moyen,date"
    )
    corps = [ligne.replace(",", f",{type_},", 1) for type_, ligne in lignes.items()]
    mauvaise = "3811701200010075F,avis_annule,,,,77,,,,m-4,motif,,,"
    bons, refusees = lues(en_csv(*corps, mauvaise, tete=tete), table)
    assert [json.loads(bon.value).get("type") for bon in bons] == [
        "avis_emis", None, "avis_rectifie", "avis_annule", "encaissement_recu",
    ]  # fmt: skip
    assert refusees == {7: "montant_initial_centimes : champ inconnu"}


def rectif(numero: int, motif: str, montant: str = "5000") -> str:
    return f"avis_rectifie,38117012{numero:08d}F,m-{numero},{montant},{motif}"


def test_un_texte_sur_plusieurs_lignes_porte_le_numero_de_sa_premiere() -> None:
    lignes = [
        rectif(1, '"erreur\r\nde ""saisie"", oui\n\nvraiment"'),
        rectif(2, "bref"),
        rectif(3, '"a\nb"', "x"),
        rectif(4, ""),
    ]
    bons, refusees = lues(en_csv(*lignes, tete=EN_TETE_RECTIF), table)
    assert numeros(bons) == [2, 6]
    assert json.loads(bons[0].value)["motif"] == 'erreur\nde "saisie", oui\n\nvraiment'
    assert refusees == {
        7: "montant_initial_centimes : un nombre entier de centimes est attendu",
        9: "motif : champ absent",
    }


@pytest.mark.parametrize(
    "fautives",
    [
        {1: '"ouvert'},
        {1: '"ouvert', 3: '"ouvert'},
        {1: '"ouvert', 2: '"ouvert', 3: '"ouvert'},
        {3: '"ouvert'},
        {0: '"x"y'},
    ],
)
def test_un_guillemet_oublie_ne_coute_que_sa_ligne(fautives: dict[int, str]) -> None:
    lignes = [rectif(n, fautives.get(n, "bref")) for n in range(4)]
    bons, refusees = lues(en_csv(*lignes, tete=EN_TETE_RECTIF), table)
    assert refusees == {n + 2: "guillemets mal placés, ou jamais refermés" for n in fautives}
    assert numeros(bons) == [n + 2 for n in range(4) if n not in fautives]


def test_un_guillemet_seul_dans_un_texte_sans_guillemets_se_lit_tel_quel() -> None:
    bons, refusees = lues(
        en_csv(rectif(1, '"ouvert'), rectif(2, "bref"), rectif(3, 'écran 15"'), tete=EN_TETE_RECTIF), table
    )
    assert list(refusees) == [2]
    assert [json.loads(bon.value)["motif"] for bon in bons] == ["bref", 'écran 15"']


def test_des_guillemets_oublies_loin_l_un_de_l_autre_ne_cachent_pas_les_lignes_entre_eux() -> None:
    lignes = [LIGNE.format(n) for n in range(1, 2000)]
    lignes[0] = lignes[0].replace("papier", '"papier')
    lignes[1500] += '"'
    bons, refusees = lues(en_csv(*lignes), table)
    assert list(refusees) == [2, 1502]
    assert len(bons) == 1997


def test_une_ligne_de_csv_sans_fin_est_nommee_et_la_suivante_passe() -> None:
    bons, refusees = lues(en_csv(LIGNE.format(1), '"' + "x" * 1_000_000, LIGNE.format(2)), table)
    assert numeros(bons) == [2, 4]
    assert refusees == {3: f"message de 1000001 octets, {OCTETS_MAX} au plus"}


@pytest.mark.parametrize(
    ("tete", "ligne"),
    [
        ("sep=;\n" + EN_TETE, LIGNE.format(1)),
        (EN_TETE + ";;", LIGNE.format(1) + ";;"),
        (EN_TETE.upper(), LIGNE.format(1)),
        (EN_TETE.replace(";", "\t"), LIGNE.format(1).replace(";", "\t")),
        ("sep=\t\n" + EN_TETE.replace(";", "\t"), LIGNE.format(1).replace(";", "\t")),
    ],
    ids=["sep=;", "colonnes vides à la fin", "capitales", "tabulations", "sep= tabulation"],
)
def test_un_csv_comme_les_bureaux_en_font_est_lu(tete: str, ligne: str) -> None:
    bons, refusees = lues(f"{tete}\n{ligne}\n".encode(), table)
    assert (len(bons), refusees) == (1, {})


def test_un_import_admet_les_memes_jours_que_le_consommateur(capsys: pytest.CaptureFixture[str]) -> None:
    """Ceux que le service règle : une ligne que le consommateur refuserait n'est pas envoyée, ni l'inverse."""
    for premier, issue in ((date(2026, 5, 12), OK), (date(2026, 5, 13), BAD_LINES)):
        reglages = Settings(_env_file=None, politique_date_minimum=premier)
        for forme, octets in (("jsonl", en_jsonl(avis(1))), ("csv", en_csv(LIGNE.format(1)))):
            travail = Job("avis", io.BytesIO(octets), None, forme, from_line=1, dry_run=True)
            assert run_import(reglages, travail, Console(stderr=True), as_json=False) == issue
    assert "date hors de raison" in capsys.readouterr().err
