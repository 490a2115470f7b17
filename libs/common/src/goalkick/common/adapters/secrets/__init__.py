"""Where secrets come from: variables, files, and Vault."""
