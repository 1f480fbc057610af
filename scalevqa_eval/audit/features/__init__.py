"""What can be read off the options' texts. Computed from a Table: no answer is at hand here."""
