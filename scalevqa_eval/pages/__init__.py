"""Tables and pages made from summaries, comparisons and audits."""
