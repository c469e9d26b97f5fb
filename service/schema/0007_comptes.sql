-- Combien de messages ont eu chaque sort : tenu avec les sorts, car les compter un à un prend des minutes à l'échelle
-- du pays. Une ligne par partition : deux consommateurs n'en partagent aucune.

SET LOCAL ROLE creances_service;

CREATE TABLE vues.sorts (
    topic_id  uuid    NOT NULL,
    topic     text    NOT NULL,
    partition integer NOT NULL,
    sort      text    NOT NULL,
    messages  bigint  NOT NULL,
    PRIMARY KEY (topic_id, partition, sort)
) WITH (fillfactor = 50);

INSERT INTO vues.sorts (topic_id, topic, partition, sort, messages)
SELECT topic_id, topic, partition, sort, count(*) FROM journal.sorts GROUP BY topic_id, topic, partition, sort;

RESET ROLE;
