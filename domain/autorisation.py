"""L'autorisation d'une acceptation : ce qui dit si la banque parle deux fois du même argent."""


def meme_forme(autorisation: str | None) -> str | None:
    """La forme sous laquelle deux autorisations se comparent : sans les zéros de tête ; None si elle manque.

    Le kiosque, ses rapports et l'interrogation écrivent le même numéro avec ou sans ces zéros.
    """
    if autorisation is None or autorisation in {"", "null"}:
        return None
    return autorisation.lstrip("0") or "0"
