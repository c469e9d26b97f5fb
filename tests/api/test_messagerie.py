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

from api.assure.accuse_pdf import accuse_en_pdf
from domain.accuse import OBJET, Accuse
from domain.references import ReferenceTransaction
from engine.follower import Follower
from projections import MessagerieDesAssures
from tests.api.conftest import Service
from tests.mapper import MAPPER

REF = "3811701200010075F"
AUTRE = "3811702400012980F"
LE_5_JUILLET = datetime(2018, 7, 5, 6, 59, tzinfo=UTC)
"""08:59 à Paris, comme sur l'écran du pas-à-pas."""


@pytest.fixture
def reglages_api() -> dict[str, Any]:
    return {"demo": True}


def jeton_de(page: httpx.Response) -> str:
    trouve = re.search(r'name="jeton" value="([^"]+)"', page.text)
    assert trouve is not None
    return trouve[1]


def devenir(service: Service, assure: str = "a-1") -> None:
    service.client.cookies.clear()
    jeton = jeton_de(service.client.get("/"))
    service.client.post("/demonstration/assure", data={"jeton": jeton, "assure": assure})


def accepte(service: Service, reference: str = REF, *, assure: str = "a-1", cle: str = "k-1") -> str:
    """Un paiement que la banque a accepté ; rend sa transaction."""
    service.maintenant = service.maintenant or LE_5_JUILLET
    service.avis(reference, assure=assure)
    transaction = str(service.payer(reference, assure=assure, cle=cle).json()["transaction"])
    service.repondre(transaction, 20_00)
    return transaction


def texte(page: httpx.Response) -> str:
    """Ce qu'une personne lit de la partie principale."""
    principal = page.text.partition("<main")[2].partition("</main>")[0].partition(">")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", principal)).split())


def supprimer(service: Service, transaction: str, **donnees: str) -> httpx.Response:
    page = service.client.get(f"/messagerie/{transaction}/suppression")
    jeton = jeton_de(page) if "jeton" not in donnees else ""
    return service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": jeton} | donnees)


def test_sans_message_la_messagerie_le_dit(service: Service) -> None:
    service.avis(REF)
    devenir(service)
    assert "Vous n'avez pas de message." in texte(service.client.get("/messagerie"))


def test_le_message_est_celui_du_pas_a_pas_mot_pour_mot(service: Service) -> None:
    transaction = accepte(service)
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
        " Voir le reçu du paiement Supprimer Télécharger en PDF Imprimer Imprimer Retour"
    )


def test_ouvrir_un_message_le_marque_lu_aussitot_et_une_fois(service: Service) -> None:
    transaction = accepte(service)
    devenir(service)
    assert "non-lu" in service.client.get("/messagerie").text
    for _ in range(2):
        service.client.get(f"/messagerie/{transaction}")
    # La vue n'a pas encore suivi : la page le sait par le journal.
    assert "non-lu" not in service.client.get("/messagerie").text
    service.catch_up()
    assert "non-lu" not in service.client.get("/messagerie").text
    with service.guichet.base.transaction() as conn:
        assert len(service.guichet.recorder.history(conn, "messagerie-a-1")) == 1


def test_les_non_lus_d_abord_puis_du_plus_recent_au_plus_ancien(service: Service) -> None:
    transactions = []
    for jour, reference in enumerate((REF, AUTRE, "3811708600076602F")):
        service.maintenant = LE_5_JUILLET + timedelta(days=jour)
        transactions.append(accepte(service, reference, cle=f"k-{jour}"))
    devenir(service)
    service.client.get(f"/messagerie/{transactions[2]}")
    page = service.client.get("/messagerie").text
    ordre = re.findall(r'href="/messagerie/(PCLCB\d+)"', page)
    assert ordre == [transactions[1], transactions[0], transactions[2]]


def test_un_message_supprime_disparait_aussitot_et_pour_toujours(service: Service) -> None:
    transaction = accepte(service)
    reste = accepte(service, AUTRE, cle="k-2")
    devenir(service)
    confirmation = service.client.get(f"/messagerie/{transaction}/suppression")
    assert "Supprimer ce message ?" in texte(confirmation)
    jeton = jeton_de(confirmation)
    for _ in range(2):  # Un double clic.
        reponse = service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": jeton})
        assert (reponse.status_code, reponse.headers["Location"]) == (303, "/messagerie")

    def montres() -> list[str]:
        return re.findall(r'href="/messagerie/(PCLCB\d+)"', service.client.get("/messagerie").text)

    assert montres() == [reste]
    service.catch_up()
    assert montres() == [reste]
    with service.guichet.base.transaction() as conn:
        conn.execute("TRUNCATE vues.messagerie")
        conn.execute("UPDATE vues.suiveurs SET position = 0 WHERE nom = 'messagerie'")
    Follower(service.url_base, MessagerieDesAssures(service.heure), mapper=MAPPER).catch_up()
    assert montres() == [reste]
    for suite in ("", "/suppression", "/accuse.pdf"):
        assert service.client.get(f"/messagerie/{transaction}{suite}").status_code == 404


def test_le_message_d_un_autre_se_confond_avec_celui_qui_n_existe_pas(service: Service) -> None:
    service.avis(AUTRE, assure="a-2")
    transaction = accepte(service)
    devenir(service, "a-2")
    jeton = jeton_de(service.client.get("/", params={"reference": AUTRE}))
    for suite in ("", "/suppression", "/accuse.pdf"):
        d_un_autre = service.client.get(f"/messagerie/{transaction}{suite}")
        inconnu = service.client.get(f"/messagerie/PCLCB000000000000{suite}")
        assert d_un_autre.status_code == inconnu.status_code == 404
        assert d_un_autre.text == inconnu.text
    for nommee in (transaction, "PCLCB000000000000", "%00", "é", "a" * 40):
        reponse = service.client.post(f"/messagerie/{nommee}/suppression", data={"jeton": jeton})
        assert reponse.status_code == 404
        assert "Ce message n&#39;existe pas, ou plus." in reponse.text
    devenir(service)
    assert transaction in service.client.get("/messagerie").text


def test_un_paiement_refuse_n_a_pas_de_message(service: Service) -> None:
    service.maintenant = LE_5_JUILLET
    service.avis(REF)
    transaction = service.payer(REF).json()["transaction"]
    service.repondre(transaction, 20_00, "05")
    devenir(service)
    assert service.client.get(f"/messagerie/{transaction}").status_code == 404


def test_un_message_de_plus_de_six_mois_a_disparu(service: Service) -> None:
    transaction = accepte(service)
    service.maintenant = datetime(2019, 1, 4, 22, 59, tzinfo=UTC)
    devenir(service)
    assert transaction in service.client.get("/messagerie").text
    service.maintenant = datetime(2019, 1, 4, 23, 0, tzinfo=UTC)
    assert transaction not in service.client.get("/messagerie").text
    assert service.client.get(f"/messagerie/{transaction}").status_code == 404


def test_supprimer_demande_le_jeton_de_la_page_et_jamais_un_lien(service: Service) -> None:
    transaction = accepte(service)
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
    transaction = accepte(service)
    for adresse in ("", f"/{transaction}", f"/{transaction}/accuse.pdf", f"/{transaction}/suppression"):
        reponse = service.client.get(f"/messagerie{adresse}")
        assert reponse.headers["Location"].startswith("/connexion?next=%2Fmessagerie")
    assert service.client.post(f"/messagerie/{transaction}/suppression", data={"jeton": "x"}).status_code == 401


def test_le_pdf_se_montre_ou_se_telecharge(service: Service) -> None:
    transaction = accepte(service)
    devenir(service)
    montre = service.client.get(f"/messagerie/{transaction}/accuse.pdf")
    assert montre.headers["Content-Type"] == "application/pdf"
    assert montre.headers["Content-Disposition"].startswith("inline")
    assert montre.headers["Cache-Control"] == "no-store"
    page = unescape(service.client.get(f"/messagerie/{transaction}").text)
    adresse = re.search(r'href="([^"]+telecharger[^"]*)"', page)
    assert adresse is not None
    telecharge = service.client.get(adresse[1])
    nom = f'attachment; filename="accuse-de-reception-{transaction}.pdf"'
    assert telecharge.headers["Content-Disposition"] == nom
    assert telecharge.content == montre.content
    assert OBJET in PdfReader(BytesIO(montre.content)).pages[0].extract_text()


# --- Le PDF ----------------------------------------------------------------------------------------------------------

ACCUSE = Accuse(ReferenceTransaction("PCLCB181860000001"), LE_5_JUILLET)


def document() -> Any:
    return PdfReader(BytesIO(accuse_en_pdf(ACCUSE)))


def balises(noeud: Any) -> list[str]:
    """Les balises de la structure, dans l'ordre de lecture."""
    noeud = noeud.get_object()
    if isinstance(noeud, list):
        return [balise for enfant in noeud for balise in balises(enfant)]
    if not isinstance(noeud, DictionaryObject):
        return []
    enfants = balises(noeud["/K"]) if "/K" in noeud else []
    return [str(noeud["/S"]), *enfants] if "/S" in noeud else enfants


def test_le_pdf_dit_le_message_en_une_page() -> None:
    lu = document()
    assert len(lu.pages) == 1
    dit = " ".join(lu.pages[0].extract_text().split())
    for phrase in (*ACCUSE.paragraphes, *ACCUSE.signature, ACCUSE.note, OBJET, "Sera supprimé le 05/01/2019"):
        assert phrase in dit


def test_le_pdf_est_accessible_balise_titre_et_en_francais() -> None:
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


def test_le_meme_message_donne_les_memes_octets() -> None:
    assert accuse_en_pdf(ACCUSE) == accuse_en_pdf(ACCUSE)
    assert accuse_en_pdf(ACCUSE) != accuse_en_pdf(
        ACCUSE._replace(transaction=ReferenceTransaction("PCLCB181860000002"))
    )


def test_rien_de_ce_que_porte_un_message_n_est_du_code() -> None:
    piege = Accuse(ReferenceTransaction('#panic() "] $x$ `y` \\'), LE_5_JUILLET)
    assert "#panic()" in PdfReader(BytesIO(accuse_en_pdf(piege))).pages[0].extract_text()


def test_le_pdf_se_compose_aussi_pour_un_instant_a_la_microseconde() -> None:
    instant = LE_5_JUILLET.replace(microsecond=123456)
    assert accuse_en_pdf(Accuse(ReferenceTransaction("PCLCB181860000001"), instant)).startswith(b"%PDF")
