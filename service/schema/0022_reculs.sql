-- Après la restauration d'une sauvegarde plus ancienne : le recul constaté, et ce qu'une nouvelle époque fait sauter.

-- Un recul du journal : il ne contient plus ce qui a été publié, ou lu. Levé par l'ouverture d'une autre époque.
CREATE TABLE journal.reculs (
    epoque        text COLLATE "C" NOT NULL,
    raison        text        NOT NULL CHECK (raison <> ''),
    enregistre_le timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT reculs_epoque UNIQUE (epoque)
);
CREATE TRIGGER ajout_seul BEFORE UPDATE OR DELETE OR TRUNCATE ON journal.reculs
    FOR EACH STATEMENT EXECUTE FUNCTION journal.refuser_modification();
GRANT SELECT, INSERT ON journal.reculs TO creances_service;

COMMENT ON TABLE journal.reculs IS
    'Les reculs constatés du journal : aucun paiement ne s''ouvre tant qu''une autre époque n''est pas ouverte.';
COMMENT ON COLUMN journal.reculs.epoque IS 'L''époque courante quand il a été constaté.';
COMMENT ON COLUMN journal.reculs.raison IS 'Ce qui manque au journal, en une phrase.';
COMMENT ON COLUMN journal.reculs.enregistre_le IS 'L''horloge de PostgreSQL.';

-- Ce que la base restaurée redonnerait : les numéros de transaction, les rangs et les positions déjà dits au dehors, et
-- les sessions que l'on avait finies.
CREATE FUNCTION journal.sauter_ce_qui_a_ete_donne() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    suite record;
    seconde integer := extract(epoch FROM (clock_timestamp() AT TIME ZONE 'Europe/Paris')::time);
BEGIN
    -- 250 000 numéros, plus 8 par seconde de la journée : ni ceux d'avant la perte (250 000 au plus depuis la
    -- sauvegarde), ni, la même sauvegarde restaurée deux fois, ceux de la première fois (8 par seconde au plus).
    PERFORM setval('journal.numeros_de_transaction', 1 + (last_value + 250000 + 8 * seconde) % 999999)
    FROM journal.numeros_de_transaction;
    FOR suite IN
        SELECT format('%I.%I', schemaname, sequencename) AS nom, coalesce(last_value, 0) AS dernier
        FROM pg_sequences WHERE schemaname = 'journal' AND NOT cycle
    LOOP
        PERFORM setval(suite.nom, suite.dernier + 1000000);
    END LOOP;
    UPDATE acces.sessions SET finie_le = clock_timestamp(), fin = 'administrateur' WHERE finie_le IS NULL;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION journal.sauter_ce_qui_a_ete_donne() IS
    'À l''ouverture d''une époque : ce qui a été donné au dehors depuis la sauvegarde ne l''est pas de nouveau.';
REVOKE EXECUTE ON FUNCTION journal.sauter_ce_qui_a_ete_donne() FROM PUBLIC;
CREATE TRIGGER sauter AFTER INSERT ON journal.epoques
    FOR EACH ROW EXECUTE FUNCTION journal.sauter_ce_qui_a_ete_donne();
