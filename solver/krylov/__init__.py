"""Linear problems in time by rational Krylov spaces."""
