"""The site: docs/ as pages, with what else of the repository is for reading."""
