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
RESET ROLE;
