"""Les recettes « un topic », « une page », « un rôle d'accès » et « une autre banque », chacune jouée et éprouvée.

L'épreuve est écrite dans la copie, comme un contributeur l'écrirait : un message du nouveau topic a un sort, la page
s'ouvre à son rôle et à lui seul, un paiement s'ouvre chez l'autre banque.
"""

from typing import Final

from tests.maison.copie import Copie, exiger

GARDES: Final = ("tests/maison/test_gardes.py", "-k", "not fichiers_suivis")
"""Sans celle qui demande à git ce qui est suivi : une copie n'en a pas."""

_TOPIC: Final = '''    @property
    def topic_rappels(self) -> str:
        """The topic of reminders."""
        return f"{self.topic_prefix}.rappels"

    @property
    def topic_evenements('''

_PRENDRE: Final = '''"""Prendre un lot de rappels : chacun a son sort, aucun ne bouge un montant."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import Connection

from domain.sort import Sort
from engine.batch import Batch
from engine.messages import Message, Outcome, add_fate
from guichet.guichet import Guichet


def prendre_rappels(
    guichet: Guichet, conn: Connection[Any], messages: Sequence[Message], maintenant: datetime
) -> Outcome:
    """Le sort de chaque rappel."""
    del guichet, conn, maintenant
    traitement = Outcome(Batch(), [])
    for message in messages:
        lu = bool(message.valeur)
        sort, cause = (Sort.DOUBLON, "rien n'y change") if lu else (Sort.REJETEE, "vide")
        add_fate(traitement, message, sort.value, cause, objet=None, champs={}, dead=not lu)
    return traitement
'''
_CONSOMMATEUR: Final = '''"""Le consommateur des rappels : `creances.rappels`."""

from functools import partial
from typing import Any

from consumers import NomDeConsommateur
from engine.consumer import Consumer
from guichet.guichet import Guichet
from guichet.prendre_rappel import prendre_rappels


def consommateur_des_rappels(topic: str, guichet: Guichet, **reglages: Any) -> Consumer:
    """La boucle qui prend les rappels ; `reglages` : ceux de `Consumer`."""
    return Consumer(
        nom=NomDeConsommateur.RAPPELS.role,
        topic=topic,
        base=guichet.base,
        recorder=guichet.recorder,
        prendre=partial(prendre_rappels, guichet),
        groupe=topic,
        **reglages,
    )
'''
_CAS: Final = """\
        case NomDeConsommateur.RAPPELS:
            return consommateur_des_rappels(topic, counter, **options)
"""
_EPREUVE_DU_TOPIC: Final = '''"""Un rappel bon et un vide : chacun a son sort."""

from typing import Any

from tests.consumers.banc import banc


def test_chaque_rappel_a_un_sort(base: Any, kafka: str, prefixe: str) -> None:
    with banc(base.url, kafka, prefixe) as b:
        topic = b.settings.topic_rappels
        b.emettre(topic, [("a", b"{}"), ("b", b"")])
        b.consommer("rappels", 2)
        assert b.par_sort(topic) == {"doublon": 1, "rejetee": 1}
        assert len(b.rebuts(topic, 1)) == 1
'''


def un_topic(copie: Copie) -> None:
    """`creances.rappels`, dont aucun message ne bouge de montant."""
    copie.creer("guichet/prendre_rappel.py", _PRENDRE)
    copie.creer("consumers/rappels.py", _CONSOMMATEUR)
    exiger(copie.mypy(), {"consumers/rappels.py"}, "le cas d'usage et sa boucle sont écrits ; mypy nomme")
    copie.changer(
        "consumers/__init__.py", (r'    KIOSQUE = "kiosque"\n', '    KIOSQUE = "kiosque"\n    RAPPELS = "rappels"\n')
    )
    exiger(copie.mypy(), {"service/composition.py"}, "le consommateur a un nom ; mypy nomme")
    copie.changer(
        "service/composition.py",
        (
            r"\nfrom domain\.agregats",
            "\nfrom consumers.rappels import consommateur_des_rappels\nfrom domain.agregats",
        ),
        (
            r"            return consommateur_du_kiosque\(topic, counter, \*\*options\)\n",
            "            return consommateur_du_kiosque(topic, counter, **options)\n" + _CAS,
        ),
    )
    exiger(copie.mypy(), set(), "sa boucle est composée ; mypy nomme")
    copie.creer("tests/consumers/test_rappels.py", _EPREUVE_DU_TOPIC, produit=False)
    exiger(copie.tests("tests/consumers/test_rappels.py"), False, "sans topic dans les réglages, son épreuve passe")  # noqa: FBT003
    copie.changer(
        "service/settings/kafka.py",
        (r"    @property\n    def topic_evenements\(", _TOPIC),
        (
            r"(?<=self\.partitions_notifications\),\n)",
            "            NomDeConsommateur.RAPPELS: IncomingTopic(self.topic_rappels, self.partitions_avis),\n",
        ),
    )
    exiger(copie.mypy(), set(), "le topic est parmi ceux qui entrent ; mypy nomme")
    verts = ("tests/consumers/test_rappels.py", "tests/consumers/test_noms.py", *GARDES)
    exiger(copie.tests(*verts, "tests/test_architecture.py"), True, "chaque message y a son sort ; les tests passent")  # noqa: FBT003
    conteneur = ("tests/deploy/test_compose.py", "-k", "conteneur_et_un_seul")
    exiger(copie.tests(*conteneur), False, "tant que le déploiement n'a pas son conteneur, ce test passe")  # noqa: FBT003


_PAGE: Final = '''"""La page du support qui dit ce que chaque caisse a d'ouvert."""

from fastapi import APIRouter
from starlette.responses import Response

from api.support.visite import AgentConnecte

routes = APIRouter(include_in_schema=False)


@routes.get("/support/caisses")
async def voir(agent: AgentConnecte) -> Response:
    """La page."""
    return agent.rendre("support-caisses.html", {})
'''
_GABARIT: Final = """{% extends "support-base.html" %}
{% block titre_support %}Caisses{% endblock %}
{% block contenu %}
<h1>Les caisses</h1>
{% endblock %}
"""
_EPREUVE_DE_LA_PAGE: Final = '''"""La page s'ouvre à qui est du support, et à lui seul."""

from tests.support.banc import Service
from tests.support.test_pages import entrer, reglages_api  # noqa: F401 (la démonstration)


def test_la_page_est_au_support(service: Service) -> None:
    entrer(service, "claire")
    assert "Les caisses" in service.client.get("/support/caisses").text
    service.client.cookies.clear()
    entrer(service, "aline")
    assert service.client.get("/support/caisses").status_code == 403
'''


def une_page(copie: Copie) -> None:
    """`/support/caisses`, pour un agent du support."""
    copie.creer("api/support/pages_caisses.py", _PAGE)
    copie.creer("api/support/gabarits/support-caisses.html", _GABARIT)
    copie.creer("tests/support/test_pages_caisses.py", _EPREUVE_DE_LA_PAGE, produit=False)
    exiger(copie.mypy(), set(), "la page et son gabarit sont écrits ; mypy nomme")
    exiger(copie.tests("tests/support/test_pages_caisses.py"), False, "sans son routeur, son épreuve passe")  # noqa: FBT003
    copie.changer(
        "api/application.py",
        (
            r"(?<=from api\.support import pages_audit as pages_de_l_audit\n)",
            "from api.support import pages_caisses as pages_des_caisses\n",
        ),
        (r"\(pages_des_anomalies, ", "(pages_des_anomalies, pages_des_caisses, "),
    )
    exiger(copie.mypy(), set(), "son routeur est posé ; mypy nomme")
    verts = ("tests/support/test_pages_caisses.py", "tests/test_architecture.py", *GARDES)
    exiger(copie.tests(*verts), True, "elle s'ouvre à son rôle et à lui seul ; les tests passent")  # noqa: FBT003


_EPREUVE_DU_ROLE: Final = '''"""Le nouveau rôle lit ce qui lui est ouvert, et lui seul."""

from api.socle.identite import RoleUtilisateur
from tests.api.conftest import Service, jeton


def test_le_role_lit_ce_qui_est_a_lui(service: Service) -> None:
    def lire(role: RoleUtilisateur, adresse: str) -> int:
        en_tetes = {"Authorization": f"Bearer {jeton(role, 'a-1' if role is RoleUtilisateur.ASSURE else None)}"}
        return service.client.get(f"/api/v1/exploitation/{adresse}", headers=en_tetes).status_code

    assert {role: lire(role, "delai-affichage") for role in RoleUtilisateur} == {
        role: 200 if role is RoleUtilisateur.PILOTAGE else 403 for role in RoleUtilisateur
    }
    assert lire(RoleUtilisateur.PILOTAGE, "retard") == 403
    assert RoleUtilisateur.PILOTAGE.accueil == "/exploitation/horloge"
'''


def un_role(copie: Copie) -> None:
    """`pilotage`, à qui une route s'ouvre."""
    copie.changer(
        "api/socle/identite.py",
        (r'    AUDIT = "audit"\n', '    PILOTAGE = "pilotage"\n    AUDIT = "audit"\n'),
    )
    exiger(copie.mypy(), {"api/socle/identite.py"}, "le rôle a un nom ; mypy nomme")
    copie.changer(
        "api/socle/identite.py",
        (
            r'(?<=                return "/exploitation"\n)',
            '            case RoleUtilisateur.PILOTAGE:\n                return "/exploitation/horloge"\n',
        ),
    )
    exiger(copie.mypy(), set(), "il a une page où commencer ; mypy nomme")
    copie.creer("tests/api/test_pilotage.py", _EPREUVE_DU_ROLE, produit=False)
    exiger(copie.tests("tests/api/test_pilotage.py"), False, "tant que rien ne l'admet, son épreuve passe")  # noqa: FBT003
    copie.changer(
        "api/exploitation/suivi.py",
        (r"from typing import Any\n", "from typing import Annotated, Any\n"),
        (r"from fastapi import APIRouter\n", "from fastapi import APIRouter, Depends\n"),
        (r"import Exploitant\n", "import ExigeRole, Exploitant\n"),
        (
            r"(?<=DeLApplication\n)",
            "from api.socle.identite import Identite, RoleUtilisateur\n",
        ),
        (
            r"\nclass Retard\(",
            "\nPilote = Annotated[Identite, Depends(ExigeRole(RoleUtilisateur.PILOTAGE))]\n\n\nclass Retard(",
        ),
        (r"delai_affichage\(_: Exploitant", "delai_affichage(_: Pilote"),
    )
    exiger(copie.mypy(), set(), "une route l'admet ; mypy nomme")
    verts = ("tests/api/test_pilotage.py", "tests/api/test_jetons.py", "tests/test_architecture.py")
    exiger(copie.tests(*verts), True, "elle s'ouvre à lui et à lui seul ; les tests passent")  # noqa: FBT003


_EPREUVE_DE_LA_BANQUE: Final = '''"""Le service va chez l'autre banque, et croit ce qu'elle signe."""

import base64
import hmac
import json

from kiosque.directe import Directe
from kiosque.interface import Requete, Verifiee
from service import bank
from service.settings import Settings


def test_un_paiement_s_ouvre_chez_elle_et_sa_reponse_est_crue() -> None:
    kiosque = bank.kiosk(Settings(_env_file=None, mode="demonstration"))
    assert isinstance(kiosque, Directe)
    corps = json.dumps(
        {
            "created": "2026-06-01T12:00:00+02:00",
            "merchantId": "directe",
            "payment": {
                "status": "CAPTURED",
                "paymentOutput": {"amountOfMoney": {"amount": 2000}, "references": {"merchantReference": "T1"}},
            },
        }
    ).encode()
    signature = base64.b64encode(hmac.digest(b"une cle", corps, "sha256")).decode()
    lecture = kiosque.lire(Requete(corps, {"x-gcs-signature": signature, "x-gcs-keyid": "cle"})).lecture
    assert isinstance(lecture, Verifiee)
    assert (lecture.reponse.montant, lecture.reponse.transaction) == (2000, "T1")
'''


def une_banque(copie: Copie) -> None:
    """La seconde banque des tests, mise à la place de la première."""
    copie.creer("kiosque/directe/__init__.py", (copie.dossier / "tests/kiosque/seconde_banque.py").read_text("utf-8"))
    exiger(copie.mypy(), set(), "son dossier est écrit ; mypy nomme")
    copie.creer("tests/kiosque/test_directe.py", _EPREUVE_DE_LA_BANQUE, produit=False)
    exiger(copie.tests("tests/kiosque/test_directe.py"), False, "tant que rien ne la construit, son épreuve passe")  # noqa: FBT003
    copie.changer(
        "service/bank.py",
        (r"(?<=from domain\.delai import PARIS\n)", "from kiosque.directe import Directe\n"),
        (
            r"    return Sips\((?:\n.*)+?\n    \)\n",
            '    return Directe("directe", {"cle": b"une cle"}, lambda _: (404, b""))\n',
        ),
    )
    exiger(copie.mypy(), set(), "une ligne de composition la construit ; mypy nomme")
    verts = ("tests/kiosque/test_directe.py", "tests/kiosque/test_contrat.py", *GARDES)
    exiger(copie.tests(*verts, "tests/test_architecture.py"), True, "elle est celle du service ; les tests passent")  # noqa: FBT003
