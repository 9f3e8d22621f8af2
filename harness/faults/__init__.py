"""What is done to platforms on purpose, and what lies between them and us."""
