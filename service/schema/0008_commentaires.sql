-- Ce que dit chaque table et chaque colonne, gardé avec elles : `make tables` en écrit docs/tables.md. Une migration qui
-- ajoute une table ou une colonne la commente elle-même.

COMMENT ON SCHEMA journal IS 'La vérité, en ajout seul : le service y lit et y insère, rien ni personne n''y modifie ni n''y supprime.';
COMMENT ON SCHEMA vues IS 'Ce qui se supprime et se reconstruit depuis le journal ; le rôle du service en est propriétaire.';

COMMENT ON TABLE journal.evenements IS 'Les événements, dans l''ordre où leurs transactions se sont validées.';
COMMENT ON COLUMN journal.evenements.position IS 'Rang dans le journal, croissant et donné par PostgreSQL ; une transaction abandonnée y laisse un trou.';
COMMENT ON COLUMN journal.evenements.flux IS 'L''agrégat : creance-<référence>, paiement-<transaction>, messagerie-<pseudonyme>.';
COMMENT ON COLUMN journal.evenements.version IS 'Rang dans le flux, depuis 1.';
COMMENT ON COLUMN journal.evenements.topic IS 'Le nom stable de la classe de l''événement, en ASCII (creance.PaiementAccepte) ; il ne nomme aucun module.';
COMMENT ON COLUMN journal.evenements.etat IS 'Les champs de l''événement, en JSON ASCII ; ces octets ne changent plus.';
COMMENT ON COLUMN journal.evenements.cause IS 'Ce qui l''a fait écrire : kafka:<topic>/<partition>@<décalage>, requete:<clé>, affichage:<vue>…';
COMMENT ON COLUMN journal.evenements.enregistre_le IS 'L''horloge de PostgreSQL sous le verrou d''ordre, jamais avant celle de l''événement précédent.';

COMMENT ON TABLE journal.positions IS 'Ce qui a été lu de chaque partition Kafka, une ligne par lot, écrite dans la transaction de ses événements.';
COMMENT ON COLUMN journal.positions.topic_id IS 'L''identifiant du topic chez Kafka : un topic recréé en a un autre, donc d''autres positions.';
COMMENT ON COLUMN journal.positions.topic IS 'Le nom du topic, pour les personnes.';
COMMENT ON COLUMN journal.positions.partition IS 'La partition du topic.';
COMMENT ON COLUMN journal.positions.depuis IS 'La position chargée avant le lot, comprise ; unique, si bien qu''un consommateur périmé se heurte.';
COMMENT ON COLUMN journal.positions.jusqu_a IS 'La position suivante à lire, non comprise dans le lot.';
COMMENT ON COLUMN journal.positions.enregistre_le IS 'Quand le lot a été écrit, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.sorts IS 'Ce que chaque message lu est devenu : exactement un sort par message.';
COMMENT ON COLUMN journal.sorts.topic_id IS 'L''identifiant du topic du message chez Kafka.';
COMMENT ON COLUMN journal.sorts.topic IS 'Le nom du topic du message.';
COMMENT ON COLUMN journal.sorts.partition IS 'La partition du message.';
COMMENT ON COLUMN journal.sorts.decalage IS 'Le décalage (offset) du message dans sa partition.';
COMMENT ON COLUMN journal.sorts.sort IS 'Le sort, en un mot de domain/sort.py.';
COMMENT ON COLUMN journal.sorts.cause IS 'Pourquoi, en une phrase lisible du support.';
COMMENT ON COLUMN journal.sorts.objet IS 'Ce dont parle le message : la référence d''une transaction ou d''une créance ; vide s''il est illisible.';
COMMENT ON COLUMN journal.sorts.empreinte IS 'SHA-256 du message reçu : reconnaît une copie.';
COMMENT ON COLUMN journal.sorts.champs IS 'Ses champs nommés, sans donnée de carte ni d''identité.';
COMMENT ON COLUMN journal.sorts.enregistre_le IS 'Quand le sort a été écrit, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.cles_idempotence IS 'La réponse donnée à une requête, pour rendre la même à la même clé.';
COMMENT ON COLUMN journal.cles_idempotence.auteur IS 'Qui a fait la requête : une clé ne vaut que pour son auteur.';
COMMENT ON COLUMN journal.cles_idempotence.cle IS 'La clé que l''auteur a choisie (en-tête Idempotency-Key, ou champ du formulaire).';
COMMENT ON COLUMN journal.cles_idempotence.empreinte IS 'SHA-256 de la requête : la même clé pour une autre requête est refusée.';
COMMENT ON COLUMN journal.cles_idempotence.reponse IS 'La réponse à rendre.';
COMMENT ON COLUMN journal.cles_idempotence.enregistre_le IS 'Quand la requête a été décidée, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.epoques IS 'Les époques du journal : restaurer une sauvegarde plus ancienne en ouvre une autre, dite dans ce qui est publié.';
COMMENT ON COLUMN journal.epoques.nom IS 'L''heure d''ouverture, en UTC ; jamais un compteur, qu''une restauration ferait revenir.';
COMMENT ON COLUMN journal.epoques.raison IS 'Pourquoi elle a été ouverte, dans les mots d''une personne.';
COMMENT ON COLUMN journal.epoques.ouverte_par IS 'Le rôle PostgreSQL qui l''a ouverte.';
COMMENT ON COLUMN journal.epoques.enregistre_le IS 'Quand elle a été ouverte, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.topics IS 'Les topics rencontrés : un nom revenu sous un autre identifiant a été recréé.';
COMMENT ON COLUMN journal.topics.rang IS 'L''ordre des rencontres.';
COMMENT ON COLUMN journal.topics.topic IS 'Le nom du topic.';
COMMENT ON COLUMN journal.topics.topic_id IS 'Son identifiant chez Kafka.';
COMMENT ON COLUMN journal.topics.enregistre_le IS 'Quand il a été rencontré, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.pertes IS 'Les messages que Kafka a effacés avant que nous les lisions ; écrit avec la position qui les saute.';
COMMENT ON COLUMN journal.pertes.topic_id IS 'L''identifiant du topic chez Kafka.';
COMMENT ON COLUMN journal.pertes.topic IS 'Le nom du topic.';
COMMENT ON COLUMN journal.pertes.partition IS 'La partition.';
COMMENT ON COLUMN journal.pertes.depuis IS 'Le premier décalage perdu.';
COMMENT ON COLUMN journal.pertes.jusqu_a IS 'Le premier décalage encore là.';
COMMENT ON COLUMN journal.pertes.enregistre_le IS 'Quand la perte a été constatée, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.arrets IS 'Les partitions arrêtées : leur fin est revenue en deçà de notre position.';
COMMENT ON COLUMN journal.arrets.topic_id IS 'L''identifiant sous lequel la partition était lue.';
COMMENT ON COLUMN journal.arrets.topic IS 'Le nom du topic.';
COMMENT ON COLUMN journal.arrets.partition IS 'La partition.';
COMMENT ON COLUMN journal.arrets.position IS 'La nôtre : le prochain message que nous attendions.';
COMMENT ON COLUMN journal.arrets.fin IS 'La fin que Kafka a dite, en deçà.';
COMMENT ON COLUMN journal.arrets.enregistre_le IS 'Quand l''arrêt a été constaté, à l''horloge de PostgreSQL.';

COMMENT ON TABLE journal.reprises IS 'La reprise d''une partition arrêtée, décidée par une personne (creances reprendre-partition).';
COMMENT ON COLUMN journal.reprises.rang IS 'L''ordre des reprises.';
COMMENT ON COLUMN journal.reprises.topic_id IS 'L''identifiant du topic chez Kafka.';
COMMENT ON COLUMN journal.reprises.topic IS 'Le nom du topic.';
COMMENT ON COLUMN journal.reprises.partition IS 'La partition.';
COMMENT ON COLUMN journal.reprises.identifiant IS 'L''identifiant à nous sous lequel elle continue, dans les positions et les sorts.';
COMMENT ON COLUMN journal.reprises.depuis IS 'Le premier décalage à lire de nouveau.';
COMMENT ON COLUMN journal.reprises.motif IS 'Pourquoi, dans les mots de la personne.';
COMMENT ON COLUMN journal.reprises.enregistre_le IS 'Quand elle a été décidée, à l''horloge de PostgreSQL.';

SET LOCAL ROLE creances_service;

COMMENT ON TABLE vues.suiveurs IS 'Où en est chaque rôle sans HTTP, qui le mène, et pourquoi il s''est arrêté s''il l''est.';
COMMENT ON COLUMN vues.suiveurs.nom IS 'Le rôle.';
COMMENT ON COLUMN vues.suiveurs.position IS 'Le dernier événement du journal appliqué.';
COMMENT ON COLUMN vues.suiveurs.etat IS 'inactif, actif ou arrete.';
COMMENT ON COLUMN vues.suiveurs.meneur IS 'Le processus qui le mène, machine:pid ; vide si personne.';
COMMENT ON COLUMN vues.suiveurs.derniere_erreur IS 'La dernière erreur, gardée après le retour.';
COMMENT ON COLUMN vues.suiveurs.erreur_le IS 'Quand elle est survenue.';
COMMENT ON COLUMN vues.suiveurs.battement_le IS 'Le dernier signe de vie de son meneur.';
COMMENT ON COLUMN vues.suiveurs.interruptions IS 'Combien de fois il s''est interrompu.';

COMMENT ON TABLE vues.ecartes IS 'Les événements qu''un suiveur n''a pas pu appliquer, et les suivants du même flux, dans l''ordre.';
COMMENT ON COLUMN vues.ecartes.suiveur IS 'Le suiveur qui l''a écarté.';
COMMENT ON COLUMN vues.ecartes.position IS 'L''événement, par sa position dans le journal.';
COMMENT ON COLUMN vues.ecartes.flux IS 'Son flux.';
COMMENT ON COLUMN vues.ecartes.cause IS 'L''erreur, ou qu''un événement précédent du flux est écarté.';
COMMENT ON COLUMN vues.ecartes.ecarte_le IS 'Quand il l''a été.';
COMMENT ON COLUMN vues.ecartes.libere_le IS 'Quand une personne l''a libéré : le meneur l''applique alors, et la ligne disparaît.';

COMMENT ON TABLE vues.restant_du IS 'Ce qui reste dû sur chaque créance. Montants en centimes.';
COMMENT ON COLUMN vues.restant_du.reference IS 'La référence de la créance : 16 chiffres et une lettre.';
COMMENT ON COLUMN vues.restant_du.assure IS 'Le pseudonyme de la personne qui doit.';
COMMENT ON COLUMN vues.restant_du.caisse IS 'La caisse qui la gère, trois chiffres.';
COMMENT ON COLUMN vues.restant_du.nature IS 'La nature de la dette (PF/FR).';
COMMENT ON COLUMN vues.restant_du.date_emission IS 'Le jour de l''avis.';
COMMENT ON COLUMN vues.restant_du.payable_en_ligne IS 'Jugé une fois, sur le solde que porte l''avis.';
COMMENT ON COLUMN vues.restant_du.annulee IS 'L''avis a été annulé.';
COMMENT ON COLUMN vues.restant_du.montant_initial IS 'Le montant de l''avis, rectifié s''il l''a été.';
COMMENT ON COLUMN vues.restant_du.solde IS 'Signé : positif, il reste dû ; négatif, c''est un trop-perçu.';
COMMENT ON COLUMN vues.restant_du.en_cours IS 'Ce que retiennent les paiements en cours.';
COMMENT ON COLUMN vues.restant_du.version IS 'La version de la créance au dernier événement appliqué.';
COMMENT ON COLUMN vues.restant_du.position IS 'La position de cet événement dans le journal.';

COMMENT ON TABLE vues.paiements IS 'Chaque tentative de paiement ouverte chez nous. Montants en centimes.';
COMMENT ON COLUMN vues.paiements.transaction IS 'La référence de la transaction (PCLCB…).';
COMMENT ON COLUMN vues.paiements.assure IS 'Le pseudonyme de la personne qui paie.';
COMMENT ON COLUMN vues.paiements.caisse IS 'La caisse créditée : une seule par paiement.';
COMMENT ON COLUMN vues.paiements.canal IS 'D''où l''on paie : web, application, bms.';
COMMENT ON COLUMN vues.paiements.montant IS 'Le montant demandé à la banque.';
COMMENT ON COLUMN vues.paiements.statut IS 'en_cours, accepte, echoue ou expire ; une acceptation peut encore suivre les deux derniers.';
COMMENT ON COLUMN vues.paiements.code IS 'Le code de réponse de la banque, quand elle a conclu.';
COMMENT ON COLUMN vues.paiements.cause IS 'Ce que dit ce code, ou pourquoi nous l''avons conclu nous-mêmes.';
COMMENT ON COLUMN vues.paiements.ouvert_le IS 'Quand il a été ouvert.';
COMMENT ON COLUMN vues.paiements.expire_le IS 'Quand il expire s''il reste sans réponse.';
COMMENT ON COLUMN vues.paiements.conclu_le IS 'Quand il a été conclu.';
COMMENT ON COLUMN vues.paiements.accepte_le IS 'Quand la banque l''a accepté, selon elle.';
COMMENT ON COLUMN vues.paiements.version IS 'La version du paiement au dernier événement appliqué.';

COMMENT ON TABLE vues.delai_affichage IS 'Le délai de 24 h, une ligne par part acceptée ; un paiement est affiché quand sa dernière part l''est.';
COMMENT ON COLUMN vues.delai_affichage.transaction IS 'La référence de la transaction.';
COMMENT ON COLUMN vues.delai_affichage.reference IS 'La créance que la part éteint.';
COMMENT ON COLUMN vues.delai_affichage.accepte_le IS 'Quand la banque a accepté : le délai court depuis.';
COMMENT ON COLUMN vues.delai_affichage.affiche_le IS 'Quand la part s''est vue sur le compte ; vide tant qu''elle attend.';

COMMENT ON TABLE vues.messagerie IS 'Les accusés de réception, un par paiement accepté, jusqu''à leur échéance.';
COMMENT ON COLUMN vues.messagerie.transaction IS 'Le paiement, par sa transaction.';
COMMENT ON COLUMN vues.messagerie.assure IS 'Le pseudonyme du destinataire.';
COMMENT ON COLUMN vues.messagerie.accepte_le IS 'Quand la banque a accepté ; vide tant que seul le geste de l''assuré est connu, et le message ne se montre pas.';
COMMENT ON COLUMN vues.messagerie.echeance IS 'Le jour de Paris où le message disparaît.';
COMMENT ON COLUMN vues.messagerie.lu_le IS 'Quand il a été ouvert pour la première fois.';
COMMENT ON COLUMN vues.messagerie.supprime_le IS 'Quand l''assuré l''a supprimé.';

COMMENT ON TABLE vues.publications IS 'Où un suiveur a publié en dernier : un autre topic ou une autre époque, et tout est publié de nouveau.';
COMMENT ON COLUMN vues.publications.suiveur IS 'Le suiveur qui publie.';
COMMENT ON COLUMN vues.publications.topic IS 'Le nom du topic.';
COMMENT ON COLUMN vues.publications.topic_id IS 'Son identifiant chez Kafka.';
COMMENT ON COLUMN vues.publications.epoque IS 'L''époque du journal.';
COMMENT ON COLUMN vues.publications.publie_le IS 'Quand le dernier lot y a été accusé.';

COMMENT ON TABLE vues.sorts IS 'Combien de messages ont eu chaque sort, tenu avec les sorts ; audit le compare à journal.sorts.';
COMMENT ON COLUMN vues.sorts.topic_id IS 'L''identifiant du topic chez Kafka.';
COMMENT ON COLUMN vues.sorts.topic IS 'Le nom du topic.';
COMMENT ON COLUMN vues.sorts.partition IS 'La partition : deux consommateurs n''ont aucune ligne en commun.';
COMMENT ON COLUMN vues.sorts.sort IS 'Le sort.';
COMMENT ON COLUMN vues.sorts.messages IS 'Combien de messages l''ont eu.';

RESET ROLE;
