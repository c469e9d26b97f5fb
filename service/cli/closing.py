"""The commands of the daily closings: `arrete` closes and shows, `archiver` gives a year to keep elsewhere."""

import re
import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from domain.delai import PARIS
from domain.monnaie import euros
from service.cli.application import (
    USAGE,
    DataDir,
    Json,
    app,
    console,
    database_of,
    errors,
    fail,
    print_json,
    read_settings,
    readable_failures,
)
from service.cli.progress import progress_bar
from service.terminal import styled

if TYPE_CHECKING:
    from engine.database import Database
    from projections.arretes.lecture import Cloture
    from service.settings import Settings


@app.command()
def arrete(
    day: Annotated[
        str | None,
        typer.Argument(metavar="[JOUR]", help="AAAA-MM-JJ, de Paris ; sans jour : tous ceux qui sont finis."),
    ] = None,
    *,
    pdf: Annotated[Path | None, typer.Option(help="Écrire l'arrêté en PDF/A.", metavar="FICHIER")] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Écrire l'arrêté en CSV (centimes, séparés par « ; »).")
    ] = False,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Arrête les journées finies, une fois pour toutes, et montre celle qu'on demande, ou la dernière.

    Une journée arrêtée l'est pour de bon : la redemander la montre. Sort avec 1 si les deux calculs diffèrent (rien
    n'est alors écrit) ou si rien n'est arrêté, 2 si ce jour ne peut pas l'être.
    """
    from engine.database import Database
    from projections.arretes.document import en_pdf
    from projections.arretes.tableau import en_csv

    wanted = None if day is None else _day(day)
    settings = read_settings(data_dir)
    with Database(database_of(settings), application="creances-arrete", connexions_max=2) as base, readable_failures():
        found, new = _close(settings, base, wanted)
    for one in new:
        errors.print(f"Arrêté : {one.arrete.jour:%d/%m/%Y} (n° {one.arrete.numero}).", markup=False)
    if pdf is not None:
        with readable_failures():
            pdf.write_bytes(en_pdf(found))
    if as_json:
        print_json(_as_json(found, [one.arrete.jour.isoformat() for one in new]))
    elif as_csv:
        sys.stdout.write(en_csv(found))
    else:
        _tell(found)


@app.command()
def archiver(
    year: Annotated[int, typer.Argument(metavar="ANNÉE", min=2000, max=2999, help="L'année à archiver.")],
    folder: Annotated[Path, typer.Argument(metavar="DOSSIER", help="Un dossier neuf.")],
    *,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Écrit les arrêtés d'une année, leurs événements et leurs jetons dans un dossier qui se vérifie sans nous."""
    from engine.database import connect
    from preuve.archived import EventNotSealed
    from projections.arretes.archive import ArchiveRefusee, archiver_annee
    from service.archived import SealedTree
    from service.composition import proof_salt

    settings = read_settings(data_dir)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise typer.BadParameter(f"{folder} existe déjà et n'est pas vide", param_hint="DOSSIER")
    with readable_failures(), closing(connect(database_of(settings), application="creances-archive")) as conn:
        roots = settings.tsa_roots.read_bytes() if settings.tsa_roots is not None else None
        try:
            with progress_bar("les journées", counted=True) as advance:
                sealed = SealedTree(conn, proof_salt(settings))
                written = archiver_annee(conn, year, folder, roots, scelles=sealed, avancer=advance)
        except ArchiveRefusee as cause:
            fail(str(cause))
        except EventNotSealed as cause:
            fail(f"L'archive n'est pas finie : {cause}.")
    if as_json:
        print_json({"annee": year, "dossier": str(folder), "arretes": written})
    else:
        told = f"{written} arrêtés dans {folder} ; à vérifier par : python3 {folder / 'verifier.py'}"
        console.print(told, soft_wrap=True)


def _close(settings: "Settings", base: "Database", wanted: date | None) -> "tuple[Cloture, list[Cloture]]":
    """The closing that is wanted (None: the last) as it is kept, and those written now; a refusal ends the command."""
    from projections.arretes.calcul import JournalIllisible
    from projections.arretes.contenu import ArreteIllisible
    from projections.arretes.lecture import cloture_du, dernieres
    from service.closing import ClosingDiffers, DayRefused, close_days
    from service.closing_stamps import stamp_closings
    from service.composition import recorder_on
    from service.timestamping import NoTimestamp

    def kept() -> "Cloture | None":
        with base.transaction() as conn:
            return cloture_du(conn, wanted) if wanted is not None else next(iter(dernieres(conn)), None)

    new: list[Cloture] = []
    try:
        if wanted is None or kept() is None:
            with progress_bar("les journées", counted=True) as advance:
                new = close_days(base, recorder_on(base, settings), wanted, advance)
        stamp_closings(settings, base)
        found = kept()
    except DayRefused as refused:
        fail(str(refused), USAGE)
    except (ClosingDiffers, JournalIllisible, ArreteIllisible) as cause:
        fail(f"Rien n'est arrêté : {cause}")
    except NoTimestamp as cause:
        errors.print(f"Sans horodatage pour l'instant : {cause}", markup=False, soft_wrap=True)
        found = kept()
    if found is None and wanted is not None:
        fail(f"Le {wanted:%d/%m/%Y} précède le premier événement : rien n'y est à arrêter.", USAGE)
    if found is None:
        fail("Aucune journée n'est finie depuis le premier événement : rien n'est arrêté.")
    return found, new


def _day(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text.strip(), re.ASCII):
        try:
            return date.fromisoformat(text.strip())
        except ValueError as cause:
            raise typer.BadParameter(f"cette date n'existe pas : {text.strip()}") from cause
    raise typer.BadParameter("un jour AAAA-MM-JJ est attendu")


def _as_json(found: "Cloture", new: list[str]) -> dict[str, Any]:
    token = found.jeton
    return {
        "arretes_maintenant": new,
        "empreinte": found.empreinte,
        "arretee_le": found.arretee_le.isoformat(),
        "horodate_le": token.horodate_le.isoformat() if token else None,
        "autorite": token.autorite if token else None,
        **found.arrete.model_dump(mode="json"),
    }


def _tell(found: "Cloture") -> None:
    from projections.arretes.contenu import Axe, Periode
    from projections.arretes.document import A_COTE, TITRES, intitule
    from projections.comptes.totaux import MOUVEMENTS

    arrete = found.arrete
    console.print(
        f"Arrêté n° {arrete.numero} du {arrete.jour:%d/%m/%Y}, écrit le"
        f" {found.arretee_le.astimezone(PARIS):%d/%m/%Y à %H:%M:%S} (Paris) ; {arrete.evenements} événements,"
        f" jusqu'à la position {arrete.jusqu_a}.",
        soft_wrap=True,
    )
    table = Table("", *TITRES.values())
    for name in ("ouverture", *MOUVEMENTS, "cloture", *A_COTE):
        amounts = (euros(getattr(arrete.totaux[period][Axe.ENSEMBLE][""], name)) for period in Periode)
        table.add_row(intitule(name, Axe.ENSEMBLE), *(Text(amount, justify="right") for amount in amounts))
    console.print(table)
    for said in arrete.banque:
        gap = "pas encore dit" if said.difference is None else euros(said.difference)
        console.print(
            f"Marchand {said.marchand or '?'} : la banque {euros(said.pris) if said.couvert else 'n’a pas encore dit'},"
            f" ici {euros(said.pris_ici)}, différence {gap}, {said.ecarts_ouverts} écarts ouverts.",
            soft_wrap=True,
        )
    console.print(f"SHA-256 : {found.empreinte}", soft_wrap=True)
    point = arrete.point_de_controle
    if point is None:
        console.print(styled("Rien n'était encore scellé du journal.", "yellow"))
    else:
        left = f", {point.hors_du_point} lignes comptées n'y étaient pas encore" if point.hors_du_point else ""
        console.print(
            f"Point signé : {point.origine}, {point.taille} lignes, racine {point.racine}{left}.", soft_wrap=True
        )
    if found.jeton is None:
        console.print(styled("Pas horodaté.", "yellow"))
    else:
        told = f"{found.jeton.horodate_le.astimezone(PARIS):%d/%m/%Y à %H:%M:%S}"
        console.print(styled(f"Horodaté le {told} par {found.jeton.autorite}.", "green"))
