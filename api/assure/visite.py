"""La visite d'un assuré : ce que ses pages demandent."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from api.socle.dependances import DeLApplication
from api.socle.identite import RoleUtilisateur
from api.socle.visite import Visite, visite_de_role


async def visite_de(requete: Request, moyens: DeLApplication) -> Visite:
    """La visite de cette requête ; lève Redirection (borne laissée ; 401 à un script) ou AccèsRefusé."""
    return await visite_de_role(requete, moyens, RoleUtilisateur.ASSURE)


AssureConnecte = Annotated[Visite, Depends(visite_de)]
