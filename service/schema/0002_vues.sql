-- Les vues : tout ce qui se supprime et se reconstruit depuis le journal. Le rôle du service en est propriétaire.

CREATE SCHEMA vues AUTHORIZATION creances_service;
SET LOCAL ROLE creances_service;

-- Où en est chaque suiveur du journal, et pourquoi il s'est arrêté s'il l'est.
CREATE TABLE vues.suiveurs (
    nom             text PRIMARY KEY,
    position        bigint      NOT NULL DEFAULT 0,
    etat            text        NOT NULL DEFAULT 'inactif' CHECK (etat IN ('inactif', 'actif', 'arrete')),
    meneur          text,
    derniere_erreur text,
    erreur_le       timestamptz,
    battement_le    timestamptz
);

-- Les événements qu'un suiveur n'a pas pu appliquer, et les suivants du même flux, mis de côté dans l'ordre.
CREATE TABLE vues.ecartes (
    suiveur   text        NOT NULL,
    position  bigint      NOT NULL,
    flux      text COLLATE "C" NOT NULL,
    cause     text        NOT NULL,
    ecarte_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    libere_le timestamptz,
    PRIMARY KEY (suiveur, position)
);

-- restant_du : une ligne par créance.
CREATE TABLE vues.restant_du (
    reference        text COLLATE "C" PRIMARY KEY,
    assure           text COLLATE "C" NOT NULL,
    caisse           text        NOT NULL,
    nature           text        NOT NULL,
    date_emission    date        NOT NULL,
    payable_en_ligne boolean     NOT NULL,
    annulee          boolean     NOT NULL,
    montant_initial  bigint      NOT NULL,
    solde            bigint      NOT NULL,
    en_cours         bigint      NOT NULL,
    version          bigint      NOT NULL,
    position         bigint      NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX restant_du_assure ON vues.restant_du (assure);

-- paiements : une ligne par tentative de paiement ouverte chez nous.
CREATE TABLE vues.paiements (
    transaction text COLLATE "C" PRIMARY KEY,
    assure      text COLLATE "C" NOT NULL,
    caisse      text        NOT NULL,
    canal       text        NOT NULL,
    montant     bigint      NOT NULL,
    statut      text        NOT NULL CHECK (statut IN ('en_cours', 'accepte', 'echoue', 'expire')),
    code        text,
    cause       text,
    ouvert_le   timestamptz NOT NULL,
    expire_le   timestamptz NOT NULL,
    conclu_le   timestamptz,
    accepte_le  timestamptz,
    version     bigint      NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX paiements_assure ON vues.paiements (assure, ouvert_le);
CREATE INDEX paiements_en_cours ON vues.paiements (ouvert_le) WHERE statut = 'en_cours';

-- delai_affichage : une ligne par part acceptée ; un paiement est affiché quand sa dernière part l'est.
CREATE TABLE vues.delai_affichage (
    transaction text COLLATE "C" NOT NULL,
    reference   text COLLATE "C" NOT NULL,
    accepte_le  timestamptz NOT NULL,
    affiche_le  timestamptz,
    PRIMARY KEY (transaction, reference)
) WITH (fillfactor = 80);
CREATE INDEX delai_affichage_en_attente ON vues.delai_affichage (accepte_le) WHERE affiche_le IS NULL;

RESET ROLE;
