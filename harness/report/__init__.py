"""Console, JSON and JUnit reports."""
