"""Le formulaire scellé : `Data`, `Seal` et ce qui les accompagne. Sert aux deux bouts, le nôtre et le simulateur."""

from collections.abc import Mapping

from kiosque.interface import FormulaireIllisible
from kiosque.sips.donnees import Encodage, decoder, ecrire, encoder, valeur_de
from kiosque.sips.donnees import lire as lire_donnees
from kiosque.sips.sceau import Algorithme, Marchand, Trousseau, sceller


def fermer(
    valeurs: Mapping[str, str],
    marchand: Marchand,
    algorithme: Algorithme,
    *,
    version_interface: str,
    encodage: Encodage = "",
) -> dict[str, str]:
    """Les champs à poster, scellés sous la clé courante du marchand ; un accent impose base64.

    `merchantId` et `keyVersion` sont ajoutés ici : ils disent sous quel secret le sceau est fait.
    """
    texte = ecrire({**valeurs, "merchantId": marchand.id, "keyVersion": str(marchand.version_courante)})
    effectif: Encodage = encodage if encodage or texte.isascii() else "base64"
    data = encoder(texte, effectif)
    return {
        "Data": data,
        "Seal": sceller(data.encode("ascii"), marchand.secret_courant, algorithme),
        "InterfaceVersion": version_interface,
        "Encode": effectif,
        "SealAlgorithm": algorithme.value,
    }


def ouvrir(champs: Mapping[str, str], trousseau: Trousseau) -> dict[str, str]:
    """Les valeurs de `Data`, une fois le sceau vérifié ; lève `FormulaireIrrecevable`, et rien d'autre.

    `Data` est lu avant que le sceau ne soit vérifié, car c'est lui qui nomme le marchand et la version de clé.
    """
    # Les champs viennent du réseau ou de Kafka : leur type annoncé ne prouve rien, d'où `object`.
    data: object = champs.get("Data")
    sceau: object = champs.get("Seal")
    encodage: object = champs.get("Encode") or ""
    if not isinstance(data, str) or not data:
        raise FormulaireIllisible("le champ Data manque")
    if not isinstance(sceau, str):
        raise FormulaireIllisible("le champ Seal manque")
    if not isinstance(encodage, str):
        raise FormulaireIllisible("encodage inconnu")
    valeurs = lire_donnees(decoder(data, encodage))
    trousseau.verifier(data.encode("ascii"), sceau, valeur_de(valeurs, "merchantId"), valeur_de(valeurs, "keyVersion"))
    return valeurs
