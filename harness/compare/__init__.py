"""The same plan in several ways on identical fresh machines, and where they are not alike."""
