"""From a case to a problem that is ready for integration."""
