"""What is known of Mendix: metadata tables, type codes, ids, sequences, volatile tables."""
