-- Les anomalies : l'argent que la banque a pris et qu'aucune créance n'a reçu, ce que des personnes en décident, et les
-- rebuts de la porte. Le reste de la liste se lit là où il est : sorts, attentes, écarts, événements écartés, arrêts.

SET LOCAL ROLE creances_service;

CREATE TABLE vues.argent (
    anomalie     text COLLATE "C" PRIMARY KEY,
    transaction  text COLLATE "C" NOT NULL,
    raison       text        NOT NULL,
    marchand     text        NOT NULL,
    autorisation text,
    montant      bigint      NOT NULL,
    reste        bigint      NOT NULL CHECK (reste >= 0),
    accepte_le   timestamptz NOT NULL,
    depuis       timestamptz NOT NULL,
    cause        text        NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX argent_ouvert ON vues.argent (depuis) WHERE reste > 0;
CREATE INDEX argent_transaction ON vues.argent (transaction);

CREATE TABLE vues.reglements (
    anomalie     text COLLATE "C" PRIMARY KEY,
    etat         text        NOT NULL CHECK (etat IN ('ouverte', 'proposee', 'en_execution', 'reglee')),
    signale_le   timestamptz,
    transaction  text COLLATE "C",
    signalement  text,
    montant      bigint      NOT NULL DEFAULT 0,
    proposition  jsonb,
    version      bigint      NOT NULL,
    saisi_par    text,
    saisi_le     timestamptz,
    expire_le    timestamptz,
    approuve_par text,
    regle_le     timestamptz
) WITH (fillfactor = 80);
CREATE INDEX reglements_ouverts ON vues.reglements (anomalie) WHERE etat <> 'reglee';
CREATE INDEX reglements_transaction ON vues.reglements (transaction) WHERE transaction IS NOT NULL;

CREATE TABLE vues.rebuts (
    topic_id     uuid        NOT NULL,
    topic        text        NOT NULL,
    partition    integer     NOT NULL,
    decalage     bigint      NOT NULL,
    cause        text        NOT NULL,
    transaction  text COLLATE "C",
    montant      bigint      NOT NULL DEFAULT 0,
    empreinte    text        NOT NULL,
    depuis       timestamptz NOT NULL,
    PRIMARY KEY (topic_id, partition, decalage)
);
CREATE INDEX rebuts_depuis ON vues.rebuts (depuis);

CREATE TABLE vues.lectures_de_rebuts (
    topic_id  uuid    NOT NULL,
    partition integer NOT NULL,
    jusqu_a   bigint  NOT NULL,
    PRIMARY KEY (topic_id, partition)
);

-- Un paiement en vérification que deux personnes ont réglé.
ALTER TABLE vues.paiements ADD COLUMN regle_le timestamptz;
ALTER TABLE vues.paiements ADD COLUMN montant_regle bigint;

CREATE INDEX restant_du_trop_percu ON vues.restant_du (reference) WHERE solde < 0;
CREATE INDEX ecartes_flux ON vues.ecartes (suiveur, flux);

RESET ROLE;

CREATE INDEX sorts_anomalies ON journal.sorts (enregistre_le)
    WHERE sort IN ('contradictoire', 'non_rapprochee', 'rejetee', 'montant_incoherent');

COMMENT ON TABLE vues.argent IS 'L''argent que la banque a pris sans qu''une créance le reçoive, et ce qui en reste à régler.';
COMMENT ON COLUMN vues.argent.anomalie IS 'Le nom de l''anomalie : argent, transaction, version du fait.';
COMMENT ON COLUMN vues.argent.transaction IS 'La référence de transaction.';
COMMENT ON COLUMN vues.argent.raison IS 'non_rapprochee ou montant_incoherent.';
COMMENT ON COLUMN vues.argent.marchand IS 'Le marchand qui a encaissé.';
COMMENT ON COLUMN vues.argent.autorisation IS 'Le numéro d''autorisation, dès que la banque l''a donné.';
COMMENT ON COLUMN vues.argent.montant IS 'Ce que la banque a pris, en centimes.';
COMMENT ON COLUMN vues.argent.reste IS 'Ce qui en reste à régler, en centimes.';
COMMENT ON COLUMN vues.argent.accepte_le IS 'L''acceptation par la banque, ou la réception si elle n''est pas croyable.';
COMMENT ON COLUMN vues.argent.depuis IS 'L''heure d''enregistrement.';
COMMENT ON COLUMN vues.argent.cause IS 'Ce qui l''a fait enregistrer.';
COMMENT ON TABLE vues.reglements IS 'Où en est chaque anomalie dont une personne s''est occupée.';
COMMENT ON COLUMN vues.reglements.anomalie IS 'Le nom de l''anomalie.';
COMMENT ON COLUMN vues.reglements.etat IS 'ouverte, proposee (attend une seconde personne), en_execution (attend la banque) ou reglee.';
COMMENT ON COLUMN vues.reglements.signale_le IS 'Quand elle a été signalée ; absent si elle vient d''ailleurs.';
COMMENT ON COLUMN vues.reglements.transaction IS 'Le paiement signalé.';
COMMENT ON COLUMN vues.reglements.signalement IS 'Ce qui a été signalé, en une phrase.';
COMMENT ON COLUMN vues.reglements.montant IS 'L''argent en cause dans le signalement, en centimes.';
COMMENT ON COLUMN vues.reglements.proposition IS 'Le dernier règlement proposé ou fait.';
COMMENT ON COLUMN vues.reglements.version IS 'La version du dernier fait ; celle de la proposition, tant qu''elle attend.';
COMMENT ON COLUMN vues.reglements.saisi_par IS 'Qui l''a proposé.';
COMMENT ON COLUMN vues.reglements.saisi_le IS 'Quand.';
COMMENT ON COLUMN vues.reglements.expire_le IS 'Jusqu''à quand elle peut être approuvée.';
COMMENT ON COLUMN vues.reglements.approuve_par IS 'Qui l''a approuvé.';
COMMENT ON COLUMN vues.reglements.regle_le IS 'Quand elle a été réglée pour la dernière fois.';
COMMENT ON TABLE vues.rebuts IS 'Les formulaires refusés à la porte, tels que le topic des rebuts les garde.';
COMMENT ON COLUMN vues.rebuts.topic_id IS 'L''identifiant du topic des rebuts.';
COMMENT ON COLUMN vues.rebuts.topic IS 'Son nom.';
COMMENT ON COLUMN vues.rebuts.partition IS 'La partition.';
COMMENT ON COLUMN vues.rebuts.decalage IS 'Le décalage.';
COMMENT ON COLUMN vues.rebuts.cause IS 'Pourquoi il a été refusé.';
COMMENT ON COLUMN vues.rebuts.transaction IS 'La transaction dont il dit parler : rien ne le prouve.';
COMMENT ON COLUMN vues.rebuts.montant IS 'Le montant qu''il dit, en centimes : rien ne le prouve.';
COMMENT ON COLUMN vues.rebuts.empreinte IS 'SHA-256 de ses octets.';
COMMENT ON COLUMN vues.rebuts.depuis IS 'L''heure que Kafka lui donne.';
COMMENT ON TABLE vues.lectures_de_rebuts IS 'Jusqu''où les rebuts ont été relevés.';
COMMENT ON COLUMN vues.lectures_de_rebuts.topic_id IS 'L''identifiant du topic des rebuts.';
COMMENT ON COLUMN vues.lectures_de_rebuts.partition IS 'La partition.';
COMMENT ON COLUMN vues.lectures_de_rebuts.jusqu_a IS 'Le prochain décalage à relever.';
COMMENT ON COLUMN vues.paiements.regle_le IS 'Quand deux personnes ont réglé son argent ; absent : rien n''a été en vérification, ou l''est encore.';
COMMENT ON COLUMN vues.paiements.montant_regle IS 'Ce que ce règlement a mis sur des créances, en centimes.';
