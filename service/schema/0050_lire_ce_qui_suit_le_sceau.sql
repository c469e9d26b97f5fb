-- Chaque lot scellé lit ce que des transactions ont écrit depuis le précédent. Un index BRIN ne résume ses dernières
-- pages qu'au passage du VACUUM : d'ici là, chaque lot relisait tout ce qui avait été ajouté depuis. Un B-tree tient une
-- transaction en une entrée (ses doublons sont regroupés) ; ce qui est d'avant le sceau n'y est pas.
DO $$
DECLARE
    un record;
BEGIN
    FOR un IN SELECT i.relname AS index, t.relname AS table FROM pg_index x
              JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
              JOIN pg_am a ON a.oid = i.relam
              WHERE t.relnamespace = 'journal'::regnamespace AND a.amname = 'brin' AND i.relname = t.relname || '_ecrit_par'
              -- Dans l'ordre où un lot les verrouille en écrivant : ni lui ni nous n'attendons en rond.
              ORDER BY coalesce(array_position(ARRAY['positions', 'sorts', 'cles_idempotence', 'attentes',
                                                     'attentes_reglees', 'evenements'], t.relname::text), 0), t.relname
    LOOP
        EXECUTE format('DROP INDEX journal.%I', un.index);
        EXECUTE format('CREATE INDEX %I ON journal.%I (ecrit_par) WHERE ecrit_par IS NOT NULL', un.index, un.table);
    END LOOP;
END $$;
