"""Un jeton vérifié est gardé un moment, jamais au-delà de son échéance, et jamais s'il est refusé."""

import asyncio
from datetime import UTC, datetime

import pytest

from api.identite import Identité, JetonInvalide, Rôle, VérificateurDeDéveloppement, émettre_jeton
from api.jetons import GARDÉ_S, JETONS_MAX, JetonsGardés

SECRET = "un secret de test de trente-deux octets"
MAINTENANT = datetime.now(UTC).replace(microsecond=0)


class Compteur:
    """Le vérificateur de développement, et combien de fois il a travaillé."""

    def __init__(self) -> None:
        self.vrai = VérificateurDeDéveloppement(SECRET, "creances")
        self.appels = 0

    async def vérifier(self, jeton: str) -> Identité:
        self.appels += 1
        return await self.vrai.vérifier(jeton)


class Horloge:
    def __init__(self) -> None:
        self.heure = MAINTENANT.timestamp()

    def __call__(self) -> float:
        return self.heure


def jeton(assuré: str = "a-1") -> str:
    return émettre_jeton(SECRET, Rôle.ASSURÉ, assuré, audience="creances", maintenant=MAINTENANT)


def test_le_même_jeton_n_est_vérifié_qu_une_fois_puis_de_nouveau_après_une_minute() -> None:
    compteur, horloge, le_jeton = Compteur(), Horloge(), jeton()
    jetons = JetonsGardés(compteur, horloge)
    assert [asyncio.run(jetons.vérifier(le_jeton)) for _ in range(3)] == [Identité(Rôle.ASSURÉ, "a-1")] * 3
    assert compteur.appels == 1
    horloge.heure += GARDÉ_S
    asyncio.run(jetons.vérifier(le_jeton))
    assert compteur.appels == 2


def test_deux_jetons_gardés_ne_se_confondent_pas() -> None:
    jetons = JetonsGardés(Compteur(), Horloge())
    for assuré in ("a-1", "a-2", "a-1"):
        assert asyncio.run(jetons.vérifier(jeton(assuré))).assuré == assuré


def test_un_jeton_n_est_pas_gardé_au_delà_de_son_échéance() -> None:
    compteur, horloge, le_jeton = Compteur(), Horloge(), jeton()
    horloge.heure += 12 * 3600 - 10  # Dix secondes avant l'échéance.
    jetons = JetonsGardés(compteur, horloge)
    asyncio.run(jetons.vérifier(le_jeton))
    horloge.heure += 11
    asyncio.run(jetons.vérifier(le_jeton))
    assert compteur.appels == 2


def test_un_jeton_refusé_l_est_à_chaque_fois() -> None:
    compteur = Compteur()
    jetons = JetonsGardés(compteur, Horloge())
    for _ in range(2):
        with pytest.raises(JetonInvalide):
            asyncio.run(jetons.vérifier(jeton() + "x"))
    assert compteur.appels == 2


def test_le_nombre_de_jetons_gardés_est_borné() -> None:
    jetons = JetonsGardés(Compteur(), Horloge())
    jetons._gardés = {bytes([0]) + n.to_bytes(4): None for n in range(JETONS_MAX)}  # type: ignore[misc]
    asyncio.run(jetons.vérifier(jeton()))
    assert len(jetons._gardés) == 1
