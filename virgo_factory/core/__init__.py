"""The words of the domain. Pure: no disk but the texts that ship with the package, no torch."""
