"""Les pages de la messagerie, et le PDF de l'accusé de réception."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from io import BytesIO
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from api.assure.accuse_pdf import accusé_en_pdf
from domain.accuse import OBJET, Accusé
from journal.suiveur import Suiveur
from projections import MessagerieDesAssurés
from tests.api.conftest import Service

RÉF = "3811701200010075F"
AUTRE = "3811702400012980F"
LE_5_JUILLET = datetime(2018, 7, 5, 6, 59, tzinfo=UTC)
"""08:59 à Paris, comme sur l'écran du pas-à-pas."""


@pytest.fixture
def réglages_api() -> dict[str, Any]:
    return {"démo": True}


def jeton_de(page: httpx.Response) -> str:
    trouvé = re.search(r'name="jeton" value="([^"]+)"', page.text)
    assert trouvé is not None
    return trouvé[1]


def devenir(service: Service, assuré: str = "a-1") -> None:
    service.client.cookies.clear()
    jeton = jeton_de(service.client.get("/"))
    service.client.post("/demonstration/assure", data={"jeton": jeton, "assure": assuré})


def accepté(service: Service, référence: str = RÉF, *, assuré: str = "a-1", clé: str = "k-1") -> str:
    """Un paiement que la banque a accepté ; rend sa transaction."""
    service.maintenant = service.maintenant or LE_5_JUILLET
    service.avis(référence, assuré=assuré)
    transaction = str(service.payer(référence, assuré=assuré, clé=clé).json()["transaction"])
    service.répondre(transaction, 20_00)
    return transaction


def texte(page: httpx.Response) -> str:
    """Ce qu'une personne lit de la partie principale."""
    principal = page.text.partition("<main")[2].partition("</main>")[0].partition(">")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", principal)).split())


def supprimer(service: Service, transaction: str, **données: str) -> httpx.Response:
    page = service.client.get(f"/messagerie/{transaction}/suppression")
    jeton = jeton_de(page) if "jeton" not in données else ""
    return service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": jeton} | données)


def test_sans_message_la_messagerie_le_dit(service: Service) -> None:
    service.avis(RÉF)
    devenir(service)
    assert "Vous n'avez pas de message." in texte(service.client.get("/messagerie"))


def test_le_message_est_celui_du_pas_à_pas_mot_pour_mot(service: Service) -> None:
    transaction = accepté(service)
    devenir(service)
    assert "1 message , dont 1 non lu ." in re.sub(r"([,.])", r" \1", texte(service.client.get("/messagerie")))
    page = service.client.get(f"/messagerie/{transaction}")
    assert page.status_code == 200
    assert texte(page) == (
        "Accusé de réception de votre paiement de créance De : Assurance Maladie 05/07/2018 08:59"
        " Sera supprimé le 05/01/2019"
        " Bonjour,"
        " Nous accusons réception de votre paiement de créance du 05/07/2018."
        " Pour tout renseignement complémentaire concernant votre démarche, vous pouvez nous contacter dans la"
        ' rubrique "Ma Messagerie / Ecrire un message" (*).'
        " Avec toute notre attention, Votre caisse d'Assurance Maladie."
        " (*) ou par téléphone au 36 46 (coût 0,06 euro/min + prix appel), depuis l'étranger composez le"
        " +33 811 70 36 46 (tarif variable selon l'opérateur téléphonique)."
        " Supprimer Télécharger en PDF Imprimer Retour"
    )


def test_ouvrir_un_message_le_marque_lu_aussitôt_et_une_fois(service: Service) -> None:
    transaction = accepté(service)
    devenir(service)
    assert "non-lu" in service.client.get("/messagerie").text
    for _ in range(2):
        service.client.get(f"/messagerie/{transaction}")
    # La vue n'a pas encore suivi : la page le sait par le journal.
    assert "non-lu" not in service.client.get("/messagerie").text
    service.rattraper()
    assert "non-lu" not in service.client.get("/messagerie").text
    with service.guichet.base.transaction() as conn:
        assert len(service.guichet.enregistreur.raconter(conn, "messagerie-a-1")) == 1


def test_les_non_lus_d_abord_puis_du_plus_récent_au_plus_ancien(service: Service) -> None:
    transactions = []
    for jour, référence in enumerate((RÉF, AUTRE, "3811708600076602F")):
        service.maintenant = LE_5_JUILLET + timedelta(days=jour)
        transactions.append(accepté(service, référence, clé=f"k-{jour}"))
    devenir(service)
    service.client.get(f"/messagerie/{transactions[2]}")
    page = service.client.get("/messagerie").text
    ordre = re.findall(r'href="/messagerie/(PCLCB\d+)"', page)
    assert ordre == [transactions[1], transactions[0], transactions[2]]


def test_un_message_supprimé_disparaît_aussitôt_et_pour_toujours(service: Service) -> None:
    transaction = accepté(service)
    reste = accepté(service, AUTRE, clé="k-2")
    devenir(service)
    confirmation = service.client.get(f"/messagerie/{transaction}/suppression")
    assert "Supprimer ce message ?" in texte(confirmation)
    jeton = jeton_de(confirmation)
    for _ in range(2):  # Un double clic.
        réponse = service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": jeton})
        assert (réponse.status_code, réponse.headers["Location"]) == (303, "/messagerie")

    def montrés() -> list[str]:
        return re.findall(r'href="/messagerie/(PCLCB\d+)"', service.client.get("/messagerie").text)

    assert montrés() == [reste]
    service.rattraper()
    assert montrés() == [reste]
    with service.guichet.base.transaction() as conn:
        conn.execute("TRUNCATE vues.messagerie")
        conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'messagerie'")
    Suiveur(service.url_base, MessagerieDesAssurés(service.heure)).rattraper()
    assert montrés() == [reste]
    for suite in ("", "/suppression", "/accuse.pdf"):
        assert service.client.get(f"/messagerie/{transaction}{suite}").status_code == 404


def test_le_message_d_un_autre_se_confond_avec_celui_qui_n_existe_pas(service: Service) -> None:
    service.avis(AUTRE, assuré="a-2")
    transaction = accepté(service)
    devenir(service, "a-2")
    jeton = jeton_de(service.client.get("/", params={"reference": AUTRE}))
    for suite in ("", "/suppression", "/accuse.pdf"):
        d_un_autre = service.client.get(f"/messagerie/{transaction}{suite}")
        inconnu = service.client.get(f"/messagerie/PCLCB000000000000{suite}")
        assert d_un_autre.status_code == inconnu.status_code == 404
        assert d_un_autre.text == inconnu.text
    for nommée in (transaction, "PCLCB000000000000", "%00", "é", "a" * 40):
        réponse = service.client.post(f"/messagerie/{nommée}/suppression", data={"jeton": jeton})
        assert réponse.status_code == 404
        assert "Ce message n&#39;existe pas, ou plus." in réponse.text
    devenir(service)
    assert transaction in service.client.get("/messagerie").text


def test_un_paiement_refusé_n_a_pas_de_message(service: Service) -> None:
    service.maintenant = LE_5_JUILLET
    service.avis(RÉF)
    transaction = service.payer(RÉF).json()["transaction"]
    service.répondre(transaction, 20_00, "05")
    devenir(service)
    assert service.client.get(f"/messagerie/{transaction}").status_code == 404


def test_un_message_de_plus_de_six_mois_a_disparu(service: Service) -> None:
    transaction = accepté(service)
    service.maintenant = datetime(2019, 1, 4, 22, 59, tzinfo=UTC)
    devenir(service)
    assert transaction in service.client.get("/messagerie").text
    service.maintenant = datetime(2019, 1, 4, 23, 0, tzinfo=UTC)
    assert transaction not in service.client.get("/messagerie").text
    assert service.client.get(f"/messagerie/{transaction}").status_code == 404


def test_supprimer_demande_le_jeton_de_la_page_et_jamais_un_lien(service: Service) -> None:
    transaction = accepté(service)
    devenir(service)
    assert supprimer(service, transaction, jeton="0" * 64).status_code == 403
    ailleurs = service.client.post(
        f"/messagerie/{transaction}/suppression",
        data={"jeton": jeton_de(service.client.get(f"/messagerie/{transaction}/suppression"))},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert ailleurs.status_code == 403
    service.client.get(f"/messagerie/{transaction}/suppression")
    assert service.client.get(f"/messagerie/{transaction}").status_code == 200
    assert supprimer(service, transaction).status_code == 303


def test_sans_session_rien_ne_se_lit(service: Service) -> None:
    transaction = accepté(service)
    for adresse in ("", f"/{transaction}", f"/{transaction}/accuse.pdf", f"/{transaction}/suppression"):
        réponse = service.client.get(f"/messagerie{adresse}")
        assert réponse.status_code == 401
        assert "Connexion requise" in réponse.text
    assert service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": "x"}).status_code == 401


def test_le_pdf_se_montre_ou_se_télécharge(service: Service) -> None:
    transaction = accepté(service)
    devenir(service)
    montré = service.client.get(f"/messagerie/{transaction}/accuse.pdf")
    assert montré.headers["Content-Type"] == "application/pdf"
    assert montré.headers["Content-Disposition"].startswith("inline")
    assert montré.headers["Cache-Control"] == "no-store"
    page = unescape(service.client.get(f"/messagerie/{transaction}").text)
    adresse = re.search(r'href="([^"]+telecharger[^"]*)"', page)
    assert adresse is not None
    téléchargé = service.client.get(adresse[1])
    nom = f'attachment; filename="accuse-de-reception-{transaction}.pdf"'
    assert téléchargé.headers["Content-Disposition"] == nom
    assert téléchargé.content == montré.content
    assert OBJET in PdfReader(BytesIO(montré.content)).pages[0].extract_text()


# --- Le PDF ----------------------------------------------------------------------------------------------------------

ACCUSÉ = Accusé("PCLCB181860000001", LE_5_JUILLET)


def document() -> Any:
    return PdfReader(BytesIO(accusé_en_pdf(ACCUSÉ)))


def balises(nœud: Any) -> list[str]:
    """Les balises de la structure, dans l'ordre de lecture."""
    nœud = nœud.get_object()
    if isinstance(nœud, list):
        return [balise for enfant in nœud for balise in balises(enfant)]
    if not isinstance(nœud, DictionaryObject):
        return []
    enfants = balises(nœud["/K"]) if "/K" in nœud else []
    return [str(nœud["/S"]), *enfants] if "/S" in nœud else enfants


def test_le_pdf_dit_le_message_en_une_page() -> None:
    lu = document()
    assert len(lu.pages) == 1
    dit = " ".join(lu.pages[0].extract_text().split())
    for phrase in (*ACCUSÉ.paragraphes, *ACCUSÉ.signature, ACCUSÉ.note, OBJET, "Sera supprimé le 05/01/2019"):
        assert phrase in dit


def test_le_pdf_est_accessible_balisé_titré_et_en_français() -> None:
    lu = document()
    racine = lu.trailer["/Root"]
    assert racine["/MarkInfo"]["/Marked"] is True or racine["/MarkInfo"]["/Marked"].value is True
    assert racine["/Lang"].lower() == "fr-fr"
    assert racine["/ViewerPreferences"]["/DisplayDocTitle"]
    assert lu.metadata is not None
    assert lu.metadata.title == OBJET
    assert lu.xmp_metadata is not None
    assert lu.xmp_metadata.dc_title["x-default"] == OBJET
    assert "pdfuaid" in racine["/Metadata"].get_data().decode()
    structure = balises(racine["/StructTreeRoot"])
    assert structure[:2] == ["/Document", "/H1"]
    assert structure.count("/P") >= 6


def test_le_pdf_porte_ses_polices_avec_leurs_accents() -> None:
    polices = document().pages[0]["/Resources"]["/Font"]
    for police in polices.values():
        [descendante] = police.get_object()["/DescendantFonts"]
        descripteur = descendante.get_object()["/FontDescriptor"].get_object()
        assert any(nom.startswith("/FontFile") for nom in descripteur), "police non incluse"
        assert "/ToUnicode" in police.get_object()


def test_le_même_message_donne_les_mêmes_octets() -> None:
    assert accusé_en_pdf(ACCUSÉ) == accusé_en_pdf(ACCUSÉ)
    assert accusé_en_pdf(ACCUSÉ) != accusé_en_pdf(ACCUSÉ._replace(transaction="PCLCB181860000002"))


def test_rien_de_ce_que_porte_un_message_n_est_du_code() -> None:
    piégé = Accusé('#panic() "] $x$ `y` \\', LE_5_JUILLET)
    assert "#panic()" in PdfReader(BytesIO(accusé_en_pdf(piégé))).pages[0].extract_text()
