-- Chaque rapport garde ce qu'il dit, même redit : le dernier qui parle d'une opération est ce que la banque en dit.

ALTER TABLE journal.lignes_de_rapport DROP CONSTRAINT lignes_de_rapport_cle;
ALTER TABLE journal.lignes_de_rapport ADD CONSTRAINT lignes_de_rapport_cle UNIQUE (cle, rapport);

COMMENT ON TABLE journal.lignes_de_rapport IS 'Ce que disent les rapports, une ligne par contenu et par rapport : redite ou corrigée, elle ne compte pas deux fois.';
COMMENT ON COLUMN journal.lignes_de_rapport.rapport IS 'Le rapport qui la dit (son rang).';
