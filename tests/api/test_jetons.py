"""Un jeton vérifié est gardé un moment, jamais au-delà de son échéance, et jamais s'il est refusé."""

import asyncio
import hmac
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as essais
from hypothesis import strategies as st
from jwt.utils import base64url_decode, base64url_encode

from api.socle.emetteur import _kid
from api.socle.identite import (
    EMETTEUR_DE_DEVELOPPEMENT,
    Identite,
    JetonInvalide,
    RoleUtilisateur,
    VerificateurDeDeveloppement,
    emettre_jeton,
)
from api.socle.jetons import GARDE_S, JETONS_MAX, JetonsGardes
from tests.outils import exemples

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


def signer(contenu: bytes, en_tete: bytes = b'{"alg":"HS256","typ":"JWT"}') -> str:
    """Un jeton dont la signature tient, quoi que disent ses octets."""
    a_signer = b".".join(map(base64url_encode, (en_tete, contenu)))
    return b".".join((a_signer, base64url_encode(hmac.digest(SECRET.encode(), a_signer, "sha256")))).decode()


def lire_par_tous(signe: str) -> Identite | None:
    """Ce que le service en lit ; None : refusé. Toute autre erreur serait une réponse 500."""
    try:
        return asyncio.run(JetonsGardes(VerificateurDeDeveloppement(SECRET, "creances")).verifier(signe))
    except JetonInvalide:
        return None


BON: dict[str, Any] = {
    "iss": EMETTEUR_DE_DEVELOPPEMENT,
    "aud": "creances",
    "exp": 2_000_000_000,
    "role": "assure",
    "assure": "a-1",
    "sub": "a-1",
}


@pytest.mark.parametrize("nom", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize(
    "valeur",
    ["9" * 400, "9" * 5_000, "-" + "9" * 400, "1e400", "-1e400", "NaN", "Infinity", "-Infinity", "true", '"1"', "[]"],
)
def test_un_instant_qui_n_en_est_pas_un_n_ouvre_rien(nom: str, valeur: str) -> None:
    dits = {cle: json.dumps(dit) for cle, dit in BON.items()} | {nom: valeur}
    contenu = "{" + ",".join(f'"{cle}":{dit}' for cle, dit in dits.items()) + "}"
    assert lire_par_tous(signer(contenu.encode())) is None


VALEURS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["assure", "support", "creances", "Bearer", "a-1", "1" * 200, "\ud800"]),
    lambda dedans: st.lists(dedans, max_size=3) | st.dictionaries(st.text(max_size=5), dedans, max_size=3),
    max_leaves=5,
)
NOMS = (*BON, "nbf", "iat", "auth_time", "typ", "token_use", "name", "last_login", "sid", "caisses", "nonce", "jti")


@essais(max_examples=exemples(300, 5_000), deadline=None)
@given(st.dictionaries(st.sampled_from(NOMS), VALEURS, max_size=4))
def test_aucune_revendication_signee_ne_fait_tomber_qui_la_lit(autres: dict[str, Any]) -> None:
    lue = lire_par_tous(signer(json.dumps(BON | autres).encode()))
    assert lue is None or isinstance(lue.role, RoleUtilisateur)


@essais(max_examples=exemples(100, 2_000), deadline=None)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "x5c"]), VALEURS, max_size=4))
def test_aucun_en_tete_signe_ne_fait_tomber_qui_le_lit(autres: dict[str, Any]) -> None:
    en_tete = json.dumps({"alg": "HS256"} | autres).encode()
    assert lire_par_tous(signer(json.dumps(BON).encode(), en_tete)) in {None, Identite(RoleUtilisateur.ASSURE, "a-1")}
    with suppress(JetonInvalide):
        _kid(signer(json.dumps(BON).encode(), en_tete))


@pytest.mark.parametrize("profondeur", [900, 5_000, 50_000])
def test_un_en_tete_profond_ne_fait_pas_tomber_qui_cherche_sa_cle(profondeur: int) -> None:
    with pytest.raises(JetonInvalide):
        _kid(signer(b"{}", b'{"alg":"RS256","a":' + b"[" * profondeur + b"]" * profondeur + b"}"))
