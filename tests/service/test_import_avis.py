"""`creances import-avis`, lancée comme une personne la lance, sur un courtier réel."""

import json
import os
import re
import secrets
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from service import kafka
from service.embedded import EmbeddedBroker, embedded_broker, throwaway_folder
from service.settings import Settings
from tests.consumers.banc import avis
from tests.outils import CREANCES, RACINE, attendre

MARQUE = b"marque"


class EnCours(NamedTuple):
    """Une commande qui tourne, et ses trois flux."""

    processus: subprocess.Popen[bytes]
    entree: IO[bytes]
    sortie: IO[bytes]
    erreurs: IO[bytes]


@dataclass(frozen=True)
class Import:
    """Un topic d'avis à soi, et la commande qui y écrit."""

    settings: Settings

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "CREANCES_KAFKA_BOOTSTRAP": str(self.settings.kafka_bootstrap),
            "CREANCES_TOPIC_PREFIX": self.settings.topic_prefix,
        }

    def lancer(self, *arguments: str | Path, entree: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*CREANCES, "import-avis", *map(str, arguments)],
            input=entree,
            capture_output=True,
            cwd=RACINE,
            env=self.variables,
            timeout=100,
            check=False,
        )

    def en_json(self, *arguments: str | Path, entree: bytes | None = None) -> tuple[int, dict[str, Any]]:
        fini = self.lancer(*arguments, "--json", entree=entree)
        return fini.returncode, json.loads(fini.stdout)

    @contextmanager
    def ouvert(self, *arguments: str) -> Iterator[EnCours]:
        """La commande, à qui l'on parle pendant qu'elle tourne."""
        with subprocess.Popen(
            [*CREANCES, "import-avis", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=RACINE,
            env=self.variables,
        ) as processus:
            assert processus.stdin is not None
            assert processus.stdout is not None
            assert processus.stderr is not None
            try:
                yield EnCours(processus, processus.stdin, processus.stdout, processus.stderr)
            finally:
                processus.kill()

    def recus(self, combien: int) -> list[tuple[bytes, bytes]]:
        """Tout ce que le topic tient : clé et valeur, dans l'ordre de chaque partition."""
        lecteur = kafka.reader(self.settings)
        lecteur.subscribe([self.settings.topic_avis])
        lus: list[tuple[bytes, bytes]] = []
        marques: set[bytes] = set()

        def lire() -> int:
            for enregistrements in lecteur.poll(timeout_ms=200).values():
                lus.extend((lu.key, lu.value) for lu in enregistrements if lu.key != MARQUE)
                marques.update(lu.value for lu in enregistrements if lu.key == MARQUE)
            return len(lus)

        try:
            attendre(lambda: lire() >= combien, secondes=20, quoi=f"{combien} messages")
            # Rien de plus : jusqu'à une marque posée maintenant au bout de chaque partition.
            posees = self._marquer()
            attendre(lambda: [lire(), posees <= marques][1], secondes=20, quoi="le bout du topic")
        finally:
            lecteur.close()
        assert len(lus) == combien
        return lus

    def _marquer(self) -> set[bytes]:
        emetteur = kafka.producer(self.settings)
        marques = {partition: secrets.token_bytes(8) for partition in range(self.settings.partitions_avis)}
        for partition, valeur in marques.items():
            emetteur.send(self.settings.topic_avis, key=MARQUE, value=valeur, partition=partition)
        emetteur.flush()
        emetteur.close()
        return set(marques.values())


@pytest.fixture
def importer(kafka: str, prefixe: str) -> Import:
    return sur(kafka, prefixe)


def sur(courtiers: str, prefixe: str) -> Import:
    settings = Settings(_env_file=None, kafka_bootstrap=courtiers, topic_prefix=prefixe, partitions_avis=3)
    kafka.create_topics(settings)
    return Import(settings)


def fichier(dossier: Path, *messages: Any, nom: str = "avis.jsonl") -> Path:
    chemin = dossier / nom
    chemin.write_bytes(b"".join((m if isinstance(m, bytes) else json.dumps(m).encode()) + b"\n" for m in messages))
    return chemin


def test_les_bonnes_lignes_passent_et_les_mauvaises_sont_nommees(importer: Import, tmp_path: Path) -> None:
    chemin = fichier(tmp_path, avis(1), b"{", avis(2), avis(3, montant=0), avis(1))
    fini = importer.lancer(chemin)
    assert fini.returncode == 1
    assert fini.stderr.decode().splitlines() == [
        "ligne 2 : message : ce n'est pas du JSON",
        "ligne 4 : montant_initial_centimes : le montant doit être positif",
    ]
    dit = fini.stdout.decode()
    assert f"Mis sur {importer.settings.topic_avis} et accusé par Kafka : 3 lignes." in dit
    assert "Refusé, et nommé sur la sortie d'erreur : 2 lignes." in dit
    attendus = sorted((m["reference"].encode(), json.dumps(m).encode()) for m in (avis(1), avis(1), avis(2)))
    assert sorted(importer.recus(3)) == attendus


def test_le_rapport_json_dit_chaque_ligne_refusee_et_les_comptes(importer: Import, tmp_path: Path) -> None:
    tete = "reference;assure;caisse;nature;montant_initial_centimes;solde_pf_fr_centimes;date_emission;mode"
    ligne = "3811701200000001F;a-1;381;PF/FR;8709;8709;2026-05-12;papier"
    chemin = fichier(
        tmp_path, tete.encode(), ligne.encode(), ligne.replace("8709", "87,09", 1).encode(), nom="avis.CSV"
    )
    code, rapport = importer.en_json(chemin)
    assert code == 1
    assert rapport.pop("secondes") > 0
    assert rapport.pop("lignes_par_seconde") > 0
    assert rapport == {
        "fichier": str(chemin),
        "refusees": [
            {"ligne": 3, "cause": "montant_initial_centimes : un nombre entier de centimes est attendu"}
        ],
        "lues": 2,
        "envoyees": 1,
        "refusees_total": 1,
        "sans_accuse": 0,
        "interrompu": False,
        "arret": None,
        "reprendre_a_la_ligne": None,
        "a_blanc": False,
    }  # fmt: skip
    [(cle, valeur)] = importer.recus(1)
    assert (cle, json.loads(valeur)) == (b"3811701200000001F", {k: v for k, v in avis(1).items() if k != "type"})


@pytest.mark.parametrize("forme", ["jsonl", "csv"])
def test_l_entree_standard_se_lit_dans_les_deux_formes(importer: Import, forme: str) -> None:
    message = avis(7)
    csv = ",".join(message) + "\r\n" + ",".join(map(str, message.values()))
    entree = b"\xef\xbb\xbf" + (csv.encode() if forme == "csv" else json.dumps(message).encode())
    code, rapport = importer.en_json("-", entree=entree)
    assert (code, rapport["envoyees"], rapport["refusees"]) == (0, 1, [])
    assert [json.loads(valeur) for _, valeur in importer.recus(1)] == [message]
    assert importer.lancer("-", "--format", forme, entree=b"").returncode == 1


@pytest.mark.parametrize("forme", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("contenu", "dit"),
    [
        (b"", "ligne 1 : le fichier est vide"),
        (b"\xef\xbb\xbf", "ligne 1 : le fichier est vide"),
        (b"\n \t\r\n\n", "ligne 3 : le fichier n'a que des lignes vides"),
    ],
)
def test_un_fichier_sans_rien_est_refuse_il_a_ete_coupe(
    importer: Import, tmp_path: Path, contenu: bytes, dit: str, forme: str
) -> None:
    fichier = tmp_path / f"vide.{forme}"
    fichier.write_bytes(contenu)
    fini = importer.lancer(fichier)
    assert (fini.returncode, fini.stderr.decode().splitlines()) == (1, [dit])


def test_un_en_tete_seul_est_un_jour_sans_avis(importer: Import, tmp_path: Path) -> None:
    fichier = tmp_path / "jour.csv"
    fichier.write_bytes(b"type;reference\r\n\r\n")
    fini = importer.lancer(fichier)
    assert (fini.returncode, fini.stdout.decode()) == (0, "Aucun message dans ce fichier : rien après l'en-tête.\n")
    (tmp_path / "sep.csv").write_bytes(b"sep=;\r\n")
    assert "l'en-tête manque" in importer.lancer(tmp_path / "sep.csv").stderr.decode()


def test_a_blanc_tout_est_verifie_et_rien_n_est_envoye(importer: Import, tmp_path: Path) -> None:
    code, rapport = importer.en_json(fichier(tmp_path, avis(1), b"{", avis(2)), "--dry-run")
    assert (code, rapport["lues"], rapport["envoyees"], rapport["a_blanc"]) == (1, 3, 0, True)
    assert importer.recus(0) == []


def test_on_reprend_a_une_ligne(importer: Import, tmp_path: Path) -> None:
    code, rapport = importer.en_json(fichier(tmp_path, b"{", avis(1), b"", avis(2), b"{"), "--from-line", "4")
    assert (code, rapport["lues"], rapport["envoyees"]) == (1, 2, 1)
    assert [refusee["ligne"] for refusee in rapport["refusees"]] == [5]
    assert [cle.decode() for cle, _ in importer.recus(1)] == [avis(2)["reference"]]
    tete, corps = ",".join(avis(1)).encode(), ",".join(map(str, avis(3).values())).encode()
    code, rapport = importer.en_json(fichier(tmp_path, tete, b"x", corps, nom="a.csv"), "--from-line", "3")
    assert (code, rapport["lues"], rapport["envoyees"]) == (0, 1, 1)
    code, rapport = importer.en_json(fichier(tmp_path, b"x", corps, nom="a.csv"), "--from-line", "3")
    assert (code, rapport["refusees"][0]["ligne"]) == (1, 1), "un en-tête inutilisable est dit d'où que l'on reprenne"


@pytest.mark.parametrize(
    ("arguments", "dit"),
    [
        (["absent.jsonl"], "inaccessible"),
        (["."], "inaccessible"),
        (["README.md"], ".jsonl ou .csv"),
        (["README.md", "--format", "xml"], "formats connus"),
        (["-", "--from-line", "0"], "greater than or equal to 1"),
    ],
)
def test_un_mauvais_usage_sort_avec_deux(importer: Import, arguments: list[str], dit: str) -> None:
    fini = importer.lancer(*arguments, entree=b"")
    assert fini.returncode == 2
    assert dit in fini.stderr.decode()


def test_sans_courtier_ni_topic_on_dit_quoi_faire(importer: Import, tmp_path: Path) -> None:
    chemin = fichier(tmp_path, avis(1))
    ailleurs = Import(importer.settings.model_copy(update={"topic_prefix": "t-absent"}))
    variables = ailleurs.variables
    fini = ailleurs.lancer(chemin)
    assert fini.returncode == 1
    assert "Le topic t-absent.avis manque : lancez `creances topics`." in fini.stderr.decode()
    del variables["CREANCES_KAFKA_BOOTSTRAP"]
    sans = subprocess.run(
        [*CREANCES, "import-avis", str(chemin), "--data-dir", str(tmp_path)],
        capture_output=True, cwd=tmp_path, env=variables | {"PYTHONPATH": str(RACINE)}, timeout=60, check=False,
    )  # fmt: skip
    assert sans.returncode == 2
    assert "CREANCES_KAFKA_BOOTSTRAP" in sans.stderr.decode()


@pytest.mark.lent
def test_une_ligne_sans_fin_ne_prend_pas_de_memoire(importer: Import) -> None:
    """64 Mio sur une ligne, puis un bon avis : le pic de mémoire reste celui d'un petit fichier."""

    def pic(blocs: int) -> tuple[int, dict[str, Any]]:
        with importer.ouvert("-", "--json", "--dry-run", "--format", "jsonl") as lance:
            for _ in range(blocs):
                lance.entree.write(b"x" * 1024 * 1024)
            lance.entree.write(b"\n" + json.dumps(avis(1)).encode() + b"\n")
            lance.entree.close()
            rapport = json.loads(lance.sortie.read())
            _, statut, usage = os.wait4(lance.processus.pid, 0)
            lance.processus.returncode = os.waitstatus_to_exitcode(statut)
        assert lance.processus.returncode == 1
        return usage.ru_maxrss, rapport

    petit, _ = pic(1)
    grand, rapport = pic(64)
    assert rapport["refusees"] == [{"ligne": 1, "cause": "message de 67108864 octets, 65536 au plus"}]
    assert rapport["lues"] == 2
    assert grand - petit < 8 * 1024, "kibioctets"


# --- Kafka absent, et Ctrl-C -----------------------------------------------------------------------------------------


@pytest.fixture
def courtier() -> Iterator[EmbeddedBroker]:
    """Un courtier à soi, que le test peut figer."""
    with throwaway_folder() as dossier, embedded_broker(dossier) as demarre:
        yield demarre
        demarre.server.process.send_signal(signal.SIGCONT)


@pytest.mark.lent
def test_kafka_absent_on_attend_on_le_dit_et_rien_n_est_perdu(courtier: EmbeddedBroker, tmp_path: Path) -> None:
    importer = sur(courtier.kafka_bootstrap, "t")
    with importer.ouvert("-", "--json") as lance:
        lance.entree.write(fichier(tmp_path, *(avis(n) for n in range(50))).read_bytes())
        lance.entree.flush()
        importer.recus(50)
        courtier.server.process.send_signal(signal.SIGSTOP)
        lance.entree.write(fichier(tmp_path, *(avis(n) for n in range(50, 100))).read_bytes())
        lance.entree.close()
        dit = lance.erreurs.readline().decode()
        assert re.match(r"Kafka n'accuse plus rien depuis \d+ s ; 50 lignes attendent, rien n'est perdu", dit), dit
        courtier.server.process.send_signal(signal.SIGCONT)
        rapport = json.loads(lance.sortie.read())
        assert lance.processus.wait(90) == 0
    assert (rapport["lues"], rapport["envoyees"], rapport["refusees"]) == (100, 100, [])
    assert sorted(cle.decode() for cle, _ in importer.recus(100)) == sorted(avis(n)["reference"] for n in range(100))


def test_ctrl_c_dit_ou_reprendre_et_reprendre_finit_le_travail(importer: Import, tmp_path: Path) -> None:
    tout = fichier(tmp_path, *(avis(n) for n in range(300)))
    lignes = tout.read_bytes().splitlines(keepends=True)
    with importer.ouvert("-", "--json") as lance:
        lance.entree.write(b"".join(lignes[:100]) + lignes[100][:40])
        lance.entree.flush()
        importer.recus(100)
        lance.processus.send_signal(signal.SIGINT)  # L'entrée reste ouverte : la commande attend la suite.
        rapport = json.loads(lance.sortie.read())
        assert lance.processus.wait(90) == 130
    assert (rapport["interrompu"], rapport["reprendre_a_la_ligne"], rapport["envoyees"]) == (True, 101, 100)
    code, suite = importer.en_json(tout, "--from-line", str(rapport["reprendre_a_la_ligne"]))
    assert (code, suite["envoyees"]) == (0, 200)
    assert sorted(cle.decode() for cle, _ in importer.recus(300)) == sorted(avis(n)["reference"] for n in range(300))


@pytest.mark.lent
def test_ctrl_c_pendant_l_absence_de_kafka_nomme_la_premiere_ligne_sans_accuse(
    courtier: EmbeddedBroker, tmp_path: Path
) -> None:
    importer = sur(courtier.kafka_bootstrap, "t")
    with importer.ouvert("-") as lance:
        lance.entree.write(fichier(tmp_path, *(avis(n) for n in range(10))).read_bytes())
        lance.entree.flush()
        importer.recus(10)
        courtier.server.process.send_signal(signal.SIGSTOP)
        suite = fichier(tmp_path, *(avis(n) for n in range(10, 20_000))).read_bytes()
        # Plus que ce qu'elle prend sans accusé : elle ne lira pas tout.
        ecriture = threading.Thread(target=_ecrire, args=(lance.entree, suite))
        ecriture.start()
        assert b"10000 lignes attendent" in lance.erreurs.readline(), "ce qui attend est borné"
        lance.processus.send_signal(signal.SIGTERM)
        dit = lance.sortie.read().decode()
        assert lance.processus.wait(90) == 130
        ecriture.join(60)
        assert "Tout ce qui précède la ligne 11 est traité ; au-delà, sans accusé : 10000 lignes." in dit
        assert "--from-line 11" in dit
        assert all(ligne.startswith(b"Kafka n'accuse plus rien") for ligne in lance.erreurs.read().splitlines())


def _ecrire(entree: IO[bytes], octets: bytes) -> None:
    with suppress(BrokenPipeError):
        entree.write(octets)
