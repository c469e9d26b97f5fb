-- Une vue se reconstruit à côté de celle que l'on lit, et prend sa place d'un coup ; et chaque vue est comparée au journal
-- sans fin, à petit coût.

-- Les tables qui se remplissent à côté : elles ont le nom de celles qu'elles remplaceront.
CREATE SCHEMA vues_neuves AUTHORIZATION creances_service;
COMMENT ON SCHEMA vues_neuves IS 'Les vues en reconstruction, avant de prendre leur place dans vues.';

SET LOCAL ROLE creances_service;

CREATE TABLE vues_neuves.ecartes (LIKE vues.ecartes INCLUDING ALL);
COMMENT ON TABLE vues_neuves.ecartes IS
    'Les événements qu''une reconstruction n''a pas pu appliquer : ils deviennent ceux de la vue avec elle.';

-- Les baux de ce qui n'est pas un suiveur : une reconstruction, la veille.
CREATE TABLE vues.baux (
    nom            text PRIMARY KEY,
    bail           uuid,
    bail_expire_le timestamptz,
    bail_session   integer,
    battement_le   timestamptz,
    CONSTRAINT baux_bail CHECK ((bail IS NULL) = (bail_expire_le IS NULL))
);
COMMENT ON TABLE vues.baux IS 'Qui mène ce qu''un seul processus mène à la fois et qui n''est pas un suiveur.';
COMMENT ON COLUMN vues.baux.nom IS 'reconstruction:<vue>, ou veille.';
COMMENT ON COLUMN vues.baux.bail IS 'Le bail de son meneur, un numéro neuf à chaque prise ; vide si personne ne le mène.';
COMMENT ON COLUMN vues.baux.bail_expire_le IS 'Passé cet instant, un autre peut le mener.';
COMMENT ON COLUMN vues.baux.bail_session IS 'Le processus de PostgreSQL qui sert son meneur.';
COMMENT ON COLUMN vues.baux.battement_le IS 'Son dernier signe de vie.';

CREATE TABLE vues.reconstructions (
    rang         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vue          text        NOT NULL,
    etat         text        NOT NULL DEFAULT 'en_cours' CHECK (etat IN ('en_cours', 'basculee', 'refusee', 'abandonnee')),
    empreinte    text        NOT NULL,
    position     bigint      NOT NULL DEFAULT 0,
    lus          bigint      NOT NULL DEFAULT 0,
    total        bigint      NOT NULL DEFAULT 0,
    ecartes      bigint      NOT NULL DEFAULT 0,
    differences  bigint      NOT NULL DEFAULT 0,
    cause        text,
    meneur       text        NOT NULL,
    commencee_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    battement_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    finie_le     timestamptz,
    CONSTRAINT reconstructions_finie CHECK ((etat = 'en_cours') = (finie_le IS NULL))
) WITH (fillfactor = 50);
CREATE UNIQUE INDEX reconstructions_en_cours ON vues.reconstructions (vue) WHERE etat = 'en_cours';
COMMENT ON TABLE vues.reconstructions IS 'Chaque reconstruction d''une vue, et ce qu''elle est devenue.';
COMMENT ON COLUMN vues.reconstructions.rang IS 'L''ordre où elles ont commencé.';
COMMENT ON COLUMN vues.reconstructions.vue IS 'La vue.';
COMMENT ON COLUMN vues.reconstructions.etat IS
    'en_cours, basculee (elle a pris la place de la vue), refusee (elle ne dit pas ce que dit le journal) ou abandonnee.';
COMMENT ON COLUMN vues.reconstructions.empreinte IS
    'Le schéma et la version du service qui l''ont commencée : sous d''autres, elle est abandonnée et une autre commence.';
COMMENT ON COLUMN vues.reconstructions.position IS 'Jusqu''où le journal lui est appliqué.';
COMMENT ON COLUMN vues.reconstructions.lus IS 'Combien d''événements qui concernent la vue elle a lus.';
COMMENT ON COLUMN vues.reconstructions.total IS 'Combien le journal en avait quand elle a commencé.';
COMMENT ON COLUMN vues.reconstructions.ecartes IS 'Combien elle n''a pas pu en appliquer.';
COMMENT ON COLUMN vues.reconstructions.differences IS 'Combien de lignes la vue que l''on lisait disait autrement.';
COMMENT ON COLUMN vues.reconstructions.cause IS 'Pourquoi elle a été refusée ou abandonnée, en une phrase.';
COMMENT ON COLUMN vues.reconstructions.meneur IS 'La machine et le processus qui l''ont menée en dernier.';
COMMENT ON COLUMN vues.reconstructions.commencee_le IS 'Quand elle a commencé.';
COMMENT ON COLUMN vues.reconstructions.battement_le IS 'Quand son dernier lot a été validé.';
COMMENT ON COLUMN vues.reconstructions.finie_le IS 'Quand elle a fini ; vide tant qu''elle est en cours.';

-- La comparaison continue de chaque vue avec le journal : où elle en est, et ce qu'elle a trouvé.
CREATE TABLE vues.parite (
    vue             text PRIMARY KEY,
    table_en_cours  text        NOT NULL,
    apres           text COLLATE "C" NOT NULL,
    lignes          bigint      NOT NULL DEFAULT 0,
    commencee_le    timestamptz NOT NULL DEFAULT clock_timestamp(),
    tour_commence_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    tour_fini_le    timestamptz,
    tour_secondes   double precision,
    cause           text
) WITH (fillfactor = 50);
COMMENT ON TABLE vues.parite IS 'Où en est la comparaison continue de chaque vue avec le journal.';
COMMENT ON COLUMN vues.parite.vue IS 'La vue.';
COMMENT ON COLUMN vues.parite.table_en_cours IS 'Celle de ses tables qui est comparée.';
COMMENT ON COLUMN vues.parite.apres IS 'Le dernier flux comparé de ce tour.';
COMMENT ON COLUMN vues.parite.lignes IS 'Combien de lignes ont été comparées depuis toujours.';
COMMENT ON COLUMN vues.parite.commencee_le IS 'Quand cette vue a été comparée pour la première fois.';
COMMENT ON COLUMN vues.parite.tour_commence_le IS 'Quand le tour en cours a commencé.';
COMMENT ON COLUMN vues.parite.tour_fini_le IS 'Quand le dernier tour entier a fini.';
COMMENT ON COLUMN vues.parite.tour_secondes IS 'Combien il a duré.';
COMMENT ON COLUMN vues.parite.cause IS 'Pourquoi la dernière comparaison n''a pu se faire ; vide si elle s''est faite.';

CREATE TABLE vues.differences (
    vue        text NOT NULL,
    cle        text COLLATE "C" NOT NULL,
    flux       text COLLATE "C" NOT NULL,
    genre      text NOT NULL CHECK (genre IN ('manque', 'en_trop', 'autre', 'irrejouable')),
    position   bigint,
    phrase     text NOT NULL,
    trouvee_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    vue_le     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (vue, cle)
);
CREATE INDEX differences_flux ON vues.differences (vue, flux);
COMMENT ON TABLE vues.differences IS 'Les lignes d''une vue qui ne disent pas ce que dit le journal ; effacées quand elles le disent de nouveau.';
COMMENT ON COLUMN vues.differences.vue IS 'La vue.';
COMMENT ON COLUMN vues.differences.cle IS 'La table, puis la clé de la ligne.';
COMMENT ON COLUMN vues.differences.flux IS 'Le flux dont la ligne vient.';
COMMENT ON COLUMN vues.differences.genre IS
    'manque (la ligne n''y est pas), en_trop (rien ne la dit), autre (une colonne diffère), irrejouable (le flux ne se rejoue pas).';
COMMENT ON COLUMN vues.differences.position IS 'L''événement dont l''effet manque, ou le dernier du flux.';
COMMENT ON COLUMN vues.differences.phrase IS 'Ce qui diffère, en une phrase, sans rien d''une personne.';
COMMENT ON COLUMN vues.differences.trouvee_le IS 'Quand elle a été trouvée.';
COMMENT ON COLUMN vues.differences.vue_le IS 'Quand elle a été revue pour la dernière fois.';

-- La comparaison prend les lignes d'une créance ensemble.
CREATE INDEX delai_affichage_reference ON vues.delai_affichage (reference);

RESET ROLE;
