"""What plugins are tested with, whoever ships them: stand-ins, small problems, and the contract suite."""
