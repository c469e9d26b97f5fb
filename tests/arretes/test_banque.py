"""Ce que la banque dit d'une journée, à côté de ce que l'arrêté en porte ; et l'audit, qui le refait."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from projections.arretes.contenu import Periode
from projections.audit import auditer
from service.closing import close_days
from tests.arretes.histoires import histoire
from tests.rapports import banc as rapports
from tests.rapports.banc import JOUR, MARCHAND, Ligne

LE: str = "2026-06-01T11:59:00+02:00"


def test_les_sommes_de_la_banque_et_leur_difference_sont_a_cote(base: Any) -> None:
    with histoire(base.url, 1, JOUR) as h:
        h.emettre()
        transaction, montant = h.ouvrir()
        h.m.repondre(transaction, montant)
        banque = rapports.Banc(h.m.guichet, h.m.conn)
        h.avancer(timedelta(days=1))
        # La banque connaît la nôtre, et une autre de 20,00 € que nous ne savons pas ; elle a rendu 5,00 €.
        banque.rapprocher(rapports.rapport([Ligne(transaction, montant, le=LE), Ligne("ABSENTE1", 20_00, le=LE)]))
        banque.rapprocher(rapports.operations([(transaction, "CREDIT_CAPTURE", 5_00, "CREDITED")]), nom="ops.csv")
        (close,) = close_days(h.m.guichet.base, h.m.guichet.recorder, JOUR.date())
        (dit,) = close.arrete.banque
        assert (dit.marchand, dit.couvert, dit.transactions) == (MARCHAND, True, 2)
        assert (dit.pris, dit.pris_ici, dit.difference) == (montant + 20_00, montant, 20_00)
        assert dit.ecarts_ouverts >= 1
        assert close.arrete.ensemble.preleve_par_la_banque == montant
        # Le lendemain, la banque n'a encore rien dit : ce n'est pas zéro.
        h.emettre()
        h.avancer(timedelta(days=1))
        (suite,) = close_days(h.m.guichet.base, h.m.guichet.recorder, JOUR.date() + timedelta(days=1))
        (encore,) = suite.arrete.banque
        assert (encore.couvert, encore.difference, encore.pris_ici) == (False, None, 0)
        # Un rapport de plus n'y change rien : l'audit refait ce qui était alors lu.
        banque.rapprocher(rapports.rapport([Ligne("ABSENTE2", 20_00, le=LE)], genere="20260603"), nom="apres.csv")
        dits = [ecart for ecart in auditer(h.m.conn).ecarts if ecart.startswith("arrêté")]
        assert dits == []
        assert suite.arrete.totaux[Periode.MOIS]


def test_un_rapport_corrige_n_est_compte_qu_une_fois_et_ne_change_pas_un_arrete_deja_fait(base: Any) -> None:
    with histoire(base.url, 1, JOUR) as h:
        h.emettre()
        transaction, montant = h.ouvrir()
        h.m.repondre(transaction, montant)
        banque = rapports.Banc(h.m.guichet, h.m.conn)
        h.avancer(timedelta(days=1))
        juste = Ligne(transaction, montant, le=LE, autorisation="761208")
        for faux, heure in ((2_00, 1), (1_00, 2)):
            lignes = [replace(juste, montant=montant + faux)]
            banque.rapprocher(rapports.rapport(lignes, genere=f"2026-06-02T0{heure}:00:00+02:00"))
        (close,) = close_days(h.m.guichet.base, h.m.guichet.recorder, JOUR.date())
        (dit,) = close.arrete.banque
        assert (dit.transactions, dit.pris, dit.difference) == (1, montant + 1_00, 1_00)
        # Corrigé après la clôture, et daté d'un autre jour : l'audit refait ce qui était alors lu.
        suite = replace(juste, le="2026-06-02T00:01:00+02:00")
        banque.rapprocher(rapports.rapport([suite], genere="2026-06-03T01:00:00+02:00"))
        assert [ecart for ecart in auditer(h.m.conn).ecarts if ecart.startswith("arrêté")] == []
        assert banque.ouverts() == []


def test_un_rapport_change_apres_coup_se_voit(base: Any) -> None:
    import psycopg

    with histoire(base.url, 1, JOUR) as h:
        h.emettre()
        transaction, montant = h.ouvrir()
        h.m.repondre(transaction, montant)
        rapports.Banc(h.m.guichet, h.m.conn).rapprocher(rapports.rapport([Ligne(transaction, montant, le=LE)]))
        close_days(h.m.guichet.base, h.m.guichet.recorder, JOUR.date())
        with psycopg.connect(base.url_proprietaire, autocommit=True) as conn:
            conn.execute("ALTER TABLE journal.lignes_de_rapport DISABLE TRIGGER ajout_seul")
            conn.execute("UPDATE journal.lignes_de_rapport SET pris = pris + 1")
        assert any("la banque n'en dit plus" in ecart for ecart in auditer(h.m.conn).ecarts)
