"""What people read of an evaluation: tables on the terminal, reports beside the papers, comparisons of two runs."""
