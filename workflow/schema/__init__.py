"""The keys of a case file, from which the parser, the JSON Schema and the reference come."""
