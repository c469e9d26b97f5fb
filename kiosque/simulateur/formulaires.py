"""Lire un formulaire posté, dans une taille bornée et sans rien supposer de celui qui l'envoie."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from kiosque.interface import FormulaireIllisible

CORPS_OCTETS_MAX = 128 * 1024
"""Taille d'un corps : un `Data` de 32 Kio dont chaque caractère serait échappé tient dans 96 Kio."""

CHAMPS_MAX = 50


async def lire_corps(requete: Request) -> bytes:
    """Le corps entier ; lève `FormulaireIllisible` dès qu'il dépasse la borne."""
    corps = bytearray()
    async for morceau in requete.stream():
        corps += morceau
        if len(corps) > CORPS_OCTETS_MAX:
            raise FormulaireIllisible(f"le corps dépasse {CORPS_OCTETS_MAX} octets")
    return bytes(corps)


async def lire_formulaire(requete: Request) -> dict[str, str]:
    """Les champs d'un formulaire `application/x-www-form-urlencoded` ; lève `FormulaireIllisible`."""
    genre = requete.headers.get("content-type", "").partition(";")[0].strip().lower()
    if genre != "application/x-www-form-urlencoded":
        raise FormulaireIllisible("le corps n'est pas un formulaire")
    corps = await lire_corps(requete)
    try:
        paires = parse_qsl(
            corps.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=CHAMPS_MAX
        )
    except ValueError:
        raise FormulaireIllisible("le formulaire est mal encodé") from None
    champs = dict(paires)
    if len(champs) != len(paires):
        raise FormulaireIllisible("un champ est répété")
    return champs
