"""Un jeton vérifié est gardé un moment, jamais au-delà de son échéance, et jamais s'il est refusé."""

import asyncio
import hmac
from datetime import UTC, datetime

import pytest
from jwt.utils import base64url_decode, base64url_encode

from api.socle.identite import Identite, JetonInvalide, RoleUtilisateur, VerificateurDeDeveloppement, emettre_jeton
from api.socle.jetons import GARDE_S, JETONS_MAX, JetonsGardes

SECRET = "un secret de test de trente-deux octets"
MAINTENANT = datetime.now(UTC).replace(microsecond=0)


class Compteur:
    """Le vérificateur de développement, et combien de fois il a travaillé."""

    def __init__(self) -> None:
        self.vrai = VerificateurDeDeveloppement(SECRET, "creances")
        self.appels = 0

    async def verifier(self, jeton: str) -> Identite:
        self.appels += 1
        return await self.vrai.verifier(jeton)


class Horloge:
    def __init__(self) -> None:
        self.heure = MAINTENANT.timestamp()

    def __call__(self) -> float:
        return self.heure


def jeton(assure: str = "a-1") -> str:
    return emettre_jeton(SECRET, RoleUtilisateur.ASSURE, assure, audience="creances", maintenant=MAINTENANT)


def test_le_meme_jeton_n_est_verifie_qu_une_fois_puis_de_nouveau_apres_une_minute() -> None:
    compteur, horloge, le_jeton = Compteur(), Horloge(), jeton()
    jetons = JetonsGardes(compteur, horloge)
    assert [asyncio.run(jetons.verifier(le_jeton)) for _ in range(3)] == [Identite(RoleUtilisateur.ASSURE, "a-1")] * 3
    assert compteur.appels == 1
    horloge.heure += GARDE_S
    asyncio.run(jetons.verifier(le_jeton))
    assert compteur.appels == 2


def test_deux_jetons_gardes_ne_se_confondent_pas() -> None:
    jetons = JetonsGardes(Compteur(), Horloge())
    for assure in ("a-1", "a-2", "a-1"):
        assert asyncio.run(jetons.verifier(jeton(assure))).assure == assure


def test_un_jeton_n_est_pas_garde_au_dela_de_son_echeance() -> None:
    compteur, horloge, le_jeton = Compteur(), Horloge(), jeton()
    horloge.heure += 12 * 3600 - 10  # Dix secondes avant l'échéance.
    jetons = JetonsGardes(compteur, horloge)
    asyncio.run(jetons.verifier(le_jeton))
    horloge.heure += 11
    asyncio.run(jetons.verifier(le_jeton))
    assert compteur.appels == 2


def test_un_jeton_refuse_l_est_a_chaque_fois() -> None:
    compteur = Compteur()
    jetons = JetonsGardes(compteur, Horloge())
    for _ in range(2):
        with pytest.raises(JetonInvalide):
            asyncio.run(jetons.verifier(jeton() + "x"))
    assert compteur.appels == 2


def test_le_nombre_de_jetons_gardes_est_borne() -> None:
    jetons = JetonsGardes(Compteur(), Horloge())
    jetons._gardes = {bytes([0]) + n.to_bytes(4): None for n in range(JETONS_MAX)}  # type: ignore[misc]
    asyncio.run(jetons.verifier(jeton()))
    assert len(jetons._gardes) == 1


@pytest.mark.parametrize("ou", ["contenu", "en-tête"])
def test_une_cle_repetee_dans_un_jeton_signe_n_ouvre_rien(ou: str) -> None:
    # Deux bibliothèques n'y liraient pas le même assuré : celui que l'émetteur a voulu n'est pas connu.
    en_tete, contenu, _signe = jeton().split(".")
    parties = {"en-tête": base64url_decode(en_tete), "contenu": base64url_decode(contenu)}
    parties[ou] = parties[ou].replace(b"{", {"contenu": b'{"assure":"a-2",', "en-tête": b'{"alg":"none",'}[ou], 1)
    a_signer = b".".join(base64url_encode(parties[nom]) for nom in ("en-tête", "contenu"))
    signature = base64url_encode(hmac.digest(SECRET.encode(), a_signer, "sha256"))
    with pytest.raises(JetonInvalide):
        asyncio.run(Compteur().verifier(b".".join((a_signer, signature)).decode()))


@pytest.mark.parametrize("ou", ["contenu", "en-tête"])
def test_un_jeton_trop_profond_est_refuse_comme_un_autre(ou: str) -> None:
    # Lu avant que la signature ne le soit : n'importe qui l'envoie.
    en_tete, contenu, signature = jeton().split(".")
    profond = base64url_encode(b"[" * 5_000).decode()
    parties = {"contenu": (en_tete, profond, signature), "en-tête": (profond, contenu, signature)}[ou]
    with pytest.raises(JetonInvalide):
        asyncio.run(Compteur().verifier(".".join(parties)))
