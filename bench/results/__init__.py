"""Records on disk: schema, store, identity, provenance, per-query predictions, maintenance."""
