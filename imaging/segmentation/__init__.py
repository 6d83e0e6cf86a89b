"""From grey values to labels: filters, thresholds, classed regions, clean-up, and how sure each label is."""
