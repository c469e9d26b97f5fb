"""The bank's daily reports, from files or a folder to the use case that reconciles them."""
