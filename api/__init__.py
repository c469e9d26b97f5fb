"""L'API : les appels JSON, les pages rendues par le serveur, un dossier par personne servie."""
