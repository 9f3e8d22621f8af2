"""How a scenario of a collection is called where its name, `vlans/merged`, must be one step of a path."""


def flat_name(scenario: str) -> str:
    """`vlans--merged`, as Molecule has it."""
    return scenario.replace("/", "--")
