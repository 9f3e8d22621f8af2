"""What a deployment costs, beside what others need for the same work."""
