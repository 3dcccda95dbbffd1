"""Files: atomic writes, model directories and their migrations, csv cells."""
