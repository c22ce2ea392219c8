"""Definitions: every statement that changes the schema, as changes of a `CatalogDraft` and rows of the transaction."""
