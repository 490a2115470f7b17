"""Where secrets come from: variables and files."""
