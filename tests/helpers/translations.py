"""Three translations as a model wrote them, and their references."""

WRITTEN = ["Ein Hund läuft über die Wiese.", "Eine Frau sitzt auf der Bank.", "Zwei Kinder spielen am Strand."]
REFERENCES = [" Ein Hund läuft über eine Wiese.", " Eine Frau sitzt auf einer Bank.", " Zwei Kinder spielen im Sand."]
