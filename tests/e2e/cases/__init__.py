"""One module a subject. Importing a module registers its cases with support.runner."""
