"""FHIR R4: which elements of a type its summary shows, and which it requires. Tables; a test
compares them with the models of fhir.resources (R4B)."""

from __future__ import annotations


def _read(text: str) -> dict[str, frozenset[str]]:
    """Lines `Type: element element …`, a longer one going on indented."""
    table: dict[str, frozenset[str]] = {}
    kind = ""
    for line in text.strip().splitlines():
        if ":" in line:
            kind, _, line = line.partition(":")  # noqa: PLW2901 - the elements after the type
            table[kind] = frozenset()
        table[kind] |= frozenset(line.split())
    return table


SUMMARIES = _read(
    """
AllergyIntolerance: asserter category clinicalStatus code criticality identifier patient type
  verificationStatus
Appointment: appointmentType cancelationReason end identifier reasonCode serviceCategory
  serviceType specialty start status
AuditEvent: action outcome outcomeDesc purposeOfEvent recorded subtype type
Binary: contentType securityContext
CarePlan: addresses author basedOn category created description encounter identifier
  instantiatesCanonical instantiatesUri intent partOf period replaces status subject title
CareTeam: category encounter identifier managingOrganization name period status subject
Condition: asserter bodySite clinicalStatus code encounter identifier onsetAge onsetDateTime
  onsetPeriod onsetRange onsetString recordedDate recorder subject verificationStatus
Consent: category dateTime identifier organization patient performer policyRule provision scope
  sourceAttachment sourceReference status verification
DiagnosticReport: category code effectiveDateTime effectivePeriod encounter identifier issued
  media performer resultsInterpreter status subject
DocumentReference: author category content context date description docStatus identifier
  masterIdentifier relatesTo securityLabel status subject type
Encounter: appointment class diagnosis episodeOfCare identifier participant reasonCode
  reasonReference serviceType status subject type
EpisodeOfCare: diagnosis managingOrganization patient period status type
Flag: author category code encounter identifier period status subject
Immunization: isSubpotent note occurrenceDateTime occurrenceString patient performer
  primarySource status vaccineCode
List: code date mode source status subject title
MedicationAdministration: effectiveDateTime effectivePeriod instantiates
  medicationCodeableConcept medicationReference partOf performer status subject
MedicationDispense: medicationCodeableConcept medicationReference status subject whenPrepared
MedicationRequest: authoredOn basedOn doNotPerform groupIdentifier instantiatesCanonical
  instantiatesUri intent medicationCodeableConcept medicationReference performerType priority
  reportedBoolean reportedReference requester status subject
MedicationStatement: basedOn category context dateAsserted effectiveDateTime effectivePeriod
  identifier medicationCodeableConcept medicationReference partOf status subject
Observation: basedOn code component derivedFrom effectiveDateTime effectiveInstant
  effectivePeriod effectiveTiming encounter focus hasMember identifier issued partOf performer
  status subject valueBoolean valueCodeableConcept valueDateTime valueInteger valuePeriod
  valueQuantity valueRange valueRatio valueSampledData valueString valueTime
Patient: active address birthDate deceasedBoolean deceasedDateTime gender identifier link
  managingOrganization name telecom
Procedure: asserter basedOn bodySite category code encounter identifier instantiatesCanonical
  instantiatesUri location outcome partOf performedAge performedDateTime performedPeriod
  performedRange performedString performer reasonCode reasonReference recorder status
  statusReason subject
Provenance: recorded target
QuestionnaireResponse: author authored basedOn encounter identifier partOf questionnaire source
  status subject
RelatedPerson: active address birthDate gender identifier name patient relationship telecom
ServiceRequest: asNeededBoolean asNeededCodeableConcept authoredOn basedOn bodySite category
  code doNotPerform encounter identifier instantiatesCanonical instantiatesUri intent
  locationCode locationReference occurrenceDateTime occurrencePeriod occurrenceTiming
  orderDetail patientInstruction performer performerType priority quantityQuantity quantityRange
  quantityRatio reasonCode reasonReference replaces requester requisition specimen status
  subject
    """
)
"""Resource type → elements in its summary."""

REQUIRED = _read(
    """
AllergyIntolerance: patient
Appointment: participant status
AuditEvent: agent recorded source type
Binary: contentType
CarePlan: intent status subject
CareTeam:
Condition: subject
Consent: category scope status
DiagnosticReport: code status
DocumentReference: content status
Encounter: class status
EpisodeOfCare: patient status
Flag: code status subject
Immunization: occurrenceDateTime occurrenceString patient status vaccineCode
List: mode status
MedicationAdministration: effectiveDateTime effectivePeriod medicationCodeableConcept
  medicationReference status subject
MedicationDispense: medicationCodeableConcept medicationReference status
MedicationRequest: intent medicationCodeableConcept medicationReference status subject
MedicationStatement: medicationCodeableConcept medicationReference status subject
Observation: code status
Patient:
Procedure: status subject
Provenance: agent recorded target
QuestionnaireResponse: status
RelatedPerson: patient
ServiceRequest: intent status subject
    """
)
"""Resource type → elements that it requires; of a choice, all its forms."""
