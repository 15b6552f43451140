"""The FHIR R4 interface. Nothing is served yet: this package holds the layer's place."""
