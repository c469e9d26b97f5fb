-- Le curseur d'un partenaire porte aussi les flux que le fil retient parce qu'ils ne se lisent pas.

ALTER TABLE vues.lectures_du_fil ADD COLUMN retenus bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN vues.lectures_du_fil.retenus IS
    'De chaque flux qui ne se lisait pas, la position du premier événement retenu.';
