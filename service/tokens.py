"""Who reads the tokens of callers: the OIDC issuer's keys, or the development secret where there is no issuer."""

from api.socle.emetteur import Emetteur
from api.socle.identite import Verificateur, VerificateurDeDeveloppement, VerificateurOIDC
from service.settings import Settings, development_jwt_secret


def tokens_of(settings: Settings, issuer: Emetteur | None) -> Verificateur:
    """The reader of access tokens; `issuer` is the configured one, if any."""
    if issuer is not None:
        return VerificateurOIDC(issuer, settings.oidc_audience, client=settings.oidc_client_id)
    return VerificateurDeDeveloppement(development_jwt_secret(settings), settings.oidc_audience)
