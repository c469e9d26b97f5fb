-- Les contextes de trace : à côté du journal, effaçables ; aucun événement, sort ni réponse ne les porte.

CREATE TABLE vues.traces (
    objet       text COLLATE "C" PRIMARY KEY,
    traceparent text NOT NULL,
    tracestate  text,
    gardee_le   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX traces_gardee_le ON vues.traces (gardee_le);

COMMENT ON TABLE vues.traces IS
    'La trace OpenTelemetry dont un événement vient, si elle est enregistrée ; gardée un mois, vide là où personne ne trace.';
COMMENT ON COLUMN vues.traces.objet IS 'L''événement (flux:version), ou le message en attente (kafka:topic/partition@décalage).';
COMMENT ON COLUMN vues.traces.traceparent IS 'Le contexte, tel que W3C Trace Context l''écrit.';
COMMENT ON COLUMN vues.traces.tracestate IS 'Ce que les outils de l''appelant y ont ajouté.';
COMMENT ON COLUMN vues.traces.gardee_le IS 'Quand il a été gardé.';

ALTER TABLE vues.traces OWNER TO creances_service;
