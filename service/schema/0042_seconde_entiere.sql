-- L'ouverture d'une époque compte des secondes entières : arrondies, deux restaurations de la même sauvegarde faites à
-- moins d'une seconde l'une de l'autre, de part et d'autre d'un changement de seconde, tiraient les mêmes numéros.

CREATE OR REPLACE FUNCTION journal.sauter_ce_qui_a_ete_donne() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    suite record;
    seconde integer := floor(extract(epoch FROM (clock_timestamp() AT TIME ZONE 'Europe/Paris')::time));
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
