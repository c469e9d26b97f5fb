"""La page de l'auditeur : demander un audit, en suivre l'avancement, en lire et en emporter le rapport."""

import json
from datetime import date
from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter
from psycopg import Connection
from starlette.requests import Request
from starlette.responses import Response

from api.socle.problemes import Probleme
from api.socle.visite import champs_de
from api.support.visite import Agent, AuditeurConnecte
from projections.audit.totaux import INTITULES
from projections.vues import audits

PAGE: Final = "/support/audit"
RELUE_S: Final = 2
"""Une page dont l'audit est en cours se relit d'elle-même (secondes)."""

routes = APIRouter(include_in_schema=False, prefix=PAGE)


@routes.get("")
async def voir(agent: AuditeurConnecte) -> Response:
    """Les audits gardés, et de quoi en demander un."""

    def lire(conn: Connection[Any]) -> list[audits.AuditDemande]:
        audits.declarer_les_interrompus(conn)
        return audits.derniers(conn)

    return agent.rendre("support-audits.html", {"audits": await _lire(agent, lire), "refus": None, "depuis": ""})


@routes.post("")
async def demander(requete: Request, agent: AuditeurConnecte) -> Response:
    """Demande un audit ; s'il en est un en cours, mène à lui."""
    champs = dict(await champs_de(requete, agent.visite))
    lancer = agent.moyens.dependances.auditer
    if lancer is None:
        raise Probleme(503, "audit_indisponible", "L'audit n'est pas possible d'ici.")
    dit = champs.get("depuis", "").strip()
    try:
        depuis = date.fromisoformat(dit) if dit else None
    except ValueError:
        refus = "Ce jour ne se lit pas : un jour s'écrit AAAA-MM-JJ."
        valeurs = {"audits": await _lire(agent, audits.derniers), "refus": refus, "depuis": dit}
        return agent.rendre("support-audits.html", valeurs, statut=422)
    rang, neuf = await _lire(agent, partial(audits.demander, par=agent.lecteur.qui, depuis=depuis))
    if neuf:
        await anyio.to_thread.run_sync(lancer, rang)
    return agent.visite.mener(f"{PAGE}/{rang}")


@routes.get("/{rang}")
async def suivre(rang: int, agent: AuditeurConnecte) -> Response:
    """Où en est cet audit, ou son rapport."""

    def lire(conn: Connection[Any]) -> audits.AuditDemande | None:
        audits.declarer_les_interrompus(conn)
        return audits.audit_demande(conn, rang)

    trouve = await _lire(agent, lire) if 0 < rang < 2**63 else None
    if trouve is None:
        raise Probleme(404, "audit_inconnu", "Cet audit n'est pas, ou n'est plus, gardé.")
    reponse = agent.rendre("support-audit.html", {"audit": trouve, "intitules": INTITULES, "page": f"{PAGE}/{rang}"})
    if trouve.fini_le is None:
        reponse.headers["Refresh"] = str(RELUE_S)
    return reponse


@routes.get("/{rang}/rapport.{forme}")
async def emporter(rang: int, forme: str, agent: AuditeurConnecte) -> Response:
    """Le rapport en JSON, ou ses totaux en CSV : les mêmes que ceux de la commande."""

    def lire(conn: Connection[Any]) -> str | None:
        if forme == "csv":
            return audits.totaux_de(conn, rang)
        trouve = audits.audit_demande(conn, rang)
        return json.dumps(trouve.rapport, indent=2) if trouve and trouve.rapport else None

    corps = await _lire(agent, lire) if forme in {"csv", "json"} and 0 < rang < 2**63 else None
    if corps is None:
        raise Probleme(404, "audit_inconnu", "Cet audit n'est pas, ou n'est plus, gardé.")
    genre = "text/csv; charset=utf-8" if forme == "csv" else "application/json"
    en_tetes = {"Content-Disposition": f'attachment; filename="audit-{rang}.{forme}"', "Cache-Control": "no-store"}
    return agent.visite.prolonger(Response(corps, media_type=genre, headers=en_tetes))


async def _lire(agent: Agent, lire: Any) -> Any:
    """Ce que `lire(conn)` rend, dans sa transaction, hors de la boucle."""

    def faire() -> Any:
        with agent.sources[0].transaction() as conn:
            return lire(conn)

    return await anyio.to_thread.run_sync(faire)
