"""Files before anybody knows what image they hold: which are meant, whether they can be read, their bytes."""
