-- Les rapports quotidiens de la banque : ce qu'ils disent, gardé tel que lu, et les écarts avec nos paiements.

-- Un rapport lu en entier : son empreinte le nomme, si bien que le même fichier n'est compté qu'une fois.
CREATE TABLE journal.rapports (
    rang          bigint GENERATED ALWAYS AS IDENTITY,
    empreinte     bytea       NOT NULL CHECK (octet_length(empreinte) = 32),
    genre         text        NOT NULL CHECK (genre IN ('transactions', 'operations', 'rapprochements', 'impayes')),
    genere_le     timestamptz NOT NULL,
    -- Les marchands dont il parle, et les jours de Paris qu'il couvre : de quoi dire ce qui lui manque.
    marchands     text[]      NOT NULL,
    couvre_depuis timestamptz NOT NULL,
    couvre_jusqua timestamptz NOT NULL CHECK (couvre_jusqua >= couvre_depuis),
    -- Le bout du journal quand il a été lu : ce qui est enregistré après sera confronté au rapport suivant.
    position      bigint      NOT NULL,
    fichier       text        NOT NULL,
    lignes        bigint      NOT NULL CHECK (lignes >= 0),
    lu_par        text        NOT NULL DEFAULT session_user,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT rapports_pkey PRIMARY KEY (rang),
    CONSTRAINT rapports_empreinte UNIQUE (empreinte)
);
CREATE INDEX rapports_genre ON journal.rapports (genre, genere_le);

-- Une ligne de la banque, par son contenu : redite dans un autre fichier, elle ne compte qu'une fois.
-- Montants en centimes ; `pris` et `rendu` sont l'argent qu'elle fait bouger (une demande n'en bouge pas).
CREATE TABLE journal.lignes_de_rapport (
    cle           bytea       NOT NULL CHECK (octet_length(cle) = 32),
    rapport       bigint      NOT NULL,
    numero        bigint      NOT NULL CHECK (numero > 0),
    genre         text        NOT NULL CHECK (genre IN ('transactions', 'operations', 'rapprochements', 'impayes')),
    transaction   text COLLATE "C" NOT NULL,
    marchand      text,
    operation     text,
    sequence      text,
    montant       bigint      NOT NULL CHECK (montant >= 0),
    frais         bigint,
    pris          bigint      NOT NULL CHECK (pris >= 0),
    rendu         bigint      NOT NULL CHECK (rendu >= 0),
    etat          text,
    code          text,
    autorisation  text,
    survenu_le    timestamptz NOT NULL,
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT lignes_de_rapport_cle UNIQUE (cle)
);
CREATE INDEX lignes_de_rapport_transaction ON journal.lignes_de_rapport (transaction, genre);

-- Un écart, avec ses deux côtés ; la ligne qui porte `clot` ferme celui de ce rang, et dit pourquoi.
CREATE TABLE journal.ecarts_de_rapport (
    rang                bigint GENERATED ALWAYS AS IDENTITY,
    clot                bigint,
    rapport             bigint,
    genre_de_rapport    text        NOT NULL
        CHECK (genre_de_rapport IN ('transactions', 'operations', 'rapprochements', 'impayes')),
    genre               text        NOT NULL
        CHECK (genre IN ('manque_ici', 'manque_la_bas', 'autre_montant', 'autre_etat', 'impaye', 'remboursement')),
    transaction         text COLLATE "C" NOT NULL,
    marchand            text,
    jour                date        NOT NULL,
    montant             bigint      NOT NULL CHECK (montant >= 0),
    montant_banque      bigint      NOT NULL,
    montant_chez_nous   bigint      NOT NULL,
    etat_banque         text        NOT NULL,
    etat_chez_nous      text        NOT NULL,
    cause               text        NOT NULL CHECK (cause <> ''),
    enregistre_le       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT ecarts_de_rapport_pkey PRIMARY KEY (rang),
    CONSTRAINT ecarts_de_rapport_clot UNIQUE (clot)
);
CREATE INDEX ecarts_de_rapport_transaction ON journal.ecarts_de_rapport (transaction);

DO $$
DECLARE une_table text;
BEGIN
    FOREACH une_table IN ARRAY ARRAY['rapports', 'lignes_de_rapport', 'ecarts_de_rapport'] LOOP
        EXECUTE format('CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.%I
                        FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification()', une_table);
        EXECUTE format('GRANT SELECT, INSERT ON journal.%I TO creances_service', une_table);
    END LOOP;
END $$;

-- Les écarts encore ouverts : ce que la prochaine lecture d'un rapport juge de nouveau.
SET LOCAL ROLE creances_service;
CREATE VIEW vues.ecarts_ouverts AS
SELECT o.* FROM journal.ecarts_de_rapport o
WHERE o.clot IS NULL AND NOT EXISTS (SELECT FROM journal.ecarts_de_rapport c WHERE c.clot = o.rang);
COMMENT ON VIEW vues.ecarts_ouverts IS 'Les écarts que rien n''a fermés.';
COMMENT ON COLUMN vues.ecarts_ouverts.rang IS 'Rang de l''écart.';
COMMENT ON COLUMN vues.ecarts_ouverts.clot IS 'Le rang de l''écart que cette ligne ferme ; absent : un écart.';
COMMENT ON COLUMN vues.ecarts_ouverts.rapport IS 'Le rapport qui l''a montré ou expliqué (son rang).';
COMMENT ON COLUMN vues.ecarts_ouverts.genre_de_rapport IS 'Le genre de ce rapport.';
COMMENT ON COLUMN vues.ecarts_ouverts.genre IS 'manque_ici, manque_la_bas, autre_montant, autre_etat, impaye ou remboursement.';
COMMENT ON COLUMN vues.ecarts_ouverts.transaction IS 'La référence de transaction.';
COMMENT ON COLUMN vues.ecarts_ouverts.marchand IS 'Le marchand.';
COMMENT ON COLUMN vues.ecarts_ouverts.jour IS 'Le jour de Paris.';
COMMENT ON COLUMN vues.ecarts_ouverts.montant IS 'L''argent en cause, en centimes.';
COMMENT ON COLUMN vues.ecarts_ouverts.montant_banque IS 'Ce que dit la banque, en centimes.';
COMMENT ON COLUMN vues.ecarts_ouverts.montant_chez_nous IS 'Ce que dit notre journal, en centimes.';
COMMENT ON COLUMN vues.ecarts_ouverts.etat_banque IS 'L''état chez la banque.';
COMMENT ON COLUMN vues.ecarts_ouverts.etat_chez_nous IS 'L''état chez nous.';
COMMENT ON COLUMN vues.ecarts_ouverts.cause IS 'La phrase que lit le support.';
COMMENT ON COLUMN vues.ecarts_ouverts.enregistre_le IS 'L''horloge de PostgreSQL.';
RESET ROLE;

COMMENT ON TABLE journal.rapports IS 'Les rapports quotidiens de la banque, lus en entier.';
COMMENT ON COLUMN journal.rapports.rang IS 'Rang de lecture.';
COMMENT ON COLUMN journal.rapports.empreinte IS 'SHA-256 du fichier : le même n''est compté qu''une fois.';
COMMENT ON COLUMN journal.rapports.genre IS 'transactions, operations, rapprochements ou impayes.';
COMMENT ON COLUMN journal.rapports.genere_le IS 'L''instant où la banque l''a écrit.';
COMMENT ON COLUMN journal.rapports.marchands IS 'Les marchands dont il parle.';
COMMENT ON COLUMN journal.rapports.couvre_depuis IS 'Le début de ce qu''il couvre.';
COMMENT ON COLUMN journal.rapports.couvre_jusqua IS 'La fin de ce qu''il couvre.';
COMMENT ON COLUMN journal.rapports.position IS 'Le bout du journal quand il a été lu.';
COMMENT ON COLUMN journal.rapports.fichier IS 'Le nom du fichier, pour les personnes.';
COMMENT ON COLUMN journal.rapports.lignes IS 'Les lignes lues, celles déjà connues comprises.';
COMMENT ON COLUMN journal.rapports.lu_par IS 'Le rôle PostgreSQL qui l''a lu.';
COMMENT ON COLUMN journal.rapports.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.lignes_de_rapport IS 'Ce que disent les rapports, une ligne par contenu : redite, elle ne compte pas deux fois.';
COMMENT ON COLUMN journal.lignes_de_rapport.cle IS 'SHA-256 du contenu sans l''état.';
COMMENT ON COLUMN journal.lignes_de_rapport.rapport IS 'Le rapport qui l''a dite le premier (son rang).';
COMMENT ON COLUMN journal.lignes_de_rapport.numero IS 'Le numéro de la ligne dans ce fichier.';
COMMENT ON COLUMN journal.lignes_de_rapport.genre IS 'Le genre de ce rapport.';
COMMENT ON COLUMN journal.lignes_de_rapport.transaction IS 'La référence de transaction.';
COMMENT ON COLUMN journal.lignes_de_rapport.marchand IS 'Le marchand ; absent si le rapport ne le dit pas.';
COMMENT ON COLUMN journal.lignes_de_rapport.operation IS 'L''opération de la banque (DEBIT_CAPTURE, CREDIT_CAPTURE…).';
COMMENT ON COLUMN journal.lignes_de_rapport.sequence IS 'Le rang que la banque donne à l''opération.';
COMMENT ON COLUMN journal.lignes_de_rapport.montant IS 'Le montant de la ligne, en centimes.';
COMMENT ON COLUMN journal.lignes_de_rapport.frais IS 'Les frais, en centimes.';
COMMENT ON COLUMN journal.lignes_de_rapport.pris IS 'L''argent que la ligne fait prendre, en centimes.';
COMMENT ON COLUMN journal.lignes_de_rapport.rendu IS 'L''argent que la ligne fait rendre, en centimes.';
COMMENT ON COLUMN journal.lignes_de_rapport.etat IS 'L''état de la transaction chez la banque.';
COMMENT ON COLUMN journal.lignes_de_rapport.code IS 'Le code de réponse.';
COMMENT ON COLUMN journal.lignes_de_rapport.autorisation IS 'Le numéro d''autorisation.';
COMMENT ON COLUMN journal.lignes_de_rapport.survenu_le IS 'L''instant dit par la banque.';
COMMENT ON COLUMN journal.lignes_de_rapport.enregistre_le IS 'L''horloge de PostgreSQL.';
COMMENT ON TABLE journal.ecarts_de_rapport IS 'Les écarts entre la banque et nous, et ce qui les a fermés.';
COMMENT ON COLUMN journal.ecarts_de_rapport.rang IS 'Rang de l''écart.';
COMMENT ON COLUMN journal.ecarts_de_rapport.clot IS 'Le rang de l''écart que cette ligne ferme ; absent : un écart.';
COMMENT ON COLUMN journal.ecarts_de_rapport.rapport IS 'Le rapport qui l''a montré ou expliqué (son rang).';
COMMENT ON COLUMN journal.ecarts_de_rapport.genre_de_rapport IS 'Le genre de ce rapport.';
COMMENT ON COLUMN journal.ecarts_de_rapport.genre IS 'manque_ici, manque_la_bas, autre_montant, autre_etat, impaye ou remboursement.';
COMMENT ON COLUMN journal.ecarts_de_rapport.transaction IS 'La référence de transaction.';
COMMENT ON COLUMN journal.ecarts_de_rapport.marchand IS 'Le marchand.';
COMMENT ON COLUMN journal.ecarts_de_rapport.jour IS 'Le jour de Paris.';
COMMENT ON COLUMN journal.ecarts_de_rapport.montant IS 'L''argent en cause, en centimes.';
COMMENT ON COLUMN journal.ecarts_de_rapport.montant_banque IS 'Ce que dit la banque, en centimes.';
COMMENT ON COLUMN journal.ecarts_de_rapport.montant_chez_nous IS 'Ce que dit notre journal, en centimes.';
COMMENT ON COLUMN journal.ecarts_de_rapport.etat_banque IS 'L''état chez la banque.';
COMMENT ON COLUMN journal.ecarts_de_rapport.etat_chez_nous IS 'L''état chez nous.';
COMMENT ON COLUMN journal.ecarts_de_rapport.cause IS 'La phrase que lit le support.';
COMMENT ON COLUMN journal.ecarts_de_rapport.enregistre_le IS 'L''horloge de PostgreSQL.';
