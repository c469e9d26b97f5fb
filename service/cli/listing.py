"""The commands: the module that has each, and its sentence in the list, so that telling them imports none of them.

A test says whether a name, a module or a sentence is behind.
"""

from typing import Final, NamedTuple


class Listed(NamedTuple):
    """A command as the list tells it."""

    module: str
    """In `service.cli`; importing it registers the command."""
    sentence: str
    """The first of its help."""


COMMANDS: Final = {
    "demo": Listed("running", "Démarre tout, embarqué, joue un court scénario, puis sert jusqu'à Ctrl-C."),
    "up": Listed(
        "running",
        "Lance tous les rôles sur le PostgreSQL et le Kafka configurés"
        " (le kiosque simulé à part : `creances kiosque`).",
    ),
    "api": Listed("running", "Sert l'API et les pages."),
    "consume": Listed("running", "Consomme les avis des caisses et les notifications de la banque."),
    "project": Listed("running", "Mène les vues le long du journal."),
    "relance": Listed(
        "running",
        "Relance les paiements sans réponse, expire ceux que le kiosque ignore, et purge les messages échus.",
    ),
    "sceller": Listed(
        "running",
        "Scelle le journal : chaque ligne devient une feuille de l'arbre, dont l'état est signé.",
    ),
    "kiosque": Listed("running", "Sert le kiosque bancaire simulé."),
    "migrate": Listed(
        "running",
        "Crée ou met à niveau le schéma ; sans danger deux fois, à la fois, de deux endroits.",
    ),
    "topics": Listed(
        "running",
        "Crée les topics manquants, sans danger deux fois, et dit ceux qui ne sont pas ce que le contrat promet.",
    ),
    "import-avis": Listed(
        "importing",
        "Met les messages des caisses sur leur topic ; chaque mauvaise ligne est nommée, les bonnes passent.",
    ),
    "publish": Listed(
        "publishing",
        "Publie le journal sur Kafka ; avec --from, --since ou --reference, renvoie ce qui l'a déjà été.",
    ),
    "epoch": Listed(
        "publishing",
        "Les époques du journal ; en ouvrir une après avoir restauré une sauvegarde plus ancienne.",
    ),
    "schemas": Listed(
        "publishing",
        "Écrit les schémas JSON des événements publiés ; refuse un changement qui romprait un consommateur.",
    ),
    "openapi": Listed("publishing", "Imprime la description OpenAPI de l'API, celle que sert `/openapi.json`."),
    "partenaires": Listed(
        "partners",
        "Ce qu'a lu chaque groupe Kafka de ce que nous publions, et chaque lecteur du fil HTTP ; leur retard.",
    ),
    "rapprocher": Listed(
        "reconciling",
        "Rapproche les rapports de la banque de nos paiements : chaque écart devient une anomalie.",
    ),
    "healthy": Listed(
        "health",
        "Dit si des rôles travaillent : menés, et un signe de vie récent ; sort avec 1 sinon."
        " Le retard n'y compte pas.",
    ),
    "check": Listed(
        "checking",
        "Ce qui empêche la production de démarrer, et ce qui y est douteux ; sort avec 1 si quelque chose l'empêche.",
    ),
    "balance": Listed("looking", "Le solde d'une créance, tel que la vue le montre."),
    "lag": Listed(
        "looking",
        "Le retard de chaque rôle, en événements et en secondes ; sort avec 1 si l'un ou Kafka se tait.",
    ),
    "notifications": Listed("looking", "Le sort de chaque notification lue ; leur somme est ce que le topic a porté."),
    "token": Listed("looking", "Un jeton de développement ; refusé si un émetteur OIDC est configuré."),
    "settings": Listed("looking", "Les réglages en vigueur, secrets masqués."),
    "clock": Listed(
        "clocking",
        "L'horloge des 24 h, par caisse, et ce qu'elle annonce ; sort avec 1 si un paiement en attente l'a passée.",
    ),
    "history": Listed(
        "support",
        "Chaque événement d'une créance, d'un paiement ou d'un assuré, son heure, sa cause, et le solde après lui.",
    ),
    "note": Listed("support", "Note quelque chose d'une créance, d'un paiement, d'un assuré ou d'une anomalie."),
    "accesses": Listed("support", "Qui a lu les données de qui, quand et pourquoi, le plus récent d'abord."),
    "search": Listed(
        "search",
        "Cherche une créance, un paiement, un assuré ; dit pourquoi chacun répond ; sort avec 1 sans résultat.",
    ),
    "audit": Listed(
        "auditing",
        "Recalcule tout depuis le journal et compare ; sort avec 1 s'il y a un écart, 3 si tout n'a pas pu se lire.",
    ),
    "balances": Listed(
        "auditing",
        "Tous les soldes à un instant, en CSV (centimes, séparés par « ; ») ; sort avec 3 si l'un ne peut se lire.",
    ),
    "proof": Listed(
        "proof",
        "La preuve du solde d'une créance, en JSON : ses faits, leur place dans l'arbre signé, et le calcul.",
    ),
    "verify": Listed(
        "verifying",
        "Vérifie la preuve d'un solde : oui, ou la première chose qui est fausse ; sans clé, celle de ce service.",
    ),
    "temoins": Listed(
        "witnesses",
        "Ce que chaque témoin a cosigné du journal, ou refuse ; sort avec 1 si l'un refuse, ou si trop peu l'ont vu.",
    ),
    "arrete": Listed(
        "closing",
        "Arrête les journées finies, une fois pour toutes, et montre celle qu'on demande, ou la dernière.",
    ),
    "archiver": Listed(
        "closing",
        "Écrit les arrêtés d'une année, leurs événements et leurs jetons dans un dossier qui se vérifie sans nous.",
    ),
    "ask-bank": Listed(
        "anomalies",
        "Interroge la banque maintenant sur un paiement, aussi conclu ; sort avec 1 si elle dit autre chose que nous.",
    ),
    "partitions": Listed(
        "partitions",
        "Les partitions arrêtées : raccourcies en deçà de notre position, ou illisibles là ; sort avec 1 s'il y en a.",
    ),
    "reprendre-partition": Listed(
        "partitions",
        "Reprend une partition arrêtée ; le consommateur la relit de là, dans les secondes qui suivent.",
    ),
    "rebuild": Listed(
        "rebuilding",
        "Refait une vue du journal, à côté de celle que l'on lit, et la met à sa place ; tuée, elle se reprend.",
    ),
    "lost": Listed(
        "restoring",
        "Ce qu'une restauration a fait perdre : publié, et absent du journal ; sort avec 1 s'il y en a.",
    ),
    "security-log": Listed(
        "security",
        "Ce qui touche à la sûreté : connexions, refus, réglages, époques, accès. --json : une ligne chacun.",
    ),
    "anomalies": Listed("anomalies", "Ce qu'une personne doit régler, et le régler."),
    "dlq": Listed("dlq", "Les messages refusés, et les rejouer."),
    "sessions": Listed("sessions", "Les sessions des pages : les voir, les finir."),
}
"""By name, in the order of the list."""
